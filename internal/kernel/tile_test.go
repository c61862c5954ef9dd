package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// tileCase is one product: w is [columns, k] as torch stores it, so the packing is tested too.
type tileCase struct {
	rows, k, columns int
	lda, ldc         int
	withInit         bool
}

func (c tileCase) String() string {
	return fmt.Sprintf("rows=%d,k=%d,columns=%d,lda=%d,ldc=%d,init=%v",
		c.rows, c.k, c.columns, c.lda, c.ldc, c.withInit)
}

// run multiplies with guarded buffers and compares every element with float64.
func (c tileCase) run(t *testing.T, s *Set, seed uint64, bf16 bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	panels := (c.columns + Columns - 1) / Columns
	a, w, init := random(r, c.rows*c.lda), random(r, c.columns*c.k), []float32(nil)
	if c.withInit {
		init = guardedCopy(t, random(r, panels*Columns))
	}
	out := guarded[float32](t, (c.rows-1)*c.ldc+panels*Columns)
	for i := range out {
		out[i] = 12345 // must survive between the rows
	}
	aUsed := (c.rows-1)*c.lda + c.k
	if bf16 {
		a, w = c.tileBF16(t, s, a, w, init, out)
		plain := make([]float32, len(out)) // the portable path, held to the same bound
		for i := range plain {
			plain[i] = 12345
		}
		c.tileBF16(t, Of(Generic), a, w, init, plain)
		c.check(t, a, w, init, plain)
	} else {
		b := guarded[float32](t, panels*c.k*Columns)
		for p := range panels {
			packRows := min(Columns, c.columns-p*Columns)
			s.PackF32(b[p*c.k*Columns:], w[p*Columns*c.k:], c.k, packRows, c.k)
		}
		guardedA := guardedCopy(t, a[:aUsed])
		c.blocks(s, func(row, rows int) {
			s.TileF32(out[row*c.ldc:], c.ldc, guardedA[row*c.lda:], c.lda, b, init, rows, c.k, panels)
		})
	}
	c.check(t, a, w, init, out)
}

// tileBF16 runs the bf16 kernel and returns the factors as it saw them.
func (c tileCase) tileBF16(
	t *testing.T, s *Set, a, w, init, out []float32,
) (aSeen, wSeen []float32) {
	t.Helper()
	pairs, panels := (c.k+1)/2, (c.columns+Columns-1)/Columns
	lda := c.lda + c.lda%2
	narrow := guarded[uint16](t, (c.rows-1)*lda+2*pairs)
	s.ToBF16(narrow, lda, a, c.lda, c.rows, c.k)
	b := guarded[uint16](t, panels*pairs*2*Columns)
	for p := range panels {
		rows := min(Columns, c.columns-p*Columns)
		s.PackBF16(b[p*pairs*2*Columns:], w[p*Columns*c.k:], c.k, rows, c.k)
	}
	c.blocks(s, func(row, rows int) {
		s.TileBF16(out[row*c.ldc:], c.ldc, narrow[row*lda:], lda, b, init, rows, pairs, panels)
	})
	round := func(x []float32) []float32 {
		y := make([]float32, len(x))
		for i, v := range x {
			y[i] = FromBF16(RoundBF16(v))
		}
		return y
	}
	return round(a), round(w)
}

// blocks splits the rows as the callers do.
func (c tileCase) blocks(s *Set, run func(row, rows int)) {
	n := (c.rows + s.TileRows() - 1) / s.TileRows()
	for i := range n {
		from, to := c.rows*i/n, c.rows*(i+1)/n
		run(from, to-from)
	}
}

func (c tileCase) check(t *testing.T, a, w, init, out []float32) {
	t.Helper()
	panels := (c.columns + Columns - 1) / Columns
	for i := range c.rows {
		for j := range panels * Columns {
			start := float32(0)
			if init != nil {
				start = init[j]
			}
			want, size := float64(start), math.Abs(float64(start))
			if j < c.columns {
				want, size = product(a[i*c.lda:][:c.k], w[j*c.k:][:c.k], start)
			}
			bound := 0.5*float64(c.k+2)*epsilon*size + 1e-37
			if got := float64(out[i*c.ldc+j]); !(math.Abs(got-want) <= bound) {
				t.Fatalf("%v: c[%d,%d] = %g, want %g ± %g", c, i, j, got, want, bound)
			}
		}
		if i+1 < c.rows {
			for j := panels * Columns; j < c.ldc; j++ {
				if out[i*c.ldc+j] != 12345 {
					t.Fatalf("%v: wrote beyond row %d at column %d", c, i, j)
				}
			}
		}
	}
}

