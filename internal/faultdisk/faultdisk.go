// Package faultdisk is a file system on which things go wrong, for tests of what writes to disk: a chosen
// operation fails, or the power goes after it and what was not synced is lost.
//
// A proof counts the operations of a script on a [Disk], then plays the script once for each of them with
// that operation failing or being the last, and looks at the folders that [Disk.Left] makes of what a
// machine would find.
package faultdisk

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"evident/internal/durable"
)

// ErrPower is what every operation gives after the power went.
var ErrPower = errors.New("the power is off")

// Disk is a file system that fails at a chosen operation, or loses power after it. It carries out
// what it is told in a real folder, so that it can be read, and knows beside that what would be left of it:
// of a file what was there at its last sync, of a folder the names at its last sync, and, as it happens
// on real machines, any part of what came after.
type Disk struct {
	At      int  // number of the operation that fails or is the last, from 1; 0 means none
	Cut     bool // the power goes after it; otherwise it fails with ENOSPC
	Forever bool // and so do all after it
	Done    int  // operations so far

	t        testing.TB
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

	folderFrom, folderTo string // a folder got another name
}

func (c nameChange) apply(names map[string]*node) {
	if c.folderFrom != "" {
		for _, name := range slices.Collect(maps.Keys(names)) {
			if within(name, c.folderFrom) {
				names[c.folderTo+name[len(c.folderFrom):]] = names[name]
				delete(names, name)
			}
		}
	}
	if c.gone != "" {
		delete(names, c.gone)
	}
	if c.made != "" {
		names[c.made] = c.madeNode
	}
}

func New(t testing.TB) *Disk {
	return &Disk{t: t, names: map[string]*node{}, lasting: map[string]*node{}}
}

// step counts an operation and carries it out, unless it fails.
func (d *Disk) step(do func() error) error {
	if d.off {
		return ErrPower
	}
	d.Done++
	hit := d.At > 0 && (d.Done == d.At || d.Forever && d.Done > d.At)
	if hit && !d.Cut {
		return syscall.ENOSPC
	}
	err := do()
	if hit {
		d.off = true
	}
	return err
}

func (d *Disk) change(c nameChange) {
	c.apply(d.names)
	d.unsynced = append(d.unsynced, c)
}

// Create makes a file, or empties it.
func (d *Disk) Create(path string, mode fs.FileMode) (durable.File, error) {
	return d.create(path, os.O_TRUNC, mode)
}

// CreateNew makes a file that must not exist.
func (d *Disk) CreateNew(path string, mode fs.FileMode) (durable.File, error) {
	return d.create(path, os.O_EXCL, mode)
}

func (d *Disk) create(path string, flag int, mode fs.FileMode) (durable.File, error) {
	f := &file{disk: d}
	err := d.step(func() (err error) {
		f.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, mode)
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

// Rename gives a file, or a folder, another name.
func (d *Disk) Rename(from, to string) error {
	return d.step(func() error {
		if err := os.Rename(from, to); err != nil {
			return err
		}
		if file := d.names[from]; file != nil {
			d.change(nameChange{folder: filepath.Dir(to), gone: from, made: to, madeNode: file})
			return nil
		}
		d.renameFolder(from, to)
		return nil
	})
}

// renameFolder notes that all names below a folder change, together: they last when the folder's own does.
// What is not synced within is taken for lost or kept under its old name.
func (d *Disk) renameFolder(from, to string) {
	d.change(nameChange{folder: filepath.Dir(to), folderFrom: from, folderTo: to})
}

// Remove removes a file or an empty folder.
func (d *Disk) Remove(path string) error {
	return d.step(func() error {
		if err := os.Remove(path); err != nil {
			return err
		}
		d.change(nameChange{folder: filepath.Dir(path), gone: path})
		return nil
	})
}

// Link gives a file a second name.
func (d *Disk) Link(from, to string) error {
	return d.step(func() error {
		if err := os.Link(from, to); err != nil {
			return err
		}
		d.change(nameChange{folder: filepath.Dir(to), made: to, madeNode: d.names[from]})
		return nil
	})
}

// MkdirAll makes a folder and those above it. Folders are never lost.
func (d *Disk) MkdirAll(path string, mode fs.FileMode) error {
	return d.step(func() error { return os.MkdirAll(path, mode) })
}

// RemoveAll removes a file, or a folder with all that is in it.
func (d *Disk) RemoveAll(path string) error {
	return d.step(func() error {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(d.names)) {
			if within(name, path) {
				d.change(nameChange{folder: filepath.Dir(name), gone: name})
			}
		}
		return nil
	})
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
}

// SyncFolder lets the names in a folder last.
func (d *Disk) SyncFolder(path string) error {
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

// file is one that is being written on a Disk.
type file struct {
	disk *Disk
	node *node
	file *os.File
}

// Write writes all, or half of it when it fails.
func (f *file) Write(data []byte) (int, error) {
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

// Sync lets what was written last.
func (f *file) Sync() error {
	return f.disk.step(func() error {
		f.node.synced = slices.Clone(f.node.data)
		return nil
	})
}

// Close closes the file.
func (f *file) Close() error {
	err := f.disk.step(func() error { return nil })
	return errors.Join(err, f.file.Close())
}

// What is left of a disk after the power went.
const (
	leftSynced = iota // nothing but what was synced
	leftAll           // everything: only the program died
	leftSome          // any part of what was not synced; and another part

	// Kinds is the number of ways to lose what was not synced.
	Kinds = leftSome + 2
)

// On lets the power be back, and every operation succeed.
func (d *Disk) On() { d.At, d.Cut, d.Forever, d.off = 0, false, false, false }

// Adopt takes what is in a folder for what has been on the disk for long.
func (d *Disk) Adopt(dir string) {
	d.t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		whole := &node{data, data}
		d.names[path], d.lasting[path] = whole, whole
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// Left makes a new folder of what is left of the folder dir after the power went, in one of [Kinds] ways.
func (d *Disk) Left(dir string, kind int) string {
	d.t.Helper()
	random := rand.New(rand.NewPCG(uint64(d.Done), uint64(kind)))
	names := maps.Clone(d.lasting)
	for _, c := range d.unsynced {
		if kind == leftAll || kind >= leftSome && random.IntN(2) == 0 {
			c.apply(names)
		}
	}
	to, err := os.MkdirTemp(d.t.TempDir(), "left")
	if err != nil {
		d.t.Fatal(err)
	}
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

// Hasty is the real file system without waiting for the disk, for what no test cuts the power of.
type Hasty struct{ durable.Disk }

// Create makes or empties a file.
func (h Hasty) Create(path string, mode fs.FileMode) (durable.File, error) {
	return hastyOf(h.Disk.Create(path, mode))
}

// CreateNew makes a file that must not exist.
func (h Hasty) CreateNew(path string, mode fs.FileMode) (durable.File, error) {
	return hastyOf(h.Disk.CreateNew(path, mode))
}

// SyncFolder only looks whether there is the folder.
func (Hasty) SyncFolder(path string) error {
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

// Sync waits for nothing.
func (hastyFile) Sync() error { return nil }
