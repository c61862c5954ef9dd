package service

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"evident"
	"evident/api"
)

// jobsMax is how many jobs are remembered, unfinished ones included.
const jobsMax = 100

// jobs runs jobs, of each kind one after the other: an index has one writer, and a long evaluation must not keep a
// snapshot waiting.
type jobs struct {
	lanes map[string]chan *job // by kind
	now   func() time.Time
	names *names
	ended sync.WaitGroup
	stop  context.CancelFunc

	mu     sync.Mutex
	closed bool
	known  []*job // oldest first
}

// job is a job and who watches it.
type job struct {
	work   func(ctx context.Context, k *job) error
	cancel context.CancelFunc
	ctx    context.Context //nolint:containedctx // a job outlives the request that made it

	mu      sync.Mutex
	state   api.Job
	changed chan struct{} // closed and replaced at every change
}

func newJobs(now func() time.Time, names *names) *jobs {
	ctx, stop := context.WithCancel(context.Background())
	j := &jobs{lanes: map[string]chan *job{}, now: now, names: names, stop: stop}
	for _, kind := range []string{"index", "snapshot", "evaluation", "model"} {
		lane := make(chan *job, jobsMax)
		j.lanes[kind] = lane
		j.ended.Go(func() {
			for {
				select {
				case next := <-lane:
					j.run(next)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return j
}

func (j *jobs) close() {
	j.mu.Lock()
	j.closed = true
	for _, k := range j.known {
		k.cancel()
	}
	j.mu.Unlock()
	j.stop()
	j.ended.Wait()
}

func (j *jobs) unfinished() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, k := range j.known {
		if s := k.snapshot(); !s.Over() {
			n++
		}
	}
	return n
}

func (k *job) snapshot() api.Job {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// update changes the job's state and wakes those who watch.
func (k *job) update(change func(*api.Job)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.state)
	close(k.changed)
	k.changed = make(chan struct{})
}

// watch returns the state, and what is closed when it changes.
func (k *job) watch() (api.Job, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state, k.changed
}

// busy says whether a job waits for an index or works on it.
func (j *jobs) busy(index string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.known, func(k *job) bool {
		s := k.snapshot()
		return s.Index == index && !s.Over()
	})
}

// StartJob starts a job that brings an index up to date.
func (s *Service) StartJob(r api.JobRequest) (*api.Job, error) {
	l, err := s.use(r.Index)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	paths, err := s.allowed(l, r.Paths)
	if err != nil {
		return nil, err
	}
	state := api.Job{Kind: r.Kind, Index: l.index.Name, Paths: paths}
	return s.start(state, func(ctx context.Context, k *job) error { return s.addTo(ctx, k, l, paths, r.Phrases) })
}

// start puts work in the queue of its kind.
func (s *Service) start(state api.Job, work func(context.Context, *job) error) (*api.Job, error) {
	state.ID, state.State, state.Created = newID(), "waiting", s.o.Now().UTC().Format(time.RFC3339)
	if state.Paths == nil {
		state.Paths = []string{}
	}
	state.Progress.Unit = map[string]string{
		"index": "files", "snapshot": "files", "evaluation": "questions", "model": "MB",
	}[state.Kind]
	ctx, cancel := context.WithCancel(context.Background())
	k := &job{work: work, ctx: ctx, cancel: cancel, changed: make(chan struct{}), state: state}
	if err := s.jobs.add(k); err != nil {
		cancel()
		return nil, err
	}
	started := k.snapshot()
	return &started, nil
}

// add remembers a job and puts it in the queue. Jobs that are over make room.
func (j *jobs) add(k *job) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return api.NewProblem("not-ready", "the server is shutting down")
	}
	if len(j.known) >= jobsMax {
		at := slices.IndexFunc(j.known, func(k *job) bool { s := k.snapshot(); return s.Over() })
		if at < 0 {
			return api.NewProblem("overloaded", "too many jobs are waiting")
		}
		j.known = slices.Delete(j.known, at, at+1)
	}
	j.known = append(j.known, k)
	select {
	case j.lanes[k.state.Kind] <- k:
	default: // as many as are remembered, all stopped while they waited
		j.known = j.known[:len(j.known)-1]
		return api.NewProblem("overloaded", "too many jobs are waiting")
	}
	return nil
}

// allowed returns the absolute paths that a job may index: what was indexed before when none is
// named, else only what lies below that or below the folders the server was started with. Links are
// followed first, so that a link is no way out.
func (s *Service) allowed(l *listing, named []string) ([]string, error) {
	status, err := l.index.Status()
	if err != nil {
		return nil, s.names.problem(err)
	}
	if len(named) == 0 {
		if len(status.Roots) == 0 {
			return nil, api.NewProblem("empty-index", "nothing was indexed yet: name a folder")
		}
		return status.Roots, nil
	}
	within := append(slices.Clone(s.folders), status.Roots...)
	paths := make([]string, 0, len(named))
	for i, path := range named {
		full, err := filepath.Abs(path)
		if err != nil || strings.ContainsRune(path, 0) || !belowAny(full, within) {
			return nil, notAllowed(i, path)
		}
		if _, err := filepath.EvalSymlinks(full); errors.Is(err, fs.ErrNotExist) {
			p := api.NewProblem("invalid-request", "there is no file or folder "+quoted(path))
			p.Errors = []api.ProblemField{{Where: "/paths", Message: quoted(path) + " does not exist"}}
			return nil, p
		}
		if real, err := filepath.EvalSymlinks(full); err != nil || !belowAny(real, followed(within)) {
			return nil, notAllowed(i, path)
		}
		paths = append(paths, full)
	}
	return paths, nil
}

func notAllowed(_ int, path string) error {
	return api.NewProblem("folder-not-allowed", quoted(path)+" is below no folder that may be indexed")
}

// followed returns paths with their links followed, beside themselves.
func followed(paths []string) []string {
	all := slices.Clone(paths)
	for _, p := range paths {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			all = append(all, real)
		}
	}
	return all
}

