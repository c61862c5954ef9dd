//go:build !unix

package document

import "io/fs"

// inode is 0: the file system does not tell.
func inode(fs.FileInfo) uint64 { return 0 }
