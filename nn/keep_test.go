package nn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"evident/internal/kernel"
)

// TestVariants compares pre-norm and causal blocks with float64 in every tier and precision, and what
// they leave behind; to leave it behind changes no bit of the result, nor does the number of threads.
func TestVariants(t *testing.T) {
	for name, v := range map[string]variant{
		"post-norm": {shape: shape{2, 3, 14, 41}}, "causal": {shape{2, 3, 14, 41}, false, true},
		"pre-norm": {shape{2, 2, 32, 131}, true, false}, "pre-norm, causal": {shape{2, 3, 7, 41}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			everyTier(t, func(t *testing.T) {
				for precision, limit := range map[Precision]float64{FP32: 3e-6, BF16: 2e-2, Int8: 5e-2} {
					testVariant(t, v, precision, limit)
				}
			})
		})
	}
}

func testVariant(t *testing.T, v variant, precision Precision, limit float64) {
	t.Helper()
	seqs := Sequences{0, 37, 37, 38, 101, 105}
	r := rand.New(rand.NewPCG(17, 3))
	all := randomWeights(r, v.shape)
	input := random(r, seqs.Rows()*v.width(), 1)
	traces := make([]trace, v.layers)
	want := v.reference(all, GELUTanh, widen(input), seqs, traces)
	e := v.build(all, GELUTanh, precision)
	plain := slices.Clone(input)
	if err := e.Forward(context.Background(), plain, seqs); err != nil {
		t.Fatal(err)
	}
	if err := relativeError(plain, want); !(err <= limit) {
		t.Errorf("precision %d: relative error %g, limit %g", precision, err, limit)
	}
	for _, threads := range []int{1, 2, 7} {
		e.Threads = threads
		keep := map[int]*Kept{0: keepAll(e, 0, seqs), 1: keepAll(e, 1, seqs)}
		x := slices.Clone(input)
		if err := e.ForwardKeep(context.Background(), x, seqs, keep); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x, plain) {
			t.Errorf("precision %d, %d threads: keeping changes the result", precision, threads)
		}
		for layer, k := range keep {
			compareKept(t, k, traces[layer], v, limit)
		}
	}
}

// keepAll is room for all that a layer can leave behind.
func keepAll(e *Encoder, layer int, seqs Sequences) *Kept {
	m, d := seqs.Rows(), e.Width
	return &Kept{
		Weights: make([]float32, e.Layers[layer].Heads*seqs.squares()), Input: make([]float32, m*d),
		QKV: make([]float32, 3*m*d), Attended: make([]float32, m*d),
		Raised: make([]float32, m*e.Layers[layer].Up.Out), Output: make([]float32, m*d),
	}
}

func compareKept(t *testing.T, k *Kept, want trace, v variant, limit float64) {
	t.Helper()
	d := v.width()
	got := map[string][]float32{
		"Weights": k.Weights, "Input": k.Input, "Attended": k.Attended, "Raised": k.Raised, "Output": k.Output,
	}
	for name, x := range got {
		if err := relativeError(x, want[name]); !(err <= limit) {
			t.Errorf("%s: relative error %g, limit %g", name, err, limit)
		}
	}
	for part, name := range map[int]string{0: "queries", 2: "values"} { // keys may lack their bias
		var x []float32
		var w []float64
		for row := range len(k.QKV) / (3 * d) {
			x = append(x, k.QKV[(3*row+part)*d:][:d]...)
			w = append(w, want["QKV"][(3*row+part)*d:][:d]...)
		}
		if err := relativeError(x, w); !(err <= limit) {
			t.Errorf("%s: relative error %g, limit %g", name, err, limit)
		}
	}
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
	if err := e.ForwardKeep(context.Background(), x, seqs, map[int]*Kept{0: {Weights: together}}); err != nil {
		t.Fatal(err)
	}
	at := 0
	for i := range len(seqs) - 1 {
		from, to := seqs[i], seqs[i+1]
		alone := make([]float32, s.heads*(to-from)*(to-from))
		x := slices.Clone(input[from*s.width() : to*s.width()])
		err := e.ForwardKeep(context.Background(), x, Sequences{0, to - from}, map[int]*Kept{0: {Weights: alone}})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(alone, together[at:at+len(alone)]) {
			t.Errorf("sequence %d has other weights in a batch than alone", i)
		}
		at += len(alone)
	}
}

