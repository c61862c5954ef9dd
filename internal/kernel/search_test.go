package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestDotBytes: products of every tier are those of plain integers, on every number of rows, with
// and without a gap between them, of guarded memory.
func TestDotBytes(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(3, 1))
		for _, d := range []int{1, 7, 16, 63, 64, 65, 128, 192, 384, 1000, 1024} {
			for n := range 12 {
				for _, gap := range []int{0, 64, 5} {
					c := newDotCase(t, r, d, n, d+gap)
					dst := guarded[int32](t, n)
					s.DotBytes(dst, c.query, c.rows, c.ld, n, c.init)
					for i, got := range dst {
						if want := c.product(i); got != want {
							t.Fatalf("d %d, %d rows, ld %d: row %d is %d, want %d", d, n, c.ld, i, got, want)
						}
					}
				}
			}
		}
	})
}

// TestDotBytesAt: the same of rows in any order, some of them twice.
func TestDotBytesAt(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(5, 1))
		for _, d := range []int{3, 64, 127, 128, 384} {
			for _, n := range []int{1, 2, 5, 13} {
				c := newDotCase(t, r, d, n, d)
				at := guarded[uint32](t, 2*n+1)
				for i := range at {
					at[i] = uint32(r.IntN(n))
				}
				dst := guarded[int32](t, len(at))
				s.DotBytesAt(dst, c.query, c.rows, c.ld, at, c.init)
				for i, row := range at {
					if want := c.product(int(row)); dst[i] != want {
						t.Fatalf("d %d: row %d is %d, want %d", d, row, dst[i], want)
					}
				}
			}
		}
	})
}

// TestDotBytesExtremes: the largest bytes do not saturate on the way.
func TestDotBytesExtremes(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for _, q := range []int8{127, -128} {
			query, rows, dst := make([]int8, 4096), make([]uint8, 4096), make([]int32, 1)
			for i := range query {
				query[i], rows[i] = q, 255
			}
			s.DotBytes(dst, query, rows, 4096, 1, 0)
			if want := 4096 * 255 * int32(q); dst[0] != want {
				t.Errorf("%d, want %d", dst[0], want)
			}
		}
	})
}

type dotCase struct {
	query []int8
	rows  []uint8
	ld    int
	init  int32
}

func newDotCase(t *testing.T, r *rand.Rand, d, n, ld int) *dotCase {
	c := &dotCase{guarded[int8](t, d), guarded[uint8](t, max(0, (n-1)*ld+d)), ld, int32(r.Uint32()) >> 8}
	for i := range c.query {
		c.query[i] = int8(r.Uint32())
	}
	for i := range c.rows {
		c.rows[i] = uint8(r.Uint32())
	}
	return c
}

func (c *dotCase) product(row int) int32 {
	sum := c.init
	for j, q := range c.query {
		sum += int32(q) * int32(c.rows[row*c.ld+j])
	}
	return sum
}

// TestEstimates compares every tier with the formula in float64, and the marks with what was written.
func TestEstimates(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(9, 2))
		for _, width := range []int{0, 2, 4, 6, 8, 14, 48, 96, 256} {
			for _, n := range []int{0, 1, 2, 3, 7} {
				t.Run(fmt.Sprintf("width-%d-blocks-%d", width, n), func(t *testing.T) {
					checkEstimates(t, s, r, width, n)
				})
			}
		}
	})
}

func checkEstimates(t *testing.T, s *Set, r *rand.Rand, width, n int) {
	size := BitsBlockSize(width)
	blocks, table := guarded[uint8](t, n*size), guarded[uint8](t, 2*width*BitsBlock)
	for i := 0; i < len(table); i += 32 {
		for j := range 16 {
			table[i+j] = uint8(r.IntN(128))
			if r.IntN(4) == 0 {
				table[i+j] = 127
			}
			table[i+16+j] = table[i+j]
		}
	}
	factors := make([][BitsFactors]float64, n*BitsBlock)
	for b := range n {
		block := blocks[b*size:][:size]
		for i := range width * BitsBlock {
			block[i] = uint8(r.Uint32())
		}
		for f := range BitsFactors {
			for v := range BitsBlock {
				x := float32(r.NormFloat64())
				if f == 1 && v == 31 {
					x = float32(math.Inf(-1)) // a place without a vector
				}
				factors[b*BitsBlock+v][f] = float64(x)
				binary.LittleEndian.PutUint32(block[width*BitsBlock+4*(f*BitsBlock+v):], math.Float32bits(x))
			}
		}
	}
	e := &Estimate{Scale: 0.013, Shift: -1.7, Base: 0.3, Slack: 0.21, Weight: -0.7, Floor: 0.1}
	upper, above := guarded[float32](t, n*BitsBlock), guarded[uint32](t, n)
	s.Estimates(upper, above, blocks, table, n, width, e)
	for v, got := range upper {
		block, lane, sum := blocks[v/BitsBlock*size:], BitsLane(v%BitsBlock), 0
		for p := range width {
			c := block[p*BitsBlock+lane]
			sum += int(table[p*BitsBlock+int(c&15)]) + int(table[(width+p)*BitsBlock+int(c>>4)])
		}
		f := factors[v]
		linear := float64(sum)*float64(e.Scale) + float64(e.Shift)
		want := float64(e.Base) + f[1] + f[0]*linear + f[2]*float64(e.Slack) + f[3]*float64(e.Weight)
		if d := math.Abs(float64(got) - want); d > 8*epsilon*(4+math.Abs(f[0]*linear)) {
			t.Fatalf("vector %d: %g, want %g", v, got, want)
		}
		if marked := above[v/BitsBlock]>>(v%BitsBlock)&1 == 1; marked != (got > e.Floor) {
			t.Fatalf("vector %d of bound %g: marked %v above %g", v, got, marked, e.Floor)
		}
	}
}

// BenchmarkDotBytes scans more rows than any cache holds.
func BenchmarkDotBytes(b *testing.B) {
	const d, n = 384, 1 << 17
	rows, query, dst := make([]uint8, d*n), make([]int8, d), make([]int32, n)
	everyTierBenchmark(b, func(b *testing.B, s *Set) {
		b.SetBytes(d * n)
		for b.Loop() {
			s.DotBytes(dst, query, rows, d, n, 0)
		}
	})
}

// BenchmarkEstimates bounds vectors of 384 coordinates whose codes stay in the second level cache.
func BenchmarkEstimates(b *testing.B) {
	const width, n = 48, 128
	blocks, table := make([]uint8, n*BitsBlockSize(width)), make([]uint8, 2*width*BitsBlock)
	upper, above := make([]float32, n*BitsBlock), make([]uint32, n)
	everyTierBenchmark(b, func(b *testing.B, s *Set) {
		for b.Loop() {
			s.Estimates(upper, above, blocks, table, n, width, &Estimate{})
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(n*BitsBlock), "ns/vector")
	})
}
