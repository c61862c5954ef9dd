package nn

import (
	"context"
	"fmt"
	"math"

	"evident/internal/kernel"
)

// BlockGradient is the way back through a pre-norm block, from its output to its attention weights, for a
// gradient that is the same at every token: that of a score which reads the mean of the tokens, as
// LeGrad's does (Bousselham et al., arXiv:2404.03214). It is closed form, without a tape.
//
// With A = attention weights, V = values, h = Up(LN(x)), x the stream after attention and g = ∂s/∂output:
//
//	w      = Downᵀ·g                                          once for all tokens
//	a_n    = act'(h_n) ∘ w
//	q_n    = Outᵀ·(g + LNᵀ_n(Upᵀ·a_n))                        ∂s/∂(attention's output) of token n
//	∂s/∂A  = q·Vᵀ                                             [h, n, n], a row a query
//
// Outᵀ·LNᵀ·Upᵀ is one product with C = Outᵀ·diag(gain)·Upᵀ, folded once, and two dot products, for the
// norm's transposed Jacobian is diagonal but for two directions:
//
//	Outᵀ·LNᵀ_n(Upᵀ·a) = r_n·(C·a - (p·a)·Outᵀ·1 - (u_n·a)·Outᵀ·x̂_n)
//	p = Up·gain/d,  u_n = (h_n - bias - Up·shift)/d = Up·(gain ∘ x̂_n)/d
type BlockGradient struct {
	Width, Wide, Heads int // d, ff, h
	Threads            int // most threads one call uses, as [Encoder.Threads]

	activation kernel.Activation
	epsilon    float32
	fold       *Linear   // C [d, ff]
	down       *Linear   // Downᵀ [ff, d]
	out        *Linear   // Outᵀ [d, d], in float32
	rows       *Linear   // the same in the precision of C
	ones       []float32 // [d] Outᵀ·1
	means      []float32 // [ff padded] p
	shift      []float32 // [ff padded] -(bias + Up·shift)
}

// NewBlockGradient prepares the way back through a layer. Auto multiplies in bf16 where the layer does. It
// holds weights of its own: ff·d twice and d·d twice.
func NewBlockGradient(l *EncoderLayer, precision Precision) *BlockGradient {
	d, wide := l.QKV.In, l.Up.Out
	if !l.PreNorm {
		panic("nn: the gradient of a block needs one that is pre-norm")
	}
	if precision == Auto {
		precision = l.Up.Precision()
	}
	up, down, out := l.Up.Weight(), l.Down.Weight(), l.Out.Weight()
	gain, shift := l.FeedForwardNorm.Gain, l.FeedForwardNorm.Bias
	g := &BlockGradient{
		Width: d, Wide: wide, Heads: l.Heads,
		activation: kernel.Activation(l.Activation), epsilon: l.FeedForwardNorm.Epsilon,
		down: NewLinear(transposed(down, d, wide), nil, d, wide, FP32),
		out:  NewLinear(transposed(out, d, d), nil, d, d, FP32),
		ones: make([]float32, d), means: make([]float32, paddedColumns(wide)), shift: make([]float32, paddedColumns(wide)),
	}
	g.rows = g.out
	if precision != FP32 {
		g.rows = NewLinear(transposed(out, d, d), nil, d, d, precision)
	}
	for i, v := range out {
		g.ones[i%d] += v
	}
	scaled := make([]float32, len(up)) // Up·diag(gain)
	for f := range wide {
		sum, bias := 0.0, float64(l.Up.bias[f])
		for i, v := range up[f*d:][:d] {
			scaled[f*d+i] = v * gain[i]
			sum += float64(v * gain[i])
			bias += float64(v) * float64(shift[i])
		}
		g.means[f], g.shift[f] = float32(sum/float64(d)), -float32(bias)
	}
	folded := make([]float32, wide*d) // row f is Outᵀ·(gain ∘ Up_f)
	g.out.Forward(folded, scaled, wide)
	g.fold = NewLinear(transposed(folded, wide, d), nil, wide, d, precision)
	return g
}

// Precision is the arithmetic of the products that take the time.
func (g *BlockGradient) Precision() Precision { return g.fold.Precision() }

func paddedColumns(n int) int { return (n + kernel.Columns - 1) / kernel.Columns * kernel.Columns }

// transposed returns x [m, n] as [n, m].
func transposed(x []float32, m, n int) []float32 {
	y := make([]float32, len(x))
	transpose(y, x, m, n)
	return y
}

