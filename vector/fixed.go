package vector

import (
	"math"

	"evident/internal/kernel"
)

// fixed holds n vectors of d coordinates as 16-bit fixed-point numbers in two planes of bytes,
// around 128 each:
//
//	x[i] = scale·((high[i] - 128) + (low[i] - 128)/256)
//
// The high plane alone is the nearest vector of signed bytes; products of planes are exact in 32
// bits. Without a low plane its bytes count as 128.
type fixed struct {
	d     int
	high  []uint8   // [n, d]
	low   []uint8   // [n, d], or nil
	scale []float32 // [n]
}

// fixedSteps returns the scale of a vector and one over what its last bit is worth.
func fixedSteps(x []float32) (scale, inverse float32) {
	most := float32(0)
	for _, v := range x {
		most = max(most, float32(math.Abs(float64(v))))
	}
	if most == 0 {
		return 0, 0
	}
	return most / 127, 256 * 127 / most
}

// append adds a vector; fine says whether the low plane is kept.
func (f *fixed) append(x []float32, fine bool) {
	scale, inverse := fixedSteps(x)
	f.scale = append(f.scale, scale)
	for _, v := range x {
		u := int32(math.RoundToEven(float64(v*inverse))) + 128<<8 + 128 // both planes around 128
		f.high = append(f.high, uint8(u>>8))
		if fine {
			f.low = append(f.low, uint8(u))
		}
	}
}

// decode writes vector i to dst [d].
func (f *fixed) decode(dst []float32, i int) {
	scale, high := f.scale[i], f.high[i*f.d:][:f.d]
	if f.low == nil {
		for j, h := range high {
			dst[j] = scale * float32(int32(h)-128)
		}
		return
	}
	scale /= 256
	for j, l := range f.low[i*f.d:][:f.d] {
		dst[j] = scale * float32(int32(high[j])<<8+int32(l)-(128<<8+128))
	}
}

// fixedQuery is a query in the same form, with signed bytes.
type fixedQuery struct {
	high, low         []int8
	scale             float64
	highInit, lowInit int32   // what takes back the 128 in each byte of a row
	norm              float32 // ‖q‖
	highError         float32 // ‖q - its high plane‖
}

func newFixedQuery(q []float32) *fixedQuery {
	f := &fixedQuery{high: make([]int8, len(q)), low: make([]int8, len(q))}
	scale, inverse := fixedSteps(q)
	f.scale = float64(scale)
	norm, lost := 0.0, 0.0
	for i, v := range q {
		t := int32(math.RoundToEven(float64(v * inverse)))
		high := (t + 128) >> 8
		low := t - high<<8
		f.high[i], f.low[i] = int8(high), int8(low)
		f.highInit -= 128 * high
		f.lowInit -= 128 * low
		norm += float64(v) * float64(v)
		e := float64(v) - f.scale*float64(high)
		lost += e * e
	}
	f.norm, f.highError = float32(math.Sqrt(norm)), float32(math.Sqrt(lost))
	return f
}

// sums is memory for products of planes.
type sums struct{ a, b, c, d []int32 }

func (s *sums) reserve(n int) {
	if cap(s.a) < n {
		s.a, s.b = make([]int32, n), make([]int32, n)
		s.c, s.d = make([]int32, n), make([]int32, n)
	}
	s.a, s.b, s.c, s.d = s.a[:n], s.b[:n], s.c[:n], s.d[:n]
}

// products writes query·x of the vectors at to dst, as exactly as they are stored.
func (f *fixed) products(dst []float32, set *kernel.Set, q *fixedQuery, at []uint32, s *sums) {
	s.reserve(len(at))
	set.DotBytesAt(s.a, q.high, f.high, f.d, at, q.highInit)
	set.DotBytesAt(s.b, q.low, f.high, f.d, at, q.lowInit)
	if f.low == nil {
		clear(s.c)
		clear(s.d)
	} else {
		set.DotBytesAt(s.c, q.high, f.low, f.d, at, q.highInit)
		set.DotBytesAt(s.d, q.low, f.low, f.d, at, q.lowInit)
	}
	for i, row := range at {
		sum := float64(s.a[i]) + (float64(s.b[i])+float64(s.c[i]))/256 + float64(s.d[i])/(256*256)
		dst[i] = float32(q.scale * float64(f.scale[row]) * sum)
	}
}

// roundedProducts is products with the high plane of the vectors alone: off by at most half a step
// in each coordinate, see rounding.
func (f *fixed) roundedProducts(dst []float32, set *kernel.Set, q *fixedQuery, at []uint32, s *sums) {
	s.reserve(len(at))
	set.DotBytesAt(s.a, q.high, f.high, f.d, at, q.highInit)
	set.DotBytesAt(s.b, q.low, f.high, f.d, at, q.lowInit)
	for i, row := range at {
		sum := float64(s.a[i]) + float64(s.b[i])/256
		dst[i] = float32(q.scale * float64(f.scale[row]) * sum)
	}
}
