package evident

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"strings"

	"evident/document"
	"evident/mix"
	"evident/store"
)

// CorpusRow is one passage of a corpus that is indexed as it is, not cut from documents.
type CorpusRow struct {
	ID    string
	Title string
	Text  string
}

// Corpus is an index whose passages are given rows. It serves to measure; documents belong into an
// [Index].
type Corpus struct {
	index *Index
	parts []corpusPart
}

// corpusPart is a stored document that holds many rows, one after the other.
type corpusPart struct {
	path   string
	first  int   // number of its first row
	starts []int // where each row begins in its text
}

// Rows are stored a thousand to a document, which keeps documents of a handy size.
const corpusPartRows = 1000

// corpusSeparator stands between the rows of a part.
const corpusSeparator = "\n\n"

// OpenCorpus opens the index of the rows in folder dir and builds it when there is none. The rows
// must be the ones it was built from; a folder of other rows is an error.
func OpenCorpus(ctx context.Context, dir string, rows []CorpusRow, o Options) (*Corpus, error) {
	o.Create = true
	index, err := Open(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	c := &Corpus{index: index}
	documents := c.arrange(rows)
	if err := c.build(ctx, documents); err != nil {
		return nil, errors.Join(err, index.Close())
	}
	return c, nil
}

// Close lets go of the files.
func (c *Corpus) Close() error { return c.index.Close() }

// corpusDocument is a part as it is stored.
type corpusDocument struct {
	document *document.Document
	passages []document.Passage
}

// arrange puts rows into documents and notes where each begins.
func (c *Corpus) arrange(rows []CorpusRow) []corpusDocument {
	var documents []corpusDocument
	for first := 0; first < len(rows); first += corpusPartRows {
		part := corpusPart{path: fmt.Sprintf("/corpus/%06d", first), first: first}
		var text strings.Builder
		var passages []document.Passage
		for _, row := range rows[first:min(first+corpusPartRows, len(rows))] {
			start := text.Len()
			content := strings.ToValidUTF8(row.Text, "\uFFFD")
			text.WriteString(content)
			part.starts = append(part.starts, start)
			span := document.ByteSpan{Start: start, End: start + len(content)}
			passages = append(passages, document.Passage{Span: span, Heading: row.Title})
			text.WriteString(corpusSeparator)
		}
		sum := sha256.Sum256([]byte(text.String()))
		documents = append(documents, corpusDocument{&document.Document{
			Path: part.path, Format: "jsonl", Text: text.String(), SHA256: hex.EncodeToString(sum[:]),
		}, passages})
		c.parts = append(c.parts, part)
	}
	return documents
}

// build stores the documents that are not stored yet.
func (c *Corpus) build(ctx context.Context, documents []corpusDocument) (err error) {
	files, err := c.index.files(ctx)
	if err != nil {
		return err
	}
	complete := len(files) == len(documents)
	for _, d := range documents {
		was, ok := files[d.document.Path]
		complete = complete && ok && was.SHA256 == d.document.SHA256
	}
	if complete {
		return nil
	}
	if len(files) > 0 {
		return fmt.Errorf("index %q holds something else than this corpus", c.index.dir)
	}
	w, err := c.index.storage.Writer(ctx)
	if err != nil {
		return fmt.Errorf("write index %q: %w", c.index.dir, public(err))
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for _, d := range documents {
		if err := ctx.Err(); err != nil {
			return err // nothing is committed: the next call builds anew
		}
		stat := store.FileStat{Size: int64(len(d.document.Text)), SHA256: d.document.SHA256}
		if err := w.Put(d.document, d.passages, stat); err != nil {
			return fmt.Errorf("write index %q: %w", c.index.dir, public(err))
		}
	}
	if err := w.Commit(); err != nil {
		return fmt.Errorf("write index %q: %w", c.index.dir, public(err))
	}
	return nil
}

// LoadReader loads the model that [Corpus.Answer] needs; without it the first answer does.
func (c *Corpus) LoadReader() error {
	_, err := c.index.loadReader()
	return err
}

// Answer returns the best answer to a question from so many passages, even when it is unlikely, and
// the calibrated probability that it is right. The answer is empty when no passage was found.
func (c *Corpus) Answer(
	ctx context.Context, question string, passages int,
) (answer string, probability float64, err error) {
	snapshot, err := c.index.storage.Snapshot(ctx)
	if err != nil {
		return "", 0, public(err)
	}
	defer snapshot.Release()
	reader, err := c.index.loadReader()
	if err != nil {
		return "", 0, err
	}
	pipeline := &mix.Pipeline{Retriever: &retriever{snapshot}, Reader: reader}
	result, err := pipeline.Answer(ctx, question, mix.Options{
		Passages: passages, Answers: 1, Threshold: -1,
	})
	if err != nil || len(result.Answers) == 0 {
		return "", 0, public(err)
	}
	return result.Answers[0].Text, result.Answers[0].Probability, nil
}

// Retrieve returns the numbers of the k rows that match a question best, best first.
func (c *Corpus) Retrieve(ctx context.Context, question string, k int) ([]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	snapshot, err := c.index.storage.Snapshot(ctx)
	if err != nil {
		return nil, public(err)
	}
	defer snapshot.Release()
	hits, err := snapshot.Search(question, k)
	if err != nil {
		return nil, public(err)
	}
	rows := make([]int, 0, len(hits))
	for _, h := range hits {
		p, err := snapshot.Passage(h.Passage)
		if err != nil {
			return nil, public(err)
		}
		row, ok := c.row(p.Path, p.Span.Start)
		if !ok {
			return nil, fmt.Errorf("index %q: no row begins at byte %d of %s",
				c.index.dir, p.Span.Start, p.Path)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// row finds the number of the row that begins at a byte of a part.
func (c *Corpus) row(path string, start int) (int, bool) {
	i, ok := sort.Find(len(c.parts), func(i int) int { return cmp.Compare(path, c.parts[i].path) })
	if !ok {
		return 0, false
	}
	part := c.parts[i]
	j, ok := sort.Find(len(part.starts), func(j int) int { return cmp.Compare(start, part.starts[j]) })
	return part.first + j, ok
}
