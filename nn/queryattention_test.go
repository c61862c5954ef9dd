package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"evident/internal/kernel"
)

// queryOracle computes a query's attention as its formula says, in float64, making K and V. The weights A
// [h, N] may be given instead.
func queryOracle(p QueryParts, keysBias, tokens []float32, weights []float64) (y, a []float64) {
	d, e, n := p.In, p.Size, len(tokens)/p.In
	size := e / p.Heads
	project := func(weight, bias []float32, row, i int) float64 {
		sum := float64(bias[i])
		for c := range d {
			sum += float64(weight[i*d+c]) * float64(tokens[row*d+c])
		}
		return sum
	}
	if weights == nil {
		weights = make([]float64, p.Heads*n)
		for h := range p.Heads {
			sum := 0.0
			for row := range n {
				score := 0.0
				for i := h * size; i < (h+1)*size; i++ {
					score += float64(p.Query[i]) * project(p.Keys, keysBias, row, i)
				}
				weights[h*n+row] = math.Exp(score / math.Sqrt(float64(size)))
				sum += weights[h*n+row]
			}
			for row := range n {
				weights[h*n+row] /= sum
			}
		}
	}
	mixed := make([]float64, e)
	for i := range e {
		for row := range n {
			mixed[i] += weights[i/size*n+row] * project(p.Values, p.ValuesBias, row, i)
		}
	}
	y = make([]float64, e)
	for o := range e {
		y[o] = float64(p.OutBias[o])
		for i, v := range mixed {
			y[o] += float64(p.Out[o*e+i]) * v
		}
	}
	return y, weights
}

func randomQuery(rng *rand.Rand, d, size, heads int) QueryParts {
	values := func(n int, scale float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64() * scale)
		}
		return x
	}
	e, in := size*heads, 1/math.Sqrt(float64(d))
	return QueryParts{
		In: d, Size: e, Heads: heads, Query: values(e, 2), Keys: values(e*d, in), Values: values(e*d, in),
		ValuesBias: values(e, .3), Out: values(e*e, 1/math.Sqrt(float64(e))), OutBias: values(e, .3),
	}
}

// TestQueryAttention: the folded form is the formula, and its relevance what central differences over the
// attention weights give, in every tier and on odd sizes.
func TestQueryAttention(t *testing.T) {
	for tier := kernel.Generic; tier <= kernel.AMXBF16; tier++ {
		for _, size := range []struct{ d, size, heads, n int }{{7, 5, 3, 11}, {64, 32, 2, 16}, {35, 9, 1, 1}, {48, 4, 5, 67}} {
			t.Run(fmt.Sprint(tier, size), func(t *testing.T) {
				restore, err := kernel.Force(tier)
				if err != nil {
					t.Skipf("NOT TESTED: %v", err)
				}
				defer restore()
				rng := rand.New(rand.NewPCG(3, uint64(size.d)))
				p := randomQuery(rng, size.d, size.size, size.heads)
				tokens, keysBias := make([]float32, size.n*size.d), make([]float32, p.Size)
				for i := range tokens {
					tokens[i] = float32(rng.NormFloat64())
				}
				for i := range keysBias {
					keysBias[i] = float32(rng.NormFloat64())
				}
				a := NewQueryAttention(p)
				want, weights := queryOracle(p, keysBias, tokens, nil)
				for i, v := range a.Forward(tokens) {
					if math.Abs(float64(v)-want[i]) > 1e-5 {
						t.Fatalf("y[%d] is %g, want %g", i, v, want[i])
					}
				}
				testQueryRelevance(t, rng, a, p, tokens, weights)
			})
		}
	}
}

