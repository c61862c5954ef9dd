package evident

import (
	"context"
	"fmt"
	"os"

	"evident/document"
	"evident/store"
)

// view shows one state of the index: it turns passages into hits and evidence. Its snapshot must be
// released after use.
type view struct {
	index     *Index
	snapshot  textSnapshot
	catalog   *catalog
	documents map[string]*shownDocument // by stored path; each is read once
}

// shownDocument is a stored document and what evidence says about it.
type shownDocument struct {
	*document.Document
	source Source
}

// view returns the newest state of the index. What it reads ends with ctx.
func (x *Index) view(ctx context.Context) (*view, error) {
	c, err := x.readCatalog()
	if err != nil {
		return nil, err
	}
	snapshot, err := x.storage.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	return &view{x, snapshot, c, map[string]*shownDocument{}}, nil
}

func (v *view) document(path string) (*shownDocument, error) {
	if d, ok := v.documents[path]; ok {
		return d, nil
	}
	stored, err := v.snapshot.Document(path)
	if err != nil {
		return nil, fmt.Errorf("read %s from index %q: %w", path, v.index.dir, public(err))
	}
	stat, err := v.snapshot.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read %s from index %q: %w", path, v.index.dir, public(err))
	}
	info, err := os.Stat(path)
	d := &shownDocument{Document: stored, source: Source{
		ID: documentID(path), Path: v.catalog.display(path), SHA256: stored.SHA256, Title: stored.Title,
		Stale: err != nil || !stat.Same(info),
	}}
	v.documents[path] = d
	return d, nil
}

// evidence points at the bytes [start, end) of a passage.
func (v *view) evidence(id store.PassageID, start, end int) (*Evidence, error) {
	p, err := v.snapshot.Passage(id)
	if err != nil {
		return nil, fmt.Errorf("read a passage of index %q: %w", v.index.dir, public(err))
	}
	d, err := v.document(p.Path)
	if err != nil {
		return nil, err
	}
	e := &Evidence{Source: d.source}
	e.Text = quote(d.Text, p.Span.Start+start, p.Span.Start+end)
	e.Text.Page, e.Text.Heading = p.Page, p.Heading
	return e, nil
}

// hit shows a passage.
func (v *view) hit(id store.PassageID, score float64) (*Hit, error) {
	p, err := v.snapshot.Passage(id)
	if err != nil {
		return nil, fmt.Errorf("read a passage of index %q: %w", v.index.dir, public(err))
	}
	return &Hit{ID: documentID(p.Path), Path: v.catalog.display(p.Path), Score: score, Passage: HitPassage{
		Byte: [2]int{p.Span.Start, p.Span.End}, Text: p.Text, Page: p.Page, Heading: p.Heading,
	}}, nil
}
