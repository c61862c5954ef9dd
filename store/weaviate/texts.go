package weaviate

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/weaviate/weaviate/entities/models"

	"evident/document"
	"evident/store"
)

// member is what the journal says of a document.
type member struct {
	Key       string            `json:"key"` // that its passages and parts are named after
	Format    string            `json:"format"`
	Title     string            `json:"title,omitempty"`
	Stat      store.FileStat    `json:"stat"`
	SHA256    string            `json:"sha256"` // of the stored text, hex
	TextBytes int               `json:"bytes"`
	Passages  int               `json:"passages"`
	Parts     int               `json:"parts"`
	Picture   *document.Picture `json:"picture,omitempty"`
}

// stored is a document in one state.
type stored struct {
	path string
	member
}

// texts are the documents of one state, in the order in which they were put.
type texts struct {
	*state
	catalog   string
	documents []stored
	byPath    map[string]int
	byKey     map[string]int
	passages  int // of all documents
}

// newTexts reads the members of a state.
func newTexts(s *state, catalog string) (*texts, error) {
	entries := make([]*entry, 0, len(s.members))
	for _, e := range s.members {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Order, b.Order))
	})
	t := &texts{state: s, catalog: catalog, byPath: map[string]int{}, byKey: map[string]int{}}
	for i, e := range entries {
		d := stored{path: e.Name}
		if err := json.Unmarshal([]byte(e.Body), &d.member); err != nil {
			return nil, fmt.Errorf("entry of %q: %w", e.Name, err)
		}
		t.documents = append(t.documents, d)
		t.passages += d.Passages
		t.byPath[d.path], t.byKey[d.Key] = i, i
	}
	return t, nil
}

// newMember describes a document that is to be stored; packed is all that is stored of it. The key is made of
// everything that its objects hold.
func newMember(
	doc *document.Document, passages []document.Passage, stat store.FileStat, packed []byte,
) (*member, error) {
	sum := sha256.Sum256([]byte(doc.Text))
	m := &member{
		Format: doc.Format, Title: doc.Title, Stat: stat, SHA256: hex.EncodeToString(sum[:]),
		TextBytes: len(doc.Text), Passages: len(passages), Picture: doc.Picture,
		Parts: (len(packed) + partBytes - 1) / partBytes,
	}
	if doc.SHA256 != "" && !strings.EqualFold(doc.SHA256, m.SHA256) {
		return nil, fmt.Errorf("SHA-256 %s is not that of its text", doc.SHA256)
	}
	for _, p := range passages {
		if p.Span.Start < 0 || p.Span.End < p.Span.Start || p.Span.End > len(doc.Text) {
			return nil, fmt.Errorf("passage %d to %d of %d bytes", p.Span.Start, p.Span.End, len(doc.Text))
		}
	}
	all := sha256.New()
	fmt.Fprintf(all, "%d\x00%s\x00%s\x00", schemaVersion, doc.Path, doc.Title)
	for _, p := range passages {
		fmt.Fprintf(all, "%d %d %d %q\n", p.Span.Start, p.Span.End, p.Page, p.Heading)
	}
	all.Write([]byte(doc.Text))
	all.Write(packed)
	m.Key = hex.EncodeToString(all.Sum(nil)[:16])
	return m, nil
}

// partBytes is the size of a part: of a request, a few.
const partBytes = 1 << 20

// pack makes the bytes that are stored of a document. Of a picture that is nothing: its entry has it all.
func pack(doc *document.Document) ([]byte, error) {
	if doc.Picture != nil {
		return nil, nil
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(doc); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// unpack reads what pack has made, and checks the text.
func unpack(packed []byte, m *member) (*document.Document, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	doc := new(document.Document)
	if err := json.Unmarshal(raw, doc); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256([]byte(doc.Text)); hex.EncodeToString(sum[:]) != m.SHA256 {
		return nil, fmt.Errorf("its text has SHA-256 %x, not %s", sum, m.SHA256)
	}
	return doc, nil
}

// partObjects cuts what is stored of a document.
func (s *Store) partObjects(m *member, packed []byte) []*models.Object {
	var objects []*models.Object
	for n := range m.Parts {
		data := packed[n*partBytes : min((n+1)*partBytes, len(packed))]
		objects = append(objects, &models.Object{
			Class: s.parts, ID: objectID(s.parts, m.Key, n), Properties: map[string]any{
				"document": m.Key, "number": n, "data": base64.StdEncoding.EncodeToString(data),
			},
		})
	}
	return objects
}

// passageRow is a passage as its class keeps it.
type passageRow struct {
	Document string `json:"document"` // a key
	Number   int    `json:"number"`
	Start    int    `json:"start"`
	End      int    `json:"end"`
	Page     int    `json:"page"`
	Sum      string `json:"sum"` // CRC-32C of the text, hex: a number in GraphQL has 31 bits
	Heading  string `json:"heading"`
	Text     string `json:"text"`

	Additional struct {
		Score string `json:"score"`
	} `json:"_additional"`
}

var passageFields = fields("document", "number", "start", "end", "page", "sum", "heading", "text")

// checksum is that of a passage's text.
func checksum(text string) string {
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(text), castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// passageObjects are the passages of a document.
func (s *Store) passageObjects(m *member, doc *document.Document, passages []document.Passage) []*models.Object {
	objects := make([]*models.Object, len(passages))
	for n, p := range passages {
		text := doc.Text[p.Span.Start:p.Span.End]
		var terms []string
		for _, indexed := range store.IndexedTexts(doc, p) {
			terms = append(terms, s.analyzer.Terms(indexed)...)
		}
		objects[n] = &models.Object{
			Class: s.passages, ID: objectID(s.passages, m.Key, n), Properties: map[string]any{
				"document": m.Key, "number": n, "start": p.Span.Start, "end": p.Span.End, "page": p.Page,
				"heading": p.Heading, "text": text, "sum": checksum(text),
				"terms": strings.Join(terms, " "),
			},
		}
	}
	return objects
}

// documentCache keeps the documents that were read last. What a key names never changes.
type documentCache struct {
	mu    sync.Mutex
	bytes int
	known map[string]*document.Document
	order []string // the oldest first
}

// cacheBytes bounds the texts that are kept.
const cacheBytes = 64 << 20

func (c *documentCache) get(key string) *document.Document {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[key]
}

func (c *documentCache) put(key string, doc *document.Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[key] != nil {
		return
	}
	if c.known == nil {
		c.known = map[string]*document.Document{}
	}
	c.known[key] = doc
	c.order = append(c.order, key)
	for c.bytes += len(doc.Text); c.bytes > cacheBytes && len(c.order) > 1; c.order = c.order[1:] {
		c.bytes -= len(c.known[c.order[0]].Text)
		delete(c.known, c.order[0])
	}
}
