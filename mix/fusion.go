package mix

import "math"

// Features are the numbers a span is judged by.
type Features struct {
	Span       float64 `json:"span"`       // log-probability of start and end, normalised across passages
	Local      float64 `json:"local"`      // the same, normalised within the passage
	Relevance  float64 `json:"relevance"`  // scorer's logit
	Answerable float64 `json:"answerable"` // answerability logit
	BM25       float64 `json:"bm25"`       // log of the passage's BM25 score over the best passage's; 0 for the best
}

// Fusion weighs the features of a span into one score. The zero value scores by the span alone.
type Fusion struct {
	Local      float64 `json:"local"`
	Relevance  float64 `json:"relevance"`
	Answerable float64 `json:"answerable"`
	BM25       float64 `json:"bm25"`
}

// terms returns the labelled parts whose sum is the score.
func (w Fusion) terms(f Features) [5]Explanation {
	return [5]Explanation{
		{Label: "span", Value: f.Span},
		{Label: "span within passage", Value: w.Local * f.Local},
		{Label: "relevance", Value: w.Relevance * f.Relevance},
		{Label: "answerability", Value: w.Answerable * f.Answerable},
		{Label: "bm25", Value: w.BM25 * f.BM25},
	}
}

// Score is span + the weighted other features:
//
//	span + Local·local + Relevance·relevance + Answerable·answerable + BM25·bm25
func (w Fusion) Score(f Features) float64 {
	sum := 0.0
	for _, t := range w.terms(f) {
		sum += t.Value
	}
	return sum
}

// Calibration turns what is known of the best answer into the probability that it is right:
//
//	σ(Bias + Share·logit(share) + Local·local + Relevance·relevance +
//	  Answerable·answerable + Sure·σ(answerable))
//
// The last term lets the answerability saturate: beyond some logits, more says little.
type Calibration struct {
	Bias       float64 `json:"bias"`
	Share      float64 `json:"share"`
	Local      float64 `json:"local"`
	Relevance  float64 `json:"relevance"`
	Answerable float64 `json:"answerable"`
	Sure       float64 `json:"sure"`
}

// terms returns the labelled parts whose sum is the logit of the probability.
func (c Calibration) terms(share float64, f Features) [5]Explanation {
	return [5]Explanation{
		{Label: "bias", Value: c.Bias},
		{Label: "share among candidates", Value: c.Share * logit(share)},
		{Label: "span within passage", Value: c.Local * f.Local},
		{Label: "relevance", Value: c.Relevance * f.Relevance},
		{Label: "answerability", Value: c.Answerable*f.Answerable + c.Sure*sigmoid(f.Answerable)},
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// Probability returns the chance that the answer is right; share is the answer's part of the
// candidates' total, f the features of its best span.
func (c Calibration) Probability(share float64, f Features) float64 {
	sum := 0.0
	for _, t := range c.terms(share, f) {
		sum += t.Value
	}
	return sigmoid(sum)
}

// logit is the log-odds of p, kept within ±7 so that a certain share does not drown the rest.
func logit(p float64) float64 {
	const edge = 1e-3
	p = min(max(p, edge), 1-edge)
	return math.Log(p / (1 - p))
}

// Setting is how answers are ranked and judged in one situation: passages retrieved from a
// collection, or one paragraph given.
type Setting struct {
	Fusion      Fusion      `json:"fusion"`
	Calibration Calibration `json:"calibration"`
	Threshold   float64     `json:"threshold"` // below it the system abstains
}
