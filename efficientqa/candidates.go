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
	overlap   float64
}

// best returns the k best candidates of a window whose rows begin at base, as [spread] chooses them from
// twice as many. Texts that SQuAD's scoring takes for equal are one candidate: the best of them.
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
		if len(kept) == 2*k {
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
	return spread(kept, k, x.overlap)
}

func (c Candidate) candidate() Candidate { return c }

// spread takes k candidates one after another: the one that then has the largest log-probability, less
// penalty times its overlap with each one taken before. The likeliest spans of a passage are variants of
// few answers; a question asks for one of many.
func spread[C interface{ candidate() Candidate }](from []C, k int, penalty float64) []C {
	left := make([]float64, len(from))
	for i, c := range from {
		left[i] = float64(c.candidate().LogP)
	}
	taken := make([]C, 0, min(k, len(from)))
	for len(taken) < cap(taken) {
		best := 0
		for i := range left {
			if left[i] > left[best] {
				best = i
			}
		}
		taken = append(taken, from[best])
		for i, c := range from {
			left[i] -= penalty * overlap(c.candidate().Bytes, from[best].candidate().Bytes)
		}
		left[best] = math.Inf(-1)
	}
	return taken
}

// overlap is what two spans have in common, of what either has.
func overlap(a, b document.ByteSpan) float64 {
	common := min(a.End, b.End) - max(a.Start, b.Start)
	if common <= 0 {
		return 0
	}
	return float64(common) / float64(max(a.End, b.End)-min(a.Start, b.Start))
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
