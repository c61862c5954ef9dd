package nn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"evident/internal/kernel"
	tensors "evident/internal/weights"
)

// inputSlope is ∂(Σ g·output)/∂input of a stack of blocks by central differences in float64.
func (v variant) inputSlope(all []weights, f Activation, input []float64, g []float32) []float64 {
	seqs := Sequences{0, len(input) / v.width()}
	score := func(x []float64) float64 {
		sum := 0.0
		for i, y := range v.reference(all, f, x, seqs, make([]trace, len(all))) {
			sum += float64(g[i]) * y
		}
		return sum
	}
	return differences(input, score)
}

// differences is the gradient of a score by central differences.
func differences(x []float64, score func([]float64) float64) []float64 {
	const h = 1e-5
	x = slices.Clone(x)
	slope := make([]float64, len(x))
	for i, v := range x {
		x[i] = v + h
		up := score(x)
		x[i] = v - h
		slope[i] = (up - score(x)) / (2 * h)
		x[i] = v
	}
	return slope
}

// backward runs a stack forward and back, and returns the gradients of each block for a gradient at the output.
func backward(t testing.TB, e *Encoder, input, gradient []float32) []Gradients {
	t.Helper()
	n := len(input) / e.Width
	keep, all := map[int]*Kept{}, make([]Gradients, len(e.Layers))
	for i := range e.Layers {
		keep[i] = keepAll(e, i, Sequences{0, n})
	}
	if err := e.ForwardKeep(context.Background(), slices.Clone(input), Sequences{0, n}, keep); err != nil {
		t.Fatal(err)
	}
	gradient = slices.Clone(gradient)
	for i := len(all) - 1; i >= 0; i-- {
		all[i] = Gradients{
			Weights: make([]float32, len(keep[i].Weights)), Normed: make([]float32, n*e.Width),
			Input: make([]float32, n*e.Width),
		}
		if err := NewBlockBackward(&e.Layers[i]).Run(context.Background(), keep[i], gradient, all[i]); err != nil {
			t.Fatal(err)
		}
		gradient = all[i].Input
	}
	return all
}

// TestBlockBackward compares the closed form with central differences, in every tier: at the input, through
// two blocks, and at the attention weights of the last.
func TestBlockBackward(t *testing.T) {
	for _, f := range []Activation{GELU, GELUTanh, QuickGELU, ReLU} {
		for name, v := range map[string]variant{
			"primes": {shape{2, 3, 7, 41}, true, false}, "causal": {shape{2, 2, 5, 23}, true, true},
		} {
			t.Run(fmt.Sprintf("%s, activation %d", name, f), func(t *testing.T) {
				const tokens = 11
				r := rand.New(rand.NewPCG(29, 7))
				all := randomWeights(r, v.shape)
				input := random(r, tokens*v.width(), 1)
				g := random(r, tokens*v.width(), 1)
				traces := make([]trace, v.layers)
				v.reference(all, f, widen(input), Sequences{0, tokens}, traces)
				wantInput := v.inputSlope(all, f, widen(input), g)
				last := traces[v.layers-1]
				wantWeights := differences(last["Weights"], func(a []float64) float64 {
					return v.afterAttention(all[v.layers-1], f, last, a, g)
				})
				everyTier(t, func(t *testing.T) {
					got := backward(t, v.build(all, f, FP32), input, g)
					for what, err := range map[string]float64{
						"input": relativeError(got[0].Input, wantInput),
						"maps":  relativeError(got[v.layers-1].Weights, wantWeights),
					} {
						t.Logf("%s: relative error %.2g", what, err)
						if !(err <= 1e-5) {
							t.Errorf("%s: relative error %g, limit 1e-5", what, err)
						}
					}
				})
			})
		}
	}
}

// TestBlockBackwardGolden compares with torch's autograd (tools/ref/baselines.py), at every map, normed input
// and input of three blocks.
func TestBlockBackwardGolden(t *testing.T) {
	read := func(path string) func(name string) []float32 {
		file, err := tensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		return func(name string) []float32 {
			raw, err := file.Raw(name)
			if err != nil {
				t.Fatal(err)
			}
			values, err := file.Float32(name, raw.Shape...)
			if err != nil {
				t.Fatal(err)
			}
			return values
		}
	}
	golden, weight := read("testdata/backward.safetensors"), read("../legrad/testdata/tower.safetensors")
	const width, heads, wide, layers = 21, 3, 41, 3
	everyTier(t, func(t *testing.T) {
		e := &Encoder{Width: width}
		for i := range layers {
			linear := func(name string, in, out int) *Linear {
				name = fmt.Sprintf("blocks.%d.%s.", i, name)
				return NewLinear(weight(name+"weight"), weight(name+"bias"), in, out, FP32)
			}
			norm := func(name string) *LayerNorm {
				name = fmt.Sprintf("blocks.%d.%s.", i, name)
				return &LayerNorm{Gain: weight(name + "weight"), Bias: weight(name + "bias"), Epsilon: 1e-6}
			}
			e.Layers = append(e.Layers, EncoderLayer{
				Heads: heads, PreNorm: true, Activation: GELU,
				QKV: linear("attn.qkv", width, 3*width), Out: linear("attn.proj", width, width),
				Up: linear("mlp.fc1", width, wide), Down: linear("mlp.fc2", wide, width),
				AttentionNorm: norm("norm1"), FeedForwardNorm: norm("norm2"),
			})
		}
		for i, g := range backward(t, e, golden("start"), golden("gradient")) {
			for name, got := range map[string][]float32{"maps": g.Weights, "normed": g.Normed, "input": g.Input} {
				err := relativeError(got, widen(golden(fmt.Sprintf("%s.%d", name, i))))
				t.Logf("%s of block %d: relative error %.2g", name, i, err)
				if !(err <= 5e-6) {
					t.Errorf("%s of block %d: relative error %g, limit 5e-6", name, i, err)
				}
			}
		}
	})
}

