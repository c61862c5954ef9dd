// Command length compares passages of different lengths: the same corpora cut into about 50, 100
// and 200 words, the same questions, the same reader. It prints a table of docs/results.md:
//
//	go run ./bench/length -data DIR
//
// DIR holds corpus_wiki.jsonl.gz, corpus_docs.jsonl.gz and train_paragraph.jsonl.gz. The questions
// are training questions of held-out titles, never those of a test set. A question's passage is
// found when one of the passages read holds an answer, word for word.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"path/filepath"
	"slices"
	"strings"

	"evident/bench/heldout"
	"evident/bm25"
	"evident/document"
	"evident/eval"
	"evident/mix"
	"evident/models"
)

func main() {
	log.SetFlags(0)
	data := flag.String("data", "", "folder of the question-answering data")
	limit := flag.Int("limit", 200, "questions")
	flag.Parse()
	if err := run(*data, *limit); err != nil {
		log.Fatalf("length: %v", err)
	}
}

func run(data string, limit int) error {
	files, err := models.Open(models.Default)
	if err != nil {
		return err
	}
	reader, err := mix.LoadReader(files, mix.LoadOptions{})
	if err != nil {
		return err
	}
	rows, err := eval.OpenCorpus(
		filepath.Join(data, "corpus_wiki.jsonl.gz"), filepath.Join(data, "corpus_docs.jsonl.gz"))
	if err != nil {
		return err
	}
	questions, _, err := heldout.Read(filepath.Join(data, "train_paragraph.jsonl.gz"))
	if err != nil {
		return err
	}
	questions = questions[:min(limit, len(questions))]
	documents := join(rows)
	fmt.Printf("%d questions of held-out training titles, %d documents\n\n",
		len(questions), len(documents))
	fmt.Println("| words | passages | read | found | EM | F1 | p50 ms |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, words := range []int{50, 100, 200} {
		s, err := newShelf(documents, words)
		if err != nil {
			return err
		}
		// As many passages for all, and as many words for all.
		for _, k := range slices.Compact([]int{20, 2000 / words}) {
			if err := measure(s, reader, questions, words, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// join puts the rows that follow one another under one title back into a document.
func join(rows []eval.CorpusRow) []*document.Document {
	var all []*document.Document
	for from := 0; from < len(rows); {
		to := from + 1
		for to < len(rows) && rows[to].Title == rows[from].Title {
			to++
		}
		d := &document.Document{Title: rows[from].Title}
		var text strings.Builder
		for _, row := range rows[from:to] {
			start := text.Len()
			text.WriteString(strings.ToValidUTF8(row.Text, "\uFFFD"))
			d.Blocks = append(d.Blocks, document.ByteSpan{Start: start, End: text.Len()})
			text.WriteString("\n\n")
		}
		d.Text = text.String()
		all = append(all, d)
		from = to
	}
	return all
}

// shelf is an index of passages in memory.
type shelf struct {
	texts []string
	index *bm25.Index
}

func newShelf(documents []*document.Document, words int) (*shelf, error) {
	s := &shelf{}
	builder := bm25.NewBuilder(bm25.DefaultAnalyzer())
	for _, d := range documents {
		for _, p := range d.Passages(document.PassageOptions{Words: words}) {
			text := d.Text[p.Span.Start:p.Span.End]
			s.texts = append(s.texts, text)
			builder.Add(d.Title, text)
		}
	}
	segment, err := builder.Segment()
	if err != nil {
		return nil, err
	}
	s.index, err = bm25.NewIndex([]bm25.Part{{Segment: segment}}, bm25.Params{})
	return s, err
}

// Retrieve is the part of [mix.Retriever] that finds.
func (s *shelf) Retrieve(_ context.Context, question string, k int) ([]mix.Passage, error) {
	hits, err := s.index.Search(question, k)
	if err != nil {
		return nil, err
	}
	passages := make([]mix.Passage, len(hits))
	for i, h := range hits {
		passages[i] = mix.Passage{ID: int(h.Doc), Text: s.texts[h.Doc], Score: h.Score}
	}
	return passages, nil
}

// Explain is of no use here.
func (s *shelf) Explain(string, int) mix.Explanation { return mix.Explanation{} }

func measure(s *shelf, reader *mix.Reader, questions []heldout.Row, words, k int) error {
	pipeline := mix.Pipeline{Retriever: s, Reader: reader}
	var exact, overlap, tookMS []float64
	found := 0
	for _, q := range questions {
		result, err := pipeline.Answer(context.Background(), q.Question, mix.Options{Passages: k})
		if err != nil {
			return err
		}
		took := result.Took.Retrieve + result.Took.Read + result.Took.Combine
		tookMS = append(tookMS, float64(took.Microseconds())/1000)
		for _, p := range result.Passages {
			if heldout.Holds(p.Text, q.Golds()) {
				found++
				break
			}
		}
		answer := ""
		if len(result.Answers) > 0 {
			answer = result.Answers[0].Text
		}
		right := 0.0
		if eval.ExactMatch(answer, q.Golds()) {
			right = 1
		}
		exact, overlap = append(exact, right), append(overlap, eval.F1(answer, q.Golds()))
	}
	fmt.Printf("| %d | %d | %d | %.1f | %.1f | %.1f | %.0f |\n", words, len(s.texts), k,
		100*float64(found)/float64(len(questions)), 100*mean(exact), 100*mean(overlap),
		eval.Quantile(tookMS, 0.5))
	return nil
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
