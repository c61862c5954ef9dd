package nn

import (
	"math/rand/v2"
	"testing"

	"evident/internal/kernel"
)

func TestLinear(t *testing.T) {
	everyTier(t, func(t *testing.T) {
		for _, c := range []struct{ m, in, out int }{
			{1, 1, 1}, {2, 3, 5}, {13, 129, 31}, {17, 64, 33}, {43, 384, 67}, {211, 97, 256},
		} {
			r := rand.New(rand.NewPCG(uint64(c.m), 1))
			weight, x := random(r, c.out*c.in, 1), random(r, c.m*c.in, 1)
			for _, bias := range [][]float32{nil, random(r, c.out, 1)} {
				want64 := referenceLinear(widen(x), weight, bias, c.m, c.in, c.out)
				for _, precision := range []Precision{FP32, BF16, Int8} {
					l := NewLinear(weight, bias, c.in, c.out, precision)
					limit := 1e-6
					switch l.Precision() {
					case BF16:
						limit = 8e-3
					case Int8:
						limit = 2e-2
					}
					got := make([]float32, c.m*c.out)
					l.Forward(got, x, c.m)
					if err := relativeError(got, want64); !(err <= limit) {
						t.Errorf("%+v, precision %d: relative error %g, limit %g", c, precision, err, limit)
					}
				}
			}
		}
	})
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// TestPrecision: Auto is bf16 where the CPU multiplies it, and bf16 is float32 where it does not.
func TestPrecision(t *testing.T) {
	everyTier(t, func(t *testing.T) {
		native := FP32
		if t := kernel.Active().Tier(); t >= kernel.AVX512BF16 || t == kernel.NEONBF16 {
			native = BF16
		}
		bytes := native
		if kernel.Active().HasInt8() {
			bytes = Int8
		} else {
			t.Log("this tier multiplies no bytes here")
		}
		for asked, want := range map[Precision]Precision{
			FP32: FP32, Auto: native, BF16: native, Int8: bytes,
		} {
			l := NewLinear(make([]float32, 6), nil, 2, 3, asked)
			if got := l.Precision(); got != want {
				t.Errorf("asked for %d, got %d, want %d", asked, got, want)
			}
		}
	})
}

func TestLayerNorm(t *testing.T) {
	everyTier(t, func(t *testing.T) {
		for _, d := range []int{1, 7, 24, 32, 384, 401} {
			const m = 37
			r := rand.New(rand.NewPCG(3, uint64(d)))
			n := LayerNorm{Gain: random(r, d, 1), Bias: random(r, d, 1), Epsilon: 1e-12}
			x := random(r, m*d, 3)
			want := widen(x)
			referenceNorm(want, n.Gain, n.Bias)
			n.Forward(x, m)
			if err := relativeError(x, want); !(err <= 1e-6) {
				t.Errorf("d = %d: relative error %g", d, err)
			}
		}
	})
}

func TestMatrixRowsAreApart(t *testing.T) {
	var b buffer
	for _, n := range []int{1, 31, 384, 1024, 1536, 3072} {
		for _, bf16 := range []bool{false, true} {
			m, size := b.matrix(3, n, bf16), 4
			if bf16 {
				size = 2
			}
			if m.ld < n+1 || m.ld*size%64 != 0 || m.ld*size%4096 == 0 {
				t.Errorf("n = %d, bf16 %v: rows are %d bytes apart", n, bf16, m.ld*size)
			}
		}
	}
}

// BenchmarkNewLinear packs a model of 33 M parameters.
func BenchmarkNewLinear(b *testing.B) {
	weight := make([]float32, 1536*384)
	for _, precision := range []Precision{FP32, BF16} {
		name := [...]string{FP32: "fp32", BF16: "bf16"}[precision]
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for range 33_000_000 / len(weight) {
					NewLinear(weight, nil, 384, 1536, precision)
				}
			}
		})
	}
}
