// Package filelock lets one process at a time do something, and says which process that is.
//
// A lock is a file that stays: on Unix the kernel holds the lock and gives it back however the
// process ends, elsewhere the file's existence is the lock and the file of a process that has ended
// is replaced. The file says who holds it, for messages: process, machine, and since when.
package filelock

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// HeldError says that another process has the lock.
type HeldError struct {
	Path string // of the lock file
	Holder
}

// Holder is the process that has a lock, as far as the file tells.
type Holder struct {
	PID   int    // 0 when the file does not tell
	Host  string // the name of its machine, or ""
	Since time.Time
}

// Error names the lock and its holder.
func (e *HeldError) Error() string { return fmt.Sprintf("%s is locked by %v", e.Path, e.Holder) }

// String says who it is: "process 71 on mill since 2026-01-31 15:04:05".
func (h Holder) String() string {
	if h.PID == 0 {
		return "another process"
	}
	text := fmt.Sprintf("process %d", h.PID)
	if h.Host != "" {
		text += " on " + h.Host
	}
	if !h.Since.IsZero() {
		text += " since " + h.Since.Local().Format(time.DateTime)
	}
	return text
}

// signature is what this process writes into a lock file: its number, machine and the time.
func signature() string {
	host, err := os.Hostname()
	if err != nil || strings.ContainsAny(host, " \n") {
		host = "-"
	}
	return fmt.Sprintf("%d %s %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
}

// read takes a signature apart; an older one has the number alone.
func read(text string) Holder {
	fields := append(strings.Fields(text), "", "", "")
	var h Holder
	h.PID, _ = strconv.Atoi(fields[0])
	if fields[1] != "-" {
		h.Host = fields[1]
	}
	h.Since, _ = time.Parse(time.RFC3339, fields[2])
	return h
}
