package nn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"evident/internal/kernel"
)

// attentionSlopes is ∂s/∂A [d, h·n·n] of the block for each unit vector g, by central differences in float64: what
// LeGrad's map is made of is linear in g.
func (v variant) attentionSlopes(w weights, f Activation, kept trace) [][]float64 {
	const h = 1e-5
	d := v.width()
	slopes := make([][]float64, d)
	attention := slices.Clone(kept["Weights"])
	for i := range slopes {
		slopes[i] = make([]float64, len(attention))
		g := make([]float32, d)
		g[i] = 1
		for j, a := range attention {
			attention[j] = a + h
			up := v.afterAttention(w, f, kept, attention, g)
			attention[j] = a - h
			slopes[i][j] = (up - v.afterAttention(w, f, kept, attention, g)) / (2 * h)
			attention[j] = a
		}
	}
	return slopes
}

// relevanceOf returns the relevance [n] of one g, and ∂(ρ·relevance)/∂g [d].
func (v variant) relevanceOf(slopes [][]float64, g, rho []float32) (relevance, gradient []float64) {
	n := len(rho)
	relevance, gradient = make([]float64, n), make([]float64, len(g))
	for j := range slopes[0] {
		sum := 0.0
		for i, s := range slopes {
			sum += s[j] * float64(g[i])
		}
		if sum < 0 {
			continue
		}
		relevance[j%n] += sum / float64(v.heads*n)
		for i, s := range slopes {
			gradient[i] += s[j] * float64(rho[j%n]) / float64(v.heads*n)
		}
	}
	return relevance, gradient
}

// keptOf runs an encoder forward and returns what its last layer left.
func keptOf(t testing.TB, e *Encoder, input []float32) *Kept {
	t.Helper()
	seqs, last := Sequences{0, len(input) / e.Width}, len(e.Layers)-1
	kept := keepAll(e, last, seqs)
	if err := e.ForwardKeep(context.Background(), slices.Clone(input), seqs, map[int]*Kept{last: kept}); err != nil {
		t.Fatal(err)
	}
	return kept
}

func pointOf(t testing.TB, e *Encoder, input []float32) *RelevancePoint {
	t.Helper()
	b := NewBlockRelevance(&e.Layers[len(e.Layers)-1], Auto)
	b.SetThreads(e.Threads)
	p, err := b.At(context.Background(), keptOf(t, e, input), len(input)/e.Width)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bothWays is what all forms have in common.
type bothWays interface {
	Forward(ctx context.Context, run *RelevanceRun, in, relevance []float32) error
	Backward(ctx context.Context, run *RelevanceRun, rho, gradients []float32) error
}

// forms returns the forms at a point, all as functions of g.
func forms(t testing.TB, p *RelevancePoint) map[string]bothWays {
	t.Helper()
	d := p.Width()
	units := make([]float32, d*d)
	for i := range d {
		units[i*d+i] = 1
	}
	factor, err := p.Factor(context.Background(), units)
	if err != nil {
		t.Fatal(err)
	}
	tensor, err := p.Tensor(context.Background(), units)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]bothWays{"direct": p, "factor": factor, "tensor": tensor}
}

// thereAndBack takes gradients there and rho back.
func thereAndBack(t testing.TB, f bothWays, gradients, rho []float32) (relevance, back []float32) {
	t.Helper()
	var run RelevanceRun
	relevance, back = make([]float32, len(rho)), make([]float32, len(gradients))
	if err := f.Forward(context.Background(), &run, gradients, relevance); err != nil {
		t.Fatal(err)
	}
	if err := f.Backward(context.Background(), &run, rho, back); err != nil {
		t.Fatal(err)
	}
	return relevance, back
}

// TestBlockRelevance compares a block's relevance and the way back through it with central differences in float64, by
// every form, in every tier and precision.
func TestBlockRelevance(t *testing.T) {
	for name, c := range map[string]struct {
		variant
		activation Activation
		tokens     int
	}{
		"primes":     {variant{shape{2, 3, 7, 41}, true, false}, GELU, 11},
		"tanh":       {variant{shape{1, 3, 7, 41}, true, false}, GELUTanh, 11},
		"quick":      {variant{shape{1, 1, 16, 64}, true, false}, QuickGELU, 13},
		"wide heads": {variant{shape{1, 1, 40, 32}, true, false}, GELU, 7},
		"two panels": {variant{shape{1, 1, 4, 16}, true, false}, GELU, 33},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(23, 5))
			all, d, n := randomWeights(r, c.shape), c.width(), c.tokens
			input, gradients, rho := random(r, n*d, 1), random(r, 3*d, 1), random(r, 3*n, 1)
			traces := make([]trace, c.layers)
			c.reference(all, c.activation, widen(input), Sequences{0, n}, traces)
			slopes := c.attentionSlopes(all[c.layers-1], c.activation, traces[c.layers-1])
			var there, back []float64
			for i := range 3 {
				relevance, gradient := c.relevanceOf(slopes, gradients[i*d:][:d], rho[i*n:][:n])
				there, back = append(there, relevance...), append(back, gradient...)
			}
			everyTier(t, func(t *testing.T) {
				for precision, limit := range map[Precision]float64{FP32: 1e-5, BF16: 4e-2} {
					p := pointOf(t, c.build(all, c.activation, precision), input)
					for form, f := range forms(t, p) {
						relevance, gradient := thereAndBack(t, f, gradients, rho)
						errs := [2]float64{relativeError(relevance, there), relativeError(gradient, back)}
						t.Logf("precision %d, %s: relative error %.2g there, %.2g back", precision, form, errs[0], errs[1])
						if !(errs[0] <= limit && errs[1] <= limit) {
							t.Errorf("precision %d, %s: relative error %g there, %g back, limit %g",
								precision, form, errs[0], errs[1], limit)
						}
					}
				}
			})
		})
	}
}

