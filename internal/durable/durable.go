// Package durable writes files so that they are whole whatever happens: aside, synced, then named.
//
// An index is a folder of immutable files and one manifest that names them. [Replace] changes the
// manifest in one step; what a reader finds is the old or the new one, never a part.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// DamagedError says that a file does not hold what was written to it.
type DamagedError struct {
	Path   string // may be empty for an index in memory
	Detail string
}

// Error names the file and what is wrong with it.
func (e *DamagedError) Error() string {
	if e.Path == "" {
		return "damaged index: " + e.Detail
	}
	return fmt.Sprintf("damaged file %q: %s", e.Path, e.Detail)
}

// Damaged returns a [*DamagedError].
func Damaged(path, format string, args ...any) error {
	return &DamagedError{Path: path, Detail: fmt.Sprintf(format, args...)}
}

// VersionError says that an index was written by a program of another format version.
type VersionError struct {
	Path      string
	Got, Want int
}

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%q has index format %d, this program reads format %d", e.Path, e.Got, e.Want)
}

// WriteSynced writes a file and waits until it is on the disk. Its name may not be yet.
func WriteSynced(fs FS, path string, data []byte) error {
	f, err := fs.Create(path, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncFolder waits until the names in a folder are on the disk.
func SyncFolder(dir string) error {
	if !syncsFolders {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Replace gives the file at path a new content, so that at any moment the old or the new one is
// there. It writes path.new on the way.
func Replace(path string, data []byte) error { return ReplaceOn(Disk{}, path, data) }

// ReplaceOn is [Replace] on a file system.
func ReplaceOn(fs FS, path string, data []byte) error {
	aside := path + ".new"
	if err := WriteSynced(fs, aside, data); err != nil {
		return err
	}
	if err := fs.Rename(aside, path); err != nil {
		return err
	}
	return fs.SyncFolder(filepath.Dir(path))
}
