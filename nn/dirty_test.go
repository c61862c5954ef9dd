package nn

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"evident/internal/kernel"
	"evident/internal/pack"
)

// poison makes everything that a workspace remembers NaN, in every type that it may be taken for.
func (w *workspace) poison() {
	fill := func(memory []byte) {
		for i := range memory {
			memory[i] = 0xFF
		}
	}
	for _, b := range []*buffer{&w.narrow, &w.scales, &w.normed, &w.qkv, &w.mixed, &w.wide, &w.sums} {
		fill(b.memory)
	}
	for _, s := range w.workers {
		for _, b := range []*buffer{&s.scores, &s.weights, &s.keys, &s.values} {
			fill(b.memory)
		}
		for _, numbers := range [][]float32{s.tile, s.mask, s.inverse} {
			fill(pack.Raw(numbers))
		}
		fill(pack.Raw(s.sums))
	}
}

// TestOldMemoryIsHarmless: what a workspace was used for before changes no bit, not even NaN left where
// rows and panels end.
func TestOldMemoryIsHarmless(t *testing.T) {
	cases := []struct {
		shape shape
		seqs  Sequences
	}{
		{shape{2, 3, 7, 41}, Sequences{0, 5, 5, 18, 71}},
		{shape{2, 5, 26, 67}, Sequences{0, 43, 76}},
		{shape{1, 1, 37, 53}, Sequences{0, 1, 20}},
		{shape{2, 4, 32, 100}, Sequences{0, 33, 66}},
	}
	everyTier(t, func(t *testing.T) {
		for _, c := range cases {
			for _, precision := range []Precision{FP32, BF16, Int8} {
				for _, preNorm := range []bool{false, true} {
					r := rand.New(rand.NewPCG(8, 9))
					e := build(c.shape, randomWeights(r, c.shape), GELU, precision)
					input := random(r, c.seqs.Rows()*c.shape.width(), 1)
					w := newWorkspace(context.Background(), kernel.Active(), 2)
					t.Cleanup(w.release) // and not before: it must stay dirty
					forward := func() []float32 {
						x := slices.Clone(input)
						for i := range e.Layers {
							e.Layers[i].PreNorm = preNorm
							e.Layers[i].forward(pass{w: w, d: e.Width, seqs: c.seqs}, x)
						}
						return x
					}
					clean := forward()
					w.poison()
					got := forward()
					if !slices.Equal(got, clean) {
						at := slices.IndexFunc(got, func(v float32) bool { return math.IsNaN(float64(v)) })
						t.Errorf("%+v, %v, pre-norm %v: other bits in a used workspace; first NaN at %d",
							c, precision, preNorm, at)
					}
				}
			}
		}
	})
}
