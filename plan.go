package evident

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"evident/document"
	"evident/store"
)

// plan is what has to be done to bring the index up to date with some folders.
type plan struct {
	read      []plannedFile
	bytes     int64 // of the files to read
	gone      []string
	unchanged int
	skipped   []Skipped
}

// plannedFile is a file to read.
type plannedFile struct {
	path  string
	stat  store.FileStat
	known bool // an older version is in the index
}

func (p *plan) changes() bool { return len(p.read)+len(p.gone) > 0 }

// plan compares the files under roots with what the index holds.
func (x *Index) plan(ctx context.Context, roots []string, c *catalog, o AddOptions) (*plan, error) {
	stored, err := x.files(ctx)
	if err != nil {
		return nil, err
	}
	data, err := x.ownFolder()
	if err != nil {
		return nil, fmt.Errorf("index into %q: %w", x.dir, err)
	}
	otherModel, err := x.seenByOthers(ctx)
	if err != nil {
		return nil, err
	}
	p := &plan{}
	skips := map[string]bool{} // that are in the catalogue, and there still
	for path, err := range document.Walk(ctx, roots, document.WalkOptions{Hidden: o.Hidden}) {
		var skip *document.SkipError
		switch {
		case errors.As(err, &skip):
			p.skipped = append(p.skipped, Skipped{Path: path, Reason: skip.Reason})
			delete(stored, path)
			skips[path] = true
			continue
		case err != nil:
			return nil, fmt.Errorf("index %w", err)
		case data != "" && within(path, data):
			continue // our own files
		}
		was, known := stored[path]
		delete(stored, path) // and so the rest is what is gone
		if _, skipped := c.Skips[path]; skipped {
			skips[path] = true
		}
		info, err := os.Stat(path)
		if err != nil {
			p.skipped = append(p.skipped, Skipped{Path: path, Reason: "cannot be read"})
			continue
		}
		file := plannedFile{path: path, stat: store.NewFileStat(info), known: known}
		switch reason, ok := c.skipped(file, o); {
		case known && was.Same(info) && !otherModel[path]:
			p.unchanged++
		case !known && ok:
			p.skipped = append(p.skipped, Skipped{Path: path, Reason: reason})
		default:
			p.read = append(p.read, file)
			p.bytes += file.stat.Size
		}
	}
	p.gone = gone(stored, roots, p.skipped)
	for path := range c.Skips {
		if !skips[path] && withinAny(path, roots) {
			delete(c.Skips, path)
		}
	}
	return p, nil
}

// files returns what each document's file looked like when it was read, by path.
func (x *Index) files(ctx context.Context) (map[string]store.FileStat, error) {
	snapshot, err := x.storage.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	defer snapshot.Release()
	files, err := snapshot.Files()
	if err != nil {
		return nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	return files, nil
}

// ownFolder is the folder that the index lies in; "" for one that is on a cluster.
func (x *Index) ownFolder() (string, error) {
	if _, ok := x.storage.(*folder); !ok {
		return "", nil
	}
	return filepath.Abs(x.dir)
}

// gone returns what of the stored paths that were not met lies below roots. What lies below a folder that could not
// be read is not gone for all we know.
func gone(stored map[string]store.FileStat, roots []string, skipped []Skipped) []string {
	var paths []string
	for path := range stored {
		if !withinAny(path, roots) {
			continue
		}
		hidden := false
		for _, s := range skipped {
			hidden = hidden || within(path, s.Path)
		}
		if !hidden {
			paths = append(paths, path)
		}
	}
	return paths
}

// within says whether path is folder or lies below it. Both are absolute and clean.
func within(path, folder string) bool {
	rest, ok := strings.CutPrefix(path, folder)
	return ok && (rest == "" || os.IsPathSeparator(rest[0]) || strings.HasSuffix(folder, "/"))
}

func withinAny(path string, folders []string) bool {
	for _, folder := range folders {
		if within(path, folder) {
			return true
		}
	}
	return false
}
