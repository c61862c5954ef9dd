//go:build !unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// lock is the right to write: the existence of a file that names the process that holds it.
type lock struct {
	path string
}

// takeLock makes the file at path, or returns a *LockedError. The file of a process that has ended
// is replaced.
func takeLock(path string) (*lock, error) {
	for range 2 {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			defer f.Close()
			_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
			return &lock{path}, err
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("lock the index: %w", err)
		}
		text, _ := os.ReadFile(path)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		// Outside Unix, finding a process fails when there is none of that number.
		if _, err := os.FindProcess(pid); pid == 0 || err == nil {
			return nil, &LockedError{Path: path, PID: pid}
		}
		os.Remove(path)
	}
	return nil, &LockedError{Path: path}
}

// release removes the file.
func (l *lock) release() error { return os.Remove(l.path) }
