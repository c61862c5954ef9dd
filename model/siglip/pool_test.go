package siglip

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"evident/nn"
)

// smallPool is a pool of random weights, of sizes that are all different.
func smallPool(rng *rand.Rand) *Pool {
	const d, wide = 15, 37
	values := func(n int, scale, shift float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(shift + rng.NormFloat64()*scale)
		}
		return x
	}
	norm := func() *nn.LayerNorm {
		return &nn.LayerNorm{Gain: values(d, .2, 1), Bias: values(d, .2, 0), Epsilon: 1e-6}
	}
	return &Pool{
		tokenNorm: norm(), norm: norm(), activation: nn.GELUTanh,
		up:   nn.NewLinear(values(d*wide, .3, 0), values(wide, .2, 0), d, wide, nn.FP32),
		down: nn.NewLinear(values(d*wide, .2, 0), values(d, .2, 0), wide, d, nn.FP32),
		attention: nn.NewQueryAttention(nn.QueryParts{
			In: d, Size: d, Heads: 3, Query: values(d, 1, 0), Keys: values(d*d, .3, 0), Values: values(d*d, .3, 0),
			ValuesBias: values(d, .2, 0), Out: values(d*d, .3, 0), OutBias: values(d, .2, 0),
		}),
	}
}

// TestPoolGradient: ∂s/∂y is what central differences of s = t·e/|e| give, e = y + Down(act(Up(LN(y)))).
func TestPoolGradient(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 9))
	p := smallPool(rng)
	d := p.Size()
	tokens, texts := make([]float32, 7*d), make([]float32, 2*d)
	for i := range tokens {
		tokens[i] = float32(rng.NormFloat64())
	}
	for i := range texts {
		texts[i] = float32(rng.NormFloat64())
	}
	at, err := p.At(context.Background(), tokens)
	if err != nil {
		t.Fatal(err)
	}
	got := at.(*Point).gradients(texts)
	y := p.attention.Forward(tokens)
	score := func(text []float32, i int, step float64) (s float64) {
		moved := slices.Clone(y)
		moved[i] += float32(step)
		normed, _ := p.norm.At(moved)
		raised, e := make([]float32, p.up.Out), make([]float32, d)
		p.up.Forward(raised, normed, 1)
		p.activation.Apply(raised)
		p.down.Forward(e, raised, 1)
		squares := 0.0
		for c, v := range e {
			e[c] = v + moved[c]
			squares += float64(e[c]) * float64(e[c])
			s += float64(text[c]) * float64(e[c])
		}
		return s / math.Sqrt(squares)
	}
	const step = 1e-2
	for text := range 2 {
		for i := range d {
			direction := texts[text*d:][:d]
			want := (score(direction, i, step) - score(direction, i, -step)) / (2 * step)
			if math.Abs(float64(got[text*d+i])-want) > 2e-3 {
				t.Errorf("text %d, value %d: %g, central differences say %g", text, i, got[text*d+i], want)
			}
		}
	}
}

// TestPoolStops: a context that has ended ends the work.
func TestPoolStops(t *testing.T) {
	p := smallPool(rand.New(rand.NewPCG(1, 1)))
	ctx, cancel := context.WithCancel(context.Background())
	at, err := p.At(ctx, make([]float32, 4*p.Size()))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := at.Relevance(ctx, make([]float32, p.Size()), make([]float32, 4)); !errors.Is(err, context.Canceled) {
		t.Errorf("relevance after the end: %v", err)
	}
	if _, err := p.At(ctx, make([]float32, 4*p.Size())); !errors.Is(err, context.Canceled) {
		t.Errorf("a point after the end: %v", err)
	}
}
