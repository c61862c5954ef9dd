// Fusion writes the features of a reader's candidates on held-out training questions, for
// training/mix/fuse.py to fit how they combine.
//
//	go run ./bench/fusion -model models/mix-12x384 -data ../shared/data/qa -out features.jsonl.gz
//
// Every question is read over the passages that BM25 finds in the corpora, once with its own
// paragraph among them and once without; and with its own paragraph given; every third also with
// another paragraph, which BM25 ranks high and which does not hold the answer. The other two thirds
// are also read over the first few passages alone, as in a small collection. Questions of the
// file -changed (training/mix/heldout.py) are read with the paragraph that no longer answers them.
package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"evident/bm25"
	"evident/eval"
	"evident/mix"
	"evident/nn"
)

type row struct {
	Title, Context, Question, Source string
	Redistributable                  bool
	Answers                          []struct{ Text string }
}

func (r row) golds() []string {
	golds := make([]string, len(r.Answers))
	for i, a := range r.Answers {
		golds[i] = a.Text
	}
	return golds
}

type features struct {
	Setting    string      `json:"setting"`
	Answerable bool        `json:"answerable"`
	Candidates []candidate `json:"candidates"`
}

type candidate struct {
	Key   string  `json:"key"`
	Exact float64 `json:"exact"`
	F1    float64 `json:"f1"`
	mix.Features
}

func main() {
	log.SetFlags(0)
	model := flag.String("model", "", "reader folder")
	data := flag.String("data", "", "folder with train_paragraph.jsonl.gz and the corpora")
	out := flag.String("out", "features.jsonl.gz", "file to write")
	changed := flag.String("changed", "", "changed, unanswerable questions, JSON Lines")
	limit := flag.Int("limit", 600, "held-out questions")
	passages := flag.Int("k", 20, "passages read")
	flag.Parse()
	if err := run(*model, *data, *out, *changed, *limit, *passages); err != nil {
		log.Fatalf("fusion: %v", err)
	}
}

func run(model, data, out, changed string, limit, k int) (err error) {
	reader, err := mix.LoadReader(os.DirFS(model), nn.Auto)
	if err != nil {
		return err
	}
	questions, err := heldOut(filepath.Join(data, "train_paragraph.jsonl.gz"), limit)
	if err != nil {
		return err
	}
	unanswerable, err := changedQuestions(changed, limit)
	if err != nil {
		return err
	}
	texts, index, err := corpus(data)
	if err != nil {
		return err
	}
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(file)
	defer func() { err = errors.Join(err, packed.Close(), file.Close()) }()
	enc := json.NewEncoder(packed)
	for i, q := range questions {
		all, err := situations(q, texts, index, k, i)
		if err != nil {
			return err
		}
		for _, s := range all {
			if err := s.write(enc, reader, q); err != nil {
				return err
			}
		}
		if (i+1)%50 == 0 {
			log.Printf("%d of %d questions", i+1, len(questions))
		}
	}
	for _, q := range unanswerable {
		s := situation{"paragraph", false, []mix.Passage{{Text: q.Context}}}
		if err := s.write(enc, reader, q); err != nil {
			return err
		}
	}
	return nil
}

// situation is what a question is read with.
type situation struct {
	setting    string
	answerable bool
	passages   []mix.Passage
}

// write reads the question and appends its features.
func (s *situation) write(enc *json.Encoder, reader *mix.Reader, q row) error {
	places, err := reader.Candidates(context.Background(), q.Question, s.passages)
	if err != nil {
		return err
	}
	f := features{Setting: s.setting, Answerable: s.answerable}
	for _, p := range places {
		text := s.passages[p.Passage].Text[p.Bytes.Start:p.Bytes.End]
		c := candidate{Key: mix.Key(text), Features: p.Features, F1: eval.F1(text, q.golds())}
		if eval.ExactMatch(text, q.golds()) {
			c.Exact = 1
		}
		f.Candidates = append(f.Candidates, c)
	}
	return enc.Encode(f)
}

// situations lists what question number n is read with.
func situations(q row, texts []string, index *bm25.Index, k, n int) ([]situation, error) {
	var with, without []mix.Passage
	hits, err := index.Search(q.Question, k+20)
	if err != nil {
		return nil, err
	}
	for _, h := range hits {
		p := mix.Passage{ID: int(h.Doc), Text: texts[h.Doc], Score: h.Score}
		if len(with) < k {
			with = append(with, p)
		}
		if len(without) < k && !holds(p.Text, q.golds()) && !strings.Contains(q.Context, p.Text) {
			without = append(without, p)
		}
	}
	all := []situation{
		{"open", true, with},
		{"open", false, without},
		{"paragraph", true, []mix.Passage{{Text: q.Context}}},
	}
	if n%3 == 0 && len(without) > 0 {
		all = append(all, situation{"paragraph", false, []mix.Passage{{Text: without[0].Text}}})
	}
	if few := 1 + n%4; n%3 != 0 && few <= min(len(with), len(without)) {
		all = append(all, situation{"open", true, with[:few]}, situation{"open", false, without[:few]})
	}
	return all, nil
}

func holds(text string, golds []string) bool {
	text = " " + eval.Normalise(text) + " "
	for _, g := range golds {
		if strings.Contains(text, " "+eval.Normalise(g)+" ") {
			return true
		}
	}
	return false
}

// heldOut returns answerable SQuAD-like questions of the titles that training leaves out, the
// rule of training/mix/data.py.
func heldOut(path string, limit int) ([]row, error) {
	squadLike := map[string]bool{
		"squad11_train_prefix/train": true, "squad2/train_10articles": true, "squadshifts/new_wiki": true,
	}
	var rows []row
	err := lines(path, func(line []byte) error {
		var r row
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		if sum := sha1.Sum([]byte(r.Title)); sum[0]%12 == 0 && r.Redistributable && squadLike[r.Source] && len(r.Answers) > 0 {
			rows = append(rows, r)
		}
		return nil
	})
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows[:min(limit, len(rows))], err
}

// changedQuestions reads up to limit rows; no file gives none.
func changedQuestions(path string, limit int) ([]row, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rows []row
	for line := range strings.Lines(string(data)) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		rows = append(rows, r)
	}
	return rows[:min(limit/2, len(rows))], nil
}

func corpus(data string) ([]string, *bm25.Index, error) {
	rows, err := eval.OpenCorpus(
		filepath.Join(data, "corpus_wiki.jsonl.gz"), filepath.Join(data, "corpus_docs.jsonl.gz"))
	if err != nil {
		return nil, nil, err
	}
	texts := make([]string, len(rows))
	builder := bm25.NewBuilder(bm25.DefaultAnalyzer())
	for i, r := range rows {
		texts[i] = r.Text
		builder.Add(r.Title, r.Text)
	}
	segment, err := builder.Segment()
	if err != nil {
		return nil, nil, err
	}
	index, err := bm25.NewIndex([]bm25.Part{{Segment: segment}}, bm25.Params{})
	return texts, index, err
}

func lines(path string, each func([]byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	scanner := bufio.NewScanner(unpacked)
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		if err := each(scanner.Bytes()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return scanner.Err()
}
