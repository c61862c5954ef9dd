package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"evident/internal/durable"
	"evident/internal/filelock"
)

// AsideFolder is the folder of an index in which [Repair] puts damaged files, in a new folder each
// time. Nothing reads them, and nothing removes them.
const AsideFolder = "damaged"

// Repaired is what [Repair] did.
type Repaired struct {
	Findings          // what was wrong
	Aside    string   // the folder that damaged files are in now; "" where there was none
	Moved    []string // their names
	Rebuilt  []string // files that were written anew from what is whole of them
}

// Repair makes the index in dir whole again with what can be read of it: a damaged manifest is
// replaced by its copy or made anew, a batch with damaged texts or a damaged segment is written again
// with the texts that are whole, and what is lost is forgotten, so that the next run over the files
// reads it again. The findings say which documents these are.
//
// Damaged files are put aside before anything is changed, under [AsideFolder]; a Repair that is
// interrupted leaves the index as it was. An index that is whole is not touched.
func Repair(ctx context.Context, dir string) (*Repaired, error) {
	return repairOn(ctx, durable.Disk{}, dir)
}

func repairOn(ctx context.Context, disk durable.FS, dir string) (_ *Repaired, err error) {
	fail := func(err error) (*Repaired, error) { return nil, fmt.Errorf("repair index %q: %w", dir, err) }
	if _, err := readManifest(dir); errors.Is(err, ErrNoIndex) {
		return fail(err)
	}
	held, err := takeLock(dir)
	if err != nil {
		return fail(err)
	}
	p, err := diagnose(ctx, dir)
	if err != nil {
		return fail(errors.Join(err, held.Release()))
	}
	defer p.release()
	r := &repair{patient: p, disk: disk, done: &Repaired{Findings: p.findings}}
	if len(p.findings.Faults) == 0 {
		return r.done, held.Release()
	}
	if err := r.putAside(); err != nil {
		return fail(errors.Join(err, held.Release()))
	}
	if err := r.rewrite(ctx, held); err != nil {
		return fail(err)
	}
	return r.done, nil
}

// repair is one run of [Repair].
type repair struct {
	*patient
	disk durable.FS
	done *Repaired
}

// putAside gives every damaged file a second name in a new folder. Where the manifest is lost, every
// batch that will not be named is one of them.
func (r *repair) putAside() error {
	files := map[string]bool{}
	for _, f := range r.findings.Faults {
		files[f.File] = !f.Missing
	}
	if r.inPlace == nil {
		names, err := batchFiles(r.dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			files[name] = true
		}
		for _, e := range r.batches {
			if e.fault == nil {
				delete(files, e.entry.File)
			}
		}
	}
	for _, name := range sortedTrue(files) {
		if r.done.Aside == "" {
			folder, err := newAside(r.disk, r.dir)
			if err != nil {
				return err
			}
			r.done.Aside = folder
		}
		if err := r.keep(name); err != nil {
			return err
		}
		r.done.Moved = append(r.done.Moved, name)
	}
	if r.done.Aside == "" {
		return nil
	}
	return errors.Join(r.disk.SyncFolder(r.done.Aside), r.disk.SyncFolder(filepath.Dir(r.done.Aside)),
		r.disk.SyncFolder(r.dir))
}

func sortedTrue(flags map[string]bool) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if flags[name] {
			names = append(names, name)
		}
	}
	return names
}

// NewAside makes a new folder under [AsideFolder] of the index in dir and returns its path.
func NewAside(dir string) (string, error) { return newAside(durable.Disk{}, dir) }

func newAside(disk durable.FS, dir string) (string, error) {
	for n := 1; ; n++ {
		folder := filepath.Join(dir, AsideFolder, strconv.Itoa(n))
		if _, err := os.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
			return folder, disk.MkdirAll(folder, 0o755)
		} else if err != nil {
			return "", err
		}
	}
}

// keep gives a file a second name, or a copy where the file system has no second names.
func (r *repair) keep(name string) error {
	from, to := filepath.Join(r.dir, name), filepath.Join(r.done.Aside, name)
	linkErr := r.disk.Link(from, to)
	if linkErr == nil {
		return nil
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return errors.Join(linkErr, err)
	}
	if err := durable.WriteSynced(r.disk, to, data); err != nil {
		return errors.Join(linkErr, err)
	}
	if again, err := os.ReadFile(to); err != nil || !bytes.Equal(again, data) {
		return fmt.Errorf("put %q aside: the copy differs: %w", name, errors.Join(linkErr, err))
	}
	return nil
}

// rewrite publishes a generation of what is whole. It gives the lock back.
func (r *repair) rewrite(ctx context.Context, held *filelock.Lock) (err error) {
	w, err := r.writer(held)
	if err != nil {
		return errors.Join(err, held.Release())
	}
	defer func() {
		if err != nil {
			w.err = err // nothing may be swept
		}
		err = errors.Join(err, w.Close(), w.store.Close())
	}()
	var batches []batchEntry
	for _, e := range r.batches {
		switch {
		case e.fault == nil:
			batches = append(batches, e.entry)
			continue
		case e.batch == nil:
			continue
		}
		if err := e.refill(ctx, w); err != nil {
			return err
		}
		for _, entry := range w.closed {
			r.done.Rebuilt = append(r.done.Rebuilt, entry.File)
		}
		batches, w.closed = append(batches, w.closed...), nil
	}
	return w.publish(batches)
}

// writer is one at the generation of those batches that are whole.
func (r *repair) writer(held *filelock.Lock) (*Writer, error) {
	m := *r.chosen
	m.Batches = nil
	for _, e := range r.batches {
		if e.fault == nil {
			m.Batches = append(m.Batches, e.entry)
		}
	}
	names, err := batchFiles(r.dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if number, err := strconv.Atoi(strings.TrimSuffix(name, batchSuffix)); err == nil {
			m.NextFile = max(m.NextFile, number+1)
		}
	}
	base, err := openSnapshot(r.dir, &m, nil)
	if err != nil {
		return nil, err
	}
	base.refs.Add(1) // one for the writer, one for the store
	return &Writer{
		store: &Store{dir: r.dir, fs: r.disk, current: base}, lock: held, base: base,
		fresh: map[string]place{}, deleted: map[string][]bool{}, nextFile: m.NextFile,
	}, nil
}

// refill writes the whole documents of a damaged batch into new ones, segment included.
func (e *examined) refill(ctx context.Context, w *Writer) error {
	deleted := durable.Flags(e.entry.Deleted, e.entry.Documents)
	for number := range e.batch.documents {
		if deleted[number] || e.broken[number] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r, doc, passages, err := e.batch.whole(number)
		if err != nil {
			return err
		}
		if err := w.Put(doc, passages, r.stat); err != nil {
			return err
		}
	}
	return w.closeBatch()
}