// transpose writes x [m, n] to y as [n, m].
func transpose(y, x []float32, m, n int) {
	const block = 16 // of both sides stay in the first level cache
	for i0 := 0; i0 < m; i0 += block {
		for j0 := 0; j0 < n; j0 += block {
			for i := i0; i < min(m, i0+block); i++ {
				for j := j0; j < min(n, j0+block); j++ {
					y[j*m+i] = x[i*n+j]
				}
			}
		}
	}
}

// Point is where a sequence of n tokens stands in a block: what a gradient there depends on and no text does.
// It may be used by any number of callers at once.
type Point struct {
	Tokens int // n

	slope  []float32 // [n, ff padded] act'(h)
	uneven []float32 // [n, ff padded] d·u
	scale  []float32 // [n] r, one over the deviation that the norm divides by
	out    []float32 // [n, d] Outᵀ·x̂
	f32    []float32 // values as panels [h, n/32, d/h, 32], or
	bf16   []uint16  // [h, n/32, d/h/2, 32, 2]
}

// At prepares the gradient at what a forward pass of n tokens kept: QKV, Attended and Raised.
func (g *BlockGradient) At(ctx context.Context, k *Kept, n int) (*Point, error) {
	d := g.Width
	if len(k.QKV) != 3*n*d || len(k.Attended) != n*d || len(k.Raised) != n*g.Wide {
		panic(fmt.Sprintf("nn: kept %d, %d and %d values do not fit %d tokens of width %d and %d",
			len(k.QKV), len(k.Attended), len(k.Raised), n, d, g.Wide))
	}
	ld := paddedColumns(g.Wide)
	p := &Point{
		Tokens: n, slope: aligned[float32](n * ld), uneven: aligned[float32](n * ld),
		scale: make([]float32, n), out: make([]float32, n*d),
	}
	w := newWorkspace(ctx, g.out.set, g.Threads)
	defer w.release()
	normed := make([]float32, n*d)
	w.do(n, float64(n*g.Wide)*32, func(_, row int) {
		p.scale[row] = float32(standardise(normed[row*d:][:d], k.Attended[row*d:][:d], g.epsilon))
		g.gates(w.set, p.slope[row*ld:][:ld], p.uneven[row*ld:][:ld], k.Raised[row*g.Wide:][:g.Wide])
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	x := w.narrowed(matrix{f32: normed, ld: d}, n, d, g.rows.Precision())
	g.rows.multiply(w, output{matrix: matrix{f32: p.out, ld: d}}, x, n)
	g.packValues(w, p, k.QKV)
	return p, ctx.Err()
}

// gates writes act'(h) and d·u of one token; what lies beyond ff is 0.
func (g *BlockGradient) gates(set *kernel.Set, slope, uneven, h []float32) {
	copy(slope, h)
	set.Slope(g.activation, slope, len(slope)/kernel.Columns, kernel.Columns)
	clear(slope[len(h):])
	copy(uneven, g.shift)
	whole := len(h) / kernel.Columns
	set.AddTile(uneven, kernel.Columns, h, whole)
	for f := whole * kernel.Columns; f < len(h); f++ {
		uneven[f] += h[f]
	}
}

// standardise writes (x - mean)/deviation and returns one over the deviation.
func standardise[T float32 | float64](dst []T, x []float32, epsilon float32) float64 {
	sum, squares := 0.0, 0.0
	for _, v := range x {
		sum += float64(v)
	}
	mean := sum / float64(len(x))
	for _, v := range x {
		squares += (float64(v) - mean) * (float64(v) - mean)
	}
	r := 1 / math.Sqrt(squares/float64(len(x))+float64(epsilon))
	for i, v := range x {
		dst[i] = T((float64(v) - mean) * r)
	}
	return r
}

// packValues lays the values of each head out as columns.
func (g *BlockGradient) packValues(w *workspace, p *Point, qkv []float32) {
	d, n, size := g.Width, p.Tokens, g.Width/g.Heads
	padded := paddedColumns(n)
	half := g.fold.bf16 != nil && size%2 == 0
	if half {
		p.bf16 = aligned[uint16](g.Heads * padded * size)
	} else {
		p.f32 = aligned[float32](g.Heads * padded * size)
	}
	w.do(g.Heads, float64(n*d)*16, func(_, head int) {
		for j := 0; j < n; j += kernel.Columns {
			v, at := qkv[j*3*d+2*d+head*size:], (head*padded+j)*size
			if half {
				w.set.PackBF16(p.bf16[at:], v, 3*d, min(kernel.Columns, n-j), size)
			} else {
				w.set.PackF32(p.f32[at:], v, 3*d, min(kernel.Columns, n-j), size)
			}
		}
	})
}

// Relevance writes for each of several gradients g [T, d] at the block's output what the attention to each
// token is worth, LeGrad's map before the scaling:
//
//	relevance[t, m] = 1/(h·n) · Σ_heads Σ_queries max(0, ∂s/∂A[head, query, m])        [T, n]
func (g *BlockGradient) Relevance(ctx context.Context, p *Point, gradients, relevance []float32) error {
	d, n, ld := g.Width, p.Tokens, paddedColumns(g.Wide)
	count := len(gradients) / d
	if len(gradients) != count*d || len(relevance) != count*n {
		panic(fmt.Sprintf("nn: %d values of gradient and %d of relevance do not fit width %d and %d tokens",
			len(gradients), len(relevance), d, n))
	}
	w := newWorkspace(ctx, g.fold.set, g.Threads)
	defer w.release()
	lowered := make([]float32, count*ld) // Downᵀ·g
	direct := make([]float32, count*d)   // Outᵀ·g
	gradient := matrix{f32: gradients, ld: d}
	g.down.multiply(w, output{matrix: matrix{f32: lowered, ld: ld}}, gradient, count)
	g.out.multiply(w, output{matrix: matrix{f32: direct, ld: d}}, gradient, count)
	for t := range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		q := g.attention(w, p, lowered[t*ld:][:ld], direct[t*d:][:d])
		g.positive(w, p, q, relevance[t*n:][:n])
	}
	return ctx.Err()
}

// attention returns q [n, d], the gradient at the output of attention.
func (g *BlockGradient) attention(w *workspace, p *Point, lowered, direct []float32) matrix {
	d, n, ld := g.Width, p.Tokens, len(lowered)
	gated := w.wide.matrix(n, g.Wide, g.fold.bf16 != nil)
	sums := w.sums.floats(2 * n)
	const step = 16
	w.do((n+step-1)/step, float64(n*ld)*8, func(worker, item int) {
		row := w.workers[worker].scores.floats(ld)
		for i := item * step; i < min(n, (item+1)*step); i++ {
			to := row
			if gated.f32 != nil {
				to = gated.f32[i*gated.ld:][:ld]
			}
			w.set.Gate(to, sums[2*i:][:2], p.slope[i*ld:][:ld], lowered, g.means, p.uneven[i*ld:][:ld])
			if gated.bf16 != nil {
				w.set.ToBF16(gated.bf16[i*gated.ld:], gated.ld, to, ld, 1, ld)
			}
		}
	})
	q := w.mixed.matrix(n, d, false)
	g.fold.multiply(w, output{matrix: q}, w.narrowed(gated, n, g.Wide, g.fold.Precision()), n)
	each := 1 / float32(d)
	w.do((n+step-1)/step, float64(n*d)*16, func(_, item int) {
		for i := item * step; i < min(n, (item+1)*step); i++ {
			r, a, b := p.scale[i], sums[2*i], sums[2*i+1]*each
			to, out := q.f32[i*q.ld:][:d], p.out[i*d:][:d]
			for j, c := range to {
				to[j] = direct[j] + r*(c-a*g.ones[j]-b*out[j])
			}
		}
	})
	return q
}

// positive sums what is above 0 in q·Vᵀ over queries and heads. An item is one head's panel of keys, so the
// order of the sums does not depend on who computes them.
func (g *BlockGradient) positive(w *workspace, p *Point, q matrix, relevance []float32) {
	d, n, size := g.Width, p.Tokens, g.Width/g.Heads
	padded := paddedColumns(n)
	panels := padded / kernel.Columns
	columns := w.qkv.floats(g.Heads * padded)
	clear(columns)
	if p.bf16 != nil {
		q = w.narrowed(q, n, d, BF16)
	}
	tiles := split(n, w.set.TileRows())
	w.do(g.Heads*panels, 2*float64(n)*float64(n)*float64(d), func(worker, item int) {
		head, panel := item/panels, item%panels
		tile := w.workers[worker].tile
		at := (head*padded + panel*kernel.Columns) * size
		for i := range tiles.count {
			row, rows := tiles.at(i)
			if p.bf16 != nil {
				w.set.TileBF16(tile, kernel.Columns, q.bf16[row*q.ld+head*size:], q.ld, p.bf16[at:],
					nil, rows, size/2, 1)
			} else {
				w.set.TileF32(tile, kernel.Columns, q.f32[row*q.ld+head*size:], q.ld, p.f32[at:],
					nil, rows, size, 1)
			}
			w.set.AddPositive(columns[head*padded+panel*kernel.Columns:], tile, rows, kernel.Columns)
		}
	})
	scale := 1 / float32(g.Heads*n)
	for m := range n {
		sum := float32(0)
		for head := range g.Heads {
			sum += columns[head*padded+m]
		}
		relevance[m] = sum * scale
	}
}
