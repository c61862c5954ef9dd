package mix

import (
	"math"
	"slices"

	"evident/document"
)

// Reading is what one encoder pass says of one passage (or of one window of a long passage).
type Reading struct {
	Passage    int                 // index into the passages given to [Reader.Read]
	Relevance  float32             // logit: the passage is about the question (scorer)
	Answerable float32             // logit: the passage holds the answer
	Start, End []float32           // [tokens] logits of each passage token (extractor)
	Tokens     []document.ByteSpan // [tokens] their bytes in the passage's text
}

// span is an answer candidate inside one reading.
type span struct {
	bytes document.ByteSpan // in the passage's text
	logit float32           // start logit + end logit
}

// bestSpans returns the n spans of a reading with the highest start + end logit, best first,
// none longer than tokensMax tokens.
func (r *Reading) bestSpans(n, tokensMax int) []span {
	type candidate struct {
		start, end int
		logit      float32
	}
	best := make([]candidate, 0, n+1)
	for s, start := range r.Start {
		for e := s; e < min(s+tokensMax, len(r.End)); e++ {
			c := candidate{s, e, start + r.End[e]}
			if len(best) == n && c.logit <= best[n-1].logit {
				continue
			}
			at, _ := slices.BinarySearchFunc(best, c, func(a, b candidate) int {
				if a.logit >= b.logit {
					return -1
				}
				return 1
			})
			best = slices.Insert(best, at, c)
			best = best[:min(n, len(best))]
		}
	}
	spans := make([]span, len(best))
	for i, c := range best {
		bytes := document.ByteSpan{Start: r.Tokens[c.start].Start, End: r.Tokens[c.end].End}
		spans[i] = span{bytes, c.logit}
	}
	return spans
}

// logSumExp returns log Σ exp(x) over all values of all slices, without overflow.
func logSumExp(slices ...[]float32) float64 {
	peak := math.Inf(-1)
	for _, x := range slices {
		for _, v := range x {
			peak = max(peak, float64(v))
		}
	}
	if math.IsInf(peak, -1) {
		return peak
	}
	sum := 0.0
	for _, x := range slices {
		for _, v := range x {
			sum += math.Exp(float64(v) - peak)
		}
	}
	return peak + math.Log(sum)
}