// testQueryRelevance compares with central differences of s = g·y over the weights. y is linear in them, so
// the step may be large.
func testQueryRelevance(t *testing.T, rng *rand.Rand, a *QueryAttention, p QueryParts, tokens []float32, weights []float64) {
	const texts, step = 3, 0.5
	n := len(tokens) / p.In
	gradients := make([]float32, texts*p.Size)
	for i := range gradients {
		gradients[i] = float32(rng.NormFloat64())
	}
	got := make([]float32, texts*n)
	a.Relevance(tokens, gradients, got)
	score := func(text int, weights []float64) (s float64) {
		y, _ := queryOracle(p, make([]float32, p.Size), tokens, weights)
		for i, v := range y {
			s += float64(gradients[text*p.Size+i]) * v
		}
		return s
	}
	for text := range texts {
		for row := range n {
			want := 0.0
			for h := range p.Heads {
				up, down := slices.Clone(weights), slices.Clone(weights)
				up[h*n+row] += step
				down[h*n+row] -= step
				want += max(0, (score(text, up)-score(text, down))/(2*step)) / float64(p.Heads)
			}
			if math.Abs(float64(got[text*n+row])-want) > 1e-4 {
				t.Fatalf("text %d, token %d is worth %g, central differences say %g", text, row, got[text*n+row], want)
			}
		}
	}
	// More texts than go through one product, and the company of others, change no bit.
	many, all := slices.Repeat(gradients, 50), make([]float32, 50*texts*n)
	a.Relevance(tokens, many, all)
	if !slices.Equal(all[len(all)-len(got):], got) {
		t.Error("a text is worth something else in the company of others")
	}
}

// TestNormBack: the way back through a norm is what central differences give.
func TestNormBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 8))
	const d = 13
	norm := &LayerNorm{Gain: make([]float32, d), Bias: make([]float32, d), Epsilon: 1e-6}
	x, y := make([]float32, d), make([]float32, d)
	for i := range d {
		norm.Gain[i], norm.Bias[i] = float32(1+rng.NormFloat64()/3), float32(rng.NormFloat64())
		x[i], y[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	score := func(at int, step float32) (s float64) {
		moved := slices.Clone(x)
		moved[at] += step
		out, _ := norm.At(moved)
		for i, v := range out {
			s += float64(v) * float64(y[i])
		}
		return s
	}
	_, point := norm.At(x)
	back := slices.Clone(y)
	point.Back(back)
	const step = 1e-2
	for i := range d {
		want := (score(i, step) - score(i, -step)) / (2 * step)
		if math.Abs(float64(back[i])-want) > 2e-3 {
			t.Errorf("value %d: %g, central differences say %g", i, back[i], want)
		}
	}
	plain := slices.Clone(x)
	norm.Forward(plain, 1)
	for i, v := range plain {
		if out, _ := norm.At(x); math.Abs(float64(v-out[i])) > 1e-5 {
			t.Errorf("value %d: %g, Forward gives %g", i, out[i], v)
		}
	}
}

// TestUnitBack: the way back from length 1 is what central differences give, and of zeros it is zeros.
func TestUnitBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	f, y, back := make([]float32, 9), make([]float32, 9), make([]float32, 9)
	for i := range f {
		f[i], y[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	score := func(at int, step float64) (s float64) {
		squares := 0.0
		for i, v := range f {
			x := float64(v)
			if i == at {
				x += step
			}
			squares += x * x
			s += x * float64(y[i])
		}
		return s / math.Sqrt(squares)
	}
	UnitAt(f).Back(back, y)
	for i, v := range back {
		if want := (score(i, 1e-4) - score(i, -1e-4)) / 2e-4; math.Abs(float64(v)-want) > 1e-6 {
			t.Errorf("value %d: %g, central differences say %g", i, v, want)
		}
	}
	UnitAt(make([]float32, 9)).Back(back, y)
	if slices.ContainsFunc(back, func(v float32) bool { return v != 0 }) {
		t.Errorf("of zeros: %v", back)
	}
}

// TestActivationOnRows: lengths that fill no row of 32 columns are as right as others.
func TestActivationOnRows(t *testing.T) {
	for _, n := range []int{1, 31, 32, 33, 100} {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i)/16 - 2
		}
		value, slope := slices.Clone(x), slices.Clone(x)
		GELU.Apply(value)
		GELU.Slope(slope)
		for i, v := range x {
			h := float64(v)
			p, bell := (1+math.Erf(h/math.Sqrt2))/2, math.Exp(-h*h/2)/math.Sqrt(2*math.Pi)
			if math.Abs(float64(value[i])-h*p) > 1e-5 || math.Abs(float64(slope[i])-p-h*bell) > 1e-5 {
				t.Fatalf("%d values: at %g %g and %g, want %g and %g", n, v, value[i], slope[i], h*p, p+h*bell)
			}
		}
	}
}
