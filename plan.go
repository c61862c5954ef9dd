package evident

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	stored, end, err := x.survey(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
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
	for found, err := range document.Walk(ctx, roots, document.WalkOptions{Hidden: o.Hidden}) {
		path := found.Path
		var skip *document.SkipError
		if err != nil && !errors.As(err, &skip) {
			return nil, fmt.Errorf("index %w", err)
		}
		if data != "" && within(path, data) {
			continue // our own files
		}
		was, known, err := stored.Meet(path) // and so what is missed is what is gone
		if err != nil {
			return nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
		}
		if _, skipped := c.Skips[path]; skipped || skip != nil {
			skips[path] = true
		}
		if skip != nil {
			p.skipped = append(p.skipped, Skipped{Path: path, Reason: skip.Reason})
			continue
		}
		file := plannedFile{path: path, stat: found.Stat, known: known}
		switch reason, ok := c.skipped(file, o); {
		case known && was.SameAs(found.Stat) && !otherModel[path]:
			p.unchanged++
		case !known && ok:
			p.skipped = append(p.skipped, Skipped{Path: path, Reason: reason})
		default:
			p.read = append(p.read, file)
			p.bytes += file.stat.Size
		}
	}
	missed, err := stored.Missed()
	if err != nil {
		return nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	p.gone = gone(missed, roots, p.skipped)
	for path := range c.Skips {
		if !skips[path] && withinAny(path, roots) {
			delete(c.Skips, path)
		}
	}
	return p, nil
}

// survey compares what an index holds with the files that there are; package store says what each method does.
type survey interface {
	Meet(path string) (was store.FileStat, known bool, err error)
	Missed() ([]string, error)
}

// survey begins to compare; end is to be called after it.
func (x *Index) survey(ctx context.Context) (s survey, end func(), err error) {
	snapshot, err := x.storage.Snapshot(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	if now, ok := snapshot.(*store.Snapshot); ok {
		return now.Survey(), snapshot.Release, nil
	}
	files, err := snapshot.Files()
	if err != nil {
		snapshot.Release()
		return nil, nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	return mapSurvey(files), snapshot.Release, nil
}

// mapSurvey is a [survey] of documents by path, out of which what is met is taken.
type mapSurvey map[string]store.FileStat

func (m mapSurvey) Meet(path string) (was store.FileStat, known bool, err error) {
	was, known = m[path]
	delete(m, path)
	return was, known, nil
}

func (m mapSurvey) Missed() ([]string, error) { return slices.Sorted(maps.Keys(m)), nil }

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

// gone returns which of the stored paths that were not met lie below roots. What lies below a folder that could not
// be read is not gone for all we know.
func gone(missed, roots []string, skipped []Skipped) []string {
	var paths []string
	for _, path := range missed {
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
