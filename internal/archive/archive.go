// Package archive keeps the files of a folder in one tar file, or in another folder, with a list of
// their SHA-256 at the end. What is cut off or changed is noticed when it is read.
//
// docs/format/snapshot.md describes both forms; tar and sha256sum read them, too.
package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"evident/internal/durable"
)

// sumsName is the file with the list of checksums.
const sumsName = "SHA256SUMS"

// sumsMax bounds that list, in bytes: about a million files.
const sumsMax = 128 << 20

// Summary is what an archive holds.
type Summary struct {
	Files  int
	Bytes  int64  // of these files
	SHA256 string // of the list of their checksums, hex
}

// File is a file that is being written.
type File interface {
	io.Writer
	Close() error // when all is on the disk
}

// Writer writes an archive. Put all files, then Close it, or Abandon it.
type Writer struct {
	put   func(name string, data []byte) error
	close func() error
	sums  bytes.Buffer
	done  Summary
}

// NewFile begins a tar file at path, in the place of what is there.
func NewFile(disk durable.FS, path string) (*Writer, error) {
	f, err := disk.Create(path, 0o600)
	if err != nil {
		return nil, err
	}
	out := tar.NewWriter(f)
	return &Writer{
		put: func(name string, data []byte) error {
			header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(data))}
			if err := out.WriteHeader(header); err != nil {
				return err
			}
			_, err := out.Write(data)
			return err
		},
		close: func() error {
			err := out.Close()
			if err == nil {
				err = f.Sync()
			}
			return errors.Join(err, f.Close())
		},
	}, nil
}

// NewFolder writes into the folder dir.
func NewFolder(disk durable.FS, dir string) *Writer {
	return &Writer{
		put: func(name string, data []byte) error {
			f, err := Create(disk, dir, name)
			if err != nil {
				return err
			}
			_, err = f.Write(data)
			return errors.Join(err, f.Close())
		},
		close: func() error { return nil },
	}
}

// Put adds a file. Its name has slashes; the data is not kept.
func (w *Writer) Put(name string, data []byte) error {
	if !fs.ValidPath(name) || strings.Contains(name, "\n") {
		return fmt.Errorf("archive: %q is no name", name)
	}
	sum := sha256.Sum256(data)
	fmt.Fprintf(&w.sums, "%x  %s\n", sum, name)
	w.done.Files++
	w.done.Bytes += int64(len(data))
	return w.put(name, data)
}

// Close writes the list of checksums, and waits until all is on the disk.
func (w *Writer) Close() (*Summary, error) {
	w.done.SHA256 = hashOf(w.sums.Bytes())
	if err := errors.Join(w.put(sumsName, w.sums.Bytes()), w.close()); err != nil {
		return nil, err
	}
	return &w.done, nil
}

// Abandon ends the writing of what will never be complete.
func (w *Writer) Abandon() error { return w.close() }

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Create makes a file of a name with slashes below a folder.
func Create(disk durable.FS, dir, name string) (File, error) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := disk.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := disk.CreateNew(path, 0o600)
	if err != nil {
		return nil, err
	}
	return &synced{f, disk, filepath.Dir(path)}, nil
}

// synced is a file that is on the disk, name included, when it is closed.
type synced struct {
	durable.File
	disk   durable.FS
	folder string
}

func (f *synced) Close() error {
	err := errors.Join(f.Sync(), f.File.Close())
	return errors.Join(err, f.disk.SyncFolder(f.folder))
}

// Discard is for reading an archive only to check it.
func Discard(string) (File, error) { return nothing{}, nil }

type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) Close() error                { return nil }

// Read gives every file of an archive to the file that create makes for it, and compares all with the
// list of checksums. Only when it returns without an error is what was given complete and right; the
// error for an archive that is not is a [*durable.DamagedError].
func Read(ctx context.Context, path string, create func(name string) (File, error)) (*Summary, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	r := &reader{ctx: ctx, path: path, create: create, sums: map[string]string{}}
	if info.IsDir() {
		err = r.folder()
	} else {
		err = r.file()
	}
	if err != nil {
		return nil, err
	}
	return &r.done, nil
}

