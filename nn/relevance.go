package nn

import (
	"context"
	"fmt"

	"evident/internal/kernel"
)

// BlockRelevance is LeGrad's relevance of a block as a function that can itself be followed back: from how a
// loss changes with the relevance of each token to how it changes with the gradient g that the relevance is of.
// It is closed form, without a tape. [BlockGradient] is the function alone, for those who want no way back.
//
// With S_n = r_n·act'(h_n), u_n as there, T_n = S_n ∘ u_n, C the fold, o = Outᵀ·1 and x̂ the normed stream:
//
//	w       = Downᵀ·g
//	q_n     = Outᵀ·g + C·(S_n ∘ w) - (S_n·(p ∘ w))·o - (T_n·w)·Outᵀ·x̂_n
//	G_h     = q_h·V_hᵀ                                        a row a query
//	R_m     = 1/(h·n) · Σ_h Σ_n max(0, G_h[n, m])
//
// and back, given ρ = ∂loss/∂R, with α_n = o·c_n and β_n = (Outᵀ·x̂_n)·c_n:
//
//	c_n     = concat_h Σ_m [G_h[n, m] ≥ 0]·ρ_m/(h·n)·V_h[m]
//	∂loss/∂w = Σ_n S_n ∘ (Cᵀ·c_n) - p ∘ (Sᵀ·α) - Tᵀ·β
//	∂loss/∂g = Out·Σ_n c_n + Down·∂loss/∂w
//
// At 0 the maximum's slope is 1, as torch has it.
type BlockRelevance struct {
	forward *BlockGradient
	back    *Linear // Cᵀ [ff, d]
	down    *Linear // Down [d, ff], float32, no bias
	out     *Linear // Out [d, d], float32, no bias
	ones    []float32
}

// NewBlockRelevance prepares a layer. Auto multiplies in bf16 where the layer does, as does Int8. Beside the weights of a
// [BlockGradient] it holds as many again.
func NewBlockRelevance(l *EncoderLayer, precision Precision) *BlockRelevance {
	if precision == Auto {
		precision = l.Up.Precision()
	}
	if precision == Int8 {
		precision = BF16
	}
	g := NewBlockGradient(l, precision)
	d, wide := g.Width, g.Wide
	fold := transposed(g.fold.Weight(), d, wide)
	ones := make([]float32, paddedColumns(d))
	copy(ones, g.ones)
	return &BlockRelevance{
		forward: g, back: NewLinear(fold, nil, d, wide, g.Precision()),
		down: NewLinear(l.Down.Weight(), nil, wide, d, FP32), out: NewLinear(l.Out.Weight(), nil, d, d, FP32),
		ones: ones,
	}
}

// SetThreads bounds the threads that one call uses; 0 means GOMAXPROCS.
func (b *BlockRelevance) SetThreads(n int) { b.forward.Threads = n }

// Precision is the arithmetic of the products that take the time.
func (b *BlockRelevance) Precision() Precision { return b.forward.Precision() }

// RelevancePoint is where a sequence of n tokens stands in a block. It may be used by any number of callers at
// once; what differs between them is in a [RelevanceRun].
type RelevancePoint struct {
	Tokens int // n

	block          *BlockRelevance
	slope          []float32 // S as panels [ff/32, n, 32]
	even, uneven   *Linear   // S and T [n, ff]
	evenT, unevenT *Linear   // Sᵀ and Tᵀ [ff, n]
	mixed          []float32 // Outᵀ·x̂ [n, d padded]
	keys           *Point    // V as the columns of a product
	values         []float32 // V as panels of its rows [h, ⌈size/32⌉, n, 32]
}

// At prepares the relevance at what a forward pass of n tokens kept: QKV, Attended and Raised.
func (b *BlockRelevance) At(ctx context.Context, k *Kept, n int) (*RelevancePoint, error) {
	g := b.forward
	d := g.Width
	if len(k.QKV) != 3*n*d || len(k.Attended) != n*d || len(k.Raised) != n*g.Wide {
		panic(fmt.Sprintf("nn: kept %d, %d and %d values do not fit %d tokens of width %d and %d",
			len(k.QKV), len(k.Attended), len(k.Raised), n, d, g.Wide))
	}
	p := &RelevancePoint{Tokens: n, block: b, keys: &Point{Tokens: n}}
	w := newWorkspace(ctx, g.out.set, g.Threads)
	defer w.release()
	p.gates(w, k)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g.packValues(w, p.keys, k.QKV)
	p.packRows(w, k.QKV)
	return p, ctx.Err()
}

// gates fills in what depends on the stream and on the activation's slope.
func (p *RelevancePoint) gates(w *workspace, k *Kept) {
	g, n := p.block.forward, p.Tokens
	d, ld, dd := g.Width, paddedColumns(g.Wide), paddedColumns(g.Width)
	even, uneven := make([]float32, n*ld), make([]float32, n*ld)
	normed, each := make([]float32, n*d), 1/float32(d)
	w.do(n, float64(n*g.Wide)*32, func(_, row int) {
		r := float32(standardise(normed[row*d:][:d], k.Attended[row*d:][:d], g.epsilon))
		s, u := even[row*ld:][:ld], uneven[row*ld:][:ld]
		g.gates(w.set, s, u, k.Raised[row*g.Wide:][:g.Wide])
		for i := range s {
			s[i] *= r
			u[i] *= s[i] * each
		}
	})
	p.mixed = make([]float32, n*dd)
	g.out.multiply(w, output{matrix: matrix{f32: p.mixed, ld: dd}}, matrix{f32: normed, ld: d}, n)
	p.even, p.evenT = p.bothWays(w, even, ld)
	p.uneven, p.unevenT = p.bothWays(w, uneven, ld)
	p.slope = p.evenT.f32
}

