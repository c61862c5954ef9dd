package document

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
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

// Walk yields every file under the named paths: paths in the order given, what is in a folder by
// name, each file once. Named files and folders are visited whatever they are called. Below a named
// folder these are left out: hidden files and folders (see [WalkOptions]), version control and
// package folders such as .git and node_modules, lock files of office programs ("~$…"). Links to
// files are followed; links to folders are followed only when named, so there are no loops.
//
// With a nil error the path is a file to read. A [*SkipError] tells of one file or folder that
// cannot be read, and the walk goes on. Any other error concerns a named path that is not there (it
// is [fs.ErrNotExist]), or ctx, with which the walk ends.
func Walk(ctx context.Context, paths []string, opts WalkOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
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
	yield func(string, error) bool
}

// named visits a path the caller named. It returns false when the walk is to end.
func (w *walk) named(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Lstat(path); err == nil {
				return w.yield(path, &SkipError{Path: path, Reason: "link to nothing"})
			}
			return w.yield(path, fmt.Errorf("%s: %w", path, fs.ErrNotExist))
		}
		return w.yield(path, readError(path, err))
	}
	if info.IsDir() {
		return w.folder(path)
	}
	return w.file(path, info.Mode())
}

func (w *walk) file(path string, mode fs.FileMode) bool {
	if w.again(path) {
		return true
	}
	if !mode.IsRegular() {
		return w.yield(path, &SkipError{Path: path, Reason: "not a regular file"})
	}
	return w.yield(path, nil)
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
		w.yield(path, err)
		return false
	}
	if w.again(path) {
		return true
	}
	entries, err := os.ReadDir(path)
	if err != nil && !w.yield(path, readError(path, err)) {
		return false
	}
	for _, entry := range entries {
		name := entry.Name()
		if !w.opts.Hidden && strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~$") {
			continue
		}
		if entry.IsDir() && skippedFolders[name] {
			continue
		}
		if !w.entry(filepath.Join(path, name), entry) {
			return false
		}
	}
	return true
}

func (w *walk) entry(path string, entry fs.DirEntry) bool {
	if entry.IsDir() {
		return w.folder(path)
	}
	mode := entry.Type()
	if mode&fs.ModeSymlink != 0 {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return w.yield(path, &SkipError{Path: path, Reason: "link to nothing"})
		case err != nil:
			return w.yield(path, readError(path, err))
		case info.IsDir():
			return true
		}
		mode = info.Mode()
	}
	return w.file(path, mode)
}
