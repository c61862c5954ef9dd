package evident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"evident/document"
)

// AddOptions tunes [Index.Add]. The zero value reads all files that are not hidden.
type AddOptions struct {
	Hidden       bool   // also files and folders whose name begins with a dot
	FileBytesMax int64  // larger files are skipped; 0 means 64 MiB
	CacheDir     string // where the PDF engine keeps its compiled form; "" means nowhere
	Workers      int    // files read at once; 0 means GOMAXPROCS
	PixelsMax    int    // larger pictures are skipped, unread; 0 means [PixelsMax]

	vision   func(context.Context) (*Vision, error) // of the index
	Progress func(Progress)                         // called after each file, from one goroutine; may be nil
	Now      func() time.Time                       // the clock; nil means time.Now
}

// Progress says how far [Index.Add] is.
type Progress struct {
	Done, Total         int   // files
	BytesDone, BytesAll int64 // of those files
	Skipped             int
	Elapsed             time.Duration
	Left                time.Duration // estimated from the bytes; 0 until it can be
}

// AddReport says what [Index.Add] did.
type AddReport struct {
	Documents int       `json:"documents"` // in the index now
	Passages  int       `json:"passages"`  // in the index now
	Images    int       `json:"images"`    // in the index now
	Added     int       `json:"added"`
	Changed   int       `json:"changed"`
	Unchanged int       `json:"unchanged"`
	Removed   int       `json:"removed"`
	Skipped   []Skipped `json:"skipped"`
	Seconds   float64   `json:"seconds"`

	Phrases *PhraseReport `json:"phrases,omitempty"` // of [Index.AddPhrases], where the caller called it
}

// A commit makes what was read durable; between two there is at most so much.
const (
	commitInterval = 10 * time.Second
	commitBytes    = 64 << 20
)

// Add brings the index up to date with files and folders: new and changed files are read, those
// that are gone are removed, the others are left alone. A file that cannot be read is listed in
// the report and does not stop the rest.
//
// When ctx ends, what was read so far is kept: the error then matches ctx.Err(), the report says
// what was done, and the same call later goes on from there.
func (x *Index) Add(ctx context.Context, paths []string, o AddOptions) (*AddReport, error) {
	x.adding.Lock()
	defer x.adding.Unlock()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	o.PixelsMax = cmp.Or(o.PixelsMax, PixelsMax)
	o.vision = x.Vision
	roots, err := absolute(paths)
	if err != nil {
		return nil, err
	}
	a := &addition{index: x, opts: o, begun: o.Now(), report: &AddReport{Skipped: []Skipped{}}}
	if a.catalog, err = x.readCatalog(); err != nil {
		return nil, err
	}
	a.plan, err = x.plan(ctx, roots, a.catalog, o)
	if err != nil {
		return nil, err
	}
	changedRoots := a.catalog.addRoots(paths, roots)
	if a.plan.changes() {
		err = a.write(ctx)
	}
	if err != nil && !interrupted(ctx, err) {
		return nil, err
	}
	if a.plan.changes() || changedRoots {
		if saveErr := x.saveCatalog(ctx, a.catalog); saveErr != nil {
			return nil, saveErr
		}
	}
	report, finishErr := a.finish()
	if finishErr != nil {
		return nil, finishErr
	}
	return report, err
}

func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// absolute returns paths as they are looked up in the index.
func absolute(paths []string) ([]string, error) {
	roots := make([]string, len(paths))
	for i, path := range paths {
		root, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("index %s: %w", path, err)
		}
		roots[i] = root
	}
	return roots, nil
}

// addition is one run of [Index.Add].
type addition struct {
	index   *Index
	opts    AddOptions
	begun   time.Time
	plan    *plan
	catalog *catalog
	report  *AddReport
}

// write carries out the plan. The lock of the store is held meanwhile.
func (a *addition) write(ctx context.Context) (err error) {
	w, err := a.index.storage.Writer(ctx)
	if err != nil {
		return fmt.Errorf("write index %q: %w", a.index.dir, public(err))
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for _, path := range a.plan.gone {
		if w.Remove(path) {
			a.report.Removed++
		}
	}
	readErr := a.read(ctx, w)
	if readErr != nil && !interrupted(ctx, readErr) {
		return readErr
	}
	if err := w.Commit(); err != nil {
		return fmt.Errorf("write index %q: %w", a.index.dir, public(err))
	}
	return readErr
}

// read reads the planned files in parallel and stores them in order.
func (a *addition) read(ctx context.Context, w textWriter) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	progress := Progress{Total: len(a.plan.read), BytesAll: a.plan.bytes}
	progress.Skipped = len(a.plan.skipped)
	lastCommit, uncommitted := a.opts.Now(), int64(0)
	for job := range readFiles(ctx, a.plan.read, a.opts) {
		if err := a.store(w, job); err != nil {
			return err
		}
		progress.Done++
		progress.BytesDone += job.file.stat.Size
		progress.Skipped = len(a.plan.skipped)
		progress.Elapsed = a.opts.Now().Sub(a.begun)
		progress.Left = timeLeft(progress)
		if a.opts.Progress != nil {
			a.opts.Progress(progress)
		}
		uncommitted += job.file.stat.Size
		if uncommitted >= commitBytes || a.opts.Now().Sub(lastCommit) >= commitInterval {
			if err := w.Commit(); err != nil {
				return fmt.Errorf("write index %q: %w", a.index.dir, public(err))
			}
			lastCommit, uncommitted = a.opts.Now(), 0
		}
	}
	return ctx.Err()
}

// timeLeft scales the time so far by the bytes to come.
func timeLeft(p Progress) time.Duration {
	if p.BytesDone == 0 || p.Elapsed < time.Second {
		return 0
	}
	rest := float64(p.BytesAll-p.BytesDone) / float64(p.BytesDone)
	return time.Duration(rest * float64(p.Elapsed)).Round(time.Second)
}

// store puts one file that was read into the index, or notes why it was not.
func (a *addition) store(w textWriter, job *readJob) error {
	path := job.file.path
	var skip *document.SkipError
	switch {
	case errors.As(job.err, &skip):
		a.plan.skipped = append(a.plan.skipped, Skipped{Path: path, Reason: skip.Reason})
		a.catalog.Skips[path] = skipRecord{
			Size: job.file.stat.Size, ModifiedNS: job.file.stat.MTimeNS, Reason: skip.Reason,
			BytesMax: a.opts.FileBytesMax, PixelsMax: a.opts.PixelsMax, Passing: skip.Passing,
		}
		if w.Remove(path) { // what was indexed is no longer what the file says
			a.report.Removed++
		}
		return nil
	case job.err != nil:
		return job.err
	}
	delete(a.catalog.Skips, path)
	if err := w.Put(job.document, job.passages, job.file.stat); err != nil {
		return fmt.Errorf("store %s: %w", path, public(err))
	}
	if job.file.known {
		a.report.Changed++
	} else {
		a.report.Added++
	}
	return nil
}

// finish fills in what the index holds now.
func (a *addition) finish() (*AddReport, error) {
	r := a.report
	stats, err := a.index.stats()
	if err != nil {
		return nil, err
	}
	r.Documents, r.Passages, r.Images = stats.Documents, stats.Passages, stats.Pictures
	r.Unchanged = a.plan.unchanged
	r.Skipped = append(r.Skipped, a.plan.skipped...)
	sortSkipped(r.Skipped)
	for i := range r.Skipped {
		r.Skipped[i].Path = a.catalog.display(r.Skipped[i].Path)
	}
	r.Seconds = a.opts.Now().Sub(a.begun).Seconds()
	return r, nil
}
