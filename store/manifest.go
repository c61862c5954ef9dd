package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"evident/bm25"
	"evident/internal/durable"
)

const (
	formatVersion = 1
	manifestName  = "MANIFEST"
	lockName      = "LOCK"
	batchSuffix   = ".batch"
	manifestKind  = "index" // in its first line
)

// manifest is the list of files that make up one generation of the index.
type manifest struct {
	Generation uint32       `json:"generation"`
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
	Documents int        `json:"documents"`
	Passages  int        `json:"passages"`
	Deleted   []docRange `json:"deleted,omitempty"` // disjoint, rising
}

// docRange is a half-open range of documents within a batch.
type docRange = durable.Range

func (m *manifest) params() bm25.Params { return bm25.Params{K1: m.K1, B: m.B} }

// readManifest reads the manifest of the index in dir.
func readManifest(dir string) (*manifest, error) {
	path := filepath.Join(dir, manifestName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoIndex // callers name the folder
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
func (m *manifest) write(dir string) error {
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return durable.Replace(filepath.Join(dir, manifestName), durable.Sign(manifestKind, formatVersion, body))
}
