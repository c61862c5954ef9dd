package nn

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"evident/internal/kernel"
)

// everyTier runs a test with each tier in force; one that this CPU lacks is skipped by name.
func everyTier(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	for tier := kernel.Generic; tier <= kernel.AVX512BF16; tier++ {
		t.Run(tier.String(), func(t *testing.T) {
			restore, err := kernel.Force(tier)
			var lacking *kernel.UnavailableError
			if errors.As(err, &lacking) {
				t.Skipf("tier %s NOT TESTED: this CPU lacks %s", tier, strings.Join(lacking.Missing, ", "))
			}
			defer restore()
			test(t)
		})
	}
}

// shape is an encoder's sizes; primes where the model allows, so that no swapped axis can pass.
type shape struct{ layers, heads, size, wide int }

func (s shape) width() int { return s.heads * s.size }

// weights is one layer as a checkpoint has it.
type weights struct {
	qkv, out, up, down                                  []float32
	qkvBias, outBias, upBias, downBias                  []float32
	attentionGain, attentionBias, forwardGain, forwardB []float32
}

func random(r *rand.Rand, n int, scale float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * scale)
	}
	return x
}

func randomWeights(r *rand.Rand, s shape) []weights {
	d, in, wide := s.width(), 1/math.Sqrt(float64(s.width())), 1/math.Sqrt(float64(s.wide))
	around := func(n int) []float32 {
		gain := random(r, n, 0.2)
		for i := range gain {
			gain[i]++
		}
		return gain
	}
	all := make([]weights, s.layers)
	for i := range all {
		all[i] = weights{
			qkv: random(r, 3*d*d, 1.5*in), out: random(r, d*d, in),
			up: random(r, s.wide*d, in), down: random(r, d*s.wide, wide),
			qkvBias: random(r, 3*d, 0.3), outBias: random(r, d, 0.3),
			upBias: random(r, s.wide, 0.3), downBias: random(r, d, 0.3),
			attentionGain: around(d), attentionBias: random(r, d, 0.2),
			forwardGain: around(d), forwardB: random(r, d, 0.2),
		}
	}
	return all
}

// build makes the encoder under test.
func build(s shape, all []weights, activation Activation, p Precision) *Encoder {
	d, e := s.width(), &Encoder{Width: s.width()}
	for _, w := range all {
		e.Layers = append(e.Layers, EncoderLayer{
			Heads: s.heads, Activation: activation,
			QKV:             NewLinear(w.qkv, w.qkvBias, d, 3*d, p),
			Out:             NewLinear(w.out, w.outBias, d, d, p),
			Up:              NewLinear(w.up, w.upBias, d, s.wide, p),
			Down:            NewLinear(w.down, w.downBias, s.wide, d, p),
			AttentionNorm:   &LayerNorm{Gain: w.attentionGain, Bias: w.attentionBias, Epsilon: 1e-12},
			FeedForwardNorm: &LayerNorm{Gain: w.forwardGain, Bias: w.forwardB, Epsilon: 1e-12},
		})
	}
	return e
}

// reference runs the encoder in float64, written from the formulas and nothing else.
func reference(
	s shape, all []weights, activation Activation, input []float32, seqs Sequences,
) []float64 {
	d, m := s.width(), seqs.Rows()
	x := make([]float64, m*d)
	for i := range x {
		x[i] = float64(input[i])
	}
	for _, w := range all {
		mixed := referenceAttention(referenceLinear(x, w.qkv, w.qkvBias, m, d, 3*d), s, seqs)
		for i, v := range referenceLinear(mixed, w.out, w.outBias, m, d, d) {
			x[i] += v
		}
		referenceNorm(x, w.attentionGain, w.attentionBias)
		wide := referenceLinear(x, w.up, w.upBias, m, d, s.wide)
		for i, v := range wide {
			wide[i] = referenceActivation(activation, v)
		}
		for i, v := range referenceLinear(wide, w.down, w.downBias, m, s.wide, d) {
			x[i] += v
		}
		referenceNorm(x, w.forwardGain, w.forwardB)
	}
	return x
}

func referenceLinear(x []float64, weight, bias []float32, m, in, out int) []float64 {
	y := make([]float64, m*out)
	for i := range m {
		for o := range out {
			sum := 0.0
			if bias != nil {
				sum = float64(bias[o])
			}
			for k, v := range x[i*in:][:in] {
				sum += v * float64(weight[o*in+k])
			}
			y[i*out+o] = sum
		}
	}
	return y
}

func referenceAttention(qkv []float64, s shape, seqs Sequences) []float64 {
	d := s.width()
	out := make([]float64, seqs.Rows()*d)
	for i := range len(seqs) - 1 {
		for h := range s.heads {
			for q := seqs[i]; q < seqs[i+1]; q++ {
				total, row := 0.0, out[q*d+h*s.size:][:s.size]
				for k := seqs[i]; k < seqs[i+1]; k++ {
					dot := 0.0
					for c := range s.size {
						dot += qkv[q*3*d+h*s.size+c] * qkv[k*3*d+d+h*s.size+c]
					}
					weight := math.Exp(dot / math.Sqrt(float64(s.size)))
					total += weight
					for c := range s.size {
						row[c] += weight * qkv[k*3*d+2*d+h*s.size+c]
					}
				}
				for c := range row {
					row[c] /= total
				}
			}
		}
	}
	return out
}

func referenceNorm(x []float64, gain, bias []float32) {
	d := len(gain)
	for from := 0; from < len(x); from += d {
		row, mean, variance := x[from:][:d], 0.0, 0.0
		for _, v := range row {
			mean += v / float64(d)
		}
		for _, v := range row {
			variance += (v - mean) * (v - mean) / float64(d)
		}
		for j, v := range row {
			row[j] = (v-mean)/math.Sqrt(variance+1e-12)*float64(gain[j]) + float64(bias[j])
		}
	}
}

func referenceActivation(f Activation, x float64) float64 {
	switch f {
	case GELU:
		return x / 2 * (1 + math.Erf(x/math.Sqrt2))
	case GELUTanh:
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*math.Pow(x, 3))))
	case QuickGELU:
		return x / (1 + math.Exp(-1.702*x))
	default:
		return math.Max(x, 0)
	}
}

// relativeError is the root mean square of the difference over that of want.
func relativeError(got []float32, want []float64) float64 {
	var difference, size float64
	for i, v := range want {
		difference += (float64(got[i]) - v) * (float64(got[i]) - v)
		size += v * v
	}
	return math.Sqrt(difference / size)
}
