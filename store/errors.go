package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"evident/internal/durable"
	"evident/internal/filelock"
)

// ErrNoIndex is returned by [Open] for a folder that holds no index.
var ErrNoIndex = errors.New("there is no index here")

// ErrLocked is returned by [Store.Writer] while another writer is at work; see [LockedError].
var ErrLocked = errors.New("the index is being written to by another process")

// ErrExists is returned by [Create] for a folder that holds an index.
var ErrExists = errors.New("there is an index here already")

// ErrStale is returned for a [PassageID] of another generation than the snapshot's.
var ErrStale = errors.New("the passage number is from another generation of the index")

// ErrNotFound is returned for a document or passage that the index does not hold.
var ErrNotFound = errors.New("not in the index")

// DamagedError names a file that does not hold what was written to it.
type DamagedError = durable.DamagedError

// damaged builds a DamagedError.
func damaged(path, format string, args ...any) error {
	return durable.Damaged(path, format, args...)
}

// LockedError is [ErrLocked] with the process that holds the lock.
type LockedError struct {
	Path            string // the lock file
	filelock.Holder        // its PID is 0 when the file does not tell
}

// Error names the lock and its holder.
func (e *LockedError) Error() string {
	return fmt.Sprintf("%v: %v holds %q", ErrLocked, e.Holder, e.Path)
}

// takeLock takes the right to write to the index in dir, or returns a [*LockedError].
func takeLock(dir string) (*filelock.Lock, error) {
	held, err := filelock.Take(filepath.Join(dir, lockName))
	var other *filelock.HeldError
	if errors.As(err, &other) {
		return nil, &LockedError{Path: other.Path, Holder: other.Holder}
	}
	return held, err
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// VersionError says that an index was written by a program of another format version.
type VersionError = durable.VersionError
