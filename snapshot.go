package evident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"evident/internal/archive"
	"evident/internal/durable"
	"evident/internal/filelock"
	"evident/store"
	"evident/store/weaviate"
	"evident/vector"
)

// ErrSnapshotExists says that there is something already where a snapshot, or what is restored from
// one, should be. Nothing is ever overwritten.
var ErrSnapshotExists = errors.New("there is something already")

// SnapshotOptions tunes [Index.WriteSnapshot] and [RestoreSnapshot].
type SnapshotOptions struct {
	Now func() time.Time // the clock; nil means time.Now

	disk durable.FS // that is written to; nil means the machine's
}

func (o *SnapshotOptions) withDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = durable.Disk{}
	}
}

// SnapshotReport says what a snapshot holds.
type SnapshotReport struct {
	Snapshot  string  `json:"snapshot"` // file or folder
	Data      string  `json:"data"`     // folder of the index
	Documents int     `json:"documents"`
	Passages  int     `json:"passages"`
	Images    int     `json:"images"`
	Files     int     `json:"files"`
	Bytes     int64   `json:"bytes"`
	SHA256    string  `json:"sha256"` // of the list of all checksums
	Seconds   float64 `json:"seconds"`
}

// partialSuffix is that of a snapshot, or of a folder, that is not complete.
const partialSuffix = ".partial"

// WriteSnapshot writes the newest generation of the index to path: one tar file where the name ends in
// .tar, a folder otherwise. Others may ask and write meanwhile. Damage in the index is an error, so that
// no snapshot is made of it. What was written is read again and compared before it gets its name; an
// process that is killed leaves path.partial, which the next call replaces. The error is [ErrSnapshotExists]
// where there is something already.
func (x *Index) WriteSnapshot(ctx context.Context, path string, o SnapshotOptions) (*SnapshotReport, error) {
	o.withDefaults()
	begun := o.Now()
	r := &SnapshotReport{Snapshot: path, Data: x.dir}
	if err := x.writeSnapshot(ctx, o.disk, path, r); err != nil {
		return nil, fmt.Errorf("write snapshot %q: %w", path, public(err))
	}
	r.Seconds = o.Now().Sub(begun).Seconds()
	return r, nil
}

func (x *Index) writeSnapshot(ctx context.Context, disk durable.FS, path string, r *SnapshotReport) error {
	if err := absent(path); err != nil {
		return err
	}
	in, ok := x.storage.(*folder)
	if !ok {
		return errFolderOnly("snapshot of", x.dir)
	}
	if _, err := in.store.Refresh(); err != nil {
		return err
	}
	snapshot, err := in.store.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Release()
	stats := snapshot.Stats()
	r.Documents, r.Passages, r.Images = stats.Documents, stats.Passages, stats.Pictures
	partial := strings.TrimRight(path, string(filepath.Separator)) + partialSuffix
	target, err := newTarget(disk, path, partial)
	if err != nil {
		return err
	}
	defer target.close()
	written, err := x.exportAll(ctx, snapshot, target)
	if err != nil {
		return err
	}
	again, err := archive.Read(ctx, partial, archive.Discard)
	if err != nil {
		return err
	}
	if *again != *written {
		return durable.Damaged(partial, "it does not hold what was written to it")
	}
	r.Files, r.Bytes, r.SHA256 = written.Files, written.Bytes, written.SHA256
	return target.name(path)
}

// absent requires that there is nothing at path but, perhaps, an empty folder.
func absent(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		if entries, err := os.ReadDir(path); err != nil || len(entries) == 0 {
			return err
		}
	}
	return fmt.Errorf("%q: %w", path, ErrSnapshotExists)
}

// exportAll writes all files of one state of the index.
func (x *Index) exportAll(ctx context.Context, s *store.Snapshot, target *target) (_ *archive.Summary, err error) {
	w, err := target.writer()
	if err != nil {
		return nil, err
	}
	put := func(prefix string) func(string, []byte) error {
		return func(name string, data []byte) error {
			return errors.Join(ctx.Err(), w.Put(prefix+name, data))
		}
	}
	if err := s.Export(put("")); err != nil {
		return nil, errors.Join(err, w.Abandon())
	}
	if err := exportRest(x.dir, put); err != nil {
		return nil, errors.Join(err, w.Abandon())
	}
	return w.Close()
}

