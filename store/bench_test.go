package store

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"evident/document"
	"evident/internal/lucenecheck"
)

// realPassages are the paragraphs of the question-answering data, each a document of one passage,
// which is the hardest case for the document table.
func realPassages(b *testing.B) []*document.Document {
	b.Helper()
	const dir = "../../shared/data/qa"
	if _, err := os.Stat(dir); err != nil {
		b.Skipf("%s is absent: the benchmark needs its 148,468 paragraphs", dir)
	}
	var docs []*document.Document
	for _, name := range []string{"corpus_wiki.jsonl.gz", "corpus_docs.jsonl.gz"} {
		err := lucenecheck.EachLine(filepath.Join(dir, name), func(line []byte) error {
			var row struct{ ID, Title, Text string }
			err := json.Unmarshal(line, &row)
			docs = append(docs, &document.Document{
				Path: row.ID, Format: "jsonl",
				Title: row.Title, Text: row.Text,
			})
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return docs
}

func indexReal(b *testing.B, docs []*document.Document) *Store {
	s := create(b)
	w := writer(b, s)
	for _, doc := range docs {
		whole := []document.Passage{{Span: document.ByteSpan{End: len(doc.Text)}}}
		if err := w.Put(doc, whole, FileStat{}); err != nil {
			b.Fatal(err)
		}
	}
	commit(b, w)
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkIndex(b *testing.B) {
	docs := realPassages(b)
	var s *Store
	for b.Loop() {
		s = indexReal(b, docs)
	}
	b.ReportMetric(float64(b.N*len(docs))/b.Elapsed().Seconds(), "passages/s")
	stats, err := s.Stats()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(stats.Bytes)/1e6, "MB")
}

func BenchmarkOpen(b *testing.B) {
	dir := indexReal(b, realPassages(b)).Dir()
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			s, err := Open(dir)
			if err != nil {
				b.Fatal(err)
			}
			s.Close()
		}
	})
	s, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.Run("files", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Files(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open, search, passages", func(b *testing.B) {
		for b.Loop() {
			openAndAsk(b, dir)
		}
	})
}

// openAndAsk does what one command of a user does.
func openAndAsk(b *testing.B, dir string) {
	s, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	hits, err := s.Search("Who led the Reconquista in the south of Spain?", 20)
	if err != nil || len(hits) != 20 {
		b.Fatal(len(hits), err)
	}
	for _, hit := range hits {
		if _, err := s.Passage(hit.Passage); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTinyCommits commits one small document at a time to a growing index.
func BenchmarkTinyCommits(b *testing.B) {
	for _, n := range []int{1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				s := create(b)
				w := writer(b, s)
				start, half := time.Now(), time.Duration(0)
				for number := range n {
					put(b, w, number, 2)
					commit(b, w)
					if number == n/2 {
						half = time.Since(start)
					}
				}
				b.ReportMetric(half.Seconds()/float64(n/2)*1e3, "ms/commit-first-half")
				b.ReportMetric((time.Since(start)-half).Seconds()/float64(n/2)*1e3, "ms/commit-second-half")
			}
		})
	}
}
