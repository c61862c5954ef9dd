// Fusion writes the features of a reader's candidates on held-out training questions, for
// training/mix/fuse.py to fit how they combine.
//
//	go run ./bench/fusion -model models/mix-12x384 -data ../shared/data/qa -out features.jsonl.gz
//
// A question is read over the passages that BM25 finds in the corpora, once with its own paragraph
// among them and once without; every third also with another paragraph, which BM25 ranks high and
// which does not hold the answer; the other two thirds also over the first few passages alone, as
// in a small collection. Further questions are read with their own paragraph given, and so are the
// unanswerable questions that people wrote about the article which training leaves out for that.
//
// With -scorer, relevance and answerability come from a second reader: what two separate models
// would do. The time that each took is printed.
package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"evident/bench/heldout"
	"evident/bm25"
	"evident/eval"
	"evident/mix"
)

// Kinds of what a question is read with.
const (
	kindAnswerable = "answerable" // its own paragraph is there
	kindOther      = "other"      // passages that BM25 ranks high, without the answer
	kindReal       = "real"       // the paragraph that a person wrote the unanswerable question for
)

type features struct {
	ID         string      `json:"id"` // of the question
	Setting    string      `json:"setting"`
	Kind       string      `json:"kind"`
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
	scorer := flag.String("scorer", "", "second reader folder, for relevance and answerability")
	limit := flag.Int("limit", 300, "held-out questions read over the corpora")
	given := flag.Int("given", 1500, "held-out questions read with their own paragraph given")
	passages := flag.Int("k", 20, "passages read")
	flag.Parse() // further files are rows of unanswerable questions, as training/mix/swaps.py writes them
	if err := run(*model, *scorer, *data, *out, *limit, *given, *passages, flag.Args()); err != nil {
		log.Fatalf("fusion: %v", err)
	}
}

func run(model, scorer, data, out string, limit, given, k int, further []string) (err error) {
	var readers pair
	if readers.extractor, err = mix.LoadReader(os.DirFS(model), mix.LoadOptions{}); err != nil {
		return err
	}
	if scorer != "" {
		if readers.scorer, err = mix.LoadReader(os.DirFS(scorer), mix.LoadOptions{}); err != nil {
			return err
		}
	}
	questions, unanswerable, err := heldout.Read(filepath.Join(data, "train_paragraph.jsonl.gz"))
	if err != nil {
		return err
	}
	for _, path := range further {
		rows, err := heldout.ReadRows(path)
		if err != nil {
			return err
		}
		unanswerable = append(unanswerable, rows...)
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
	for i, q := range questions[:min(limit, len(questions))] {
		all, err := situations(q, texts, index, k, i)
		if err != nil {
			return err
		}
		for _, s := range all {
			if err := s.write(enc, &readers, q); err != nil {
				return err
			}
		}
		if (i+1)%50 == 0 {
			log.Printf("%d of %d questions", i+1, min(limit, len(questions)))
		}
	}
	for _, q := range questions[:min(given, len(questions))] {
		s := situation{"paragraph", kindAnswerable, []mix.Passage{{Text: q.Context}}}
		if err := s.write(enc, &readers, q); err != nil {
			return err
		}
	}
	for _, q := range unanswerable {
		s := situation{"paragraph", kindReal, []mix.Passage{{Text: q.Context}}}
		if err := s.write(enc, &readers, q); err != nil {
			return err
		}
	}
	readers.report()
	return nil
}

// pair reads with one joint model, or with an extractor and a scorer.
type pair struct {
	extractor, scorer *mix.Reader // scorer may be nil
	extract, score    time.Duration
}

func (p *pair) candidates(question string, passages []mix.Passage) ([]mix.Place, error) {
	begun := time.Now()
	places, err := p.extractor.Candidates(context.Background(), question, passages)
	p.extract += time.Since(begun)
	if err != nil || p.scorer == nil {
		return places, err
	}
	begun = time.Now()
	scored, err := p.scorer.Candidates(context.Background(), question, passages)
	p.score += time.Since(begun)
	if err != nil {
		return nil, err
	}
	of := map[int]mix.Features{} // a long passage has several windows; its most relevant one counts
	for _, s := range scored {
		if best, ok := of[s.Passage]; !ok || s.Features.Relevance > best.Relevance {
			of[s.Passage] = s.Features
		}
	}
	for i := range places {
		f := of[places[i].Passage]
		places[i].Features.Relevance, places[i].Features.Answerable = f.Relevance, f.Answerable
	}
	return places, nil
}

func (p *pair) report() {
	if p.scorer == nil {
		log.Printf("reading took %.1f s", p.extract.Seconds())
		return
	}
	log.Printf("extractor took %.1f s, scorer %.1f s; one pass is %.2f of both",
		p.extract.Seconds(), p.score.Seconds(), p.extract.Seconds()/(p.extract+p.score).Seconds())
}

// situation is what a question is read with.
type situation struct {
	setting, kind string
	passages      []mix.Passage
}

// write reads the question and appends its features.
func (s *situation) write(enc *json.Encoder, readers *pair, q heldout.Row) error {
	places, err := readers.candidates(q.Question, s.passages)
	if err != nil {
		return err
	}
	f := features{ID: q.ID, Setting: s.setting, Kind: s.kind}
	for _, p := range places {
		text := s.passages[p.Passage].Text[p.Bytes.Start:p.Bytes.End]
		c := candidate{Key: mix.Key(text), Features: p.Features, F1: eval.F1(text, q.Golds())}
		if eval.ExactMatch(text, q.Golds()) {
			c.Exact = 1
		}
		f.Candidates = append(f.Candidates, c)
	}
	return enc.Encode(f)
}

// situations lists what question number n is read with.
func situations(q heldout.Row, texts []string, index *bm25.Index, k, n int) ([]situation, error) {
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
		if len(without) < k && !heldout.Holds(p.Text, q.Golds()) && !strings.Contains(q.Context, p.Text) {
			without = append(without, p)
		}
	}
	all := []situation{{"open", kindAnswerable, with}, {"open", kindOther, without}}
	if n%3 == 0 && len(without) > 0 {
		all = append(all, situation{"paragraph", kindOther, []mix.Passage{{Text: without[0].Text}}})
	}
	if few := 1 + n%4; n%3 != 0 && few <= min(len(with), len(without)) {
		all = append(all, situation{"open", kindAnswerable, with[:few]},
			situation{"open", kindOther, without[:few]})
	}
	return all, nil
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