// belowAny says whether path is one of folders or lies below one.
func belowAny(path string, folders []string) bool {
	for _, folder := range folders {
		rest, err := filepath.Rel(folder, path)
		if err == nil && rest != ".." && !strings.HasPrefix(rest, ".."+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

// run carries out a job.
func (j *jobs) run(k *job) {
	k.update(func(w *api.Job) {
		if w.State == "waiting" {
			w.State = "running"
		}
	})
	if state := k.snapshot(); state.Over() { // it was stopped while it waited
		return
	}
	err := k.work(k.ctx, k)
	k.update(func(w *api.Job) {
		w.Ended = j.now().UTC().Format(time.RFC3339)
		switch w.State = "done"; {
		case k.ctx.Err() != nil:
			w.State = "cancelled"
		case err != nil:
			w.State = "failed"
			var p *api.Problem
			errors.As(j.names.problem(err), &p)
			w.Error = p
		}
	})
}

// progress notes how far the job is.
func (k *job) progress(done, total, skipped int, left time.Duration) {
	k.update(func(w *api.Job) {
		w.Progress = api.Progress{
			Done: done, Total: total, Unit: w.Progress.Unit, Skipped: skipped, SecondsLeft: left.Seconds(),
		}
	})
}

// addTo brings an index up to date, and its phrases where it has some or they are asked for. What was done is kept
// when the job is stopped.
func (s *Service) addTo(ctx context.Context, k *job, l *listing, paths []string, phrases bool) error {
	if !l.enter() {
		return noIndex(l.index.Name)
	}
	defer l.leave()
	report, err := l.index.Add(ctx, paths, evident.AddOptions{
		CacheDir: s.o.CacheDir, PixelsMax: s.o.PixelsMax,
		Progress: func(p evident.Progress) { k.progress(p.Done, p.Total, p.Skipped, p.Left) },
	})
	if report != nil && (err == nil || ctx.Err() != nil) {
		k.update(func(w *api.Job) { r := reportOf(report); w.Result = &r })
	}
	if err != nil || !phrases && !l.index.HasPhrases() {
		return err
	}
	k.update(func(w *api.Job) { w.Progress.Unit = "passages" })
	made, err := l.index.AddPhrases(ctx, evident.AddPhrasesOptions{Progress: func(p evident.PhraseProgress) {
		k.progress(p.Done, p.Total, 0, p.Left)
	}})
	if made != nil {
		k.update(func(w *api.Job) {
			r := *w.Result // whoever watches holds the one before
			r.Phrases, w.Result = made.Passages, &r
		})
	}
	if err == nil {
		return l.index.Preload(ctx)
	}
	if errors.Is(err, evident.ErrModelMissing) && !phrases { // as before: answered without phrases of what is new
		return nil
	}
	return err
}

func reportOf(r *evident.AddReport) api.IndexReport {
	return api.IndexReport{
		Documents: r.Documents, Passages: r.Passages, Images: r.Images, Added: r.Added,
		Changed: r.Changed, Unchanged: r.Unchanged, Removed: r.Removed,
		Skipped: r.Skipped, Seconds: r.Seconds,
	}
}

// Jobs lists the jobs that are remembered, newest first.
func (s *Service) Jobs() *api.JobList {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	out := &api.JobList{Jobs: []api.Job{}}
	for _, k := range slices.Backward(s.jobs.known) {
		out.Jobs = append(out.Jobs, k.snapshot())
	}
	return out
}

func (s *Service) job(id string) (*job, error) {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	for _, k := range s.jobs.known {
		if k.state.ID == id {
			return k, nil
		}
	}
	return nil, api.NewProblem("not-found", "there is no job "+quoted(id))
}

// Job returns a job.
func (s *Service) Job(id string) (*api.Job, error) {
	k, err := s.job(id)
	if err != nil {
		return nil, err
	}
	state := k.snapshot()
	return &state, nil
}

// StopJob stops a job, which keeps what it has done. It does not wait.
func (s *Service) StopJob(id string) error {
	k, err := s.job(id)
	if err != nil {
		return err
	}
	k.stop(s.o.Now())
	return nil
}

// stop ends a job: at once where it waits, soon where it runs.
func (k *job) stop(now time.Time) {
	k.cancel()
	k.update(func(w *api.Job) {
		if w.State == "waiting" {
			w.State, w.Ended = "cancelled", now.UTC().Format(time.RFC3339)
		}
	})
}

// DropJob stops a job, waits for its end, and forgets it. It returns the job as it ended.
func (s *Service) DropJob(ctx context.Context, id string) (*api.Job, error) {
	if err := s.StopJob(id); err != nil {
		return nil, err
	}
	var last api.Job
	err := s.WatchJob(ctx, id, func(j api.Job) bool { last = j; return true })
	if err != nil {
		return nil, s.names.problem(err)
	}
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	s.jobs.known = slices.DeleteFunc(s.jobs.known, func(k *job) bool { return k.state.ID == id })
	return &last, nil
}

// WatchJob calls yield with the job's state now and at every change, until it is over, yield returns
// false, or ctx ends.
func (s *Service) WatchJob(ctx context.Context, id string, yield func(api.Job) bool) error {
	k, err := s.job(id)
	if err != nil {
		return err
	}
	for {
		state, changed := k.watch()
		if !yield(state) || state.Over() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
