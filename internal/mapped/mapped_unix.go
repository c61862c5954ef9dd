//go:build unix

package mapped

import (
	"fmt"
	"os"
	"syscall"
)

// Open maps the file at path.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("map %q: not a regular file", path)
	}
	size := info.Size()
	if size == 0 {
		return &File{}, nil // an empty mapping is an error of mmap, not of ours
	}
	if int64(int(size)) != size {
		return nil, fmt.Errorf("map %q: %d bytes do not fit the address space", path, size)
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, &os.PathError{Op: "map", Path: path, Err: err}
	}
	return &File{data: data, close: func() error { return syscall.Munmap(data) }}, nil
}
