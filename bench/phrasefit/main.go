// Command phrasefit fits a phrase encoder's calibration on held-out training questions and prints its
// phrase.json.
//
//	go run ./bench/phrasefit -model FOLDER -data ../shared/data/qa > models/NAME/phrase.json
//
// Every question is asked twice over the same collection: the held-out paragraphs and passages evenly
// drawn from the corpora; once as it is, and once without its own paragraph, when every answer is wrong
// unless another passage holds it too. The odd questions fit, the even ones judge.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"io/fs"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"

	"evident/bench/heldout"
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
	flag.Parse()
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
	var fit, judge []efficientqa.Sample
	for i, q := range questions {
		samples, err := c.ask(encoder, q)
		if err != nil {
			return err
		}
		if i%2 == 0 {
			fit = append(fit, samples...)
		} else {
			judge = append(judge, samples...)
		}
	}
	calibration := efficientqa.FitCalibration(fit)
	report(calibration, judge)
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	return out.Encode(efficientqa.Settings{Calibration: calibration, Threshold: o.threshold})
}

// collection is phrases of many passages, in memory.
type collection struct {
	texts   []string
	phrases []efficientqa.Phrase
	of      []int // passage of each phrase
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

// found is how many phrases an answer is made of, as in the engine.
const found = 100

// ask returns what the best answer looks like with the question's own paragraph and without it.
func (c *collection) ask(encoder *efficientqa.Encoder, q heldout.Row) ([]efficientqa.Sample, error) {
	asked, err := encoder.Question(context.Background(), q.Question)
	if err != nil {
		return nil, err
	}
	scores, order := make([]float64, len(c.phrases)), make([]int, len(c.phrases))
	for i, p := range c.phrases {
		scores[i], order[i] = efficientqa.Score(asked, p), i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	var samples []efficientqa.Sample
	for _, own := range []bool{true, false} {
		var hits []efficientqa.Found
		for _, i := range order {
			if len(hits) == found {
				break
			}
			if text := c.texts[c.of[i]]; own || text != q.Context {
				b := c.phrases[i].Bytes
				hits = append(hits, efficientqa.Found{Text: text[b.Start:b.End], Score: scores[i]})
			}
		}
		answers := encoder.Rank(hits, mix.Key)
		if len(answers) > 0 {
			best := answers[0]
			samples = append(samples, efficientqa.Sample{
				Share: best.Share, Score: hits[best.Places[0]].Score, Right: eval.ExactMatch(best.Text, q.Golds()),
			})
		}
	}
	return samples, nil
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
