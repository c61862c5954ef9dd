package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSoftmax(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		type size struct{ rows, n, masked, pad int }
		cases := []size{{1, 32, 0, 0}, {3, 64, 1, 5}, {14, 224, 27, 16}, {2, 512, 31, 0}}
		for n := 1; n <= 70; n++ {
			cases = append(cases, size{1 + n%7, n, n / 9, n % 3})
		}
		for _, c := range cases {
			r := rand.New(rand.NewPCG(uint64(c.n), 1))
			stride, scale := c.n+c.pad, float32(0.37)
			x := guardedCopy(t, random(r, (c.rows-1)*stride+c.n))
			for i := range x {
				x[i] *= 30 // weights from 1 down to less than the least float32
			}
			for i := range c.rows {
				for j := c.n - c.masked; j < c.n; j++ {
					x[i*stride+j] = float32(math.Inf(-1))
				}
			}
			input := slices.Clone(x)
			narrow, inverse := guarded[uint16](t, (c.rows-1)*stride+c.n), guarded[float32](t, c.rows)
			s.SoftmaxBF16(narrow, stride, inverse, slices.Clone(x), c.rows, c.n, stride, scale, nil, 0)
			s.Softmax(x, c.rows, c.n, stride, scale)
			for i := range c.rows {
				want := softmax64(input[i*stride:][:c.n], float64(scale))
				for j, p := range want {
					bound := epsilon*(8+float64(c.n)/32-math.Log(p+1e-300))*p + 1e-36
					if got := float64(x[i*stride+j]); !(math.Abs(got-p) <= bound) {
						t.Fatalf("%+v: weight [%d,%d] = %g, want %g ± %g", c, i, j, got, p, bound)
					}
					got := float64(FromBF16(narrow[i*stride+j])) * float64(inverse[i])
					if !(math.Abs(got-p) <= bound+p/250) {
						t.Fatalf("%+v: bf16 weight [%d,%d] = %g, want %g", c, i, j, got, p)
					}
				}
				for j := c.n; j < stride && i+1 < c.rows; j++ {
					if x[i*stride+j] != input[i*stride+j] {
						t.Fatalf("%+v: wrote beyond row %d", c, i)
					}
				}
			}
		}
	})
}

// TestSoftmaxKept: the weights handed out are the exact ones, wherever in memory they go and however
// long their rows are; the rounded ones and the sums are those that nobody asked to keep.
func TestSoftmaxKept(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		const n, stride, rows, scale = 96, 112, 5, 0.41
		r := rand.New(rand.NewPCG(6, 1))
		input := random(r, rows*stride)
		narrow, inverse := make([]uint16, rows*n), make([]float32, rows)
		s.SoftmaxBF16(narrow, n, inverse, slices.Clone(input), rows, n, stride, scale, nil, 0)
		for _, width := range []int{1, 2, 15, 16, 17, 33, 47, 64, 95, 96} {
			for _, shift := range []int{0, 1, 8, 15, 16} {
				all := guarded[float32](t, shift+rows*width+(shift+width)%3)
				kept := all[shift:][:rows*width]
				again, inverseAgain := make([]uint16, rows*n), make([]float32, rows)
				s.SoftmaxBF16(again, n, inverseAgain, slices.Clone(input), rows, n, stride, scale, kept, width)
				if !slices.Equal(again, narrow) || !slices.Equal(inverse, inverseAgain) {
					t.Fatalf("width %d: keeping changes what is computed", width)
				}
				for i, got := range kept {
					want := softmax64(input[i/width*stride:][:n], scale)[i%width]
					if !(math.Abs(float64(got)-want) <= 16*epsilon*want) {
						t.Fatalf("width %d, shift %d: weight %d is %g, want %g", width, shift, i, got, want)
					}
				}
				for i, v := range all {
					if v != 0 && (i < shift || i >= shift+rows*width) {
						t.Fatalf("width %d, shift %d: wrote %d", width, shift, i-shift)
					}
				}
			}
		}
	})
}

func softmax64(x []float32, scale float64) []float64 {
	peak, total := math.Inf(-1), 0.0
	for _, v := range x {
		peak = math.Max(peak, float64(v)*scale)
	}
	p := make([]float64, len(x))
	for i, v := range x {
		p[i] = math.Exp(float64(v)*scale - peak)
		total += p[i]
	}
	for i := range p {
		p[i] /= total
	}
	return p
}

// TestSoftmaxUndefined: NaN or an infinite score spoils its own row, as in torch, and no other.
func TestSoftmaxUndefined(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for _, bad := range []float64{math.NaN(), math.Inf(1)} {
			x := make([]float32, 3*32)
			x[32+9] = float32(bad)
			s.Softmax(x, 3, 32, 32, 1)
			for i, v := range x {
				if ok := i/32 == 1 || v == 1.0/32; !ok {
					t.Fatalf("%g in row 1 made [%d,%d] = %g", bad, i/32, i%32, v)
				}
			}
			if x[32+9] == x[32+9] {
				t.Errorf("%g became the weight %g, want NaN", bad, x[32+9])
			}
		}
	})
}