// bothWays packs a matrix [n, ld], of which ff columns count, for products with it and with its transpose.
func (p *RelevancePoint) bothWays(w *workspace, rows []float32, ld int) (across, back *Linear) {
	n, wide := p.Tokens, p.block.forward.Wide
	across, back = newPanels(w.set, wide, n), newPanels(w.set, n, wide)
	w.do(across.panels, float64(n*wide)*8, func(_, panel int) {
		first := panel * kernel.Columns
		w.set.PackF32(across.f32[first*wide:], rows[first*ld:], ld, min(kernel.Columns, n-first), wide)
	})
	w.do(back.panels, float64(n*wide)*4, func(_, panel int) {
		to := back.f32[panel*n*kernel.Columns:]
		for row := range n {
			copy(to[row*kernel.Columns:][:kernel.Columns], rows[row*ld+panel*kernel.Columns:])
		}
	})
	return across, back
}

// newPanels returns a layer [out, in] in float32 whose panels are for the caller to fill, without a bias.
func newPanels(set *kernel.Set, in, out int) *Linear {
	l := &Linear{In: in, Out: out, set: set, panels: (out + kernel.Columns - 1) / kernel.Columns}
	l.f32 = aligned[float32](l.panels * in * kernel.Columns)
	l.bias = make([]float32, l.panels*kernel.Columns)
	return l
}

// packRows lays the values of each head out as the rows of a matrix; columns beyond the head's are 0.
func (p *RelevancePoint) packRows(w *workspace, qkv []float32) {
	g, n := p.block.forward, p.Tokens
	d, size := g.Width, g.Width/g.Heads
	panels := (size + kernel.Columns - 1) / kernel.Columns
	p.values = aligned[float32](g.Heads * panels * n * kernel.Columns)
	w.do(g.Heads*panels, float64(n*d)*4, func(_, item int) {
		head, panel := item/panels, item%panels
		to := p.values[item*n*kernel.Columns:]
		width := min(kernel.Columns, size-panel*kernel.Columns)
		for row := range n {
			copy(to[row*kernel.Columns:][:width], qkv[row*3*d+2*d+head*size+panel*kernel.Columns:])
		}
	})
}

// half reports whether attention's products are of bf16.
func (p *RelevancePoint) half() bool { return p.keys.bf16 != nil }

// RelevanceRun is what an inversion remembers between the way there and the way back: which values of the
// gradient at attention were not below 0. One goroutine uses it at a time.
type RelevanceRun struct {
	signs []uint32 // of each gradient [h, n/32, n]
	count int
}

// take makes room for the signs of count gradients, each so many words.
func (r *RelevanceRun) take(count, words int) {
	if len(r.signs) < count*words {
		r.signs = make([]uint32, count*words)
	}
	r.count = count
}

// from says which of the gradients that went there the i-th that goes back belongs to.
func (r *RelevanceRun) from(i int) int {
	if r.count == 1 {
		return 0
	}
	return i
}

// gradientRows bounds the rows of tokens that are on their way at once, and with them its memory.
const gradientRows = 1024

// together is how many gradients of n tokens go through a product at once.
func together(n int) int { return max(1, gradientRows/n) }

// Forward writes the relevance [T, n] of gradients g [T, d] at the block's output, and remembers in run what the
// way back needs.
func (p *RelevancePoint) Forward(ctx context.Context, run *RelevanceRun, gradients, relevance []float32) error {
	g, n := p.block.forward, p.Tokens
	d, ld := g.Width, paddedColumns(g.Wide)
	count := len(gradients) / d
	if len(gradients) != count*d || len(relevance) != count*n {
		panic(fmt.Sprintf("nn: %d values of gradient and %d of relevance do not fit width %d and %d tokens",
			len(gradients), len(relevance), d, n))
	}
	run.take(count, p.words())
	w := newWorkspace(ctx, g.fold.set, g.Threads)
	defer w.release()
	l := p.lower(w, gradients, count, ld)
	for first := 0; first < count; first += together(n) {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := min(together(n), count-first)
		q := p.attention(w, l, first, part)
		if p.half() {
			q = w.narrowed(q, part*n, d, BF16)
		}
		p.positive(w, q, run.signs[first*p.words():], relevance[first*n:], part)
	}
	return ctx.Err()
}

// lowered is what gradients come to before the block's own tokens are looked at.
type lowered struct {
	gate         []float32 // w [T, ff padded]
	direct       []float32 // Outᵀ·g [T, d]
	even, uneven []float32 // S·(p ∘ w) and T·w [T, n]
}

func (p *RelevancePoint) lower(w *workspace, gradients []float32, count, ld int) lowered {
	g, n := p.block.forward, p.Tokens
	d := g.Width
	l := lowered{
		gate: make([]float32, count*ld), direct: make([]float32, count*d),
		even: make([]float32, count*n), uneven: make([]float32, count*n),
	}
	in := matrix{f32: gradients, ld: d}
	g.down.multiply(w, output{matrix: matrix{f32: l.gate, ld: ld}}, in, count)
	g.out.multiply(w, output{matrix: matrix{f32: l.direct, ld: d}}, in, count)
	scaled := make([]float32, count*ld)
	for t := range count {
		for f, v := range l.gate[t*ld:][:g.Wide] {
			scaled[t*ld+f] = v * g.means[f]
		}
	}
	p.even.multiply(w, output{matrix: matrix{f32: l.even, ld: n}}, matrix{f32: scaled, ld: ld}, count)
	p.uneven.multiply(w, output{matrix: matrix{f32: l.uneven, ld: n}}, matrix{f32: l.gate, ld: ld}, count)
	return l
}

// Width is d.
func (p *RelevancePoint) Width() int { return p.block.forward.Width }
