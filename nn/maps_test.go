package nn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"evident/internal/kernel"
)

// referenceMaps is softmax(q·kᵀ/√size) of every sequence and head, from the formula.
func referenceMaps(qkv []float64, s shape, seqs Sequences) []float64 {
	var all []float64
	d := s.width()
	for i := range len(seqs) - 1 {
		for h := range s.heads {
			for q := seqs[i]; q < seqs[i+1]; q++ {
				from, total := len(all), 0.0
				for k := seqs[i]; k < seqs[i+1]; k++ {
					dot := 0.0
					for c := range s.size {
						dot += qkv[q*3*d+h*s.size+c] * qkv[k*3*d+d+h*s.size+c]
					}
					all = append(all, math.Exp(dot/math.Sqrt(float64(s.size))))
					total += all[len(all)-1]
				}
				for j := range all[from:] {
					all[from+j] /= total
				}
			}
		}
	}
	return all
}

// TestMaps: the weights handed out are those of the formula, in every tier and precision, and asking
// for them changes no bit of the result, nor does the number of threads.
func TestMaps(t *testing.T) {
	s := shape{2, 3, 14, 41}
	seqs := Sequences{0, 37, 37, 38, 101, 105}
	r := rand.New(rand.NewPCG(17, 3))
	all := randomWeights(r, s)
	input := random(r, seqs.Rows()*s.width(), 1)
	after := reference(s, all[:1], GELU, input, seqs)
	want := map[int][]float64{}
	for layer, x := range map[int][]float64{0: widen(input), 1: after} {
		w := all[layer]
		qkv := referenceLinear(x, w.qkv, w.qkvBias, seqs.Rows(), s.width(), 3*s.width())
		want[layer] = referenceMaps(qkv, s, seqs)
	}
	everyTier(t, func(t *testing.T) {
		for precision, limit := range map[Precision]float64{FP32: 3e-6, BF16: 2e-2, Int8: 5e-2} {
			e := build(s, all, GELU, precision)
			plain := slices.Clone(input)
			if err := e.Forward(context.Background(), plain, seqs); err != nil {
				t.Fatal(err)
			}
			for _, threads := range []int{1, 2, 7} {
				e.Threads = threads
				maps := map[int][]float32{}
				for layer := range want {
					maps[layer] = make([]float32, len(want[layer]))
				}
				x := slices.Clone(input)
				if err := e.ForwardMaps(context.Background(), x, seqs, maps); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(x, plain) {
					t.Errorf("precision %d, %d threads: maps change the result", precision, threads)
				}
				for layer, w := range want {
					if err := relativeError(maps[layer], w); !(err <= limit) {
						t.Errorf("precision %d, layer %d: relative error %g, limit %g",
							precision, layer, err, limit)
					}
				}
			}
		}
	})
}

// TestMapsInGroups: every group of a large batch finds its own place.
func TestMapsInGroups(t *testing.T) {
	s := shape{1, 2, 8, 16}
	seqs := Sequences{0, 600, 1200, 1207, 2000}
	r := rand.New(rand.NewPCG(4, 4))
	e := build(s, randomWeights(r, s), GELU, FP32)
	input := random(r, seqs.Rows()*s.width(), 1)
	together := make([]float32, s.heads*seqs.squares())
	x := slices.Clone(input)
	if err := e.ForwardMaps(context.Background(), x, seqs, map[int][]float32{0: together}); err != nil {
		t.Fatal(err)
	}
	at := 0
	for i := range len(seqs) - 1 {
		from, to := seqs[i], seqs[i+1]
		alone := make([]float32, s.heads*(to-from)*(to-from))
		x := slices.Clone(input[from*s.width() : to*s.width()])
		err := e.ForwardMaps(context.Background(), x, Sequences{0, to - from},
			map[int][]float32{0: alone})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(alone, together[at:at+len(alone)]) {
			t.Errorf("sequence %d has other weights in a batch than alone", i)
		}
		at += len(alone)
	}
}

func TestMapsOfAnotherSize(t *testing.T) {
	s := shape{1, 2, 8, 16}
	e := build(s, randomWeights(rand.New(rand.NewPCG(4, 5)), s), GELU, FP32)
	for want, maps := range map[string]map[int][]float32{
		"has 17 values, want 18": {0: make([]float32, 17)},
		"layer 1 are asked for":  {1: nil},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
					t.Errorf("panic %q, want %q", got, want)
				}
			}()
			x := make([]float32, 3*s.width())
			_ = e.ForwardMaps(context.Background(), x, Sequences{0, 3}, maps)
		}()
	}
}

// BenchmarkMaps: what handing out the weights of all layers costs, the two taking turns.
func BenchmarkMaps(b *testing.B) {
	s := shape{2, 12, 64, 3072}
	for _, tokens := range []int{197, 785} {
		seqs := Sequences{0, tokens}
		r := rand.New(rand.NewPCG(1, 1))
		all := randomWeights(r, s)
		input, x := random(r, tokens*s.width(), 1), make([]float32, tokens*s.width())
		maps := map[int][]float32{}
		for layer := range s.layers {
			maps[layer] = make([]float32, s.heads*seqs.squares())
		}
		for _, precision := range []Precision{FP32, Auto} {
			e := build(s, all, GELU, precision)
			e.Threads = 1
			kind := map[bool]string{true: "fp32", false: "auto"}[precision == FP32]
			name := fmt.Sprintf("%dx%d/%s/%s", tokens, s.width(), kind, kernel.Active().Tier())
			b.Run(name, func(b *testing.B) {
				least := map[bool]float64{false: math.Inf(1), true: math.Inf(1)}
				for b.Loop() {
					for asked := range least {
						wanted := maps
						if !asked {
							wanted = nil
						}
						copy(x, input)
						start := b.Elapsed()
						if err := e.ForwardMaps(context.Background(), x, seqs, wanted); err != nil {
							b.Fatal(err)
						}
						least[asked] = min(least[asked], float64(b.Elapsed()-start))
					}
				}
				b.ReportMetric(100*(least[true]/least[false]-1), "%more")
			})
		}
	}
}
