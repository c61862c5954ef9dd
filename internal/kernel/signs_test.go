package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// randomTile returns rows of 32 values, ld apart, of which some are 0 and some negative 0, behind a guard page.
func randomTile(t *testing.T, r *rand.Rand, rows, ld int) []float32 {
	x := guarded[float32](t, max(0, rows-1)*ld+Columns)
	for i := range x {
		switch r.IntN(9) {
		case 0:
			x[i] = 0
		case 1:
			x[i] = float32(math.Copysign(0, -1))
		default:
			x[i] = float32(r.NormFloat64())
		}
	}
	return x
}

func TestPositiveSigns(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for rows := range 30 {
			for _, ld := range []int{Columns, Columns + 3} {
				r := rand.New(rand.NewPCG(uint64(rows), 9))
				x := randomTile(t, r, rows, ld)
				if rows > 1 {
					x[ld+5] = float32(math.NaN())
				}
				signs, plainSigns := guarded[uint32](t, rows), make([]uint32, rows)
				dst, plain := guarded[float32](t, Columns), make([]float32, Columns)
				for i := range dst {
					dst[i], plain[i] = float32(i), float32(i)
				}
				s.PositiveSigns(dst, signs, x, rows, ld)
				genericSet.PositiveSigns(plain, plainSigns, x, rows, ld)
				for i, want := range plain {
					if i != 5 && math.Abs(float64(dst[i]-want)) > 1e-5*float64(rows+1) {
						t.Fatalf("%d rows: column %d is %g, want %g", rows, i, dst[i], want)
					}
				}
				for row, want := range plainSigns {
					if signs[row] != want {
						t.Fatalf("%d rows: the signs of row %d are %032b, want %032b", rows, row, signs[row], want)
					}
				}
			}
		}
	})
}

func TestSpreadSigns(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for rows := range 20 {
			const ld = Columns + 6
			r := rand.New(rand.NewPCG(uint64(rows), 4))
			signs := guarded[uint32](t, rows)
			for i := range signs {
				signs[i] = r.Uint32()
			}
			n := max(0, rows-1)*ld + Columns
			wide, half := guarded[float32](t, n), guarded[uint16](t, n)
			for i := range wide {
				wide[i], half[i] = 7, 7
			}
			s.SpreadSigns(wide, ld, signs, rows)
			s.SpreadSignsBF16(half, ld, signs, rows)
			for i, got := range wide {
				want := float32(7)
				if row, column := i/ld, i%ld; row < rows && column < Columns {
					want = float32(signs[row] >> column & 1)
					if FromBF16(half[i]) != want {
						t.Fatalf("%d rows: value %d is %g in bf16, want %g", rows, i, FromBF16(half[i]), want)
					}
				} else if half[i] != 7 {
					t.Fatalf("%d rows: value %d beside the columns is written", rows, i)
				}
				if got != want {
					t.Fatalf("%d rows: value %d is %g, want %g", rows, i, got, want)
				}
			}
		}
	})
}

func TestAddProduct(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for rows := range 30 {
			for _, ldy := range []int{0, Columns, Columns + 5} {
				const ldx = Columns + 3
				r := rand.New(rand.NewPCG(uint64(rows), uint64(ldy)))
				x, y := randomTile(t, r, rows, ldx), randomTile(t, r, rows, max(ldy, 1))
				if ldy == 0 {
					y = randomTile(t, r, 1, 1)
				}
				dst := guarded[float32](t, Columns)
				s.AddProduct(dst, x, ldx, y, ldy, rows)
				for i, got := range dst {
					want, size := 0.0, 1e-9
					for row := range rows {
						v := float64(x[row*ldx+i]) * float64(y[row*ldy+i])
						want += v
						size += math.Abs(v)
					}
					if !(math.Abs(float64(got)-want) <= 1e-6*size) {
						t.Fatalf("%d rows, ldy %d: column %d is %g, want %g", rows, ldy, i, got, want)
					}
				}
			}
		}
	})
}

func TestGateRows(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for rows := range 20 {
			const ldx, ldd = Columns + 3, Columns + 8
			r := rand.New(rand.NewPCG(uint64(rows), 8))
			x, y := randomTile(t, r, rows, ldx), randomTile(t, r, 1, Columns)
			n := max(0, rows-1)*ldd + Columns
			wide, half := guarded[float32](t, n), guarded[uint16](t, n)
			s.GateRows(wide, ldd, x, ldx, y, rows)
			s.GateRowsBF16(half, ldd, x, ldx, y, rows)
			for row := range rows {
				for i := range Columns {
					want := x[row*ldx+i] * y[i]
					if got := wide[row*ldd+i]; got != want {
						t.Fatalf("%d rows: value %d, %d is %g, want %g", rows, row, i, got, want)
					}
					if got := half[row*ldd+i]; got != RoundBF16(want) && math.Abs(float64(want)) > 1e-37 {
						t.Fatalf("%d rows: value %d, %d is %x in bf16, want %x", rows, row, i, got, RoundBF16(want))
					}
				}
			}
		}
	})
}
