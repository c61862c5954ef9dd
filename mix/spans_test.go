package mix

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"evident/document"
)

// reading makes a reading of a passage of single-letter words.
func reading(start, end []float32) Reading {
	r := Reading{Start: start, End: end}
	for i := range start {
		r.Tokens = append(r.Tokens, document.ByteSpan{Start: 2 * i, End: 2*i + 1})
	}
	return r
}

// TestBestSpansMatchExhaustiveSearch compares the kept spans with all spans, sorted.
func TestBestSpansMatchExhaustiveSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	for _, tokens := range []int{1, 2, 5, 17, 53} {
		for _, limit := range []int{1, 3, 24} {
			start, end := make([]float32, tokens), make([]float32, tokens)
			for i := range tokens {
				start[i], end[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
			}
			r := reading(start, end)
			var all []float32
			for s := range tokens {
				for e := s; e < min(tokens, s+limit); e++ {
					all = append(all, start[s]+end[e])
				}
			}
			slices.SortFunc(all, func(a, b float32) int { return int(math.Copysign(1, float64(b-a))) })
			got := r.bestSpans(7, limit)
			if len(got) != min(7, len(all)) {
				t.Fatalf("%d tokens, limit %d: %d spans, want %d", tokens, limit, len(got), min(7, len(all)))
			}
			for i, s := range got {
				if s.logit != all[i] {
					t.Errorf("%d tokens, limit %d: span %d has logit %v, want %v", tokens, limit, i, s.logit, all[i])
				}
				if width := (s.bytes.End-1-s.bytes.Start)/2 + 1; width < 1 || width > limit {
					t.Errorf("span %v is %d tokens wide, limit %d", s.bytes, width, limit)
				}
			}
		}
	}
}

func TestLogSumExp(t *testing.T) {
	cases := []struct {
		name string
		in   [][]float32
		want float64
	}{
		{"one", [][]float32{{3}}, 3},
		{"two slices", [][]float32{{0}, {0}}, math.Log(2)},
		{"no overflow", [][]float32{{1e4, 1e4}}, 1e4 + math.Log(2)},
		{"nothing", [][]float32{{}, {}}, math.Inf(-1)},
	}
	for _, c := range cases {
		if got := logSumExp(c.in...); got != c.want && math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
