package store

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"evident/internal/durable"
)

// errPower is what every operation gives after the power went.
var errPower = errors.New("the power is off")

// faultDisk is a file system that fails at a chosen operation, or loses power after it. It carries out
// what it is told in a real folder, so that it can be read, and knows beside that what would be left of it:
// of a file what was there at its last sync, of a folder the names at its last sync, and, as it happens
// on real machines, any part of what came after.
type faultDisk struct {
	t        testing.TB
	at       int  // number of the operation that fails or is the last, from 1; 0 means none
	cut      bool // the power goes after it; otherwise it fails with ENOSPC
	forever  bool // and so do all after it
	done     int  // operations so far
	off      bool
	names    map[string]*node // as programs see them
	lasting  map[string]*node // as the disk has them
	unsynced []nameChange
}

// node is a file, whatever its names.
type node struct {
	data   []byte
	synced []byte
}

// nameChange is a change of a folder that is not synced: it takes one name away, or gives one, or both.
type nameChange struct {
	folder   string
	gone     string
	made     string
	madeNode *node
}

func (c nameChange) apply(names map[string]*node) {
	if c.gone != "" {
		delete(names, c.gone)
	}
	if c.made != "" {
		names[c.made] = c.madeNode
	}
}

func newFaultDisk(t testing.TB) *faultDisk {
	return &faultDisk{t: t, names: map[string]*node{}, lasting: map[string]*node{}}
}

// step counts an operation and carries it out, unless it fails.
func (d *faultDisk) step(do func() error) error {
	if d.off {
		return errPower
	}
	d.done++
	hit := d.at > 0 && (d.done == d.at || d.forever && d.done > d.at)
	if hit && !d.cut {
		return syscall.ENOSPC
	}
	err := do()
	if hit {
		d.off = true
	}
	return err
}

func (d *faultDisk) change(c nameChange) {
	c.apply(d.names)
	d.unsynced = append(d.unsynced, c)
}

func (d *faultDisk) Create(path string) (durable.File, error) { return d.create(path, os.O_TRUNC) }

func (d *faultDisk) CreateNew(path string) (durable.File, error) { return d.create(path, os.O_EXCL) }

func (d *faultDisk) create(path string, flag int) (durable.File, error) {
	f := &faultFile{disk: d}
	err := d.step(func() (err error) {
		f.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, 0o644)
		if err != nil {
			return err
		}
		if f.node = d.names[path]; f.node == nil {
			f.node = new(node)
			d.change(nameChange{folder: filepath.Dir(path), made: path, madeNode: f.node})
		}
		f.node.data = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d *faultDisk) Rename(from, to string) error {
	return d.step(func() error {
		if err := os.Rename(from, to); err != nil {
			return err
		}
		d.change(nameChange{folder: filepath.Dir(to), gone: from, made: to, madeNode: d.names[from]})
		return nil
	})
}

func (d *faultDisk) Remove(path string) error {
	return d.step(func() error {
		if err := os.Remove(path); err != nil {
			return err
		}
		d.change(nameChange{folder: filepath.Dir(path), gone: path})
		return nil
	})
}

func (d *faultDisk) Link(from, to string) error {
	return d.step(func() error {
		if err := os.Link(from, to); err != nil {
			return err
		}
		d.change(nameChange{folder: filepath.Dir(to), made: to, madeNode: d.names[from]})
		return nil
	})
}

func (d *faultDisk) MkdirAll(path string) error {
	return d.step(func() error { return os.MkdirAll(path, 0o755) })
}

func (d *faultDisk) SyncFolder(path string) error {
	return d.step(func() error {
		d.unsynced = slices.DeleteFunc(d.unsynced, func(c nameChange) bool {
			if c.folder == filepath.Clean(path) {
				c.apply(d.lasting)
			}
			return c.folder == filepath.Clean(path)
		})
		return nil
	})
}

// faultFile is a file on a faultDisk.
type faultFile struct {
	disk *faultDisk
	node *node
	file *os.File
}

// Write writes all, or half of it when it fails.
func (f *faultFile) Write(data []byte) (int, error) {
	n, whole := 0, false
	write := func(part []byte) (err error) {
		n, err = f.file.Write(part)
		f.node.data = append(f.node.data, part[:n]...)
		return err
	}
	err := f.disk.step(func() error {
		whole = true
		return write(data)
	})
	if err != nil && !whole && !f.disk.off {
		err = errors.Join(err, write(data[:len(data)/2]))
	}
	return n, err
}

func (f *faultFile) Sync() error {
	return f.disk.step(func() error {
		f.node.synced = slices.Clone(f.node.data)
		return nil
	})
}

func (f *faultFile) Close() error {
	err := f.disk.step(func() error { return nil })
	return errors.Join(err, f.file.Close())
}

// What is left of the disk after the power went.
const (
	leftSynced = iota // nothing but what was synced
	leftAll           // everything: only the program died
	leftSome          // any part of what was not synced
	leftOther         // another part
	leftKinds
)

// left makes a folder of what is left of the folder dir.
func (d *faultDisk) left(dir string, kind int) string {
	d.t.Helper()
	random := rand.New(rand.NewPCG(uint64(d.done), uint64(kind)))
	names := maps.Clone(d.lasting)
	for _, c := range d.unsynced {
		if kind == leftAll || kind >= leftSome && random.IntN(2) == 0 {
			c.apply(names)
		}
	}
	to := d.t.TempDir()
	for _, path := range slices.Sorted(maps.Keys(names)) {
		file := names[path]
		data := file.synced
		switch {
		case kind == leftAll, kind >= leftSome && random.IntN(3) == 0:
			data = file.data
		case kind >= leftSome && random.IntN(2) == 0 && !slices.Equal(file.data, file.synced): // a file of holes
			data = make([]byte, len(file.data))
			copy(data, file.data[:random.IntN(len(file.data)+1)])
		}
		name, err := filepath.Rel(dir, path)
		if err == nil {
			path = filepath.Join(to, name)
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644))
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
	return to
}

// hasty is the real file system without waiting for the disk, for what no test cuts the power of.
type hasty struct{ durable.Disk }

func (h hasty) Create(path string) (durable.File, error) { return hastyOf(h.Disk.Create(path)) }

func (h hasty) CreateNew(path string) (durable.File, error) { return hastyOf(h.Disk.CreateNew(path)) }

func (hasty) SyncFolder(path string) error {
	_, err := fs.Stat(os.DirFS(path), ".")
	return err
}

func hastyOf(f durable.File, err error) (durable.File, error) {
	if err != nil {
		return nil, err
	}
	return hastyFile{f}, nil
}

type hastyFile struct{ durable.File }

func (hastyFile) Sync() error { return nil }