func TestTile(t *testing.T) {
	var cases []tileCase
	for rows := 1; rows <= 70; rows++ {
		k, columns := rows*7%71, 1+(rows*13)%67 // every k up to 70
		panels := (columns + Columns - 1) / Columns
		lda, ldc := k+rows%3, panels*Columns+rows%5
		cases = append(cases, tileCase{rows, k, columns, lda, ldc, rows%2 == 0})
	}
	cases = append(cases, tileCase{13, 769, 31, 769, 32, true}, tileCase{29, 384, 97, 400, 131, false},
		tileCase{5, 0, 33, 3, 64, true}, tileCase{17, 2, 64, 2, 64, false},
		tileCase{99, 154, 33, 155, 64, true}, tileCase{123, 64, 65, 96, 97, true})
	everyTier(t, func(t *testing.T, s *Set) {
		for i, c := range cases {
			c.run(t, s, uint64(i), false)
			c.run(t, s, uint64(i), true)
		}
	})
}

// TestTileDenormalBits: float32 products and sums below the normal range keep their bits.
func TestTileDenormalBits(t *testing.T) {
	const k = 9
	everyTier(t, func(t *testing.T, s *Set) {
		for rows := 1; rows <= s.TileRows(); rows++ {
			a, b := make([]float32, rows*k), make([]float32, k*Columns)
			c, init := make([]float32, rows*Columns), make([]float32, Columns)
			for i := range a {
				a[i] = math.Float32frombits(uint32(i/k + 1)) // 2^-149 times the row's number
			}
			for i := range b {
				b[i] = float32(i % Columns)
			}
			for j := range init {
				init[j] = math.Float32frombits(5)
			}
			s.TileF32(c, Columns, a, k, b, init, rows, k, 1)
			for i, v := range c {
				want := uint32(5 + k*(i/Columns+1)*(i%Columns))
				if got := math.Float32bits(v); got != want {
					t.Fatalf("%d rows: [%d,%d] is %d·2^-149, want %d",
						rows, i/Columns, i%Columns, got, want)
				}
			}
		}
	})
}

// TestTileRowsAgree: a row's bits do not depend on how many rows share its tile.
func TestTileRowsAgree(t *testing.T) {
	const k = 77
	everyTier(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(1, 2))
		if guardBefore {
			t.Skip("there are no guard pages in this test")
		}
		a, b := random(r, s.TileRows()*k), random(r, k*Columns)
		narrowA, narrowB := make([]uint16, 2*len(a)), make([]uint16, 2*len(b))
		s.ToBF16(narrowA, 1, random(r, len(narrowA)), 1, len(narrowA), 1)
		s.ToBF16(narrowB, 1, random(r, len(narrowB)), 1, len(narrowB), 1)
		for name, tile := range map[string]func(c []float32, from, rows int){
			"fp32": func(c []float32, from, rows int) {
				s.TileF32(c, Columns, a[from*k:], k, b, nil, rows, k, 1)
			},
			"bf16": func(c []float32, from, rows int) {
				s.TileBF16(c, Columns, narrowA[2*from*k:], 2*k, narrowB, nil, rows, k, 1)
			},
		} {
			alone := make([]float32, s.TileRows()*Columns)
			for i := range s.TileRows() {
				tile(alone[i*Columns:], i, 1)
			}
			all := make([]float32, s.TileRows()*Columns)
			for rows := 1; rows <= s.TileRows(); rows += 1 + rows/15*4 {
				tile(all, 0, rows)
				for i, v := range all[:rows*Columns] {
					if v != alone[i] {
						t.Fatalf("%s: row %d of %d, column %d: %g alone, %g together",
							name, i/Columns, rows, i%Columns, alone[i], v)
					}
				}
			}
		}
	})
}

func FuzzTile(f *testing.F) {
	f.Add(uint64(1), uint8(13), uint16(129), uint8(33), uint8(1), uint8(3), true)
	f.Fuzz(func(
		t *testing.T, seed uint64, rows uint8, k uint16, columns, padA, padC uint8, init bool,
	) {
		c := tileCase{rows: 1 + int(rows)%70, k: int(k) % 300, columns: 1 + int(columns)%100}
		c.withInit = init
		c.lda = c.k + int(padA)%20
		c.ldc = (c.columns+Columns-1)/Columns*Columns + int(padC)%20
		guardBefore = seed%2 == 1
		defer func() { guardBefore = false }()
		for tier := range Tier(len(tierNames)) {
			if Available(tier) == nil {
				c.run(t, Of(tier), seed, false)
				c.run(t, Of(tier), seed, true)
			}
		}
	})
}