// TestBlockRelevanceSameBits: neither threads nor the company of other gradients change a bit, nor does it if a
// gradient goes there once for all that go back.
func TestBlockRelevanceSameBits(t *testing.T) {
	v := variant{shape{1, 2, 32, 256}, true, false}
	r := rand.New(rand.NewPCG(5, 6))
	all, d, n := randomWeights(r, v.shape), v.width(), 90
	const count = 14 // more than go through a product at once
	input, gradients, rho := random(r, n*d, 1), random(r, count*d, 1), random(r, count*n, 1)
	for i := range 3 { // some are the same
		copy(gradients[i*d:][:d], gradients[7*d:][:d])
	}
	everyTier(t, func(t *testing.T) {
		want := map[string][]float32{}
		for _, threads := range []int{1, 2, 5} {
			func() {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
				for form, f := range forms(t, pointOf(t, v.build(all, GELU, Auto), input)) {
					relevance, back := thereAndBack(t, f, gradients, rho)
					got := slices.Concat(relevance, back)
					if want[form] == nil {
						want[form] = got
						alone(t, form, f, gradients, rho, relevance, back)
					} else if !slices.Equal(got, want[form]) {
						t.Errorf("%s: %d threads give other bits than one", form, threads)
					}
				}
			}()
		}
	})
}

// alone compares what came of many gradients with what comes of one.
func alone(t *testing.T, form string, f bothWays, gradients, rho, relevance, back []float32) {
	t.Helper()
	const count = 14
	d, n := len(gradients)/count, len(rho)/count
	for i := range count {
		r, b := thereAndBack(t, f, gradients[i*d:][:d], rho[i*n:][:n])
		if !slices.Equal(r, relevance[i*n:][:n]) || !slices.Equal(b, back[i*d:][:d]) {
			t.Errorf("%s: gradient %d has other bits alone than in company", form, i)
		}
	}
	var run RelevanceRun
	shared := make([]float32, 3*d)
	if err := f.Forward(context.Background(), &run, gradients[:d], make([]float32, n)); err != nil {
		t.Fatal(err)
	}
	if err := f.Backward(context.Background(), &run, rho[:3*n], shared); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(shared, back[:3*d]) {
		t.Errorf("%s: three that went there as one have other bits", form)
	}
}

// TestBlockRelevanceStops: once the context has ended, nothing is computed and its error comes back.
func TestBlockRelevanceStops(t *testing.T) {
	v := variant{shape{1, 2, 16, 64}, true, false}
	r := rand.New(rand.NewPCG(2, 2))
	p := pointOf(t, v.build(randomWeights(r, v.shape), GELU, Auto), random(r, 9*v.width(), 1))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for form, f := range forms(t, p) {
		run := RelevanceRun{}
		in, out := make([]float32, v.width()), make([]float32, 9)
		if err := f.Forward(ctx, &run, in, out); !errors.Is(err, context.Canceled) {
			t.Errorf("%s there: %v", form, err)
		}
		if err := f.Backward(ctx, &run, out, in); !errors.Is(err, context.Canceled) {
			t.Errorf("%s back: %v", form, err)
		}
	}
	if _, err := p.Factor(ctx, make([]float32, v.width()*v.width())); !errors.Is(err, context.Canceled) {
		t.Errorf("setting up the factor: %v", err)
	}
}

// BenchmarkBlockRelevance: there and back through one layer of ViT-B/16, one thread, in multiply-adds
// 2·(N·D·F + N²·D) a gradient.
func BenchmarkBlockRelevance(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	v := variant{shape{1, 12, 64, 3072}, true, false}
	r := rand.New(rand.NewPCG(1, 1))
	all := randomWeights(r, v.shape)
	for _, tokens := range []int{197, 785} {
		for _, precision := range []Precision{FP32, Auto} {
			p := pointOf(b, v.build(all, GELU, precision), random(r, tokens*v.width(), 1))
			const count = 10
			gradients, rho := random(r, count*v.width(), 1), random(r, count*tokens, 1)
			relevance, back := make([]float32, len(rho)), make([]float32, len(gradients))
			kind := map[bool]string{true: "fp32", false: "auto"}[precision == FP32]
			b.Run(fmt.Sprintf("%d/%s/%s", tokens, kind, kernel.Active().Tier()), func(b *testing.B) {
				var run RelevanceRun
				for b.Loop() {
					_ = p.Forward(context.Background(), &run, gradients, relevance)
					_ = p.Backward(context.Background(), &run, rho, back)
				}
				n, d, f := float64(tokens), float64(v.width()), float64(v.wide)
				flop := 4 * count * (n*d*f + n*n*d) * float64(b.N)
				b.ReportMetric(flop/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