func TestLayerNorm(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		type size struct{ rows, n, pad int }
		cases := []size{{3, 384, 3}, {5, 312, 0}, {4, 1024, 16}}
		for n := 1; n <= 70; n++ {
			cases = append(cases, size{1 + n%5, n, n % 4})
		}
		for _, c := range cases {
			r := rand.New(rand.NewPCG(uint64(c.n), 5))
			stride := c.n + c.pad
			src := guardedCopy(t, random(r, (c.rows-1)*stride+c.n))
			for i := range src {
				src[i] = 3*src[i] + 2
			}
			gain, bias := guardedCopy(t, random(r, c.n)), guardedCopy(t, random(r, c.n))
			dst := guarded[float32](t, (c.rows-1)*c.n+c.n)
			s.LayerNorm(dst, c.n, src, stride, gain, bias, c.rows, 1e-5)
			for i := range c.rows {
				checkNorm(t, fmt.Sprint(c), dst[i*c.n:][:c.n], src[i*stride:][:c.n], gain, bias, 1e-5)
			}
		}
	})
}

func checkNorm(t *testing.T, name string, got, x, gain, bias []float32, e float64) {
	t.Helper()
	n := float64(len(x))
	mean, variance := 0.0, 0.0
	for _, v := range x {
		mean += float64(v) / n
	}
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean) / n
	}
	scale := 1 / math.Sqrt(variance+e)
	for j, v := range x {
		g, b := float64(gain[j]), float64(bias[j])
		want := (float64(v)-mean)*scale*g + b
		size := math.Abs(g)*scale*(math.Abs(float64(v))+math.Abs(mean)+math.Sqrt(variance)) + math.Abs(b)
		bound := epsilon * (4 + n/32) * size
		if d := math.Abs(float64(got[j]) - want); !(d <= bound) {
			t.Fatalf("%s: column %d is %g, want %g ± %g", name, j, got[j], want, bound)
		}
	}
}

var activationNames = [...]string{"GELU", "GELUTanh", "QuickGELU", "ReLU"}

func activation64(f Activation, x float64) float64 {
	switch f {
	case GELU:
		return x / 2 * math.Erfc(-x/math.Sqrt2)
	case GELUTanh:
		return x / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	case QuickGELU:
		return x / (1 + math.Exp(-1.702*x))
	default:
		return math.Max(x, 0)
	}
}

func TestActivate(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		const rows, ld = 257, 37
		for f, name := range activationNames {
			x := guarded[float32](t, (rows-1)*ld+Columns)
			for i := range x {
				x[i] = float32(i-len(x)/2) * 24 / float32(len(x))
			}
			copy(x, []float32{-1e9, -1e4, -130, 130, 1e4, 1e9, 0, 1e-30, -1e-30})
			input := slices.Clone(x)
			s.Activate(Activation(f), x, rows, ld)
			worst := 0.0
			for i, got := range x {
				if i%ld >= Columns {
					if got != input[i] {
						t.Fatalf("%s wrote between rows at %d", name, i)
					}
					continue
				}
				v := float64(input[i])
				d := math.Abs(float64(got) - activation64(Activation(f), v))
				worst = math.Max(worst, d/(math.Abs(v)+1e-37)/epsilon)
				if v < -100 && math.Abs(float64(got)) > 1e-28 {
					t.Fatalf("%s(%g) = %g, want less than any sum notices", name, v, got)
				}
				if !(d <= 4*epsilon*math.Abs(v)+1e-37) {
					t.Fatalf("%s(%g) = %g, want %g", name, v, got, activation64(Activation(f), v))
				}
			}
			t.Logf("%s: worst error %.2f·ε·|x|", name, worst)
		}
	})
}

func TestActivateUndefined(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for f, name := range activationNames {
			x := make([]float32, Columns)
			x[3], x[4] = float32(math.NaN()), float32(math.Inf(1))
			s.Activate(Activation(f), x, 1, Columns)
			if x[3] == x[3] || !math.IsInf(float64(x[4]), 1) {
				t.Errorf("%s: NaN became %g, +Inf became %g", name, x[3], x[4])
			}
			for i, v := range x {
				if i != 3 && i != 4 && v != 0 {
					t.Errorf("%s(0) = %g beside NaN", name, v)
				}
			}
		}
	})
}

