package efficientqa

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"evident/document"
	"evident/eval"
	"evident/internal/tokenize"
	"evident/model/bert"
)

// Candidate is a span of a passage that may answer a question.
type Candidate struct {
	Bytes document.ByteSpan // in the passage's text
	LogP  float32           // log-probability among all spans of its passage, by the extractor
}

// window is a run of a passage's tokens that is encoded as one input: [CLS] [SEP] tokens [SEP].
type window struct {
	passage int
	tokens  []tokenize.Token
	first   int // row of tokens[0] in the input
}

// chosen is a candidate of a window.
type chosen struct {
	Candidate
	span bert.TokenSpan // in the window's input
}

// extractor chooses candidates from the spans of windows.
type extractor struct {
	scores    *bert.SpanScores
	tokenizer tokenize.Tokenizer
	widthMax  int
}

// best returns the k best candidates of a window whose rows begin at base, best first. Texts that
// SQuAD's scoring takes for equal are one candidate: the best of them.
func (x *extractor) best(w *window, text string, base, k int) []chosen {
	type scored struct {
		first, last int // tokens of the window
		score       float32
	}
	var all []scored
	inside := x.continues(w.tokens)
	total := newLogSum()
	for first := range w.tokens {
		if inside[first] {
			continue
		}
		for last := first; last < min(first+x.widthMax, len(w.tokens)); last++ {
			if last+1 < len(w.tokens) && inside[last+1] {
				continue
			}
			score := x.scores.Score(base+w.first+first, base+w.first+last)
			total.add(float64(score))
			all = append(all, scored{first, last, score})
		}
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), a.first-b.first, a.last-b.last)
	})
	var kept []chosen
	taken := map[string]bool{}
	for _, s := range all {
		if len(kept) == k {
			break
		}
		bytes := document.ByteSpan{Start: w.tokens[s.first].Start, End: w.tokens[s.last].End}
		key := eval.Normalise(text[bytes.Start:bytes.End])
		if key == "" || taken[key] {
			continue
		}
		taken[key] = true
		kept = append(kept, chosen{
			Candidate{bytes, s.score - float32(total.value())},
			bert.TokenSpan{First: w.first + s.first, Last: w.first + s.last},
		})
	}
	return kept
}

// continues says of each token whether it goes on with the word of the one before.
func (x *extractor) continues(tokens []tokenize.Token) []bool {
	inside := make([]bool, len(tokens))
	for i, t := range tokens {
		piece, _ := x.tokenizer.Piece(t.ID)
		inside[i] = strings.HasPrefix(piece, "##")
	}
	return inside
}

// logSum is log Σ exp x, added to one by one.
type logSum struct{ peak, sum float64 }

func newLogSum() *logSum { return &logSum{peak: math.Inf(-1)} }

func (l *logSum) add(x float64) {
	if x > l.peak {
		l.sum *= math.Exp(l.peak - x)
		l.peak = x
	}
	l.sum += math.Exp(x - l.peak)
}

func (l *logSum) value() float64 { return l.peak + math.Log(l.sum) }
