package efficientqa

import (
	"cmp"
	"math"
	"slices"

	"evident/bm25"
)

// Settings is what was fitted on held-out training questions.
type Settings struct {
	Calibration Calibration `json:"calibration"` // of answers from a collection
	Threshold   float64     `json:"threshold"`   // abstain below this probability
	Words       float64     `json:"words"`       // what a point of BM25 counts beside an inner product
	Nearby      float64     `json:"nearby"`      // what the inner product of sparse vectors counts beside it; see [Nearby]
}

// defaultSettings take the share of an answer for its probability: no calibration.
var defaultSettings = Settings{Calibration: Calibration{Share: 1}}

// Calibration turns what is known of the best answer into the probability that it is right:
//
//	σ(Bias + Share·logit(share) + Score·score)
//
// where share is its part of a softmax over all that was found and score its best phrase's match.
type Calibration struct {
	Bias  float64 `json:"bias"`
	Share float64 `json:"share"`
	Score float64 `json:"score"`
}

// terms returns the labelled parts whose sum is the logit of the probability.
func (c Calibration) terms(share, score float64) [3]Explanation {
	return [3]Explanation{
		{Label: "bias", Value: c.Bias},
		{Label: "share among phrases", Value: c.Share * logit(share)},
		{Label: "score of the phrase", Value: c.Score * score},
	}
}

// Probability returns the chance that an answer with that share and score is right.
func (c Calibration) Probability(share, score float64) float64 {
	sum := 0.0
	for _, t := range c.terms(share, score) {
		sum += t.Value
	}
	return 1 / (1 + math.Exp(-sum))
}

// logit is the log-odds of p, kept within ±7 so that a certain share does not drown the rest.
func logit(p float64) float64 { return min(7, max(-7, math.Log(p/(1-p)))) }

// Explanation is a tree of labelled numbers; it shows the working of a probability.
type Explanation = bm25.Explanation

// How many phrases near a question, and how many passages that share words with it, are put together, and how many
// phrases, best by both, answers are made of. [Settings] were fitted so.
const (
	NearPhrases  = 1000
	WordPassages = 100
	BestPhrases  = 100
)

// Found is a phrase that a search found.
type Found struct {
	Text   string
	Score  float64 // inner product plus prior
	Lag    float64 // see [Lags]; 0 where words are not compared
	Nearby float64 // see [Nearby.Score]; 0 likewise
}

// Lags says by how much passages share fewer words with a question than the one that shares most: the
// difference of their BM25 scores, never above 0. A vector knows the sense of its passage, not which
// names and numbers stand in it; DenSPI (Seo et al. 2019, arXiv:1906.05807) puts sparse vectors beside
// dense ones for that.
type Lags[ID comparable] struct {
	of         map[ID]float64
	best, rest float64
	whole      bool
}

// NewLags returns lags without passages. Of a passage that was not added it is known that it scores no
// more than the last one, or, where all that share a word are added (whole), that it scores 0.
func NewLags[ID comparable](whole bool) *Lags[ID] {
	return &Lags[ID]{of: map[ID]float64{}, whole: whole}
}

// Add adds a passage and its BM25 score, the best passage first.
func (l *Lags[ID]) Add(passage ID, score float64) {
	if len(l.of) == 0 {
		l.best = score
	}
	if !l.whole {
		l.rest = score
	}
	l.of[passage] = score
}

// Of returns a passage's lag.
func (l *Lags[ID]) Of(passage ID) float64 {
	if score, found := l.of[passage]; found {
		return score - l.best
	}
	return l.rest - l.best
}

// FirstTotal is how well a phrase fits as far as is known without its passage's text: its vector's score, and how many
// words its passage shares with the question. The best [BestPhrases] by it are looked at further.
func (e *Encoder) FirstTotal(f Found) float64 { return f.Score + e.Settings.Words*f.Lag }

// Total is how well a phrase fits: [Encoder.FirstTotal], and the words around it.
func (e *Encoder) Total(f Found) float64 { return e.FirstTotal(f) + e.Settings.Nearby*f.Nearby }

// Answer is one distinct text with every phrase that says it.
type Answer struct {
	Text        string  // of its best phrase
	Probability float64 // that it is right, calibrated
	Share       float64 // of all phrases' weight, 0..1
	Places      []int   // indices of phrases, best first, never empty
	Why         Explanation
}

// Rank joins phrases of equal text into answers, most probable first. A phrase weighs exp(scale·total);
// key maps texts that a reader would call the same to one key.
func (e *Encoder) Rank(found []Found, key func(text string) string) []Answer {
	if len(found) == 0 {
		return nil
	}
	order := make([]int, len(found))
	total := newLogSum()
	for i, f := range found {
		order[i] = i
		total.add(e.Scale() * e.Total(f))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(e.Total(found[b]), e.Total(found[a])) })
	byKey := map[string]int{}
	var answers []Answer
	for _, i := range order {
		k := key(found[i].Text)
		at, known := byKey[k]
		if !known {
			at = len(answers)
			byKey[k] = at
			answers = append(answers, Answer{Text: found[i].Text})
		}
		answers[at].Places = append(answers[at].Places, i)
		answers[at].Share += math.Exp(e.Scale()*e.Total(found[i]) - total.value())
	}
	for i := range answers {
		e.judge(&answers[i], found)
	}
	slices.SortStableFunc(answers, func(a, b Answer) int { return cmp.Compare(b.Probability, a.Probability) })
	return answers
}

// judge computes an answer's probability and shows its working.
func (e *Encoder) judge(a *Answer, found []Found) {
	best := found[a.Places[0]]
	score := e.Total(best)
	terms := e.Settings.Calibration.terms(a.Share, score)
	a.Probability = e.Settings.Calibration.Probability(a.Share, score)
	if e.Settings.Words != 0 || e.Settings.Nearby != 0 {
		terms[2].Details = []Explanation{
			{Label: "vector", Value: best.Score},
			{Label: "words of its passage", Value: e.Settings.Words * best.Lag},
			{Label: "words around it", Value: e.Settings.Nearby * best.Nearby},
		}
	}
	a.Why = Explanation{
		Label: "probability that the answer is right", Value: a.Probability, Details: terms[:],
	}
}

// Match returns the index of the phrase with the largest inner product with a question's vector, priors
// added, and -1 where there is none: the answer within one paragraph.
func Match(question []float32, phrases []Phrase) int {
	best, top := -1, math.Inf(-1)
	for i, p := range phrases {
		if score := Score(question, p); score > top {
			best, top = i, score
		}
	}
	return best
}

// Score is the inner product of a question's vector with a phrase's, plus the phrase's prior.
func Score(question []float32, p Phrase) float64 {
	sum := float64(p.Prior)
	for i, v := range p.Vector {
		sum += float64(v) * float64(question[i])
	}
	return sum
}
