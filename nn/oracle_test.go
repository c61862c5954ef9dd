package nn

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"evident/internal/kernel"
)

// everyTier runs a test with each tier in force; one that this CPU lacks is skipped by name.
func everyTier(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	for tier := kernel.Generic; tier <= kernel.AMXBF16; tier++ {
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

// variant is an encoder of some sizes and kind of block.
type variant struct {
	shape
	preNorm, causal bool
}

func (v variant) build(all []weights, activation Activation, p Precision) *Encoder {
	e := build(v.shape, all, activation, p)
	e.Causal = v.causal
	for i := range e.Layers {
		e.Layers[i].PreNorm = v.preNorm
	}
	return e
}

// reference runs a post-norm encoder in float64, written from the formulas and nothing else.
func reference(
	s shape, all []weights, activation Activation, input []float32, seqs Sequences,
) []float64 {
	return variant{shape: s}.reference(all, activation, widen(input), seqs, nil)
}

// trace is what a layer computes on the way, by the names of Kept's fields.
type trace map[string][]float64

// reference runs the encoder in float64. Each layer's trace is written where it is not nil.
func (v variant) reference(
	all []weights, activation Activation, x []float64, seqs Sequences, traces []trace,
) []float64 {
	d, m := v.width(), seqs.Rows()
	x = slices.Clone(x)
	for layer, w := range all {
		kept := trace{"Input": slices.Clone(x)}
		in := slices.Clone(x)
		if v.preNorm {
			referenceNorm(in, w.attentionGain, w.attentionBias)
		}
		kept["QKV"] = referenceLinear(in, w.qkv, w.qkvBias, m, d, 3*d)
		mixed, weights := v.referenceAttention(kept["QKV"], seqs)
		kept["Weights"] = weights
		for i, y := range referenceLinear(mixed, w.out, w.outBias, m, d, d) {
			x[i] += y
		}
		kept["Attended"] = slices.Clone(x)
		if !v.preNorm {
			referenceNorm(x, w.attentionGain, w.attentionBias)
		}
		in = slices.Clone(x)
		if v.preNorm {
			referenceNorm(in, w.forwardGain, w.forwardB)
		}
		kept["Raised"] = referenceLinear(in, w.up, w.upBias, m, d, v.wide)
		wide := make([]float64, m*v.wide)
		for i, h := range kept["Raised"] {
			wide[i] = referenceActivation(activation, h)
		}
		for i, y := range referenceLinear(wide, w.down, w.downBias, m, v.wide, d) {
			x[i] += y
		}
		if !v.preNorm {
			referenceNorm(x, w.forwardGain, w.forwardB)
		}
		kept["Output"] = slices.Clone(x)
		if traces != nil {
			traces[layer] = kept
		}
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

// referenceAttention returns the mixed values and, for each sequence, the weights [h, n, n].
func (v variant) referenceAttention(qkv []float64, seqs Sequences) (mixed, weights []float64) {
	d := v.width()
	mixed = make([]float64, seqs.Rows()*d)
	for i := range len(seqs) - 1 {
		first, n := seqs[i], seqs[i+1]-seqs[i]
		for h := range v.heads {
			for q := range n {
				row, total := make([]float64, n), 0.0
				for k := range n {
					if v.causal && k > q {
						continue
					}
					dot := 0.0
					for c := range v.size {
						dot += qkv[(first+q)*3*d+h*v.size+c] * qkv[(first+k)*3*d+d+h*v.size+c]
					}
					row[k] = math.Exp(dot / math.Sqrt(float64(v.size)))
					total += row[k]
				}
				for k := range n {
					row[k] /= total
					for c := range v.size {
						mixed[(first+q)*d+h*v.size+c] += row[k] * qkv[(first+k)*3*d+2*d+h*v.size+c]
					}
				}
				weights = append(weights, row...)
			}
		}
	}
	return mixed, weights
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
