package weaviate

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/weaviate/weaviate-go-client/v5/weaviate/filters"
	"github.com/weaviate/weaviate-go-client/v5/weaviate/graphql"

	"evident/bm25"
	"evident/document"
	"evident/internal/durable"
	"evident/store"
)

// Snapshot is one state of the documents. Its calls end with the context that it was made with. It is safe
// for concurrent use. What it has read of passages it keeps.
type Snapshot struct {
	*texts
	store *Store
	ctx   context.Context //nolint:containedctx // a snapshot serves one request

	mu     sync.Mutex
	read   map[store.PassageID]store.Passage
	ranked ranking // of the last question
}

// ranking is what a question has found.
type ranking struct {
	question string
	scores   map[store.PassageID]float32
}

// Snapshot returns the state that the store is at.
func (s *Store) Snapshot(ctx context.Context) (*Snapshot, error) {
	t, err := s.state()
	if err != nil {
		return nil, err
	}
	return &Snapshot{texts: t, store: s, ctx: ctx, read: map[store.PassageID]store.Passage{}}, nil
}

// Release does nothing: a snapshot holds no file.
func (s *Snapshot) Release() {}

// Generation is the number of the commit that the snapshot shows.
func (s *Snapshot) Generation() uint32 { return uint32(s.Commit) }

// Stats counts what the snapshot holds.
func (s *Snapshot) Stats() store.Stats {
	stats := store.Stats{Generation: s.Generation()}
	stats.Passages = s.passages
	for _, d := range s.documents {
		if d.Picture != nil {
			stats.Pictures++
		} else {
			stats.Documents++
		}
	}
	return stats
}

// passageID names passage n of a document of a state.
func passageID(document, n int) store.PassageID {
	return store.PassageID(document)<<32 | store.PassageID(n)
}

// place is the reverse of passageID.
func (s *Snapshot) place(id store.PassageID) (d *stored, n int, err error) {
	i, n := int(id>>32), int(uint32(id))
	if i >= len(s.documents) || n >= s.documents[i].Passages {
		return nil, 0, fmt.Errorf("passage %d of document %d: %w", n, i, store.ErrNotFound)
	}
	return &s.documents[i], n, nil
}

// searchMax is the number of rows that the cluster returns at most (QUERY_MAXIMUM_RESULTS).
const searchMax = 10_000

// Search returns the k passages with the highest BM25 scores for the question, best first.
func (s *Snapshot) Search(question string, k int) ([]store.Hit, error) {
	terms := s.store.analyzer.Terms(question)
	if len(terms) == 0 || k <= 0 {
		return nil, nil
	}
	words := (&graphql.BM25ArgumentBuilder{}).WithQuery(strings.Join(terms, " ")).WithProperties("terms")
	hits, err := widen(k, func(limit int) (hits []store.Hit, rows int, err error) {
		found, err := s.rows(func(q *graphql.GetBuilder) *graphql.GetBuilder { return q.WithBM25(words).WithLimit(limit) })
		if err != nil {
			return nil, 0, fmt.Errorf("search: %w", err)
		}
		for i := range found {
			id, known, err := s.keep(&found[i])
			if err != nil {
				return nil, 0, err
			}
			score, err := strconv.ParseFloat(found[i].Additional.Score, 32)
			if err != nil {
				return nil, 0, fmt.Errorf("search: score %q: %w", found[i].Additional.Score, err)
			}
			if known {
				hits = append(hits, store.Hit{Passage: id, Score: float32(score)})
			}
		}
		slices.SortStableFunc(hits, func(a, b store.Hit) int {
			return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Passage, b.Passage))
		})
		return hits, len(found), nil
	})
	if err == nil {
		s.rank(question, hits)
	}
	return hits, err
}

// rank remembers what a question has found, for Explain.
func (s *Snapshot) rank(question string, hits []store.Hit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ranked = ranking{question, map[store.PassageID]float32{}}
	for _, h := range hits {
		s.ranked.scores[h.Passage] = h.Score
	}
}

// score is that of a passage, when the question was the last one.
func (s *Snapshot) score(question string, id store.PassageID) (float32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	score, ok := s.ranked.scores[id]
	return score, ok && s.ranked.question == question
}

// widen asks for more and more rows until k of them may be shown, or there are no more.
func widen[T any](k int, search func(limit int) (shown []T, rows int, err error)) ([]T, error) {
	for limit := k; ; limit *= 2 {
		limit = min(limit, searchMax)
		shown, rows, err := search(limit)
		if err != nil || len(shown) >= k || rows < limit || limit == searchMax {
			return shown[:min(k, len(shown))], err
		}
	}
}

