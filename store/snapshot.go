package store

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync/atomic"

	"evident/bm25"
	"evident/document"
	"evident/internal/durable"
)

// PassageID names a passage within one generation of the index.
type PassageID uint64

func passageID(generation, number uint32) PassageID {
	return PassageID(generation)<<32 | PassageID(number)
}

// Hit is a passage and its BM25 score.
type Hit struct {
	Passage PassageID
	Score   float32
}

// Passage is a passage with its text and where it comes from.
type Passage struct {
	document.Passage
	ID     PassageID
	Path   string // of the document
	Format string
	Title  string
	SHA256 string // of the document's stored text
	Text   string
}

// Stats are the sizes of an index.
type Stats struct {
	Documents, Passages int
	Pictures            int   // not among the documents
	Bytes               int64 // of all its files
	Batches             int
	Generation          uint32
}

// Snapshot is one generation of the index. It is safe for concurrent use and stays as it is until
// it is released.
type Snapshot struct {
	manifest *manifest
	batches  []*batch
	bases    []uint32 // by batch: number of its first passage
	index    *bm25.Index
	refs     atomic.Int32
}

// openSnapshot maps the batches that m names, except those that are open already.
func openSnapshot(dir string, m *manifest, open map[string]*batch) (*Snapshot, error) {
	s := &Snapshot{manifest: m}
	s.refs.Store(1)
	var parts []bm25.Part
	next := uint32(0)
	for _, entry := range m.Batches {
		b, ok := open[entry.File]
		if ok {
			b.retain()
		} else {
			var err error
			if b, err = openBatch(dir, entry); err != nil {
				s.Release()
				return nil, err
			}
		}
		s.batches = append(s.batches, b)
		s.bases = append(s.bases, next)
		next += b.passages
		deleted, err := b.passageRanges(entry.Deleted)
		if err != nil {
			s.Release()
			return nil, err
		}
		parts = append(parts, bm25.Part{Segment: b.segment, Deleted: deleted})
	}
	index, err := bm25.NewIndex(parts, m.params())
	if err != nil {
		s.Release()
		return nil, fmt.Errorf("open index %q: %w", dir, err)
	}
	s.index = index
	return s, nil
}

// Release ends the use of the snapshot. Its files are unmapped after the last use.
func (s *Snapshot) Release() {
	if s.refs.Add(-1) == 0 {
		for _, b := range s.batches {
			b.release()
		}
	}
}

// Generation is the number of the commit that the snapshot shows.
func (s *Snapshot) Generation() uint32 { return s.manifest.Generation }

// Index returns the ranking itself; its document numbers are those of [Snapshot.ID]. It must not
// be used after the snapshot's release.
func (s *Snapshot) Index() *bm25.Index { return s.index }

// ID turns a document number of [Snapshot.Index] into a passage's.
func (s *Snapshot) ID(number uint32) PassageID { return passageID(s.Generation(), number) }

// Search returns the k passages with the highest BM25 scores for the question, best first.
func (s *Snapshot) Search(question string, k int) ([]Hit, error) {
	found, err := s.index.Search(question, k)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	hits := make([]Hit, len(found))
	for i, h := range found {
		hits[i] = Hit{Passage: s.ID(h.Doc), Score: h.Score}
	}
	return hits, nil
}

// Explain takes the BM25 score of a passage apart.
func (s *Snapshot) Explain(question string, id PassageID) (bm25.Explanation, error) {
	number, err := s.number(id)
	if err != nil {
		return bm25.Explanation{}, err
	}
	return s.index.Explain(question, number)
}

// number checks that a passage is of this generation and returns its number.
func (s *Snapshot) number(id PassageID) (uint32, error) {
	if generation := uint32(id >> 32); generation != s.Generation() {
		return 0, fmt.Errorf("passage of generation %d in generation %d: %w",
			generation, s.Generation(), ErrStale)
	}
	if number := uint32(id); int(number) < s.index.Len() {
		return number, nil
	}
	return 0, fmt.Errorf("passage %d of %d: %w", uint32(id), s.index.Len(), ErrNotFound)
}

