package document

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// WalkOptions tunes [Walk].
type WalkOptions struct {
	Hidden bool // also visit files and folders whose name begins with a dot
}

// skippedFolders are never visited unless named: they hold what other programs put there.
var skippedFolders = map[string]bool{
	".git": true, ".hg": true, ".svn": true, "node_modules": true, "bower_components": true,
	"__pycache__": true, "__MACOSX": true,
}

// File is a file that [Walk] has met.
type File struct {
	Path string
	Stat FileStat // without a hash
}

// Walk yields every file under the named paths: paths in the order given, what is in a folder by
// name, each file once. Named files and folders are visited whatever they are called. Below a named
// folder these are left out: hidden files and folders (see [WalkOptions]), version control and
// package folders such as .git and node_modules, lock files of office programs ("~$…"). Links to
// files are followed; links to folders are followed only when named, so there are no loops.
//
// With a nil error there is a file to read. A [*SkipError] tells of one file or folder that
// cannot be read, and the walk goes on. Any other error concerns a named path that is not there (it
// is [fs.ErrNotExist]), or ctx, with which the walk ends. With an error only the path is set.
func Walk(ctx context.Context, paths []string, opts WalkOptions) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		w := &walk{ctx: ctx, opts: opts, yield: yield}
		if len(paths) > 1 { // below one path nothing is met twice
			w.seen = make(map[string]bool)
		}
		for _, path := range paths {
			if !w.named(filepath.Clean(path)) {
				return
			}
		}
	}
}

type walk struct {
	ctx   context.Context
	opts  WalkOptions
	seen  map[string]bool // nil for a single path
	yield func(File, error) bool
}

// named visits a path the caller named. It returns false when the walk is to end.
func (w *walk) named(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Lstat(path); err == nil {
				return w.skip(path, "link to nothing")
			}
			return w.fail(path, fmt.Errorf("%s: %w", path, fs.ErrNotExist))
		}
		return w.fail(path, readError(path, err))
	}
	if info.IsDir() {
		return w.folder(path)
	}
	return w.file(path, look{mode: info.Mode(), stat: NewFileStat(info)})
}

func (w *walk) fail(path string, err error) bool { return w.yield(File{Path: path}, err) }

func (w *walk) skip(path, reason string) bool {
	return w.fail(path, &SkipError{Path: path, Reason: reason})
}

func (w *walk) file(path string, l look) bool {
	if w.again(path) {
		return true
	}
	if !l.mode.IsRegular() {
		return w.skip(path, "not a regular file")
	}
	return w.yield(File{path, l.stat}, nil)
}

// again says whether a path was met before, and notes it.
func (w *walk) again(path string) bool {
	if w.seen == nil {
		return false
	}
	before := w.seen[path]
	w.seen[path] = true
	return before
}

func (w *walk) folder(path string) bool {
	if err := w.ctx.Err(); err != nil {
		w.fail(path, err)
		return false
	}
	if w.again(path) {
		return true
	}
	entries, err := w.list(path)
	if err != nil && !w.fail(path, readError(path, err)) {
		return false
	}
	inside := path
	if !os.IsPathSeparator(path[len(path)-1]) {
		inside += string(os.PathSeparator)
	}
	for i := range entries {
		if !w.entry(inside+entries[i].name, &entries[i]) {
			return false
		}
	}
	return true
}

func (w *walk) entry(path string, e *entry) bool {
	link := e.kind&fs.ModeSymlink != 0
	switch {
	case e.kind.IsDir():
		return w.folder(path)
	case link && errors.Is(e.err, fs.ErrNotExist):
		return w.skip(path, "link to nothing")
	case errors.Is(e.err, fs.ErrNotExist):
		return w.skip(path, "cannot be read") // it went after the folder was read
	case e.err != nil:
		return w.fail(path, readError(path, e.err))
	case link && e.mode.IsDir():
		return true
	}
	return w.file(path, e.look)
}
