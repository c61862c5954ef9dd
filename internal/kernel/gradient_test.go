package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSlope compares the derivatives of all activations with central differences of the float64
// formula, and at values where a careless form overflows.
func TestSlope(t *testing.T) {
	values := []float32{0, 1e-30, 1e30, -1e30, 88, -88, 126, -126, math.MaxFloat32, -math.MaxFloat32}
	for x := -15.0; x <= 15; x += 0.0137 {
		values = append(values, float32(x))
	}
	everyTier(t, func(t *testing.T, s *Set) {
		for f := GELU; f <= ReLU; f++ {
			const ld = Columns + 5
			rows := (len(values) + Columns - 1) / Columns
			x := guarded[float32](t, (rows-1)*ld+Columns)
			for i, v := range values {
				x[i/Columns*ld+i%Columns] = v
			}
			s.Slope(f, x, rows, ld)
			for i, v := range values {
				got, want := float64(x[i/Columns*ld+i%Columns]), difference(f, float64(v))
				if !(math.Abs(got-want) <= 4e-7) {
					t.Errorf("activation %d: slope at %g is %g, want %g", f, v, got, want)
				}
			}
		}
	})
}

// difference is the slope of an activation by central differences where they are exact enough, and
// its limit where x is large.
func difference(f Activation, x float64) float64 {
	formula := func(x float64) float64 {
		switch f {
		case GELU:
			return x * math.Erfc(-x/math.Sqrt2) / 2
		case GELUTanh:
			return x / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
		case QuickGELU:
			return x / (1 + math.Exp(-1.702*x))
		}
		return max(0, x)
	}
	switch {
	case x >= 40 || f == ReLU && x > 0:
		return 1
	case x <= -40 || f == ReLU:
		return 0
	}
	const h = 1e-5
	return (formula(x+h) - formula(x-h)) / (2 * h)
}

func TestSlopeUndefined(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for f := GELU; f < ReLU; f++ {
			x := make([]float32, Columns)
			x[3] = float32(math.NaN())
			s.Slope(f, x, 1, Columns)
			if !math.IsNaN(float64(x[3])) {
				t.Errorf("activation %d: the slope at NaN is %g", f, x[3])
			}
		}
	})
}

func TestGate(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for _, n := range []int{0, 32, 64, 96, 768, 3072} {
			r := rand.New(rand.NewPCG(uint64(n), 3))
			row := func() []float32 {
				x := guarded[float32](t, n)
				for i := range x {
					x[i] = float32(r.NormFloat64())
				}
				return x
			}
			dst, x, y, p, q := row(), row(), row(), row(), row()
			sums := guardedCopy(t, []float32{7, 7})
			s.Gate(dst, sums, x, y, p, q)
			var want, size [2]float64
			for i := range n {
				v := float64(x[i]) * float64(y[i])
				if float64(dst[i]) != float64(float32(v)) {
					t.Fatalf("n = %d: value %d is %g, want %g", n, i, dst[i], v)
				}
				for j, other := range [][]float32{p, q} {
					want[j] += v * float64(other[i])
					size[j] += math.Abs(v * float64(other[i]))
				}
			}
			for j := range want {
				if !(math.Abs(float64(sums[j])-want[j]) <= 1e-6*(size[j]+1e-9)) {
					t.Errorf("n = %d: sum %d is %g, want %g", n, j, sums[j], want[j])
				}
			}
		}
	})
}

func TestAddPositive(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		const ld = Columns + 3
		for rows := range 30 {
			r := rand.New(rand.NewPCG(uint64(rows), 9))
			dst := guarded[float32](t, Columns)
			x := guarded[float32](t, max(0, rows-1)*ld+Columns)
			want := make([]float64, Columns)
			for i := range dst {
				dst[i] = float32(i)
				want[i] = float64(i)
			}
			for i := range x {
				x[i] = float32(r.NormFloat64())
				if row, column := i/ld, i%ld; row < rows && column < Columns {
					want[column] += max(0, float64(x[i]))
				}
			}
			s.AddPositive(dst, x, rows, ld)
			for i, w := range want {
				if !(math.Abs(float64(dst[i])-w) <= 1e-6*(w+1)) {
					t.Errorf("%d rows: column %d is %g, want %g", rows, i, dst[i], w)
				}
			}
		}
	})
}
