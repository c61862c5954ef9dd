// Command analyser compares ways to analyse texts by how often BM25 finds the paragraph that
// answers a question. It prints the table of docs/results.md:
//
//	go run ./bench/analyser -data DIR
//
// DIR holds corpus_wiki.jsonl.gz, corpus_docs.jsonl.gz and train_paragraph.jsonl.gz. The questions
// are training questions of held-out titles, never those of a test set.
package main

import (
	"crypto/sha1"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"evident/bm25"
	"evident/internal/lucenecheck"
)

// sources are the training sets whose paragraphs are in corpus_wiki and whose licence lets what is
// chosen on them be published.
var sources = []string{
	"squad11_train_prefix/train", "squad2/train_10articles",
	"squadshifts/new_wiki",
}

// heldOutShare: one title in so many is held out, by the first byte of its SHA-1.
const heldOutShare = 12

// depths are the ranks at which recall is counted.
var depths = []int{1, 5, 20, 100}

type passage struct{ title, text string }

type question struct {
	text string
	gold uint32 // number of the passage it was asked about
}

func main() {
	data := flag.String("data", "../shared/data/qa", "folder of the question-answering data")
	flag.Parse()
	if err := run(*data); err != nil {
		fmt.Fprintln(os.Stderr, "analyser:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	passages, err := readPassages(dir)
	if err != nil {
		return err
	}
	questions, lost, err := readQuestions(dir, passages)
	if err != nil {
		return err
	}
	fmt.Printf("%d questions of held-out training titles over %d passages (%d more have no passage "+
		"there)\n\n", len(questions), len(passages), lost)
	fmt.Println("| indexed | analyser | k1, b | recall@1 | @5 | @20 | @100 | p50 ms, k=100 |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, titled := range []bool{false, true} {
		for _, a := range []bm25.Analyzer{
			{},
			{StopWords: true},
			{Stem: true},
			{Stem: true, StopWords: true},
		} {
			if err := compare(a, titled, passages, questions); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare prints the rows of one analyser.
func compare(a bm25.Analyzer, titled bool, passages []passage, questions []question) error {
	builder := bm25.NewBuilder(a)
	for _, p := range passages {
		if titled {
			builder.Add(p.title, p.text)
		} else {
			builder.Add(p.text)
		}
	}
	segment, err := builder.Segment()
	if err != nil {
		return err
	}
	indexed := "text"
	if titled {
		indexed = "title and text"
	}
	for _, params := range []bm25.Params{{K1: 0.9, B: 0.4}, {K1: 1.2, B: 0.75}} {
		index, err := bm25.NewIndex([]bm25.Part{{Segment: segment}}, params)
		if err != nil {
			return err
		}
		found := make([]int, len(depths))
		times := make([]time.Duration, 0, len(questions))
		for _, q := range questions {
			start := time.Now()
			hits, err := index.Search(q.text, depths[len(depths)-1])
			if err != nil {
				return err
			}
			times = append(times, time.Since(start))
			isGold := func(h bm25.Hit) bool { return h.Doc == q.gold }
			for i, depth := range depths {
				if slices.ContainsFunc(hits[:min(depth, len(hits))], isGold) {
					found[i]++
				}
			}
		}
		slices.Sort(times)
		fmt.Printf("| %s | %s | %g, %g |", indexed, a.Name(), params.K1, params.B)
		for _, n := range found {
			fmt.Printf(" %.2f |", 100*float64(n)/float64(len(questions)))
		}
		fmt.Printf(" %.2f |\n", float64(times[len(times)/2])/float64(time.Millisecond))
	}
	return nil
}

func readPassages(dir string) ([]passage, error) {
	var passages []passage
	for _, name := range []string{"corpus_wiki.jsonl.gz", "corpus_docs.jsonl.gz"} {
		err := lucenecheck.EachLine(filepath.Join(dir, name), func(line []byte) error {
			var row struct{ Title, Text string }
			if err := json.Unmarshal(line, &row); err != nil {
				return err
			}
			passages = append(passages, passage{title: row.Title, text: row.Text})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return passages, nil
}

// readQuestions returns the held-out questions and how many had no passage of their text.
func readQuestions(dir string, passages []passage) (questions []question, lost int, err error) {
	numbers := map[string]uint32{} // the sets differ from the corpus in white space only
	for i, p := range passages {
		key := strings.Join(strings.Fields(p.text), " ")
		if _, twice := numbers[key]; !twice {
			numbers[key] = uint32(i)
		}
	}
	path := filepath.Join(dir, "train_paragraph.jsonl.gz")
	err = lucenecheck.EachLine(path, func(line []byte) error {
		var row struct {
			Title, Context, Question, Source string
			Redistributable                  bool
			Answers                          []struct{ Text string }
		}
		if err := json.Unmarshal(line, &row); err != nil {
			return err
		}
		if !row.Redistributable || !slices.Contains(sources, row.Source) || len(row.Answers) == 0 ||
			sha1.Sum([]byte(row.Title))[0]%heldOutShare != 0 {
			return nil
		}
		if gold, ok := numbers[strings.Join(strings.Fields(row.Context), " ")]; ok {
			questions = append(questions, question{row.Question, gold})
		} else {
			lost++
		}
		return nil
	})
	return questions, lost, err
}
