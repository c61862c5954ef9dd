package nn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"evident/internal/kernel"
)

// afterAttention is the part of a pre-norm block behind its attention weights [h, n, n], in float64: the
// sum over tokens of g·output, for one g of all tokens or one of each.
func (v variant) afterAttention(
	w weights, activation Activation, kept trace, attention []float64, g []float32,
) float64 {
	d, n := v.width(), len(kept["Input"])/v.width()
	mixed := make([]float64, n*d)
	for h := range v.heads {
		for q := range n {
			for k := range n {
				a := attention[(h*n+q)*n+k]
				for c := range v.size {
					mixed[q*d+h*v.size+c] += a * kept["QKV"][k*3*d+2*d+h*v.size+c]
				}
			}
		}
	}
	x := slices.Clone(kept["Input"])
	for i, y := range referenceLinear(mixed, w.out, w.outBias, n, d, d) {
		x[i] += y
	}
	in := slices.Clone(x)
	referenceNorm(in, w.forwardGain, w.forwardB)
	wide := referenceLinear(in, w.up, w.upBias, n, d, v.wide)
	for i, h := range wide {
		wide[i] = referenceActivation(activation, h)
	}
	for i, y := range referenceLinear(wide, w.down, w.downBias, n, v.wide, d) {
		x[i] += y
	}
	sum := 0.0
	for i, y := range x {
		sum += float64(g[i%len(g)]) * y
	}
	return sum
}

// referenceRelevance is LeGrad's map by central differences in every attention weight.
func (v variant) referenceRelevance(w weights, f Activation, kept trace, g []float32) []float64 {
	n := len(kept["Input"]) / v.width()
	relevance := make([]float64, n)
	attention := slices.Clone(kept["Weights"])
	const h = 1e-5
	for i, a := range attention {
		attention[i] = a + h
		up := v.afterAttention(w, f, kept, attention, g)
		attention[i] = a - h
		slope := (up - v.afterAttention(w, f, kept, attention, g)) / (2 * h)
		attention[i] = a
		relevance[i%n] += max(0, slope) / float64(v.heads*n)
	}
	return relevance
}

// TestBlockGradient compares LeGrad's closed form with central differences, in every tier and precision.
func TestBlockGradient(t *testing.T) {
	for _, f := range []Activation{GELU, GELUTanh, QuickGELU, ReLU} {
		for name, c := range map[string]struct {
			variant
			tokens int
		}{
			"primes": {variant{shape{2, 3, 7, 41}, true, false}, 11},
			"even":   {variant{shape{1, 2, 16, 64}, true, false}, 37},
		} {
			if f != GELU && name == "even" {
				continue
			}
			t.Run(fmt.Sprintf("%s, activation %d", name, f), func(t *testing.T) {
				r := rand.New(rand.NewPCG(23, 5))
				all := randomWeights(r, c.shape)
				input := random(r, c.tokens*c.width(), 1)
				gradients := random(r, 3*c.width(), 1)
				traces := make([]trace, c.layers)
				c.reference(all, f, widen(input), Sequences{0, c.tokens}, traces)
				last := c.layers - 1
				var want []float64
				for i := range 3 {
					g := gradients[i*c.width():][:c.width()]
					want = append(want, c.referenceRelevance(all[last], f, traces[last], g)...)
				}
				everyTier(t, func(t *testing.T) {
					for precision, limit := range map[Precision]float64{FP32: 1e-5, BF16: 2e-2} {
						e := c.build(all, f, precision)
						got := relevance(t, e, last, input, gradients)
						err := relativeError(got, want)
						t.Logf("precision %d: relative error %.2g", precision, err)
						if !(err <= limit) {
							t.Errorf("precision %d: relative error %g, limit %g", precision, err, limit)
						}
					}
				})
			})
		}
	}
}

