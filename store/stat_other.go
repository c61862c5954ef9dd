//go:build !unix

package store

import "io/fs"

// inode is 0: the file system does not tell.
func inode(fs.FileInfo) uint64 { return 0 }

// syncsFolders says whether a folder's entries can and must be synced on their own.
const syncsFolders = false
