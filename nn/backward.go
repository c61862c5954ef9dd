package nn

import (
	"context"
	"fmt"

	"evident/internal/kernel"
)

// BlockBackward is the way back through a whole pre-norm block, attention weights and all, for a gradient
// that differs from token to token: what methods ask that follow a score through several blocks. It is
// closed form, without a tape, and in float32. [BlockGradient] is the shorter way for LeGrad's score.
//
// With x the block's input, z the stream after attention, h = Up(LN₂(z)), A = softmax(σ·q·kᵀ) a head, σ = √(h/d),
// c = A·v all heads beside each other, and G = ∂s/∂output:
//
//	∂s/∂z   = G + LN₂ᵀ(Upᵀ·(act'(h) ∘ Downᵀ·G))
//	∂s/∂c   = Outᵀ·∂s/∂z
//	∂s/∂A   = ∂s/∂c · vᵀ                                      [n, n] of a head, a row a query
//	∂s/∂v   = Aᵀ·∂s/∂c
//	D       = σ·A ∘ (∂s/∂A - rows' sums of A ∘ ∂s/∂A)         through softmax
//	∂s/∂q   = D·k        ∂s/∂k = Dᵀ·q
//	∂s/∂y   = QKVᵀ·[∂s/∂q; ∂s/∂k; ∂s/∂v]                      y = LN₁(x)
//	∂s/∂x   = ∂s/∂z + LN₁ᵀ(∂s/∂y)
//
// LNᵀ(g) = r·(γg - mean(γg) - x̂·mean(γg·x̂)). Rows of D sum to 0, so keys may lack their bias.
type BlockBackward struct {
	Width, Wide, Heads int // d, ff, h
	Threads            int // most threads one call uses; 0 means GOMAXPROCS

	activation        kernel.Activation
	down, up          *Linear // Downᵀ [ff, d], Upᵀ [d, ff]
	out, qkv          *Linear // Outᵀ [d, d], QKVᵀ [d, 3d]
	attention, before *LayerNorm
}

// NewBlockBackward prepares the way back through a layer. It holds a transposed copy of its weights.
func NewBlockBackward(l *EncoderLayer) *BlockBackward {
	if !l.PreNorm {
		panic("nn: the way back through a block needs one that is pre-norm")
	}
	return &BlockBackward{
		Width: l.QKV.In, Wide: l.Up.Out, Heads: l.Heads, activation: kernel.Activation(l.Activation),
		down: l.Down.Transposed(), up: l.Up.Transposed(), out: l.Out.Transposed(), qkv: l.QKV.Transposed(),
		attention: l.AttentionNorm, before: l.FeedForwardNorm,
	}
}

// Gradients is where a block's way back leaves what it computes. A field that is empty is not written, and
// what none of them needs is not computed.
type Gradients struct {
	Weights []float32 // [h, n, n] ∂s/∂A, a row a query
	Normed  []float32 // [n, d] ∂s/∂(AttentionNorm's output)
	Input   []float32 // [n, d] ∂s/∂(the stream before the block); may be the gradient that comes in
}

// Run takes gradient [n, d], ∂s/∂output of a sequence of n tokens, back through the block. It reads from kept
// what the forward pass left of the sequence: Weights, QKV, Attended, Raised, and, for the gradient at the
// input, Input.
func (b *BlockBackward) Run(ctx context.Context, kept *Kept, gradient []float32, to Gradients) error {
	d := b.Width
	n := len(gradient) / d
	b.check(kept, gradient, to)
	w := newWorkspace(ctx, b.down.set, b.Threads)
	defer w.release()
	stream := b.feedForward(w, kept, gradient, n) // ∂s/∂z
	mixed := make([]float32, n*d)
	b.out.multiply(w, output{matrix: matrix{f32: mixed, ld: d}}, matrix{f32: stream, ld: d}, n)
	deep := to.Normed != nil || to.Input != nil
	qkv := make([]float32, 3*n*d)
	h := newHead(n, d/b.Heads)
	for head := range b.Heads {
		if err := ctx.Err(); err != nil {
			return err
		}
		h.load(kept, mixed, head, b.Heads)
		h.weights(w)
		if to.Weights != nil {
			copy(to.Weights[head*n*n:], h.slope)
		}
		if deep {
			h.inputs(w, qkv, head, b.Heads)
		}
	}
	if !deep {
		return ctx.Err()
	}
	normed := make([]float32, n*d)
	b.qkv.multiply(w, output{matrix: matrix{f32: normed, ld: d}}, matrix{f32: qkv, ld: 3 * d}, n)
	copy(to.Normed, normed)
	if to.Input != nil {
		b.attention.backward(w, normed, kept.Input, n)
		for i, v := range normed {
			to.Input[i] = stream[i] + v
		}
	}
	return ctx.Err()
}

// check panics unless everything has the size of the sequence.
func (b *BlockBackward) check(kept *Kept, gradient []float32, to Gradients) {
	d := b.Width
	n := len(gradient) / d
	need := func(name string, got, want int) {
		if got != want {
			panic(fmt.Sprintf("nn: %s has %d values, %d tokens need %d", name, got, n, want))
		}
	}
	need("the gradient", len(gradient), n*d)
	need("Weights", len(kept.Weights), b.Heads*n*n)
	need("QKV", len(kept.QKV), 3*n*d)
	need("Attended", len(kept.Attended), n*d)
	need("Raised", len(kept.Raised), n*b.Wide)
	if to.Weights != nil {
		need("the gradient of Weights", len(to.Weights), b.Heads*n*n)
	}
	if to.Normed != nil {
		need("the gradient of Normed", len(to.Normed), n*d)
	}
	if to.Input != nil {
		need("Input", len(kept.Input), n*d)
		need("the gradient of Input", len(to.Input), n*d)
	}
}

// feedForward returns ∂s/∂z [n, d].
func (b *BlockBackward) feedForward(w *workspace, kept *Kept, gradient []float32, n int) []float32 {
	d, wide := b.Width, b.Wide
	raised := w.wide.matrix(n, wide, false)
	b.down.multiply(w, output{matrix: raised}, matrix{f32: gradient, ld: d}, n)
	const step = 16
	w.do((n+step-1)/step, float64(n*wide)*16, func(worker, item int) {
		slope := w.workers[worker].scores.floats(paddedColumns(wide))
		for i := item * step; i < min(n, (item+1)*step); i++ {
			clear(slope[copy(slope, kept.Raised[i*wide:][:wide]):])
			w.set.Slope(b.activation, slope, len(slope)/kernel.Columns, kernel.Columns)
			row := raised.f32[i*raised.ld:][:wide]
			for j, s := range slope[:wide] {
				row[j] *= s
			}
		}
	})
	stream := make([]float32, n*d)
	b.up.multiply(w, output{matrix: matrix{f32: stream, ld: d}}, raised, n)
	b.before.backward(w, stream, kept.Attended, n)
	for i, g := range gradient {
		stream[i] += g
	}
	return stream
}

// backward replaces each row of gradient [n, d] by LNᵀ of it at the row of x [n, d].
func (l *LayerNorm) backward(w *workspace, gradient, x []float32, n int) {
	d := len(l.Gain)
	const step = 16
	w.do((n+step-1)/step, float64(n*d)*32, func(_, item int) {
		p := NormPoint{gain: l.Gain, normed: make([]float64, d)}
		for i := item * step; i < min(n, (item+1)*step); i++ {
			p.scale = standardise(p.normed, x[i*d:][:d], l.Epsilon)
			p.Back(gradient[i*d:][:d])
		}
	})
}
