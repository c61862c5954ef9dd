package document

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"evident/internal/extract"
)

// FileBytesMaxDefault is the largest file read unless options say otherwise.
const FileBytesMaxDefault = 64 << 20

// ReadOptions bounds what one file may cost. A zero field means the default named beside it.
type ReadOptions struct {
	FileBytesMax     int64         // the file; 64 MiB
	TextBytesMax     int64         // the text in it; 128 MiB
	ExpandedBytesMax int64         // what a compressed file unpacks to; 128 MiB
	DepthMax         int           // nesting of XML elements; 512
	PagesMax         int           // pages of a PDF; 10,000
	Duration         time.Duration // time spent on it; 60 s

	// CacheDir is a folder of the user's own where the compiled PDF reader is kept. It saves two
	// seconds at the first PDF of the next process. "" keeps it in memory; the first PDF of a
	// process decides.
	CacheDir string
}

func (o ReadOptions) limits() extract.Limits {
	return extract.Limits{
		TextBytesMax: o.TextBytesMax, ExpandedBytesMax: o.ExpandedBytesMax,
		DepthMax: o.DepthMax, PagesMax: o.PagesMax, Duration: o.Duration,
		CacheDir: o.CacheDir,
	}
}

// SkipError says that a file is not read and why. It concerns that file only: list it and go on.
type SkipError struct {
	Path   string
	Reason string // a phrase for a person: "empty", "encrypted PDF", "image, not a document"
	// Passing says that the same file may be read another time: the machine was busy, or did not allow it.
	Passing bool
}

// Error returns "PATH: REASON".
func (e *SkipError) Error() string { return e.Path + ": " + e.Reason }

// Read reads the file at path. A file that is there but cannot be read as a document gives a
// [*SkipError]; a file that is not there gives an error that is [fs.ErrNotExist].
func Read(ctx context.Context, path string, opts ReadOptions) (*Document, error) {
	path = filepath.Clean(path)
	if opts.FileBytesMax == 0 {
		opts.FileBytesMax = FileBytesMaxDefault
	}
	data, err := readFile(path, opts.FileBytesMax)
	if err != nil {
		return nil, err
	}
	return Parse(ctx, path, data, opts)
}

func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // before opening: opening a pipe waits for its writer
	if err != nil {
		return nil, readError(path, err)
	}
	tooLarge := &SkipError{Path: path, Reason: "larger than the limit of " + extract.ByteSize(limit)}
	switch {
	case info.IsDir():
		return nil, &SkipError{Path: path, Reason: "a folder"}
	case !info.Mode().IsRegular():
		return nil, &SkipError{Path: path, Reason: "not a regular file"}
	case info.Size() > limit:
		return nil, tooLarge
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, readError(path, err)
	}
	defer file.Close()
	data := make([]byte, 0, info.Size()+1)
	for {
		n, err := file.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > limit:
			return nil, tooLarge // it grew since
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, readError(path, err)
		case len(data) == cap(data):
			data = append(data, 0)[:len(data)]
		}
	}
}

// readError makes a skip of what concerns one file, and names the file in the rest.
func readError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return &SkipError{Path: path, Reason: "permission denied", Passing: true}
	}
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return &SkipError{Path: path, Reason: "cannot be read: " + err.Error(), Passing: true}
}

// Parse reads data as the content of a file called name. Data that is no readable document gives a
// [*SkipError].
func Parse(ctx context.Context, name string, data []byte, opts ReadOptions) (*Document, error) {
	if opts.FileBytesMax == 0 {
		opts.FileBytesMax = FileBytesMaxDefault
	}
	if int64(len(data)) > opts.FileBytesMax {
		limit := extract.ByteSize(opts.FileBytesMax)
		return nil, &SkipError{Path: name, Reason: "larger than the limit of " + limit}
	}
	content, err := extract.Parse(ctx, name, data, opts.limits())
	if err != nil {
		var refusal *extract.Refusal
		if errors.As(err, &refusal) {
			return nil, &SkipError{Path: name, Reason: refusal.Reason, Passing: refusal.Passing}
		}
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	sum := sha256.Sum256([]byte(content.Text))
	d := &Document{
		Path: name, Format: content.Format, Title: content.Title,
		SHA256: hex.EncodeToString(sum[:]), Text: content.Text,
		Pages: marks(content.Pages), Headings: marks(content.Headings),
		Blocks: make([]ByteSpan, len(content.Blocks)),
	}
	for i, block := range content.Blocks {
		d.Blocks[i] = ByteSpan(block)
	}
	return d, nil
}

func marks(from []extract.Mark) []Mark {
	if len(from) == 0 {
		return nil
	}
	to := make([]Mark, len(from))
	for i, mark := range from {
		to[i] = Mark(mark)
	}
	return to
}