// Passage returns a passage with its text. Passages of one document have consecutive numbers.
func (s *Snapshot) Passage(id PassageID) (Passage, error) {
	number, err := s.number(id)
	if err != nil {
		return Passage{}, err
	}
	i := sort.Search(len(s.bases), func(i int) bool { return s.bases[i] > number }) - 1
	p, r, text, err := s.batches[i].passage(number - s.bases[i])
	if err != nil {
		return Passage{}, err
	}
	return Passage{
		Passage: p, ID: id, Path: r.path, Format: r.format, Title: r.title,
		SHA256: r.hash(), Text: string(text),
	}, nil
}

// Document returns the stored document of a path.
func (s *Snapshot) Document(path string) (*document.Document, error) {
	i, r, err := s.find(path)
	if err != nil {
		return nil, err
	}
	return s.batches[i].document(r)
}

// PassagesOf returns the numbers of a document's passages, in order.
func (s *Snapshot) PassagesOf(path string) ([]PassageID, error) {
	i, r, err := s.find(path)
	if err != nil {
		return nil, err
	}
	ids := make([]PassageID, r.passageCount)
	for n := range ids {
		ids[n] = s.ID(s.bases[i] + r.passages + uint32(n))
	}
	return ids, nil
}

// find returns the batch that holds the document of a path, and its record.
func (s *Snapshot) find(path string) (batch int, r *record, err error) {
	for i, b := range s.batches {
		doc, found, err := b.find(path, s.manifest.Batches[i].isDeleted)
		if err != nil {
			return 0, nil, err
		}
		if found {
			r, err := b.record(doc)
			return i, &r, err
		}
	}
	return 0, nil, fmt.Errorf("document %q: %w", path, ErrNotFound)
}

// eachLive calls yield with every live document and the number of its batch.
func (s *Snapshot) eachLive(yield func(batch int, r *record)) error {
	for i, b := range s.batches {
		entry := &s.manifest.Batches[i]
		err := b.eachLive(durable.Flags(entry.Deleted, entry.Documents), func(r *record) error {
			yield(i, r)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Files returns what each document's file looked like when it was read, by path.
func (s *Snapshot) Files() (map[string]FileStat, error) {
	n := 0
	for i := range s.manifest.Batches {
		n += int(s.manifest.Batches[i].Documents)
	}
	files := make(map[string]FileStat, n)
	err := s.eachLive(func(_ int, r *record) { files[r.path] = r.stat })
	return files, err
}

// Stats counts what the snapshot holds.
func (s *Snapshot) Stats() Stats {
	stats := Stats{Passages: s.index.Live(), Batches: len(s.batches), Generation: s.Generation()}
	for i, b := range s.batches {
		entry := &s.manifest.Batches[i]
		pictures := 0
		for _, doc := range b.picturesOf() {
			if !entry.isDeleted(doc) {
				pictures++
			}
		}
		stats.Documents += liveDocuments(*entry) - pictures
		stats.Pictures += pictures
		stats.Bytes += int64(len(b.data))
	}
	return stats
}

// StoredPicture is a picture and where it came from.
type StoredPicture struct {
	Path, Format string
	*document.Picture
}

// Pictures returns all pictures, in the order in which they were put.
func (s *Snapshot) Pictures() ([]StoredPicture, error) {
	var pictures []StoredPicture
	var bad error
	err := s.eachLive(func(_ int, r *record) {
		if bad != nil || !isPictureFormat(r.format) {
			return
		}
		doc := &document.Document{}
		if err := parseMarks(r.marks, doc); err != nil || doc.Picture == nil {
			bad = fmt.Errorf("picture %q: %w", r.path, errors.Join(errRecord, err))
			return
		}
		pictures = append(pictures, StoredPicture{r.path, r.format, doc.Picture})
	})
	return pictures, errors.Join(err, bad)
}

func isPictureFormat(format string) bool { return strings.HasPrefix(format, document.PictureFormat) }

// Verify reads everything and returns the first damage it finds.
func (s *Snapshot) Verify() error {
	for _, b := range s.batches {
		if err := b.verify(); err != nil {
			return err
		}
	}
	return nil
}
