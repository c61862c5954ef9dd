package kernel

import (
	"fmt"
	"math"
)

// Slope replaces each x of rows of 32 columns, ldx apart, by the derivative of the activation there.
func (s *Set) Slope(f Activation, x []float32, rows, ldx int) {
	need("x", len(x), rows, ldx, Columns)
	switch {
	case rows <= 0:
	case s.slope[f] == nil:
		for row := range rows {
			for i, v := range x[row*ldx:][:Columns] {
				x[row*ldx+i] = float32(slope(f, float64(v)))
			}
		}
	default:
		s.slope[f](f32(x), rows, 4*ldx)
	}
}

// slope is the derivative of an activation.
func slope(f Activation, x float64) float64 {
	sigmoidProduct := func(t, slopeOfT float64) float64 { // of x·σ(t)
		s := 1 / (1 + math.Exp(-t))
		return s + max(-slopeLimit, min(slopeLimit, x))*slopeOfT*s*(1-s)
	}
	switch f {
	case GELU:
		return (1+math.Erf(x/math.Sqrt2))/2 + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	case GELUTanh:
		x = max(-slopeLimit, min(slopeLimit, x))
		c := 2 * math.Sqrt(2/math.Pi)
		return sigmoidProduct(c*(x+0.044715*x*x*x), c*(1+3*0.044715*x*x))
	case QuickGELU:
		return sigmoidProduct(1.702*x, 1.702)
	}
	if x > 0 {
		return 1
	}
	return 0 * x // NaN stays
}

// slopeLimit bounds |x| where the slope of x·σ(…) is asked for: beyond, it is 0 or 1 in float32.
const slopeLimit = 60

// Gate computes dst = x∘y for rows of a length that is a multiple of 32, and sums = dst·p, dst·q: the
// gradient that enters a feed-forward block, and what the norm before the block asks of it.
func (s *Set) Gate(dst, sums, x, y, p, q []float32) {
	n := len(dst)
	if n%Columns != 0 {
		panic(fmt.Sprintf("kernel: a gate's row of %d is no multiple of %d", n, Columns))
	}
	need("sums", len(sums), 1, 0, 2)
	for _, other := range [...][]float32{x, y, p, q} {
		need("a row of a gate", len(other), 1, 0, n)
	}
	if s.gate != nil && n > 0 {
		s.gate(f32(dst), f32(sums), f32(x), f32(y), f32(p), f32(q), n)
		return
	}
	sums[0], sums[1] = 0, 0
	for i := range dst {
		v := x[i] * y[i]
		dst[i] = v
		sums[0] += v * p[i]
		sums[1] += v * q[i]
	}
}

// AddPositive adds to dst [32] the values above 0 in each column of x, rows of 32 that are ldx apart.
func (s *Set) AddPositive(dst, x []float32, rows, ldx int) {
	need("dst", len(dst), 1, 0, Columns)
	need("x", len(x), rows, ldx, Columns)
	switch {
	case rows <= 0:
	case s.addPositive != nil:
		s.addPositive(f32(dst), f32(x), rows, 4*ldx)
	default:
		for row := range rows {
			for i, v := range x[row*ldx:][:Columns] {
				dst[i] += max(0, v)
			}
		}
	}
}
