package nn

import (
	"context"
	"math"
)

// LayerNorm scales every row to mean 0 and variance 1, then by Gain, plus Bias.
type LayerNorm struct {
	Gain, Bias []float32
	Epsilon    float32
}

// Forward normalises x [m, d] in place.
func (n *LayerNorm) Forward(x []float32, m int) {
	d := len(n.Gain)
	for i := range m {
		row := x[i*d:][:d]
		mean, variance := 0.0, 0.0
		for _, v := range row {
			mean += float64(v)
		}
		mean /= float64(d)
		for _, v := range row {
			variance += (float64(v) - mean) * (float64(v) - mean)
		}
		scale := 1 / math.Sqrt(variance/float64(d)+float64(n.Epsilon))
		for j, v := range row {
			row[j] = float32((float64(v)-mean)*scale)*n.Gain[j] + n.Bias[j]
		}
	}
}

// EncoderLayer is one post-norm block (Vaswani et al. 2017, as BERT uses it):
// x = AttentionNorm(x + Out(attention(QKV(x)))); x = FeedForwardNorm(x + Down(act(Up(x)))).
type EncoderLayer struct {
	Heads           int
	QKV             *Linear // [3d, d]: queries, keys, values, each [h, d/h]
	Out             *Linear // [d, d]
	Up, Down        *Linear // [ff, d], [d, ff]
	AttentionNorm   *LayerNorm
	FeedForwardNorm *LayerNorm
	Activation      Activation
}

// Encoder is a stack of layers.
type Encoder struct {
	Width  int // d
	Layers []EncoderLayer
}

// Forward runs all layers on x [M, d] in place. Tokens attend within their own sequence only.
// It stops between layers when ctx ends and returns its error; x is then of no use.
func (e *Encoder) Forward(ctx context.Context, x []float32, seqs Sequences) error {
	seqs.Check()
	for i := range e.Layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		e.Layers[i].forward(x, e.Width, seqs)
	}
	return nil
}

func (l *EncoderLayer) forward(x []float32, d int, seqs Sequences) {
	m := seqs.Rows()
	qkv := make([]float32, m*3*d)
	l.QKV.Forward(qkv, x, m)
	mixed := make([]float32, m*d)
	for s := range len(seqs) - 1 {
		attend(mixed, qkv, d, l.Heads, seqs[s], seqs[s+1])
	}
	sum := make([]float32, m*d)
	l.Out.Forward(sum, mixed, m)
	for i := range sum {
		x[i] += sum[i]
	}
	l.AttentionNorm.Forward(x, m)
	wide := make([]float32, m*l.Up.Out)
	l.Up.Forward(wide, x, m)
	for i, v := range wide {
		wide[i] = l.Activation.apply(v)
	}
	l.Down.Forward(sum, wide, m)
	for i := range sum {
		x[i] += sum[i]
	}
	l.FeedForwardNorm.Forward(x, m)
}

// attend computes softmax(q·kᵀ/√d)·v for every head of the rows [from, to).
func attend(out, qkv []float32, d, heads, from, to int) {
	size := d / heads
	scale := 1 / math.Sqrt(float64(size))
	weights := make([]float64, to-from)
	for h := range heads {
		for i := from; i < to; i++ {
			q := qkv[i*3*d+h*size:][:size]
			peak := math.Inf(-1)
			for j := from; j < to; j++ {
				dot := 0.0
				for c, v := range qkv[j*3*d+d+h*size:][:size] {
					dot += float64(q[c]) * float64(v)
				}
				weights[j-from] = dot * scale
				peak = max(peak, dot*scale)
			}
			total := 0.0
			for j, w := range weights {
				weights[j] = math.Exp(w - peak)
				total += weights[j]
			}
			row := out[i*d+h*size:][:size]
			clear(row)
			for j, w := range weights {
				for c, v := range qkv[(from+j)*3*d+2*d+h*size:][:size] {
					row[c] += float32(w / total * float64(v))
				}
			}
		}
	}
}

func (a Activation) apply(v float32) float32 {
	x := float64(v)
	switch a {
	case GELU:
		return float32(x * 0.5 * (1 + math.Erf(x/math.Sqrt2)))
	case GELUTanh:
		return float32(0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))))
	case QuickGELU:
		return float32(x / (1 + math.Exp(-1.702*x)))
	default:
		return max(v, 0)
	}
}