// TestBlockBackwardParts: what is asked for alone is what comes in company, on any number of threads, and the
// gradient may be replaced in place.
func TestBlockBackwardParts(t *testing.T) {
	v := variant{shape{1, 4, 32, 256}, true, false}
	r := rand.New(rand.NewPCG(5, 8))
	const tokens = 150
	all := randomWeights(r, v.shape)
	input, g := random(r, tokens*v.width(), 1), random(r, tokens*v.width(), 1)
	e := v.build(all, GELU, FP32)
	kept := keepAll(e, 0, Sequences{0, tokens})
	err := e.ForwardKeep(context.Background(), slices.Clone(input), Sequences{0, tokens}, map[int]*Kept{0: kept})
	if err != nil {
		t.Fatal(err)
	}
	want := backward(t, e, input, g)[0]
	for _, threads := range []int{1, 2, 5} {
		func() {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
			b := NewBlockBackward(&e.Layers[0])
			run := func(gradient []float32, to Gradients) {
				if err := b.Run(context.Background(), kept, gradient, to); err != nil {
					t.Fatal(err)
				}
			}
			maps, normed, replaced := make([]float32, len(want.Weights)), make([]float32, len(g)), slices.Clone(g)
			run(g, Gradients{Weights: maps})
			run(g, Gradients{Normed: normed})
			run(replaced, Gradients{Input: replaced})
			for name, same := range map[string]bool{
				"maps": slices.Equal(maps, want.Weights), "normed": slices.Equal(normed, want.Normed),
				"input": slices.Equal(replaced, want.Input),
			} {
				if !same {
					t.Errorf("%s, %d threads: other bits than in company", name, threads)
				}
			}
		}()
	}
}

// TestBlockBackwardStops: an end of the context is an error.
func TestBlockBackwardStops(t *testing.T) {
	v := variant{shape{1, 3, 7, 41}, true, false}
	r := rand.New(rand.NewPCG(5, 9))
	e := v.build(randomWeights(r, v.shape), GELU, FP32)
	kept := keepAll(e, 0, Sequences{0, 5})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g := make([]float32, 5*v.width())
	if err := NewBlockBackward(&e.Layers[0]).Run(ctx, kept, g, Gradients{Input: g}); err == nil {
		t.Error("it ends without an error")
	}
	defer func() {
		if recover() == nil {
			t.Error("gradients of another length are accepted")
		}
	}()
	_ = NewBlockBackward(&e.Layers[0]).Run(context.Background(), kept, g, Gradients{Normed: g[:1]})
}

// BenchmarkBlockBackward: the whole way back through one layer of ViT-Ti/16 and of ViT-B/16, one thread.
func BenchmarkBlockBackward(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, s := range map[string]shape{"tiny": {1, 3, 64, 768}, "base": {1, 12, 64, 3072}} {
		v := variant{s, true, false}
		r := rand.New(rand.NewPCG(1, 1))
		e := v.build(randomWeights(r, s), GELU, FP32)
		for _, tokens := range []int{197, 785} {
			kept := keepAll(e, 0, Sequences{0, tokens})
			input, g := random(r, tokens*v.width(), 1), random(r, tokens*v.width(), 1)
			_ = e.ForwardKeep(context.Background(), input, Sequences{0, tokens}, map[int]*Kept{0: kept})
			back, to := NewBlockBackward(&e.Layers[0]), make([]float32, len(g))
			b.Run(fmt.Sprintf("%s/%d/%s", name, tokens, kernel.Active().Tier()), func(b *testing.B) {
				for b.Loop() {
					_ = back.Run(context.Background(), kept, g, Gradients{Input: to})
				}
				n, d, f := float64(tokens), float64(v.width()), float64(s.wide)
				flop := 2 * (2*n*d*f + 4*n*d*d + 4*n*n*d) * float64(b.N)
				b.ReportMetric(flop/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