// reader is one call of [Read].
type reader struct {
	ctx    context.Context
	path   string
	create func(name string) (File, error)
	sums   map[string]string // of the files so far
	done   Summary
}

func (r *reader) damaged(format string, args ...any) error {
	return durable.Damaged(r.path, format, args...)
}

// file reads a tar file, whose last entry is the list.
func (r *reader) file() error {
	f, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := tar.NewReader(f)
	for {
		header, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return r.damaged("it ends before its list of checksums")
		case err != nil:
			return r.damaged("%v", err)
		case header.Typeflag != tar.TypeReg:
			return r.damaged("%q is not a file", header.Name)
		case header.Name == sumsName:
			return r.last(in)
		}
		if err := r.one(header.Name, header.Size, in); err != nil {
			return err
		}
	}
}

// last compares the files with the list, behind which there is nothing.
func (r *reader) last(in *tar.Reader) error {
	list, err := io.ReadAll(io.LimitReader(in, sumsMax))
	if err != nil {
		return r.damaged("%v", err)
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		return r.damaged("something follows its list of checksums")
	}
	want, err := r.parse(list)
	if err != nil {
		return err
	}
	return r.compare(want)
}

// folder reads the files that the list in a folder names.
func (r *reader) folder() error {
	list, err := os.ReadFile(filepath.Join(r.path, sumsName))
	if errors.Is(err, fs.ErrNotExist) {
		return r.damaged("it has no list of checksums: it is no snapshot, or not complete")
	} else if err != nil {
		return err
	}
	want, err := r.parse(list)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(list), "\n"), "\n") {
		_, name, _ := strings.Cut(line, "  ")
		if err := r.fromFolder(name); err != nil {
			return err
		}
	}
	return r.compare(want)
}

func (r *reader) fromFolder(name string) error {
	f, err := os.Open(filepath.Join(r.path, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return r.damaged("its file %q is missing", name)
	} else if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return r.damaged("%q is not a file", name)
	}
	return r.one(name, info.Size(), f)
}

// one reads a file.
func (r *reader) one(name string, size int64, in io.Reader) error {
	if !fs.ValidPath(name) {
		return r.damaged("%q is no name of a file", name)
	}
	if _, twice := r.sums[name]; twice {
		return r.damaged("it holds %q twice", name)
	}
	out, err := r.create(name)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := copyAll(r.ctx, io.MultiWriter(out, sum), in)
	if err = errors.Join(err, out.Close()); errors.Is(err, io.ErrUnexpectedEOF) {
		return r.damaged("it ends within %q", name)
	} else if err != nil {
		return err
	}
	if n != size {
		return r.damaged("%q has %d bytes, not %d", name, n, size)
	}
	r.sums[name] = hex.EncodeToString(sum.Sum(nil))
	r.done.Files++
	r.done.Bytes += n
	return nil
}

// copyAll copies a megabyte at a time and stops when ctx ends.
func copyAll(ctx context.Context, out io.Writer, in io.Reader) (int64, error) {
	total := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		n, err := io.CopyN(out, in, 1<<20)
		total += n
		if errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

// parse reads the list of checksums.
func (r *reader) parse(list []byte) (map[string]string, error) {
	want := map[string]string{}
	for _, line := range strings.SplitAfter(string(list), "\n") {
		if line == "" {
			break
		}
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || len(sum) != 2*sha256.Size || !fs.ValidPath(name) || !strings.HasSuffix(line, "\n") || want[name] != "" {
			return nil, r.damaged("its list of checksums has the line %.99q", line)
		}
		want[name] = sum
	}
	if len(want) == 0 {
		return nil, r.damaged("its list of checksums is empty")
	}
	r.done.SHA256 = hashOf(list)
	return want, nil
}

func (r *reader) compare(want map[string]string) error {
	for name, sum := range r.sums {
		if want[name] != sum {
			return r.damaged("wrong checksum of its file %q", name)
		}
	}
	if len(want) != len(r.sums) {
		return r.damaged("it holds %d files, its list of checksums names %d", len(r.sums), len(want))
	}
	return nil
}
