// Package service is what a program can ask of open indexes: the operations of the HTTP API, of the
// web pages and of the MCP tools, in the types of package api. It bounds how much is computed at
// once, keeps explanations and jobs, and turns every error into an [api.Problem].
package service

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"evident"
	"evident/api"
	"evident/internal/hub"
)

// Options are the settings of a [Service].
type Options struct {
	Indexes  []Index  // at least one; the first is the default
	Folders  []string // what may be indexed, besides what was: files and folders
	CacheDir string   // where the PDF engine keeps its compiled form; "" means nowhere
	Version  string

	// Keep is a folder for what is made through the server: indexes, snapshots, evaluations; "" keeps nothing.
	Keep string
	// Hub is where fetched models lie; nil knows of none. With Pull more can be fetched through the server. Used are
	// the names of those in use, which are not removed.
	Hub  *hub.Hub
	Pull bool
	Used []string
	// Sets are files and folders that evaluations may be measured on.
	Sets []string

	PixelsMax      int           // of a picture; 0 means [evident.PixelsMax]
	BodyMax        int64         // bytes of a request; 0 means 32 MiB
	Computations   int           // at the same time; 0 means one a core
	QueueMax       int           // computations that may wait; 0 means [WaitingEach] for each of Computations, at least [WaitingLeast]
	RequestTimeout time.Duration // 0 means 60 s

	Now     func() time.Time // the clock; nil means time.Now
	Observe Observer         // may be nil
}

// WaitingEach is how many computations may wait for each that runs. So many that a burst is served, and so few that who
// waits gets the answer while still wanting it: see ADR 0055. On few cores WaitingLeast may: a browser asks for so many
// pictures of a page at once.
const (
	WaitingEach  = 4
	WaitingLeast = 6
)

// Index is an index under a name.
type Index struct {
	Name string
	*evident.Index
}

// Observer is told what happens, for metrics.
type Observer interface {
	Stage(name string, took time.Duration) // a stage of a computation ended
	Answered(outcome string)               // "span" or "abstained"
}

// Service answers. It is safe for concurrent use; Close ends it.
type Service struct {
	o        Options
	begun    time.Time
	gate     *gate
	jobs     *jobs
	kept     *explanations
	names    *names   // of places that callers are not to see
	folders  []string // absolute
	measured *evaluations

	leftMu  sync.Mutex
	leftOut []api.Skipped // of what was made through the service before: it cannot be read

	listedMu sync.RWMutex
	listed   []*listing // by index; replaced, not changed
	making   sync.Mutex // of indexes

	ready   atomic.Bool
	loading sync.Mutex
	missing string // why it is not ready
}

// New returns a service over open indexes. Load makes it ready.
func New(o Options) (*Service, error) {
	if len(o.Indexes) == 0 {
		return nil, errors.New("serve: no index")
	}
	o.PixelsMax = cmp.Or(o.PixelsMax, evident.PixelsMax)
	o.BodyMax = cmp.Or(o.BodyMax, 32<<20)
	o.Computations = cmp.Or(o.Computations, runtime.GOMAXPROCS(0))
	o.QueueMax = cmp.Or(o.QueueMax, max(WaitingLeast, WaitingEach*o.Computations))
	o.RequestTimeout = cmp.Or(o.RequestTimeout, time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observe == nil {
		o.Observe = unobserved{}
	}
	s := &Service{
		o: o, begun: o.Now(), gate: newGate(o.Computations, o.QueueMax),
		kept: &explanations{}, names: newNames(&o), missing: "the models are being loaded",
	}
	s.jobs = newJobs(s.o.Now, s.names)
	for i := range o.Indexes {
		s.listed = append(s.listed, &listing{index: o.Indexes[i], names: s.names})
	}
	for _, folder := range o.Folders {
		full, err := filepath.Abs(folder)
		if err != nil {
			return nil, err
		}
		s.folders = append(s.folders, full)
	}
	var err error
	if s.measured, err = newEvaluations(&s.o, s.leaveOut); err != nil {
		return nil, err
	}
	return s, nil
}

type unobserved struct{}

func (unobserved) Stage(string, time.Duration) {}
func (unobserved) Answered(string)             {}

// Load loads the models. Until it has, the service answers nothing that needs one and is not ready.
func (s *Service) Load(ctx context.Context) error {
	if err := s.preload(ctx); err != nil {
		s.loading.Lock()
		s.missing = s.names.in(err.Error())
		s.loading.Unlock()
		return err
	}
	s.loading.Lock()
	s.missing = ""
	s.loading.Unlock()
	s.ready.Store(true)
	return nil
}

// preload loads what the indexes are asked with; what is loaded already costs nothing.
func (s *Service) preload(ctx context.Context) error {
	for _, l := range s.all() {
		if !l.enter() {
			continue
		}
		err := l.index.Preload(ctx)
		l.leave()
		if err != nil {
			return err
		}
	}
	return nil
}

// Close stops jobs, keeping what they have done, and waits for them. The indexes that were named at the start stay
// open.
func (s *Service) Close() error {
	s.jobs.close()
	var all []error
	for _, l := range s.all() {
		if l.kept != "" {
			all = append(all, l.index.Close())
		}
	}
	return errors.Join(all...)
}

// Ready says whether the models are loaded and, if not, why.
func (s *Service) Ready() (missing string, ready bool) {
	s.loading.Lock()
	defer s.loading.Unlock()
	return s.missing, s.ready.Load()
}

// Limits returns what a request may cost.
func (s *Service) Limits() api.Limits {
	return api.Limits{
		BodyBytes: s.o.BodyMax, ImagePixels: s.o.PixelsMax, QuestionWords: evident.QuestionWordsMax,
		Computations: s.o.Computations, Queue: s.o.QueueMax,
		RequestSeconds: s.o.RequestTimeout.Seconds(), Folders: append([]string{}, s.folders...), Pulls: s.o.Pull && s.o.Hub != nil,
	}
}

// index returns the index of a name; "" is the first.
func (s *Service) index(name string) (*listing, error) {
	all := s.all()
	if name == "" {
		return all[0], nil
	}
	for _, l := range all {
		if l.index.Name == name {
			return l, nil
		}
	}
	return nil, noIndex(name)
}

// use returns the index of a name to somebody who leaves it afterwards.
func (s *Service) use(name string) (*listing, error) {
	l, err := s.index(name)
	if err == nil && !l.enter() {
		err = noIndex(name)
	}
	return l, err
}

// timer collects how long stages take.
type timer struct {
	service *Service
	begun   time.Time
	took    map[string]float64
}

func (s *Service) timer() *timer {
	return &timer{service: s, begun: s.o.Now(), took: map[string]float64{}}
}

// stage notes a stage that began at a time, and returns the time now.
func (t *timer) stage(name string, begun time.Time) time.Time {
	now := t.service.o.Now()
	t.took[name] += milliseconds(now.Sub(begun))
	t.service.o.Observe.Stage(name, now.Sub(begun))
	return now
}

// done returns milliseconds by stage, and the total.
func (t *timer) done() map[string]float64 {
	t.took["total"] = milliseconds(t.service.o.Now().Sub(t.begun))
	return t.took
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