// rows asks a host that has all of them for passages.
func (s *Snapshot) rows(choose func(*graphql.GetBuilder) *graphql.GetBuilder) (rows []passageRow, err error) {
	err = s.store.cluster.do(s.ctx, func(ctx context.Context, h *host) error {
		if err := s.store.cluster.whole(ctx, h, s.store.passages, s.Commit, s.passages); err != nil {
			return err
		}
		q := choose(h.client.GraphQL().Get())
		rows, err = query[passageRow](ctx, s.store.passages, q, append(passageFields, additional("score"))...)
		return err
	})
	return rows, err
}

// keep remembers a passage that was read, and says whether it is of this state.
func (s *Snapshot) keep(r *passageRow) (id store.PassageID, known bool, err error) {
	i, ok := s.byKey[r.Document]
	if !ok {
		return 0, false, nil
	}
	d := &s.documents[i]
	if r.Number < 0 || r.Number >= d.Passages || checksum(r.Text) != r.Sum {
		return 0, false, durable.Damaged(s.store.passages, "passage %d of %q is not as it was written", r.Number, d.path)
	}
	id = passageID(i, r.Number)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[id] = store.Passage{
		Passage: document.Passage{
			Span: document.ByteSpan{Start: r.Start, End: r.End}, Heading: r.Heading, Page: r.Page,
		},
		ID: id, Path: d.path, Format: d.Format, Title: d.Title, SHA256: d.SHA256, Text: r.Text,
	}
	return id, true, nil
}

// Passage returns a passage with its text.
func (s *Snapshot) Passage(id store.PassageID) (store.Passage, error) {
	found, err := s.Passages([]store.PassageID{id})
	if err != nil {
		return store.Passage{}, err
	}
	return found[0], nil
}

// passagesAtOnce is the number of passages that one query names.
const passagesAtOnce = 200

// Passages returns passages with their texts, in the order asked for.
func (s *Snapshot) Passages(ids []store.PassageID) ([]store.Passage, error) {
	missing := map[string]store.PassageID{} // by object
	s.mu.Lock()
	for _, id := range ids {
		d, n, err := s.place(id)
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		if _, ok := s.read[id]; !ok {
			missing[string(objectID(s.store.passages, d.Key, n))] = id
		}
	}
	s.mu.Unlock()
	if err := s.fetch(missing); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make([]store.Passage, len(ids))
	for i, id := range ids {
		found[i] = s.read[id]
	}
	return found, nil
}