// TestToBF16 compares with the scalar rounding, bit for bit, on every high half and what decides
// the rounding.
func TestToBF16(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for _, low := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			const n = 1 << 16
			x, got := guarded[float32](t, n), guarded[uint16](t, n)
			for high := range x {
				x[high] = math.Float32frombits(uint32(high)<<16 | low)
			}
			s.ToBF16(got, n, x, n, 1, n)
			for i, v := range x {
				want := RoundBF16(v)
				denormal := v == v && math.Abs(float64(v)) < 0x1p-126
				if got[i] != want && !(denormal && got[i]&0x7fff == 0) {
					t.Fatalf("%#08x became %#04x, want %#04x", math.Float32bits(v), got[i], want)
				}
			}
		}
		for n := 1; n <= 97; n++ {
			r := rand.New(rand.NewPCG(uint64(n), 2))
			const rows = 5
			x := guardedCopy(t, random(r, (rows-1)*(n+3)+n))
			got := guarded[uint16](t, (rows-1)*(n+2)+n)
			s.ToBF16(got, n+2, x, n+3, rows, n)
			for i := range rows {
				for j := range n {
					if want := RoundBF16(x[i*(n+3)+j]); got[i*(n+2)+j] != want {
						t.Fatalf("n = %d: [%d,%d] is %#04x, want %#04x", n, i, j, got[i*(n+2)+j], want)
					}
				}
			}
		}
	})
}

// TestPack compares every packing with its definition.
func TestPack(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		type size struct{ rows, k, pad int }
		cases := []size{{32, 64, 0}, {32, 67, 5}, {31, 8, 1}, {1, 129, 0}}
		for k := 1; k <= 70; k++ {
			cases = append(cases, size{1 + k*5%32, k, k % 4})
		}
		for _, c := range cases {
			r := rand.New(rand.NewPCG(uint64(c.k), 4))
			ld, pairs := c.k+c.pad, (c.k+1)/2
			w := guardedCopy(t, random(r, (c.rows-1)*ld+c.k))
			at := func(i, k int) float32 {
				if i < c.rows && k < c.k {
					return w[i*ld+k]
				}
				return 0
			}
			wide, narrow := guarded[float32](t, c.k*Columns), guarded[uint16](t, pairs*2*Columns)
			for i := range wide {
				wide[i] = 777
			}
			for i := range narrow {
				narrow[i] = 777
			}
			s.PackF32(wide, w, ld, c.rows, c.k)
			s.PackBF16(narrow, w, ld, c.rows, c.k)
			for i := range Columns {
				for k := range c.k {
					if wide[k*Columns+i] != at(i, k) {
						t.Fatalf("%+v: column %d, k %d is %g, want %g", c, i, k, wide[k*Columns+i], at(i, k))
					}
				}
				for k := range 2 * pairs {
					got, want := narrow[k/2*2*Columns+2*i+k%2], RoundBF16(at(i, k))
					if got != want {
						t.Fatalf("%+v: bf16 column %d, k %d is %#x, want %#x", c, i, k, got, want)
					}
				}
			}
		}
	})
}

func TestInterleave(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for rows := 1; rows <= 70; rows++ {
			ld := Columns + rows%6
			src := guarded[uint16](t, (rows-1)*ld+Columns)
			for i := range src {
				src[i] = uint16(i*7 + 1)
			}
			dst := guarded[uint16](t, (rows+1)/2*2*Columns)
			for i := range dst {
				dst[i] = 999
			}
			s.Interleave(dst, src, ld, rows)
			for i, got := range dst {
				row, column, want := i/64*2+i%2, i%64/2, uint16(0)
				if row < rows {
					want = src[row*ld+column]
				}
				if got != want {
					t.Fatalf("%d rows: row %d, column %d is %d, want %d", rows, row, column, got, want)
				}
			}
		}
	})
}

func TestTiles(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for rows := 1; rows <= 70; rows++ {
			checkTiles(t, s, rows, Columns+rows%10)
		}
	})
}

// TestFetch: to ask for memory changes nothing, and memory that is not there may be asked for.
func TestFetch(t *testing.T) {
	for _, rows := range []int{0, 1, 14} {
		x, narrow := guarded[float32](t, 7), guarded[uint16](t, 3)
		x[0], narrow[0] = 5, 7
		FetchF32(x, 1000, rows)
		FetchBF16(narrow, 1000, rows)
		if x[0] != 5 || narrow[0] != 7 {
			t.Errorf("%d rows: what was asked for is now %g and %d", rows, x[0], narrow[0])
		}
	}
	FetchF32(nil, 1, 1)
	FetchBF16(nil, 1, 1)
}

func checkTiles(t *testing.T, s *Set, rows, ld int) {
	t.Helper()
	r := rand.New(rand.NewPCG(8, uint64(rows)))
	tile := guardedCopy(t, random(r, rows*Columns))
	to := guardedCopy(t, random(r, (rows-1)*ld+Columns))
	factors, before := guardedCopy(t, random(r, rows)), slices.Clone(to)
	s.AddTile(to, ld, tile, rows)
	for i := range to {
		want := before[i]
		if i%ld < Columns {
			want += tile[i/ld*Columns+i%ld]
		}
		if to[i] != want {
			t.Fatalf("AddTile: [%d,%d] is %g, want %g", i/ld, i%ld, to[i], want)
		}
	}
	scaled := guardedCopy(t, tile)
	s.ScaleTile(scaled, factors, rows)
	for i, v := range tile {
		if scaled[i] != v*factors[i/Columns] {
			t.Fatalf("ScaleTile: [%d,%d] is %g", i/Columns, i%Columns, scaled[i])
		}
	}
}