func TestKeepOfAnotherSize(t *testing.T) {
	s := shape{1, 2, 8, 16}
	e := build(s, randomWeights(rand.New(rand.NewPCG(4, 5)), s), GELU, FP32)
	for want, maps := range map[string]map[int]*Kept{
		"Weights of layer 0 has 17 values, want 18": {0: {Weights: make([]float32, 17)}},
		"Output of layer 0 has 1 values, want 48":   {0: {Output: make([]float32, 1)}},
		"layer 1 is to be kept":                     {1: {}},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
					t.Errorf("panic %q, want %q", got, want)
				}
			}()
			x := make([]float32, 3*s.width())
			_ = e.ForwardKeep(context.Background(), x, Sequences{0, 3}, maps)
		}()
	}
}

// TestWeightsAreThoseApplied: the weights handed out are softmax to float32's precision, of the very
// queries and keys that were multiplied, and the output is what they make of the values: up to 2⁻⁸ of
// every term, for a product of bf16 takes each weight rounded.
func TestWeightsAreThoseApplied(t *testing.T) {
	for _, c := range []struct {
		n, size int
		causal  bool
	}{{785, 64, false}, {97, 26, false}, {131, 32, true}} {
		everyTier(t, func(t *testing.T) {
			testApplied(t, c.n, c.size, c.causal, false)
			if kernel.Active().HasBF16() {
				testApplied(t, c.n, c.size, c.causal, true)
			}
		})
	}
}

func testApplied(t *testing.T, n, size int, causal, bf16 bool) {
	t.Helper()
	const heads = 2
	set, d := kernel.Active(), heads*size
	var qkv, out buffer
	a := attention{
		set: set, d: d, heads: heads, size: size, causal: causal, qkv: qkv.matrix(n, 3*d, bf16),
		out: out.matrix(n, d, false), maps: make([]float32, heads*n*n),
	}
	r, wide := rand.New(rand.NewPCG(uint64(n), 2)), make([]float32, n*a.qkv.ld)
	for i := range wide {
		x := float32(r.NormFloat64()) * 1.5
		if bf16 {
			a.qkv.bf16[i] = kernel.RoundBF16(x)
			x = kernel.FromBF16(a.qkv.bf16[i])
		} else {
			a.qkv.f32[i] = x
		}
		wide[i] = x
	}
	w := newWorkspace(context.Background(), set, 1)
	defer w.release()
	a.run(w, Sequences{0, n})
	term := 1e-5
	if bf16 {
		term += 1.0 / 256
	}
	for item := range heads * n {
		head, query := item/n, item%n
		got := a.maps[item*n:][:n]
		compareWeights(t, got, attentionRow(wide, a.qkv.ld, head*size, d, size, n, query, causal))
		for c := range size {
			sum, most := 0.0, 0.0
			for key, weight := range got {
				v := float64(weight) * float64(wide[key*a.qkv.ld+2*d+head*size+c])
				sum, most = sum+v, most+math.Abs(v)
			}
			if y := a.out.f32[query*a.out.ld+head*size+c]; !(math.Abs(float64(y)-sum) <= term*most) {
				t.Fatalf("%d tokens, head %d: output [%d, %d] is %g, its weights make %g", n, head, query, c, y, sum)
			}
		}
	}
}

// attentionRow is the softmax of one query over the keys, in float64.
func attentionRow(qkv []float32, ld, at, d, size, n, query int, causal bool) []float64 {
	p, total := make([]float64, n), 0.0
	for key := range p {
		if causal && key > query {
			continue
		}
		s := 0.0
		for c := range size {
			s += float64(qkv[query*ld+at+c]) * float64(qkv[key*ld+d+at+c])
		}
		p[key] = math.Exp(s / math.Sqrt(float64(size)))
		total += p[key]
	}
	for key := range p {
		p[key] /= total
	}
	return p
}

func compareWeights(t *testing.T, got []float32, want []float64) {
	t.Helper()
	for key, p := range want {
		if !(math.Abs(float64(got[key])-p) <= 2e-5*p+1e-36) {
			t.Fatalf("weight of key %d of %d is %g, want %g", key, len(want), got[key], p)
		}
	}
}

