//go:build !unix

package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Lock is the right to go on: the existence of a file that names the process that holds it.
type Lock struct {
	path string
}

// Take makes the file at path, or returns a *HeldError. The file of a process that has ended
// is replaced.
func Take(path string) (*Lock, error) {
	for range 2 {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			defer f.Close()
			_, err = f.WriteString(signature())
			return &Lock{path}, err
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make lock %q: %w", path, err)
		}
		text, _ := os.ReadFile(path)
		holder := read(string(text))
		// Outside Unix, finding a process fails when there is none of that number.
		if _, err := os.FindProcess(holder.PID); holder.PID == 0 || err == nil {
			return nil, &HeldError{Path: path, Holder: holder}
		}
		os.Remove(path)
	}
	return nil, &HeldError{Path: path}
}

// Release removes the file.
func (l *Lock) Release() error { return os.Remove(l.path) }
