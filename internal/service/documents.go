package service

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"image"
	"strings"
	"sync"

	"evident"
	"evident/api"
	"evident/document"
)

// listing is an index with its list of documents, which is read once for each generation.
type listing struct {
	index Index
	names *names

	mu         sync.Mutex
	generation int
	documents  []api.DocumentInfo
	byID       map[string]int

	kept string // folder of an index that was made through the server; "" of one that was named at the start

	using   sync.Mutex
	users   int
	retired bool
	free    chan struct{} // closed when the last user leaves
}

// list returns the documents of the newest generation, and where each is by its id. Neither must be
// changed.
func (l *listing) list(ctx context.Context) ([]api.DocumentInfo, map[string]int, error) {
	generation, err := l.index.Generation()
	if err != nil {
		return nil, nil, l.names.problem(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID != nil && l.generation == generation {
		return l.documents, l.byID, nil
	}
	documents, err := l.index.Documents(ctx)
	if err != nil {
		return nil, nil, l.names.problem(err)
	}
	byID := make(map[string]int, len(documents))
	for i, d := range documents {
		byID[d.ID] = i
	}
	l.generation, l.documents, l.byID = generation, documents, byID
	return documents, byID, nil
}

// find returns the document of an id.
func (l *listing) find(ctx context.Context, id string) (*api.DocumentInfo, error) {
	documents, byID, err := l.list(ctx)
	if err != nil {
		return nil, err
	}
	i, ok := byID[id]
	if !ok {
		return nil, api.NewProblem("no-document", "index "+quoted(l.index.Name)+" has no document "+quoted(id))
	}
	return &documents[i], nil
}

// documentsDefault is how many documents a page of a list has.
const documentsDefault = 50

// Documents lists documents, a page at a time.
func (s *Service) Documents(
	ctx context.Context, index string, q api.DocumentQuery,
) (*api.DocumentList, error) {
	l, err := s.use(index)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	all, _, err := l.list(ctx)
	if err != nil {
		return nil, err
	}
	after, err := readCursor(q.Cursor)
	if err != nil {
		return nil, err
	}
	limit := q.Limit
	if limit == 0 {
		limit = documentsDefault
	}
	out := &api.DocumentList{Documents: []api.DocumentInfo{}}
	match := strings.ToLower(q.Match)
	for _, d := range all {
		if (q.Kind == "image") != (d.Image != nil) && q.Kind != "" ||
			!strings.Contains(strings.ToLower(d.Path), match) {
			continue
		}
		out.Total++
		switch {
		case d.Path <= after && q.Cursor != "":
		case len(out.Documents) < limit:
			out.Documents = append(out.Documents, d)
		case out.Next == "":
			out.Next = writeCursor(out.Documents[limit-1].Path)
		}
	}
	return out, nil
}

// A cursor is the path of the last document of a page, so that a list which changes meanwhile repeats
// and leaves out nothing that stayed.
func writeCursor(path string) string {
	encoded, _ := json.Marshal(path) // a text always encodes
	return base64.RawURLEncoding.EncodeToString(encoded)
}

func readCursor(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	var path string
	decoded, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(decoded, &path)
	}
	if err != nil {
		return "", api.NewProblem("bad-cursor", "the cursor is none that was given out")
	}
	return path, nil
}

// Document returns a document as it is stored, and its text.
func (s *Service) Document(ctx context.Context, index, id string) (*api.Document, string, error) {
	l, d, err := s.document(ctx, index, id)
	if err != nil {
		return nil, "", err
	}
	defer l.leave()
	shown, err := l.index.Show(ctx, d.Path)
	if err != nil {
		return nil, "", s.names.problem(err)
	}
	return &api.Document{
		Source: shown.Source, Format: shown.Format, Bytes: shown.Bytes, Pages: shown.Pages,
		Passages: shown.Passages, Headings: shown.Headings, Image: shown.Image,
		Starts: shown.Starts,
	}, shown.Text, nil
}

// document finds a document. The caller leaves the index.
func (s *Service) document(ctx context.Context, index, id string) (*listing, *api.DocumentInfo, error) {
	l, err := s.use(index)
	if err != nil {
		return nil, nil, err
	}
	d, err := l.find(ctx, id)
	if err != nil {
		l.leave()
		return nil, nil, err
	}
	return l, d, nil
}

// Evidence returns the bytes of a span as evidence: what a link to a quotation resolves to.
func (s *Service) Evidence(
	ctx context.Context, index, id string, span document.ByteSpan,
) (*api.Evidence, error) {
	l, d, err := s.document(ctx, index, id)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	e, err := l.index.Quote(ctx, d.Path, span)
	return e, s.names.problem(err)
}

// PageImage draws a page of a PDF.
func (s *Service) PageImage(
	ctx context.Context, index, id string, page, width int,
) (im image.Image, err error) {
	l, d, err := s.document(ctx, index, id)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	err = s.compute(ctx, func(ctx context.Context) error {
		im, err = l.index.PageImage(ctx, d.Path, page, evident.PageOptions{
			Width: width, CacheDir: s.o.CacheDir,
		})
		return err
	})
	return im, err
}

// PageMarks says where on a page a span stands.
func (s *Service) PageMarks(
	ctx context.Context, index, id string, page int, span document.ByteSpan,
) (marks *api.PageMarks, err error) {
	l, d, err := s.document(ctx, index, id)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	err = s.compute(ctx, func(ctx context.Context) error {
		marks, err = l.index.PageMarks(ctx, d.Path, page, span, evident.PageOptions{CacheDir: s.o.CacheDir})
		return err
	})
	return marks, err
}
