package evident

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"evident/internal/durable"
)

// catalog remembers what the store does not: the folders a user named, and the files that could
// not be read, so that they are not tried again until they change. It is advice: an index without
// it works.
type catalog struct {
	Version int                   `json:"version"`
	Roots   []catalogRoot         `json:"roots"`
	Skips   map[string]skipRecord `json:"skips"`

	kept []byte // what it was read from; nil for none
}

// catalogRoot is a file or folder a user named.
type catalogRoot struct {
	Path     string `json:"path"`     // absolute
	Absolute bool   `json:"absolute"` // it was named so, and its files are shown so
}

// skipRecord is a file that could not be read.
type skipRecord struct {
	Size       int64  `json:"size"`
	ModifiedNS int64  `json:"modified_ns"`
	Reason     string `json:"reason"`
	BytesMax   int64  `json:"bytes_max,omitempty"`  // the limits it was tried with
	PixelsMax  int    `json:"pixels_max,omitempty"` // of a picture
	Passing    bool   `json:"passing,omitempty"`    // it is tried again each time, though the file has not changed
}

// catalogVersion changes when files that were skipped once should be tried again: new formats.
const catalogVersion = 3 // pictures; what passes is tried again

const catalogName = "catalog.json"

func newCatalog() *catalog {
	return &catalog{Version: catalogVersion, Skips: map[string]skipRecord{}}
}

// readCatalog reads the catalog of a data folder; a missing or unreadable one is empty.
func readCatalog(dir string) (*catalog, error) {
	content, err := os.ReadFile(filepath.Join(dir, catalogName))
	if errors.Is(err, fs.ErrNotExist) {
		return newCatalog(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("open index %q: %w", dir, err)
	}
	return catalogOf(content), nil
}

// readCatalog reads the catalog of the index.
func (x *Index) readCatalog() (*catalog, error) {
	content, err := x.storage.Catalog()
	if err != nil {
		return nil, fmt.Errorf("open index %q: %w", x.dir, public(err))
	}
	c := catalogOf(content)
	c.kept = content
	return c, nil
}

// catalogOf is the catalog that was kept; a missing or unreadable one is empty, for it is advice.
func catalogOf(content []byte) *catalog {
	c, err := parseCatalog(content)
	if err != nil {
		return newCatalog()
	}
	return c
}

// The catalog is one JSON object that ends with the CRC-32C of all bytes before this field.
const (
	catalogSumField = `,"crc32c":"`
	catalogSumEnd   = `"}` + "\n"
)

// parseCatalog reads a catalog, and one of an older program, which has no checksum.
func parseCatalog(content []byte) (*catalog, error) {
	var stored struct {
		catalog
		Sum string `json:"crc32c"`
	}
	if err := json.Unmarshal(content, &stored); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	body, sum, found := bytes.Cut(content, []byte(catalogSumField))
	switch {
	case !found && !bytes.HasSuffix(content, []byte("\n")): // of an older program
	case !found, string(sum) != catalogSum(body)+catalogSumEnd:
		return nil, errors.New("wrong checksum")
	}
	c := newCatalog()
	c.Roots = stored.Roots
	if stored.Version == catalogVersion && stored.Skips != nil {
		c.Skips = stored.Skips
	}
	return c, nil
}

func catalogSum(body []byte) string { return fmt.Sprintf("%08x", durable.Sum(body)) }

// encode writes the catalog as parseCatalog reads it.
func (c *catalog) encode() ([]byte, error) {
	content, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	body := content[:len(content)-1] // the field comes before the closing brace
	return append(body, catalogSumField+catalogSum(body)+catalogSumEnd...), nil
}

// saveCatalog replaces the catalog of the index, unless it is as it was.
func (x *Index) saveCatalog(ctx context.Context, c *catalog) error {
	content, err := c.encode()
	if err == nil && !bytes.Equal(content, c.kept) {
		err = x.storage.SaveCatalog(ctx, content)
	}
	if err != nil {
		return fmt.Errorf("write index %q: %w", x.dir, public(err))
	}
	return nil
}

// save replaces the catalog of a data folder in one step.
func (c *catalog) save(disk durable.FS, dir string) error {
	content, err := c.encode()
	if err != nil {
		return err
	}
	if err := durable.ReplaceOn(disk, filepath.Join(dir, catalogName), content); err != nil {
		return fmt.Errorf("write index %q: %w", dir, err)
	}
	return nil
}

// addRoots notes folders that were named, and says whether the catalog changed.
func (c *catalog) addRoots(named, roots []string) bool {
	changed := false
	for i, root := range roots {
		r := catalogRoot{Path: root, Absolute: filepath.IsAbs(named[i])}
		at := slices.IndexFunc(c.Roots, func(o catalogRoot) bool { return o.Path == root })
		switch {
		case at < 0:
			c.Roots = append(c.Roots, r)
			changed = true
		case c.Roots[at] != r:
			c.Roots[at] = r
			changed = true
		}
	}
	return changed
}

// skipped says whether a file was tried before, has not changed since, and why it was skipped.
func (c *catalog) skipped(file plannedFile, o AddOptions) (string, bool) {
	s, ok := c.Skips[file.path]
	same := ok && s.Size == file.stat.Size && s.ModifiedNS == file.stat.MTimeNS
	return s.Reason, same && !s.Passing && s.BytesMax == o.FileBytesMax && s.PixelsMax == o.PixelsMax
}

// display returns the path as its user would write it here: relative to the working folder where
// the folder it was found in was named so, absolute otherwise.
func (c *catalog) display(path string) string {
	longest := catalogRoot{Absolute: true}
	for _, r := range c.Roots {
		if within(path, r.Path) && len(r.Path) > len(longest.Path) {
			longest = r
		}
	}
	if longest.Absolute {
		return path
	}
	wd, err := os.Getwd()
	if err != nil || !within(path, wd) {
		return path
	}
	relative, err := filepath.Rel(wd, path)
	if err != nil {
		return path
	}
	return relative
}

func sortSkipped(skipped []Skipped) {
	slices.SortFunc(skipped, func(a, b Skipped) int { return cmp.Compare(a.Path, b.Path) })
}