// relevance runs the encoder forward and a layer of it back.
func relevance(t testing.TB, e *Encoder, layer int, input, gradients []float32) []float32 {
	t.Helper()
	n := len(input) / e.Width
	seqs := Sequences{0, n}
	kept := keepAll(e, layer, seqs)
	err := e.ForwardKeep(context.Background(), slices.Clone(input), seqs, map[int]*Kept{layer: kept})
	if err != nil {
		t.Fatal(err)
	}
	g := NewBlockGradient(&e.Layers[layer], Auto)
	p, err := g.At(context.Background(), kept, n)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, len(gradients)/e.Width*n)
	if err := g.Relevance(context.Background(), p, gradients, got); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestBlockGradientSameBits: the number of threads changes no bit.
func TestBlockGradientSameBits(t *testing.T) {
	v := variant{shape{1, 4, 32, 512}, true, false}
	r := rand.New(rand.NewPCG(5, 6))
	all := randomWeights(r, v.shape)
	input, gradients := random(r, 150*v.width(), 1), random(r, 2*v.width(), 1)
	var want []float32
	for _, n := range []int{1, 2, 5} {
		func() {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
			got := relevance(t, v.build(all, GELU, Auto), 0, input, gradients)
			if want == nil {
				want = got
			} else if !slices.Equal(got, want) {
				t.Errorf("%d threads give other bits than one", n)
			}
		}()
	}
}

// TestWeight: the weight handed out is the one given, but for a rounding: half a step of bf16, or of
// the bytes of its row, which count up to the row's largest.
func TestWeight(t *testing.T) {
	const in, out = 43, 37
	r := rand.New(rand.NewPCG(1, 9))
	w := random(r, out*in, 1)
	everyTier(t, func(t *testing.T) {
		for _, precision := range []Precision{FP32, BF16, Int8} {
			l := NewLinear(w, nil, in, out, precision)
			for i, got := range l.Weight() {
				largest := float32(0)
				for _, v := range w[i/in*in:][:in] {
					largest = max(largest, v, -v)
				}
				limit := 0.0
				switch l.Precision() {
				case BF16:
					limit = math.Abs(float64(w[i])) / 256
				case Int8:
					limit = float64(largest) / 127 * 0.501
				}
				if !(math.Abs(float64(got-w[i])) <= limit) {
					t.Fatalf("precision %d: weight %d is %g, want %g ± %g", precision, i, got, w[i], limit)
				}
			}
		}
	})
}

// BenchmarkBlockGradient: the way back through one layer of ViT-B/16, one thread, in multiply-adds
// N·D·F + N²·D a text.
func BenchmarkBlockGradient(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	v := variant{shape{1, 12, 64, 3072}, true, false}
	r := rand.New(rand.NewPCG(1, 1))
	all := randomWeights(r, v.shape)
	for _, tokens := range []int{197, 785} {
		input := random(r, tokens*v.width(), 1)
		for _, texts := range []int{1, 20} {
			for _, precision := range []Precision{FP32, Auto} {
				e := v.build(all, GELU, precision)
				gradients := random(r, texts*v.width(), 1)
				seqs := Sequences{0, tokens}
				kept := keepAll(e, 0, seqs)
				_ = e.ForwardKeep(context.Background(), slices.Clone(input), seqs, map[int]*Kept{0: kept})
				g := NewBlockGradient(&e.Layers[0], Auto)
				out := make([]float32, texts*tokens)
				kind := map[bool]string{true: "fp32", false: "auto"}[precision == FP32]
				b.Run(fmt.Sprintf("%d/texts-%d/%s/%s", tokens, texts, kind, kernel.Active().Tier()), func(b *testing.B) {
					for b.Loop() {
						p, _ := g.At(context.Background(), kept, tokens)
						_ = g.Relevance(context.Background(), p, gradients, out)
					}
					n, d, f := float64(tokens), float64(v.width()), float64(v.wide)
					flop := 2 * (n*d*d + float64(texts)*(n*d*f+n*n*d)) * float64(b.N)
					b.ReportMetric(flop/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}
