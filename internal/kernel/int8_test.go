package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// runInt8 multiplies guarded bytes and compares every sum with plain integers.
func (c tileCase) runInt8(t *testing.T, s *Set, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 11))
	quadCount, panels := (c.k+Quad-1)/Quad, (c.columns+Columns-1)/Columns
	lda := c.lda + Quad
	a := guarded[uint8](t, (c.rows-1)*lda+Quad*quadCount)
	for i := range a {
		a[i] = uint8(r.IntN(256))
	}
	b := guarded[int8](t, panels*quadCount*Quad*Columns)
	offsets, scales := guarded[int32](t, panels*Columns), make([]float32, Columns)
	w := random(r, c.columns*c.k)
	for p := range panels {
		rows := min(Columns, c.columns-p*Columns)
		PackInt8(b[p*quadCount*Quad*Columns:], scales, offsets[p*Columns:],
			w[p*Columns*c.k:], c.k, rows, c.k)
	}
	out := guarded[int32](t, (c.rows-1)*c.ldc+panels*Columns)
	for i := range out {
		out[i] = 12345 // must survive between the rows
	}
	c.blocks(s, func(row, rows int) {
		s.TileInt8(out[row*c.ldc:], c.ldc, a[row*lda:], lda, b, offsets, rows, quadCount, panels)
	})
	for i := range c.rows {
		for j := range panels * Columns {
			want := 0
			for l := range Quad * quadCount {
				at := (j/Columns*quadCount+l/Quad)*Columns + j%Columns
				want += (int(a[i*lda+l]) - 128) * int(b[at*Quad+l%Quad])
			}
			if got := int(out[i*c.ldc+j]); got != want {
				t.Fatalf("%v: c[%d,%d] = %d, want %d", c, i, j, got, want)
			}
		}
		if i+1 < c.rows && c.ldc > panels*Columns && out[i*c.ldc+panels*Columns] != 12345 {
			t.Fatalf("%v: wrote beyond row %d", c, i)
		}
	}
}

func TestTileInt8(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		if !s.HasInt8() {
			t.Logf("tier %s multiplies no bytes here: plain Go is tested", s.Tier())
		}
		for rows := 1; rows <= 70; rows++ {
			k, columns := 1+(rows*7)%61, 1+(rows*13)%67
			panels := (columns + Columns - 1) / Columns
			c := tileCase{rows, k, columns, k + rows%3, panels*Columns + rows%5, true}
			c.runInt8(t, s, uint64(rows))
		}
		tileCase{13, 3072, 31, 3072, 32, true}.runInt8(t, s, 99)
		tileCase{99, 154, 33, 155, 64, true}.runInt8(t, s, 98)
		tileCase{123, 64, 65, 96, 97, true}.runInt8(t, s, 97)
	})
}

// TestTileInt8Extremes: the largest bytes of either sign do not saturate on the way.
func TestTileInt8Extremes(t *testing.T) {
	const k = 1024 // quads
	everyTier(t, func(t *testing.T, s *Set) {
		a, b, c := make([]uint8, Quad*k), make([]int8, Quad*k*Columns), make([]int32, Columns)
		for _, v := range []int8{127, -128} {
			for i := range a {
				a[i] = 255
			}
			for i := range b {
				b[i] = v
			}
			s.TileInt8(c, Columns, a, Quad*k, b, nil, 1, k, 1)
			if want := int32(Quad * k * 255 * int(v)); c[0] != want || c[31] != want {
				t.Errorf("sum is %d and %d, want %d", c[0], c[31], want)
			}
		}
	})
}

// TestQuantise: bytes of every tier are those of plain Go, and count their row to half a step.
func TestQuantise(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(5, 5))
		sizes := []int{384, 1536}
		for n := 1; n <= 70; n++ {
			sizes = append(sizes, n)
		}
		for _, n := range sizes {
			const rows = 5
			padded, lds := (n+Quad-1)/Quad*Quad, n+3
			ldd := padded + 5
			src := guardedCopy(t, random(r, (rows-1)*lds+n))
			clear(src[lds : lds+n]) // a row of zeros
			src[2*lds] = 1e-38      // and one with a large and a tiny value
			src[3*lds] = 1e-42      // and a denormal one
			src[2*lds+n-1] = -77
			dst, want := guarded[uint8](t, (rows-1)*ldd+padded), make([]uint8, rows*ldd)
			scales, wantScales := guarded[float32](t, rows), make([]float32, rows)
			s.Quantise(dst, ldd, scales, src, lds, rows, n)
			quantise(want, ldd, wantScales, src, lds, rows, n)
			for i := range rows {
				if scales[i] != wantScales[i] {
					t.Fatalf("n %d: scale %d is %g, want %g", n, i, scales[i], wantScales[i])
				}
				for j := range padded {
					got, x := dst[i*ldd+j], float32(0)
					if j < n {
						x = src[i*lds+j]
					}
					back := (float64(got) - 128) * float64(scales[i])
					if got != want[i*ldd+j] || math.Abs(back-float64(x)) > 0.501*float64(scales[i]) {
						t.Fatalf("n %d: byte [%d,%d] of %g is %d, plain Go has %d",
							n, i, j, x, got, want[i*ldd+j])
					}
				}
			}
		}
	})
}

// TestQuantiseUndefined: a row with NaN or an infinity does not pass for numbers; its neighbour does.
func TestQuantiseUndefined(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			for at := range 32 {
				src, dst, scales := make([]float32, 64), make([]uint8, 64), make([]float32, 2)
				src[at], src[32] = float32(v), 1
				s.Quantise(dst, 32, scales, src, 32, 2, 32)
				if !math.IsNaN(float64(scales[0])) || scales[1] != 1.0/127 || dst[32] != 255 {
					t.Fatalf("%g at %d: scales %v, byte %d", v, at, scales, dst[32])
				}
			}
		}
	})
}

func TestDequantise(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(3, 9))
		for rows := 1; rows <= s.TileRows(); rows++ {
			ldd := Columns + rows%4
			src := guarded[int32](t, rows*Columns)
			for i := range src {
				src[i] = int32(r.Uint32()) >> 6
			}
			factors, scales, bias := random(r, rows), random(r, Columns), random(r, Columns)
			dst := guarded[float32](t, (rows-1)*ldd+Columns)
			s.Dequantise(dst, ldd, src, guardedCopy(t, factors), guardedCopy(t, scales),
				guardedCopy(t, bias), rows)
			for i := range rows {
				for j := range Columns {
					p := float64(src[i*Columns+j]) * float64(factors[i]) * float64(scales[j])
					want := p + float64(bias[j])
					if got := float64(dst[i*ldd+j]); math.Abs(got-want) > 4*epsilon*math.Abs(p)+1e-7 {
						t.Fatalf("[%d,%d] is %g, want %g", i, j, got, want)
					}
				}
			}
		}
	})
}

func FuzzTileInt8(f *testing.F) {
	f.Add(uint64(1), uint8(13), uint16(129), uint8(33), uint8(1), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, rows uint8, k uint16, columns, padA, padC uint8) {
		c := tileCase{rows: 1 + int(rows)%70, k: int(k) % 300, columns: 1 + int(columns)%100}
		c.lda = c.k + int(padA)%20
		c.ldc = (c.columns+Columns-1)/Columns*Columns + int(padC)%20
		guardBefore = seed%2 == 1
		defer func() { guardBefore = false }()
		for tier := range Tier(len(tierNames)) {
			if Available(tier) == nil {
				c.runInt8(t, Of(tier), seed)
			}
		}
	})
}
