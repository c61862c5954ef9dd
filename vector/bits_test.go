package vector

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"evident/internal/kernel"
)

// TestEstimates: what a code says of a score is right on average, and its error is what factor 2 says:
// off by more than ε·e·‖q - c‖, ε = 1.9, as often as a normal deviation of 1.9 is exceeded on one side.
func TestEstimates(t *testing.T) {
	const dim, n, asked = 383, 2048, 24
	random := rand.New(rand.NewPCG(2, 9))
	turn := newRotation(dim)
	d := turn.padded
	c := make([]float32, d)
	center := direction(random, dim, nil, 0)
	turn.apply(c, center)
	x, vectors := make([]float32, d), [][]float32{}
	width := d / 8
	var blocks []byte
	block := newCodeBlock(d)
	for i := range n {
		near := center
		if i%2 == 0 {
			near = nil // far from the centroid too
		}
		v := direction(random, dim, near, 0.8)
		vectors = append(vectors, v)
		turn.apply(x, v)
		block.add(x, c, 0)
		if block.full() {
			blocks = append(blocks, block.data...)
			block.reset()
		}
	}
	upper, above := make([]float32, n), make([]uint32, n/kernel.BitsBlock)
	sum, squares, exceeded, count := 0.0, 0.0, 0, 0
	for range asked {
		q := direction(random, dim, center, 1)
		turned := make([]float32, d)
		turn.apply(turned, q)
		bits := newBitsQuery(turned)
		base, apart := 0.0, 0.0
		for i := range turned {
			base += float64(turned[i]) * float64(c[i])
			apart += float64(turned[i]-c[i]) * float64(turned[i]-c[i])
		}
		e := &kernel.Estimate{Scale: bits.scale, Shift: bits.shift, Base: float32(base)}
		kernel.Active().Estimates(upper, above, blocks, bits.table, len(above), width, e)
		estimates := slices.Clone(upper)
		e.Slack = float32(math.Sqrt(apart))
		kernel.Active().Estimates(upper, above, blocks, bits.table, len(above), width, e)
		for i, v := range vectors {
			score := 0.0
			for j := range v {
				score += float64(v[j]) * float64(q[j])
			}
			deviation := (score - float64(estimates[i])) / float64(upper[i]-estimates[i])
			sum += deviation
			squares += deviation * deviation
			if deviation > 1.9 {
				exceeded++
			}
			count++
		}
	}
	mean, spread := sum/float64(count), math.Sqrt(squares/float64(count))
	share := float64(exceeded) / float64(count)
	t.Logf("deviation %.3f ± %.3f, %.2f %% above 1.9", mean, spread, 100*share)
	if math.Abs(mean) > 0.05 || math.Abs(spread-1) > 0.1 || share > 0.04 || share < 0.015 {
		t.Errorf("deviation %.3f ± %.3f, %.2f %% above 1.9; want 0 ± 1, 2.9 %%", mean, spread, 100*share)
	}
}

// TestRotation keeps inner products, and spreads a vector of one coordinate evenly.
func TestRotation(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 9))
	for _, dim := range []int{1, 5, 64, 67, 128, 200, 383, 384, 1000} {
		r := newRotation(dim)
		a, b := direction(random, dim, nil, 0), direction(random, dim, nil, 0)
		turnedA, turnedB := make([]float32, r.padded), make([]float32, r.padded)
		r.apply(turnedA, a)
		r.apply(turnedB, b)
		before, after := 0.0, 0.0
		for i := range a {
			before += float64(a[i]) * float64(b[i])
		}
		for i := range turnedA {
			after += float64(turnedA[i]) * float64(turnedB[i])
		}
		if math.Abs(before-after) > 1e-5 {
			t.Errorf("dim %d: inner product %g became %g", dim, before, after)
		}
		one := make([]float32, dim)
		one[dim-1] = 1
		r.apply(turnedA, one)
		for i, v := range turnedA {
			if math.Abs(float64(v)) > 5/math.Sqrt(float64(r.padded)) {
				t.Errorf("dim %d: coordinate %d of a turned unit vector is %g", dim, i, v)
			}
		}
	}
}

// TestFixed: both planes count a vector to half a step, the high plane alone is the nearest bytes.
func TestFixed(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 9))
	for _, fine := range []bool{true, false} {
		f := &fixed{d: 64}
		x := make([]float32, 64)
		for i := range 50 {
			for j := range x {
				x[j] = float32(random.NormFloat64())
			}
			x[i] = float32(-4 + i%2*8) // the largest, of either sign
			if i == 49 {
				clear(x)
			}
			f.append(x, fine)
			back := make([]float32, 64)
			f.decode(back, i)
			half := f.scale[i] / 2
			if fine {
				half /= 256
			}
			for j := range x {
				if d := math.Abs(float64(back[j] - x[j])); d > float64(half)*1.01+1e-6 {
					t.Fatalf("vector %d: %g became %g, off by more than %g", i, x[j], back[j], half)
				}
			}
			if fine != (f.low != nil) {
				t.Fatal("the low plane is not as asked")
			}
		}
	}
}
