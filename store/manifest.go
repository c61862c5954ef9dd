package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"evident/bm25"
	"evident/internal/durable"
)

const (
	formatVersion = 1
	manifestName  = "MANIFEST"
	copyName      = "MANIFEST.copy" // what a damaged manifest is replaced by
	lockName      = "LOCK"
	batchSuffix   = ".batch"
	manifestKind  = "index" // in its first line
)

// manifest is the list of files that make up one generation of the index.
type manifest struct {
	Generation uint32       `json:"generation"`
	ID         string       `json:"id,omitempty"` // of the index, drawn when it was made; "" in old ones
	Analyzer   string       `json:"analyzer"`
	K1         float32      `json:"k1"`
	B          float32      `json:"b"`
	NextFile   int          `json:"next_file"` // number of the next batch file
	Batches    []batchEntry `json:"batches"`   // in the order of their passages
}

// batchEntry names a batch file and what of it has been replaced or removed since.
type batchEntry struct {
	File      string     `json:"file"`
	Bytes     int64      `json:"bytes"`
	Sum       uint32     `json:"crc32c,omitempty"` // that the file ends with; 0 in old manifests
	Documents int        `json:"documents"`
	Passages  int        `json:"passages"`
	Deleted   []docRange `json:"deleted,omitempty"` // disjoint, rising
}

// docRange is a half-open range of documents within a batch.
type docRange = durable.Range

// isDeleted says whether a document was replaced or removed since.
func (b *batchEntry) isDeleted(doc uint32) bool {
	i := sort.Search(len(b.Deleted), func(i int) bool { return b.Deleted[i][1] > doc })
	return i < len(b.Deleted) && b.Deleted[i][0] <= doc
}

func (m *manifest) params() bm25.Params { return bm25.Params{K1: m.K1, B: m.B} }

// readManifest reads the manifest of the index in dir.
func readManifest(dir string) (*manifest, error) {
	path := filepath.Join(dir, manifestName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noManifest(dir)
	} else if err != nil {
		return nil, err
	}
	return parseManifest(path, data)
}

// parseManifest reads a manifest: a line with the version and the checksum of the rest, then JSON.
func parseManifest(path string, data []byte) (*manifest, error) {
	body, err := durable.Body(path, manifestKind, formatVersion, data)
	if err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, damaged(path, "%v", err)
	}
	if err := m.check(path); err != nil {
		return nil, err
	}
	return m, nil
}

// check refuses a manifest that this program cannot have written.
func (m *manifest) check(path string) error {
	if _, err := bm25.AnalyzerNamed(m.Analyzer); err != nil {
		return damaged(path, "%v", err)
	}
	for _, b := range m.Batches {
		if b.File != filepath.Base(b.File) || filepath.Ext(b.File) != batchSuffix {
			return damaged(path, "%q is not the name of a batch", b.File)
		}
		if !durable.CheckRanges(b.Deleted, b.Documents) {
			return damaged(path, "batch %s: impossible deletion of documents %v", b.File, b.Deleted)
		}
	}
	return nil
}

// write replaces the manifest in dir, so that at any moment the old or the new one is there.
func (m *manifest) write(disk durable.FS, dir string) error {
	content, err := m.encode()
	if err != nil {
		return err
	}
	return durable.ReplaceOn(disk, filepath.Join(dir, manifestName), content)
}

func (m *manifest) encode() ([]byte, error) {
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	return durable.Sign(manifestKind, formatVersion, body), nil
}

// writeCopy writes the manifest a second time, for [Repair]. The commit does not depend on it: an
// older copy, or none, is good enough for an index that is whole.
func (m *manifest) writeCopy(disk durable.FS, dir string) {
	content, err := m.encode()
	if err != nil {
		return
	}
	path := filepath.Join(dir, copyName)
	if err := durable.WriteSynced(disk, path+".new", content); err == nil {
		_ = disk.Rename(path+".new", path)
	}
}

// readCopy reads the second manifest, or nil where it is of no use.
func readCopy(dir string) *manifest {
	path := filepath.Join(dir, copyName)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	m, err := parseManifest(path, data)
	if err != nil {
		return nil
	}
	return m
}

// precedes says whether the manifest m that is in place cannot be the newest of the index whose
// copy of it is given: a writer would remove what the newer generation is made of.
func (m *manifest) precedes(newest *manifest) bool {
	return newest != nil && (m.ID != newest.ID && newest.ID != "" || m.Generation < newest.Generation)
}

// noManifest is the error for a folder without a manifest: there is no index, or it has lost it.
func noManifest(dir string) error {
	batches, err := batchFiles(dir)
	if err != nil {
		return err
	}
	if len(batches) == 0 && readCopy(dir) == nil {
		return ErrNoIndex // callers name the folder
	}
	return damaged(filepath.Join(dir, manifestName), "it is missing, but the rest of an index is there")
}

// batchFiles are the names of all batches in a folder, which may be missing, in rising order.
func batchFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == batchSuffix {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