// BenchmarkMaps: what handing out the weights of all layers costs, the two taking turns: processor time of
// one thread, the least of all turns, and the median of the ratios within a turn.
func BenchmarkMaps(b *testing.B) {
	s := shape{2, 12, 64, 3072}
	for _, tokens := range []int{197, 785} {
		seqs := Sequences{0, tokens}
		r := rand.New(rand.NewPCG(1, 1))
		all := randomWeights(r, s)
		input, x := random(r, tokens*s.width(), 1), make([]float32, tokens*s.width())
		maps := map[int]*Kept{}
		for layer := range s.layers {
			maps[layer] = &Kept{Weights: make([]float32, s.heads*seqs.squares())}
		}
		for _, precision := range []Precision{FP32, Auto} {
			e := build(s, all, GELU, precision)
			e.Threads = 1
			kind := map[bool]string{true: "fp32", false: "auto"}[precision == FP32]
			name := fmt.Sprintf("%dx%d/%s/%s", tokens, s.width(), kind, kernel.Active().Tier())
			b.Run(name, func(b *testing.B) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				run := func(keep map[int]*Kept) float64 {
					copy(x, input)
					start := clock(b)
					if err := e.ForwardKeep(context.Background(), x, seqs, keep); err != nil {
						b.Fatal(err)
					}
					return float64(clock(b) - start)
				}
				least := [2]float64{math.Inf(1), math.Inf(1)}
				var ratios []float64
				for b.Loop() {
					plain, kept := run(nil), run(maps)
					least = [2]float64{min(least[0], plain), min(least[1], kept)}
					ratios = append(ratios, kept/plain)
				}
				slices.Sort(ratios)
				b.ReportMetric(100*(least[1]/least[0]-1), "%more")
				b.ReportMetric(100*(ratios[len(ratios)/2]-1), "%more-median")
			})
		}
	}
}

// TestHidden: in one layer the last token of a sequence becomes what it would be without the tokens hidden from
// it, all others what they are; in every group of a batch, on any number of threads.
func TestHidden(t *testing.T) {
	for name, causal := range map[string]bool{"causal": true, "all see all": false} {
		t.Run(name, func(t *testing.T) {
			everyTier(t, func(t *testing.T) {
				for precision, limit := range map[Precision]float64{FP32: 1e-5, BF16: 2e-2} {
					testHidden(t, variant{shape{1, 3, 14, 41}, true, causal}, precision, limit)
				}
			})
		})
	}
}

func testHidden(t *testing.T, v variant, precision Precision, limit float64) {
	t.Helper()
	seqs, d := Sequences{0, 37, 38, 1000, 1051, 1070}, v.width()
	r := rand.New(rand.NewPCG(8, 3))
	e, input := v.build(randomWeights(r, v.shape), GELU, precision), random(r, seqs.Rows()*v.width(), 1)
	hidden := make([]bool, seqs.Rows())
	for i := range hidden {
		hidden[i] = r.IntN(3) == 0
	}
	for _, end := range seqs[1:] {
		hidden[end-1] = false
	}
	run := func(x []float32, seqs Sequences, hidden []bool) []float32 {
		x = slices.Clone(x)
		if err := e.ForwardHiding(context.Background(), x, seqs, hidden); err != nil {
			t.Fatal(err)
		}
		return x
	}
	plain, got := run(input, seqs, make([]bool, len(hidden))), run(input, seqs, hidden)
	e.Threads = 1
	if !slices.Equal(got, run(input, seqs, hidden)) {
		t.Error("one thread computes something else")
	}
	for i, end := range seqs[1:] {
		var seen []float32
		for row := seqs[i]; row < end; row++ {
			if !hidden[row] {
				seen = append(seen, input[row*d:][:d]...)
			}
		}
		n := len(seen) / d
		want := run(seen, Sequences{0, n}, make([]bool, n))[(n-1)*d:]
		if err := relativeError(got[(end-1)*d:end*d], widen(want)); !(err <= limit) {
			t.Errorf("the last token of sequence %d sees what is hidden: relative error %g, limit %g", i, err, limit)
		}
		if first := seqs[i]; !slices.Equal(got[first*d:(end-1)*d], plain[first*d:(end-1)*d]) {
			t.Errorf("sequence %d: what is hidden from the last token changes others", i)
		}
	}
}
