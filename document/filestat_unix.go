//go:build unix

package document

import (
	"io/fs"
	"syscall"
)

// inode is the number of the file's inode, or 0 when the file system does not tell.
func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}
