// Package filelock lets one process at a time do something, and says which process that is.
//
// A lock is a file that stays: on Unix the kernel holds the lock and gives it back however the
// process ends, elsewhere the file's existence is the lock and the file of a process that has ended
// is replaced.
package filelock

import "fmt"

// HeldError says that another process has the lock.
type HeldError struct {
	Path string // of the lock file
	PID  int    // of the holder; 0 when the file does not tell
}

// Error names the lock and its holder.
func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked by another process", e.Path)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Path, e.PID)
}
