//go:build unix

package filelock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Lock is the right to go on. The kernel takes it back when the process ends in any way, so the
// file of a dead process locks nobody out.
type Lock struct {
	file *os.File
}

// Take locks the file at path, which is made if need be, or returns a *HeldError.
func Take(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("make lock %q: %w", path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %q: %w", path, err)
		}
		text, _ := os.ReadFile(path) // only for the message
		return nil, &HeldError{Path: path, Holder: read(string(text))}
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(signature()), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	return &Lock{f}, nil
}

// Release gives the lock back. The file stays: removing it would race with the next writer.
func (l *Lock) Release() error {
	l.file.Truncate(0) // who held it is only a hint
	return l.file.Close()
}
