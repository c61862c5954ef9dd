//go:build linux || darwin

package document

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lookAt looks at a file in an open folder, which spares the system the way there.
func lookAt(folder *os.File, name string) look {
	var s unix.Stat_t
	err := unix.Fstatat(int(folder.Fd()), name, &s, 0)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fstatat(int(folder.Fd()), name, &s, 0)
	}
	if err != nil {
		return look{err: &fs.PathError{Op: "stat", Path: name, Err: err}}
	}
	return look{mode: typeOf(uint32(s.Mode)), stat: FileStat{Size: s.Size, MTimeNS: s.Mtim.Nano(), Inode: s.Ino}}
}

// typeOf tells files and folders from all else, which is irregular.
func typeOf(mode uint32) fs.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	}
	return fs.ModeIrregular
}
