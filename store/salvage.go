package store

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"evident/internal/durable"
)

// generationsUnknown is added to the generation of an index that lost its manifest, so that the next one
// is none that a reader has seen.
const generationsUnknown = 1 << 16

// bareManifest is one without batches, for an index that lost its manifest and the copy. How texts are
// analysed the batches tell; that ranking was set otherwise than usual is lost.
func bareManifest(dir string) (*manifest, error) {
	names, err := batchFiles(dir)
	if err != nil {
		return nil, err
	}
	opts := Options{}
	for _, name := range names {
		b, err := openTables(dir, name)
		if err != nil {
			continue
		}
		if b.parseSegment() == nil {
			opts.Analyzer = b.segment.Analyzer().Name()
		}
		b.release()
	}
	return newManifest(opts)
}

// withUnnamed adds the batches in a folder that are newer than a manifest. Every document is in the
// newest batch that has one of its path, because batches are numbered as they are written and a merge
// takes along only what is live. What was removed since comes back; reading the folders again will
// remove it again.
func withUnnamed(dir string, m *manifest) (*manifest, error) {
	grown := *m
	grown.Batches = slices.Clone(m.Batches)
	names, err := batchFiles(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		number, err := strconv.Atoi(strings.TrimSuffix(name, batchSuffix))
		if err != nil || number < m.NextFile {
			continue
		}
		grown.NextFile = max(grown.NextFile, number+1)
		b, err := openTables(dir, name)
		if err != nil {
			continue // not even its table is whole; the file is put aside with the others
		}
		grown.Batches = append(grown.Batches, batchEntry{
			File: name, Bytes: int64(len(b.data)), Sum: b.sum,
			Documents: int(b.documents), Passages: int(b.passages),
		})
		b.release()
	}
	if len(grown.Batches) > len(m.Batches) {
		hideOlder(dir, grown.Batches)
	}
	return &grown, nil
}

// openTables opens a batch of which nothing is known, to look at its documents.
func openTables(dir, name string) (*batch, error) {
	path := filepath.Join(dir, name)
	b, err := mapBatch(path)
	if err != nil {
		return nil, err
	}
	if err := b.parseTables(); err != nil {
		b.release()
		return nil, err
	}
	return b, nil
}

// hideOlder marks documents as deleted of which a later batch, or a later place in the same, has a
// newer version.
func hideOlder(dir string, entries []batchEntry) {
	seen := map[string]bool{}
	for i := len(entries) - 1; i >= 0; i-- {
		entry := &entries[i]
		b, err := openTables(dir, entry.File)
		if err != nil {
			continue
		}
		if !b.meant(*entry) {
			b.release()
			continue
		}
		flags := durable.Flags(entry.Deleted, entry.Documents)
		for doc := int(b.documents) - 1; doc >= 0; doc-- {
			if flags[doc] {
				continue
			}
			if r, err := b.record(uint32(doc)); err == nil {
				flags[doc] = seen[r.path]
				seen[r.path] = true
			}
		}
		entry.Deleted = durable.Ranges(flags)
		b.release()
	}
}
