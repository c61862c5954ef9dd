package pack

import (
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

// systemStamp returns what changes whenever a file's content does.
func systemStamp(info fs.FileInfo) (stamp string, changed time.Time, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", time.Time{}, false
	}
	changed = time.Unix(s.Ctimespec.Unix())
	if info.ModTime().After(changed) {
		changed = info.ModTime()
	}
	stamp = fmt.Sprintf("%d %d %d %d %d %d", s.Dev, s.Ino, s.Size, info.ModTime().UnixNano(), s.Ctimespec.Sec, s.Ctimespec.Nsec)
	return stamp, changed, true
}
