package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"evident/bm25"
)

const (
	formatVersion = 1
	manifestName  = "MANIFEST"
	lockName      = "LOCK"
	batchSuffix   = ".batch"
	manifestLine  = "evident index, format %d, crc32c %08x" // its first line
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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

// docRange is a half-open range of documents within a batch, written as a pair.
type docRange [2]uint32

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
	line, body, found := bytes.Cut(data, []byte("\n"))
	var version int
	var sum uint32
	_, err := fmt.Sscanf(string(line), manifestLine, &version, &sum)
	if !found || err != nil && version == 0 {
		return nil, damaged(path, "its first line is not that of a manifest")
	}
	if version != formatVersion {
		return nil, &VersionError{Path: path, Got: version, Want: formatVersion}
	}
	if err != nil || string(line) != fmt.Sprintf(manifestLine, version, sum) ||
		crc32.Checksum(body, castagnoli) != sum {
		return nil, damaged(path, "wrong checksum")
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
		next := uint32(0)
		for _, r := range b.Deleted {
			if r[0] < next || r[1] <= r[0] || int64(r[1]) > int64(b.Documents) {
				return damaged(path, "batch %s: impossible deletion of documents %d to %d",
					b.File, r[0], r[1])
			}
			next = r[1]
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
	line := fmt.Sprintf(manifestLine+"\n", formatVersion, crc32.Checksum(body, castagnoli))
	path := filepath.Join(dir, manifestName)
	aside := path + ".new"
	if err := writeSynced(aside, append([]byte(line), body...)); err != nil {
		return err
	}
	if err := os.Rename(aside, path); err != nil {
		return err
	}
	return syncFolder(dir)
}

// writeSynced writes a file and waits until it is on the disk.
func writeSynced(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFolder waits until the names in a folder are on the disk.
func syncFolder(dir string) error {
	if !syncsFolders {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// deletedFlags unfolds deleted ranges into a flag for each of n documents.
func deletedFlags(ranges []docRange, n int) []bool {
	flags := make([]bool, n)
	for _, r := range ranges {
		for doc := r[0]; doc < r[1]; doc++ {
			flags[doc] = true
		}
	}
	return flags
}

// deletedRanges is the inverse of deletedFlags.
func deletedRanges(flags []bool) []docRange {
	var ranges []docRange
	for doc, deleted := range flags {
		switch n := len(ranges); {
		case !deleted:
		case n > 0 && ranges[n-1][1] == uint32(doc):
			ranges[n-1][1]++
		default:
			ranges = append(ranges, docRange{uint32(doc), uint32(doc) + 1})
		}
	}
	return ranges
}
