// Command phrasefit fits a phrase encoder's calibration on held-out training questions and prints its
// phrase.json.
//
//	go run ./bench/phrasefit -model FOLDER -data ../shared/data/qa > models/NAME/phrase.json
//
// Every question is asked twice over the same collection: the held-out paragraphs and passages evenly
// drawn from the corpora; once as it is, and once without its own paragraph, when every answer is wrong
// unless another passage holds it too. The odd questions fit, the even ones judge. What a point of BM25 and
// the words nearby count beside a vector is fitted first: the weights with which most first answers are right.
//
//	go run ./bench/phrasefit -frequencies -data ../shared/data/qa > models/NAME/frequencies.txt
//
// counts the words of the training passages instead.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"evident/bench/heldout"
	"evident/bm25"
	"evident/efficientqa"
	"evident/eval"
	"evident/mix"
	"evident/models"
)

type options struct {
	model, data       string
	passages, k, most int
	threshold         float64
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("phrasefit: ")
	var o options
	flag.StringVar(&o.model, "model", "", "folder of a phrase encoder; the built-in one without it")
	flag.StringVar(&o.data, "data", "", "folder with train_paragraph.jsonl.gz and the corpora")
	flag.IntVar(&o.passages, "passages", 2000, "passages of the corpora")
	flag.IntVar(&o.k, "k", 20, "phrases of a passage")
	flag.IntVar(&o.most, "limit", 600, "held-out questions")
	flag.Float64Var(&o.threshold, "threshold", 0.35, "abstain below this probability")
	count := flag.Bool("frequencies", false, "print how many training passages hold each word, and stop")
	flag.Parse()
	if *count {
		if err := frequencies(filepath.Join(o.data, "train_paragraph.jsonl.gz")); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := run(&o); err != nil {
		log.Fatal(err)
	}
}

func run(o *options) error {
	var folder fs.FS = os.DirFS(o.model)
	if o.model == "" {
		var err error
		if folder, err = models.Open(models.Phrase); err != nil {
			return err
		}
	}
	encoder, err := efficientqa.LoadEncoder(folder, efficientqa.LoadOptions{Base: models.Open})
	if err != nil {
		return err
	}
	encoder.Settings.Calibration = efficientqa.Calibration{Share: 1} // so that answers are ranked by share
	questions, _, err := heldout.Read(filepath.Join(o.data, "train_paragraph.jsonl.gz"))
	if err != nil {
		return err
	}
	questions = questions[:min(o.most, len(questions))]
	c, err := collect(encoder, questions, o)
	if err != nil {
		return err
	}
	fit, judge, err := c.halves(encoder, questions)
	if err != nil {
		return err
	}
	fitWords(encoder, fit)
	calibration := efficientqa.FitCalibration(samples(encoder, fit))
	report(calibration, samples(encoder, judge))
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	return out.Encode(efficientqa.Settings{
		Calibration: calibration, Threshold: o.threshold, Words: encoder.Settings.Words,
		Nearby: encoder.Settings.Nearby,
	})
}

// halves asks all questions; every second one is to judge by.
func (c *collection) halves(encoder *efficientqa.Encoder, questions []heldout.Row) (fit, judge []asked, err error) {
	for i, q := range questions {
		both, err := c.ask(encoder, q)
		if err != nil {
			return nil, nil, err
		}
		if i%2 == 0 {
			fit = append(fit, both...)
		} else {
			judge = append(judge, both...)
		}
	}
	return fit, judge, nil
}

// fitWords sets the weights of words with which most first answers are right, and prints all.
func fitWords(encoder *efficientqa.Encoder, fit []asked) {
	var best efficientqa.Settings
	most := -1
	for _, words := range []float64{0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1} {
		for _, nearby := range []float64{0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04} {
			encoder.Settings.Words, encoder.Settings.Nearby = words, nearby
			right := 0
			for _, s := range samples(encoder, fit) {
				if s.Right {
					right++
				}
			}
			log.Printf("words %.3f, nearby %.3f: %d of %d first answers right", words, nearby, right, len(fit))
			if right > most {
				best, most = encoder.Settings, right
			}
		}
	}
	encoder.Settings = best
}

// frequencies prints the terms that stand in at least five of the passages that the model was trained on.
func frequencies(path string) error {
	rows, err := heldout.ReadRows(path)
	if err != nil {
		return err
	}
	passages, of := map[string]bool{}, map[string]int{}
	for _, r := range rows {
		if !r.Redistributable || heldout.LeftOut(r.Title) || passages[r.Context] {
			continue
		}
		passages[r.Context] = true
		for _, term := range efficientqa.NewNearby(r.Context).Terms() {
			of[term]++
		}
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, len(passages))
	for _, term := range slices.Sorted(maps.Keys(of)) {
		if of[term] >= 5 {
			fmt.Fprintln(out, term, of[term])
		}
	}
	return out.Flush()
}

// asked is a question with what was found for it.
type asked struct {
	golds []string
	hits  []efficientqa.Found
}

// samples ranks what was found with the encoder's settings as they are.
func samples(encoder *efficientqa.Encoder, all []asked) []efficientqa.Sample {
	var out []efficientqa.Sample
	for _, a := range all {
		hits := slices.Clone(a.hits)
		slices.SortStableFunc(hits, func(a, b efficientqa.Found) int {
			return cmp.Compare(encoder.FirstTotal(b), encoder.FirstTotal(a))
		})
		hits = hits[:min(len(hits), efficientqa.BestPhrases)]
		if answers := encoder.Rank(hits, mix.Key); len(answers) > 0 {
			best := answers[0]
			out = append(out, efficientqa.Sample{
				Share: best.Share, Score: encoder.Total(hits[best.Places[0]]), Right: eval.ExactMatch(best.Text, a.golds),
			})
		}
	}
	return out
}

// collection is phrases of many passages, in memory.
type collection struct {
	texts   []string
	phrases []efficientqa.Phrase
	of      []int // passage of each phrase
	words   *bm25.Index
	nearby  []*efficientqa.Nearby // of each passage
}

func collect(encoder *efficientqa.Encoder, questions []heldout.Row, o *options) (*collection, error) {
	rows, err := eval.OpenCorpus(
		filepath.Join(o.data, "corpus_wiki.jsonl.gz"), filepath.Join(o.data, "corpus_docs.jsonl.gz"))
	if err != nil {
		return nil, err
	}
	c, seen := &collection{}, map[string]bool{}
	add := func(text string) {
		if !seen[text] {
			seen[text] = true
			c.texts = append(c.texts, text)
		}
	}
	for _, q := range questions {
		add(q.Context)
	}
	for i := range min(o.passages, len(rows)) {
		add(rows[len(rows)*i/o.passages].Text)
	}
	if c.words, err = wordsOf(c.texts); err != nil {
		return nil, err
	}
	for _, text := range c.texts {
		c.nearby = append(c.nearby, efficientqa.NewNearby(text))
	}
	const batch = 32
	for from := 0; from < len(c.texts); from += batch {
		part := c.texts[from:min(from+batch, len(c.texts))]
		all, err := encoder.Phrases(context.Background(), part, o.k)
		if err != nil {
			return nil, err
		}
		for i, phrases := range all {
			for _, p := range phrases {
				c.phrases, c.of = append(c.phrases, p), append(c.of, from+i)
			}
		}
		if from/batch%10 == 0 {
			log.Printf("%d of %d passages", from, len(c.texts))
		}
	}
	return c, nil
}

// wordsOf indexes texts for BM25.
func wordsOf(texts []string) (*bm25.Index, error) {
	b := bm25.NewBuilder(bm25.DefaultAnalyzer())
	for _, t := range texts {
		b.Add(t)
	}
	segment, err := b.Segment()
	if err != nil {
		return nil, err
	}
	return bm25.NewIndex([]bm25.Part{{Segment: segment}}, bm25.Params{})
}

// ask returns what is found for a question with its own paragraph and without it.
func (c *collection) ask(encoder *efficientqa.Encoder, q heldout.Row) ([]asked, error) {
	question, err := encoder.Question(context.Background(), q.Question)
	if err != nil {
		return nil, err
	}
	near := encoder.QuestionWords(q.Question)
	scores, order := make([]float64, len(c.phrases)), make([]int, len(c.phrases))
	for i, p := range c.phrases {
		scores[i], order[i] = efficientqa.Score(question, p), i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	sharing, err := c.words.Search(q.Question, efficientqa.WordPassages+1) // one of them may be left out
	if err != nil {
		return nil, err
	}
	var both []asked
	for _, own := range []bool{true, false} {
		allowed := func(passage int) bool { return own || c.texts[passage] != q.Context }
		words := slices.DeleteFunc(slices.Clone(sharing), func(h bm25.Hit) bool { return !allowed(int(h.Doc)) })
		words = words[:min(len(words), efficientqa.WordPassages)]
		lags := efficientqa.NewLags[int](len(words) < efficientqa.WordPassages)
		for _, p := range words {
			lags.Add(int(p.Doc), float64(p.Score))
		}
		a := asked{golds: q.Golds()}
		for _, i := range order {
			if len(a.hits) == efficientqa.NearPhrases {
				break
			}
			if allowed(c.of[i]) {
				b := c.phrases[i].Bytes
				text := c.texts[c.of[i]][b.Start:b.End]
				a.hits = append(a.hits, efficientqa.Found{
					Text: text, Score: scores[i], Lag: lags.Of(c.of[i]), Nearby: c.nearby[c.of[i]].Score(near, b.Start, b.End),
				})
			}
		}
		both = append(both, a)
	}
	return both, nil
}

// report says how far the probabilities of the other questions can be trusted.
func report(c efficientqa.Calibration, judge []efficientqa.Sample) {
	outcomes := make([]eval.Outcome, len(judge))
	loss, right := 0.0, 0
	for i, s := range judge {
		p := c.Probability(s.Share, s.Score)
		outcomes[i] = eval.Outcome{Probability: p, Correct: s.Right}
		if s.Right {
			right++
			loss -= math.Log(p)
		} else {
			loss -= math.Log(1 - p)
		}
	}
	n := float64(max(1, len(judge)))
	log.Printf("%d judged, %.1f %% right, log loss %.3f, calibration error %.1f points (10 bins of equal mass)",
		len(judge), 100*float64(right)/n, loss/n, 100*eval.ExpectedCalibrationError(eval.EqualMassBins(outcomes, 10)))
}
