package photos

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// folder is a set in a folder; no name leads out of it.
type folder struct{ root *os.Root }

func openFolder(path string) (source, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &folder{root}, nil
}

func (f *folder) Close() error { return f.root.Close() }

func (f *folder) open(name string) (io.ReadCloser, int64, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// archive is a set in a tar file: where each member begins, and how long it is.
type archive struct {
	file    *os.File
	members map[string]extent
}

type extent struct{ offset, size int64 }

func openTar(name string) (source, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	a := &archive{file, map[string]extent{}}
	if err := a.index(); err != nil {
		file.Close()
		return nil, err
	}
	return a, nil
}

// index reads the headers. The reader seeks from one to the next.
func (a *archive) index() error {
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	for r := tar.NewReader(a.file); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) && len(a.members) > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("neither a folder nor a tar file that can be read: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		at, err := a.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if h.Size > info.Size()-at {
			return fmt.Errorf("%s: %w", h.Name, io.ErrUnexpectedEOF)
		}
		a.members[path.Clean(h.Name)] = extent{at, h.Size}
	}
}

func (a *archive) Close() error { return a.file.Close() }

func (a *archive) open(name string) (io.ReadCloser, int64, error) {
	e, ok := a.members[path.Clean(name)]
	if !ok {
		return nil, 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(io.NewSectionReader(a.file, e.offset, e.size)), e.size, nil
}
