package eval

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// CorpusRow is one passage of a corpus file.
type CorpusRow struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// rowBytesMax bounds one line of a corpus file.
const rowBytesMax = 16 << 20

// OpenCorpus reads a corpus: JSON Lines with the fields id, title and text, plain or compressed
// with gzip. Several files follow one another.
func OpenCorpus(paths ...string) ([]CorpusRow, error) {
	var rows []CorpusRow
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		rows, err = readCorpus(rows, f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("read corpus %s: %w", path, err)
		}
	}
	if len(rows) == 0 {
		return nil, errors.New("the corpus is empty")
	}
	return rows, nil
}

func readCorpus(rows []CorpusRow, r io.Reader) ([]CorpusRow, error) {
	plain, err := inflate(r)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, rowBytesMax)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var row CorpusRow
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if row.Text == "" {
			return nil, fmt.Errorf("line %d: no text", n)
		}
		rows = append(rows, row)
	}
	return rows, lines.Err()
}

// recallDepths are the k of recall_at_k; the last is how deep the ranking is asked for.
var recallDepths = []int{1, 5, 20, 100}

// RunOpen asks every question of the corpus as a whole. The ranking is judged by where the
// question's own paragraph stands in it: the paragraph must be a row of the corpus, word for word.
// Questions whose paragraph is not in the corpus are an error: they could not be answered fairly.
func RunOpen(
	ctx context.Context, d *Dataset, corpus []CorpusRow, system Answerer, opts Options,
) (*Report, error) {
	start := opts.now()
	d = d.Sample(opts.Limit, opts.Seed)
	golds, err := goldRows(d, corpus)
	if err != nil {
		return nil, err
	}
	var a answers
	var ranks []int
	var tookMS []float64 // of retrieval
	for i, q := range d.Questions {
		asked := opts.now()
		rows, err := system.Retrieve(ctx, q.Text, recallDepths[len(recallDepths)-1])
		if err != nil {
			return nil, fmt.Errorf("question %s: %w", q.ID, err)
		}
		tookMS = append(tookMS, milliseconds(opts.now().Sub(asked)))
		ranks = append(ranks, rankOf(rows, golds[i]))
		if !opts.Retrieval {
			asked = opts.now()
			found, err := system.Answer(ctx, q.Text)
			if err != nil {
				return nil, fmt.Errorf("question %s: %w", q.ID, err)
			}
			a.add(q, found, opts.Threshold, opts.now().Sub(asked))
		}
		opts.progress(i+1, len(d.Questions))
	}
	report := &Report{Task: "squad-open", N: len(ranks), Metrics: map[string]float64{}}
	if !opts.Retrieval {
		report = a.report("squad-open", opts)
	}
	report.Metrics["passages"] = float64(len(corpus))
	report.Metrics["retrieve_p50_ms"] = Quantile(tookMS, 0.5)
	for _, k := range recallDepths {
		report.Metrics[fmt.Sprintf("recall_at_%d", k)] = percent(RecallAt(ranks, k))
	}
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// rankOf returns the place, from 1, of the first row that is gold; 0 when none is.
func rankOf(rows []int, gold map[int]bool) int {
	for i, row := range rows {
		if gold[row] {
			return i + 1
		}
	}
	return 0
}

// goldRows finds the rows that hold the paragraph of each question; a paragraph may occur twice.
func goldRows(d *Dataset, corpus []CorpusRow) ([]map[int]bool, error) {
	byText := map[string]map[int]bool{}
	for _, p := range d.Paragraphs {
		byText[squeeze(p.Text)] = map[int]bool{}
	}
	for i, row := range corpus {
		if rows, ok := byText[squeeze(row.Text)]; ok {
			rows[i] = true
		}
	}
	golds := make([]map[int]bool, len(d.Questions))
	for i, q := range d.Questions {
		golds[i] = byText[squeeze(d.Paragraphs[q.Paragraph].Text)]
		if len(golds[i]) == 0 {
			return nil, fmt.Errorf("the paragraph of question %s is not in the corpus", q.ID)
		}
	}
	return golds, nil
}

func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }
