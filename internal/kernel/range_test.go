package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// factors are two matrices and a bias in each precision, packed.
type factors struct {
	rows, k              int
	a, w, init           []float32 // [rows, k], [32, k], [32]
	b                    []float32
	narrowA, narrowPanel []uint16
}

func (f *factors) pack(t *testing.T, s *Set) {
	t.Helper()
	f.b = guarded[float32](t, f.k*Columns)
	f.narrowA = guarded[uint16](t, f.rows*f.k)
	f.narrowPanel = guarded[uint16](t, f.k*Columns)
	s.PackF32(f.b, f.w, f.k, Columns, f.k)
	s.PackBF16(f.narrowPanel, f.w, f.k, Columns, f.k)
	s.ToBF16(f.narrowA, f.k, f.a, f.k, f.rows, f.k)
}

// product computes init + a·wᵀ; k is even.
func (f *factors) product(s *Set, bf16 bool) []float32 {
	c := make([]float32, f.rows*Columns)
	for row := 0; row < f.rows; row += s.TileRows() {
		rows, to := min(s.TileRows(), f.rows-row), c[row*Columns:]
		if bf16 {
			s.TileBF16(to, Columns, f.narrowA[row*f.k:], f.k, f.narrowPanel, f.init, rows, f.k/2, 1)
		} else {
			s.TileF32(to, Columns, f.a[row*f.k:], f.k, f.b, f.init, rows, f.k, 1)
		}
	}
	return c
}

// TestTileSpecial: NaN and infinities reach their own rows and columns, as IEEE arithmetic has it,
// and no others. What is finite is a small whole number, so that sums are exact in any order.
func TestTileSpecial(t *testing.T) {
	special := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0}
	everyTier(t, func(t *testing.T, s *Set) {
		for seed := range uint64(40) {
			r := rand.New(rand.NewPCG(seed, 6))
			f := &factors{rows: 1 + r.IntN(70), k: 2 + 2*r.IntN(50)}
			fill := func(n, rare int) []float32 {
				x := guarded[float32](t, n)
				for i := range x {
					x[i] = float32(r.IntN(7) - 3)
				}
				for range rare {
					x[r.IntN(n)] = float32(special[r.IntN(len(special))])
				}
				return x
			}
			f.a, f.w, f.init = fill(f.rows*f.k, 3), fill(Columns*f.k, 2), fill(Columns, r.IntN(2))
			f.pack(t, s)
			for _, bf16 := range []bool{false, true} {
				for i, got := range f.product(s, bf16) {
					row, column := i/Columns, i%Columns
					want, _ := product(f.a[row*f.k:][:f.k], f.w[column*f.k:][:f.k], f.init[column])
					if got := float64(got); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
						t.Fatalf("seed %d, bf16 %v: [%d,%d] is %g, want %g", seed, bf16, row, column, got, want)
					}
				}
			}
		}
	})
}

// TestTileDenormal: float32 keeps denormal factors and results; bf16 takes each of them as it is or
// as zero, and neither disturbs its neighbours.
func TestTileDenormal(t *testing.T) {
	const rows, k = 5, 34
	everyTier(t, func(t *testing.T, s *Set) {
		for name, c := range map[string]struct{ a, w float64 }{
			"factor":         {0x1p-130, 0x1p10},
			"the other one":  {0x1p10, -0x1p-130},
			"result":         {0x1p-70, 0x1p-70},
			"both and gone":  {0x1p-130, 0x1p-130},
			"least normal":   {0x1p-63, 0x1p-63},
			"of a large one": {0x1p-130, 0x1p127},
		} {
			f := &factors{rows: rows, k: k, a: make([]float32, rows*k), w: make([]float32, Columns*k)}
			f.a[2*k+33], f.w[7*k+33] = float32(c.a), float32(c.w)
			f.a[3*k], f.w[9*k] = 3, 5
			f.pack(t, s)
			want := float64(float32(float64(float32(c.a)) * float64(float32(c.w))))
			for _, bf16 := range []bool{false, true} {
				for i, got := range f.product(s, bf16) {
					ok := got == 0
					switch i {
					case 2*Columns + 7:
						denormal := math.Abs(c.a) < 0x1p-126 || math.Abs(c.w) < 0x1p-126 || math.Abs(want) < 0x1p-126
						ok = float64(got) == want || bf16 && denormal && got == 0
					case 3*Columns + 9:
						ok = got == 15
					}
					if !ok {
						t.Errorf("%s, bf16 %v: [%d,%d] is %g, the product is %g",
							name, bf16, i/Columns, i%Columns, got, want)
					}
				}
			}
		}
	})
}

// TestLayerNormUndefined: NaN or an infinity spoils its own row and no other.
func TestLayerNormUndefined(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for _, n := range []int{7, 16, 24, 384} {
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				x, one := make([]float32, 3*n), make([]float32, n)
				for i := range x {
					x[i] = float32(i % n)
				}
				for i := range one {
					one[i] = 1
				}
				want := append([]float32(nil), x...)
				s.LayerNorm(want, n, want, n, one, one, 3, 1e-5)
				x[n+n/2] = float32(bad)
				s.LayerNorm(x, n, x, n, one, one, 3, 1e-5)
				for i, v := range x {
					if i/n == 1 && v == v || i/n != 1 && v != want[i] {
						t.Fatalf("%g in row 1 of length %d made [%d,%d] = %g", bad, n, i/n, i%n, v)
					}
				}
			}
		}
	})
}

// TestVectorDenormal: denormal values are values like others, or zero.
func TestVectorDenormal(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		const rows, n, tiny = 3, Columns, 0x1p-140
		filled := func() []float32 {
			x := guarded[float32](t, rows*n)
			for i := range x {
				x[i] = tiny
			}
			return x
		}
		check := func(name string, x []float32, low, high float64) {
			t.Helper()
			for i, v := range x {
				if !(low <= float64(v) && float64(v) <= high) {
					t.Errorf("%s: value %d is %g, want %g … %g", name, i, v, low, high)
				}
			}
		}
		x := filled()
		s.Softmax(x, rows, n, n, 1)
		check("softmax", x, 1.0/n, 1.0/n)
		for f, name := range activationNames {
			x := filled()
			s.Activate(Activation(f), x, rows, n)
			check(name, x, 0, tiny)
		}
		x = filled()
		gain, bias := make([]float32, n), make([]float32, n)
		for i := range gain {
			gain[i], bias[i] = 1, 2
		}
		s.LayerNorm(x, n, x, n, gain, bias, rows, 1e-5)
		check("LayerNorm", x, 2, 2)
		sum := filled()
		s.AddTile(sum, n, filled(), rows)
		check("AddTile", sum, 2*tiny, 2*tiny)
	})
}

// FuzzVector gives the vector functions any bits for numbers. They never touch what is not theirs,
// and do with a row what they do without its neighbours.
func FuzzVector(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(64), uint8(1), false)
	f.Add(uint64(2), uint8(5), uint8(37), uint8(3), true)
	f.Fuzz(func(t *testing.T, seed uint64, height, width, pad uint8, before bool) {
		guardBefore = before
		defer func() { guardBefore = false }()
		r := rand.New(rand.NewPCG(seed, 12))
		rows, n := 1+int(height)%9, 1+int(width)%100
		ld := n + int(pad)%20
		input := make([]float32, (rows-1)*ld+n)
		for i := range input {
			input[i] = math.Float32frombits(r.Uint32())
			if seed%3 > 0 { // mostly numbers of ordinary size
				input[i] = float32(r.NormFloat64() * math.Exp2(float64(r.IntN(20)-10)))
			}
		}
		gain, bias := random(r, n), random(r, n)
		for tier := range Tier(len(tierNames)) {
			if Available(tier) != nil {
				continue
			}
			s := Of(tier)
			for name, function := range map[string]func(x []float32, rows, ld int){
				"softmax": func(x []float32, rows, ld int) { s.Softmax(x, rows, n, ld, 0.3) },
				"LayerNorm": func(x []float32, rows, ld int) {
					s.LayerNorm(x, ld, x, ld, gain, bias, rows, 1e-5)
				},
			} {
				x := guardedCopy(t, input)
				function(x, rows, ld)
				for i := range rows {
					alone := guardedCopy(t, input[i*ld:][:n])
					function(alone, 1, n)
					what := fmt.Sprintf("%s %s, row %d of %d", tier, name, i, n)
					compareBits(t, what, x[i*ld:][:n], alone)
					if i+1 < rows {
						compareBits(t, what+" behind it", x[i*ld+n:(i+1)*ld], input[i*ld+n:(i+1)*ld])
					}
				}
			}
		}
	})
}

func compareBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, v := range got {
		if math.Float32bits(v) != math.Float32bits(want[i]) && (v == v || want[i] == want[i]) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, v, want[i])
		}
	}
}