// exportRest writes the catalogue and the phrases, where there are any.
func exportRest(dir string, put func(prefix string) func(string, []byte) error) (err error) {
	catalog, err := os.ReadFile(filepath.Join(dir, catalogName))
	if err == nil {
		_, err = parseCatalog(catalog)
		if err == nil {
			err = put("")(catalogName, catalog)
		} else {
			err = durable.Damaged(filepath.Join(dir, catalogName), "%v", err)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	vectors, err := vector.Open(filepath.Join(dir, phraseFolder))
	if errors.Is(err, vector.ErrNoIndex) {
		return nil
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vectors.Close()) }()
	snapshot, err := vectors.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Release()
	return snapshot.Export(put(phraseFolder + "/"))
}

// RestoreSnapshot makes the index of a snapshot, a tar file or a folder, in folder dir, which must be
// empty or absent. Everything is compared with the checksums of the snapshot and then read through as
// [CheckIndex] does, before the folder gets its name; a process that is killed leaves dir.partial, which
// the next call replaces. The error is [ErrSnapshotExists] where there is something already, and [ErrDamaged]
// for a snapshot that is not what was written.
func RestoreSnapshot(ctx context.Context, path, dir string, o SnapshotOptions) (*SnapshotReport, error) {
	if weaviate.IsAddress(dir) {
		return nil, errFolderOnly("restore a snapshot to", dir)
	}
	o.withDefaults()
	begun := o.Now()
	r := &SnapshotReport{Snapshot: path, Data: dir}
	if err := restoreSnapshot(ctx, o.disk, path, dir, r); err != nil {
		return nil, fmt.Errorf("restore snapshot %q to %q: %w", path, dir, public(err))
	}
	r.Seconds = o.Now().Sub(begun).Seconds()
	return r, nil
}

func restoreSnapshot(ctx context.Context, disk durable.FS, path, dir string, r *SnapshotReport) error {
	if err := absent(dir); err != nil {
		return err
	}
	partial := strings.TrimRight(dir, string(filepath.Separator)) + partialSuffix
	target, err := newFolder(disk, partial)
	if err != nil {
		return err
	}
	defer target.close()
	read, err := archive.Read(ctx, path, func(name string) (archive.File, error) {
		if !belongs(name) {
			return nil, durable.Damaged(path, "it holds a file %q, which is none of an index", name)
		}
		return archive.Create(disk, partial, name)
	})
	if err != nil {
		return err
	}
	r.Files, r.Bytes, r.SHA256 = read.Files, read.Bytes, read.SHA256
	checked, err := CheckIndex(ctx, partial, IntegrityOptions{})
	switch {
	case errors.Is(err, ErrNoIndex):
		return durable.Damaged(path, "it holds no manifest")
	case err != nil:
		return err
	case !checked.Whole():
		return durable.Damaged(path, "of its %s: %s", checked.Faults[0].File, checked.Faults[0].Detail)
	}
	if err := r.count(partial); err != nil {
		return err
	}
	return target.name(dir)
}

// belongs says whether an index folder may have a file of that name.
func belongs(name string) bool {
	base, isPhrases := strings.CutPrefix(name, phraseFolder+"/")
	if base != filepath.Base(base) || base == "." || base == ".." {
		return false
	}
	if isPhrases {
		return base == "MANIFEST" || filepath.Ext(base) == ".vectors"
	}
	return base == "MANIFEST" || base == catalogName || filepath.Ext(base) == ".batch"
}

// count fills in what a restored index holds.
func (r *SnapshotReport) count(dir string) error {
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	stats, err := s.Stats()
	r.Documents, r.Passages, r.Images = stats.Documents, stats.Passages, stats.Pictures
	return errors.Join(err, s.Close())
}

// target is a file or folder that is being written under another name.
type target struct {
	disk    durable.FS
	partial string
	folder  bool
	named   bool           // it is complete and has its name
	lock    *filelock.Lock // of a folder
}

// newTarget prepares what will be at path: a folder, or a file where the name ends in .tar.
func newTarget(disk durable.FS, path, partial string) (*target, error) {
	if filepath.Ext(path) == ".tar" {
		held, err := filelock.Take(partial + ".lock")
		if err != nil {
			return nil, err
		}
		return &target{disk: disk, partial: partial, lock: held}, nil
	}
	return newFolder(disk, partial)
}

// newFolder makes a folder, in the place of one that an interrupted call left behind.
func newFolder(disk durable.FS, partial string) (*target, error) {
	lock := filepath.Join(partial, "LOCK")
	if entries, err := os.ReadDir(partial); err == nil && len(entries) > 0 {
		if _, err := os.Lstat(lock); err != nil {
			return nil, fmt.Errorf("%q, which no interrupted call has left: %w", partial, ErrSnapshotExists)
		}
	}
	if err := disk.MkdirAll(partial, 0o700); err != nil {
		return nil, err
	}
	if err := mark(disk, lock); err != nil {
		return nil, err
	}
	held, err := filelock.Take(lock)
	if err != nil {
		return nil, err
	}
	t := &target{disk: disk, partial: partial, folder: true, lock: held}
	entries, err := os.ReadDir(partial)
	for _, entry := range entries {
		if entry.Name() != "LOCK" {
			err = cmp.Or(err, disk.RemoveAll(filepath.Join(partial, entry.Name())))
		}
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// mark makes the file that says whose the folder is, and waits until that lasts: before anything else is
// in it that a power cut could leave.
func mark(disk durable.FS, lock string) error {
	f, err := disk.CreateNew(lock, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return errors.Join(f.Close(), disk.SyncFolder(filepath.Dir(lock)))
}

func (t *target) writer() (*archive.Writer, error) {
	if t.folder {
		return archive.NewFolder(t.disk, t.partial), nil
	}
	return archive.NewFile(t.disk, t.partial)
}

// name gives what is complete its name. Everything in it is on the disk already. The mark goes last: without
// it nobody would know that an incomplete folder may be replaced, and in a complete one it harms nobody.
func (t *target) name(path string) error {
	parent := filepath.Dir(filepath.Clean(path))
	if t.folder {
		// An empty folder may be replaced; one that is not makes this fail.
		if err := t.disk.Rename(t.partial, filepath.Clean(path)); err != nil {
			return err
		}
		t.named = true
		if err := t.disk.SyncFolder(parent); err != nil {
			return err
		}
		_ = t.disk.Remove(filepath.Join(path, "LOCK"))
		return nil
	}
	if err := t.disk.Link(t.partial, path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%q: %w", path, ErrSnapshotExists)
	} else if err != nil { // a file system without second names
		if err := absent(path); err != nil {
			return err
		}
		if err := t.disk.Rename(t.partial, path); err != nil {
			return err
		}
	} else if err := t.disk.Remove(t.partial); err != nil {
		return err
	}
	t.named = true
	return t.disk.SyncFolder(parent)
}

// close gives the lock back, and removes what did not become complete.
func (t *target) close() {
	if !t.named {
		_ = t.disk.RemoveAll(t.partial)
	}
	_ = t.lock.Release()
	if !t.folder {
		_ = os.Remove(t.partial + ".lock")
	}
}
