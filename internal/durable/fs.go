package durable

import (
	"io"
	"io/fs"
	"os"
)

// FS is what writing an index asks of a file system. [Disk] is the one there is; tests put others in
// its place, which fail, or forget what was not synced. Reading is not part of it.
type FS interface {
	Create(path string, mode fs.FileMode) (File, error)    // makes the file, or empties it
	CreateNew(path string, mode fs.FileMode) (File, error) // fails where there is one
	Rename(from, to string) error
	Remove(path string) error
	RemoveAll(path string) error // a folder with all that is in it
	Link(from, to string) error  // gives a file a second name
	MkdirAll(path string, mode fs.FileMode) error
	SyncFolder(path string) error // waits until the names in it are on the disk
}

// File is a file that is being written.
type File interface {
	io.Writer
	Sync() error // waits until what was written is on the disk
	Close() error
}

// Disk is the file system of the machine.
type Disk struct{}

// Create makes or empties a file.
func (Disk) Create(path string, mode fs.FileMode) (File, error) {
	return file(os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode))
}

// CreateNew makes a file that must not exist.
func (Disk) CreateNew(path string, mode fs.FileMode) (File, error) {
	return file(os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode))
}

// file keeps a nil pointer from becoming a File.
func file(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename gives a file another name, in the place of what has it.
func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove removes a file or an empty folder.
func (Disk) Remove(path string) error { return os.Remove(path) }

// RemoveAll removes a file, or a folder with all that is in it.
func (Disk) RemoveAll(path string) error { return os.RemoveAll(path) }

// Link gives a file a second name.
func (Disk) Link(from, to string) error { return os.Link(from, to) }

// MkdirAll makes a folder and those above it.
func (Disk) MkdirAll(path string, mode fs.FileMode) error { return os.MkdirAll(path, mode) }

// SyncFolder is [SyncFolder].
func (Disk) SyncFolder(path string) error { return SyncFolder(path) }
