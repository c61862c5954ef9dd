package evident

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"evident/store"
)

// SearchOptions tunes [Index.Search].
type SearchOptions struct {
	Top     int  // hits returned; 0 means 10
	Explain bool // fill Hit.Why
}

// Search returns the passages that share the query's words, best first by BM25.
func (x *Index) Search(ctx context.Context, query string, o SearchOptions) ([]Hit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if strings.TrimSpace(query) == "" {
		return nil, &QuestionError{Max: QuestionWordsMax}
	}
	if o.Top == 0 {
		o.Top = 10
	}
	v, err := x.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.snapshot.Release()
	found, err := v.snapshot.Search(query, o.Top)
	if err != nil {
		return nil, fmt.Errorf("search index %q: %w", x.dir, public(err))
	}
	hits := make([]Hit, 0, len(found))
	for _, f := range found {
		hit, err := v.hit(f.Passage, float64(f.Score))
		if err != nil {
			return nil, err
		}
		if o.Explain {
			explanation, err := v.snapshot.Explain(query, f.Passage)
			if err != nil {
				return nil, fmt.Errorf("search index %q: %w", x.dir, public(err))
			}
			w := why(explanation)
			hit.Why = &w
		}
		hits = append(hits, *hit)
	}
	return hits, nil
}

// Document is a document as it is stored.
type Document struct {
	Source   Source            `json:"source"`
	Format   string            `json:"format"`
	Bytes    int               `json:"bytes"` // of the stored text
	Pages    int               `json:"pages,omitempty"`
	Passages int               `json:"passages"`
	Headings []DocumentHeading `json:"headings,omitempty"`
	Image    *HitImage         `json:"image,omitempty"`       // of a picture, which has no text
	Starts   []int             `json:"page_starts,omitempty"` // bytes at which pages begin
	Text     string            `json:"-"`                     // what all offsets count in
}

// Show returns the stored form of a document. The path may be written in full, relative to the
// working folder, or as an ending that only one document has ("valley.pdf"). The error is
// [ErrNoDocument] when there is none.
func (x *Index) Show(ctx context.Context, path string) (*Document, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, err := x.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.snapshot.Release()
	full, err := v.resolve(path)
	if err != nil {
		return nil, err
	}
	d, err := v.document(full)
	if err != nil {
		return nil, err
	}
	passages, err := v.snapshot.PassagesOf(full)
	if err != nil {
		return nil, fmt.Errorf("read %s from index %q: %w", path, x.dir, public(err))
	}
	shown := &Document{
		Source: d.source, Format: d.Format, Bytes: len(d.Text), Pages: len(d.Pages),
		Passages: len(passages), Text: d.Text,
	}
	if p := d.Picture; p != nil {
		size := hitImage(p, d.Format)
		shown.Image = &size
	}
	for _, p := range d.Pages {
		shown.Starts = append(shown.Starts, p.At)
	}
	for _, h := range d.Headings {
		shown.Headings = append(shown.Headings, DocumentHeading{Byte: h.At, Level: h.Level, Text: h.Label})
	}
	return shown, nil
}

// resolve finds the stored path that a user means.
func (v *view) resolve(path string) (string, error) {
	files, err := v.snapshot.Files()
	if err != nil {
		return "", fmt.Errorf("read index %q: %w", v.index.dir, public(err))
	}
	if full, err := filepath.Abs(path); err == nil {
		if _, ok := files[full]; ok {
			return full, nil
		}
	}
	ending := string(os.PathSeparator) + filepath.Clean(path)
	var matches []string
	for full := range files {
		if strings.HasSuffix(full, ending) {
			matches = append(matches, full)
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return "", fmt.Errorf("show %s: %w", path, ErrNoDocument)
	}
	return "", fmt.Errorf("show %s: %d documents end so; write more of the path", path, len(matches))
}

// Status says what an index holds.
type Status struct {
	Data      string    `json:"data"`
	Documents int       `json:"documents"`
	Passages  int       `json:"passages"`
	Images    int       `json:"images"`
	Phrases   int       `json:"phrases"` // vectors of possible answers
	Bytes     int64     `json:"bytes"`   // on disk; 0 of a cluster, which does not tell
	Roots     []string  `json:"roots"`
	Skipped   []Skipped `json:"skipped"`
}

// stats counts what the index holds.
func (x *Index) stats() (store.Stats, error) {
	snapshot, err := x.storage.Snapshot(context.Background())
	if err != nil {
		return store.Stats{}, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	defer snapshot.Release()
	return snapshot.Stats(), nil
}

// Status reports what the index holds.
func (x *Index) Status() (*Status, error) {
	c, err := x.readCatalog()
	if err != nil {
		return nil, err
	}
	stats, err := x.stats()
	if err != nil {
		return nil, err
	}
	s := &Status{
		Data: x.dir, Documents: stats.Documents, Passages: stats.Passages,
		Images: stats.Pictures, Bytes: stats.Bytes,
		Roots: []string{}, Skipped: []Skipped{},
	}
	if x.HasPhrases() {
		phrases, err := x.phraseStats(context.Background(), false)
		if err != nil {
			return nil, err
		}
		s.Phrases = phrases.Vectors
		s.Bytes += phrases.Bytes
	}
	for _, r := range c.Roots {
		s.Roots = append(s.Roots, r.Path)
	}
	for path, skip := range c.Skips {
		s.Skipped = append(s.Skipped, Skipped{Path: c.display(path), Reason: skip.Reason})
	}
	sortSkipped(s.Skipped)
	return s, nil
}
