package document

import "io/fs"

// FileStat is what a file looked like when it was read; it tells whether it has changed.
type FileStat struct {
	Size    int64
	MTimeNS int64  // modification time in nanoseconds since 1970
	Inode   uint64 // 0 when the file system has none
	SHA256  string // of the file's bytes, hex; may be empty
}

// NewFileStat takes size, time and inode from info; the hash is the caller's to fill in.
func NewFileStat(info fs.FileInfo) FileStat {
	return FileStat{Size: info.Size(), MTimeNS: info.ModTime().UnixNano(), Inode: inode(info)}
}

// Same reports whether info describes a file that has not been touched since: [FileStat.SameAs].
func (s FileStat) Same(info fs.FileInfo) bool { return s.SameAs(NewFileStat(info)) }

// SameAs reports whether a file has not been touched between two looks at it, by size, time and inode. Hashes are
// not compared.
func (s FileStat) SameAs(now FileStat) bool {
	return s.Size == now.Size && s.MTimeNS == now.MTimeNS &&
		(s.Inode == now.Inode || s.Inode == 0 || now.Inode == 0)
}