// fetch reads passages: many from one replica, then what that did not have from a quorum.
func (s *Snapshot) fetch(missing map[string]store.PassageID) error {
	objects := make([]string, 0, len(missing))
	for object := range missing {
		objects = append(objects, object)
	}
	for chunk := range slices.Chunk(objects, passagesAtOnce) {
		where := filters.Where().WithPath([]string{"id"}).WithOperator(filters.ContainsAny).WithValueText(chunk...)
		rows, err := s.rows(func(q *graphql.GetBuilder) *graphql.GetBuilder {
			return q.WithWhere(where).WithLimit(len(chunk))
		})
		if err != nil {
			return fmt.Errorf("read passages: %w", err)
		}
		for i := range rows {
			if _, _, err := s.keep(&rows[i]); err != nil {
				return err
			}
		}
	}
	for object, id := range missing {
		if err := s.fetchOne(object, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Snapshot) fetchOne(object string, id store.PassageID) error {
	s.mu.Lock()
	_, ok := s.read[id]
	s.mu.Unlock()
	if ok {
		return nil
	}
	d, n, err := s.place(id)
	if err != nil {
		return err
	}
	found, err := s.store.cluster.get(s.ctx, s.store.passages, objectID(s.store.passages, d.Key, n))
	if err != nil {
		return fmt.Errorf("read passage %d of %q: %w", n, d.path, err)
	}
	if found == nil {
		return fmt.Errorf("passage %d of %q, object %s: %w", n, d.path, object, store.ErrNotFound)
	}
	var r passageRow
	if err := properties(found, &r); err != nil {
		return err
	}
	_, _, err = s.keep(&r)
	return err
}

// Explain says what is known of a passage's score: the cluster does not tell it term by term.
func (s *Snapshot) Explain(question string, id store.PassageID) (bm25.Explanation, error) {
	score, known := s.score(question, id)
	if !known { // 0 stays that of a passage that is not among so many
		if _, err := s.Search(question, explainDepth); err != nil {
			return bm25.Explanation{}, err
		}
		score, _ = s.score(question, id)
	}
	e := bm25.Explanation{Label: "BM25, as the cluster scores it", Value: float64(score)}
	p, err := s.Passage(id)
	if err != nil {
		return bm25.Explanation{}, err
	}
	in := map[string]int{}
	doc := &document.Document{Title: p.Title, Text: p.Text}
	whole := document.Passage{Span: document.ByteSpan{End: len(p.Text)}, Heading: p.Heading}
	for _, text := range store.IndexedTexts(doc, whole) {
		for _, term := range s.store.analyzer.Terms(text) {
			in[term]++
		}
	}
	terms := s.store.analyzer.Terms(question)
	slices.Sort(terms)
	for _, term := range slices.Compact(terms) {
		if in[term] > 0 {
			e.Details = append(e.Details, bm25.Explanation{
				Label: fmt.Sprintf("%q: tf, times in the passage", term), Value: float64(in[term]),
			})
		}
	}
	return e, nil
}

// explainDepth is how far down the ranking a passage is looked for to explain it.
const explainDepth = 100

// Document returns the stored document of a path.
func (s *Snapshot) Document(path string) (*document.Document, error) {
	i, ok := s.byPath[path]
	if !ok {
		return nil, fmt.Errorf("document %q: %w", path, store.ErrNotFound)
	}
	d := &s.documents[i]
	if d.Picture != nil {
		return &document.Document{
			Path: path, Format: d.Format, Title: d.Title, SHA256: d.SHA256, Picture: d.Picture,
		}, nil
	}
	if doc := s.store.cache.get(d.Key); doc != nil {
		return doc, nil
	}
	var packed []byte
	for n := range d.Parts {
		part, err := s.part(d, n)
		if err != nil {
			return nil, err
		}
		packed = append(packed, part...)
	}
	doc, err := unpack(packed, &d.member)
	if err != nil {
		return nil, durable.Damaged(s.store.parts, "%q: %v", path, err)
	}
	s.store.cache.put(d.Key, doc)
	return doc, nil
}

func (s *Snapshot) part(d *stored, n int) ([]byte, error) {
	found, err := s.store.cluster.get(s.ctx, s.store.parts, objectID(s.store.parts, d.Key, n))
	if err != nil {
		return nil, fmt.Errorf("read part %d of %q: %w", n, d.path, err)
	}
	if found == nil {
		return nil, fmt.Errorf("part %d of %q: %w", n, d.path, store.ErrNotFound)
	}
	var p struct {
		Data string `json:"data"`
	}
	if err := properties(found, &p); err != nil {
		return nil, err
	}
	part, err := base64.StdEncoding.DecodeString(p.Data)
	if err != nil {
		return nil, durable.Damaged(s.store.parts, "part %d of %q: %v", n, d.path, err)
	}
	return part, nil
}

// PassagesOf returns the numbers of a document's passages, in order.
func (s *Snapshot) PassagesOf(path string) ([]store.PassageID, error) {
	i, ok := s.byPath[path]
	if !ok {
		return nil, fmt.Errorf("document %q: %w", path, store.ErrNotFound)
	}
	ids := make([]store.PassageID, s.documents[i].Passages)
	for n := range ids {
		ids[n] = passageID(i, n)
	}
	return ids, nil
}

// Stat returns what the file of a document looked like when it was read.
func (s *Snapshot) Stat(path string) (store.FileStat, error) {
	i, ok := s.byPath[path]
	if !ok {
		return store.FileStat{}, fmt.Errorf("document %q: %w", path, store.ErrNotFound)
	}
	return s.documents[i].Stat, nil
}

// Files returns what each document's file looked like when it was read, by path.
func (s *Snapshot) Files() (map[string]store.FileStat, error) {
	files := make(map[string]store.FileStat, len(s.documents))
	for _, d := range s.documents {
		files[d.path] = d.Stat
	}
	return files, nil
}

// Documents returns all documents that have passages, in the order in which they were put.
func (s *Snapshot) Documents() ([]store.StoredDocument, error) {
	var documents []store.StoredDocument
	for i, d := range s.documents {
		if d.Passages > 0 {
			documents = append(documents, store.StoredDocument{
				Path: d.path, SHA256: d.SHA256, First: passageID(i, 0), Passages: d.Passages,
			})
		}
	}
	return documents, nil
}

// Entries returns all documents and pictures, in the order in which they were put.
func (s *Snapshot) Entries() ([]store.Entry, error) {
	entries := make([]store.Entry, len(s.documents))
	for i, d := range s.documents {
		entries[i] = store.Entry{
			Path: d.path, Format: d.Format, Title: d.Title, SHA256: d.SHA256, TextBytes: d.TextBytes, Picture: d.Picture,
		}
	}
	return entries, nil
}

// Pictures returns all pictures, in the order in which they were put.
func (s *Snapshot) Pictures() ([]store.StoredPicture, error) {
	var pictures []store.StoredPicture
	for _, d := range s.documents {
		if d.Picture != nil {
			pictures = append(pictures, store.StoredPicture{Path: d.path, Format: d.Format, Picture: d.Picture})
		}
	}
	return pictures, nil
}
