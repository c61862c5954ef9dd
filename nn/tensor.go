package nn

import (
	"context"

	"evident/internal/kernel"
)

// Tensor is the gradient at a block's attention as a linear function of a text's vector, G = J·t with
// J [h·n·n, E]: the decomposition that MaskInversion's authors describe. A step costs two products with J, which
// is large: it pays where tokens are few.
type Tensor struct {
	point *RelevancePoint
	g     *jacobian // [h·n, n padded]
}

// TensorBytes is the memory that a tensor takes, of n tokens and vectors [E].
func (b *BlockRelevance) TensorBytes(n, size int) int64 {
	return jacobianBytes(size, b.forward.Heads*n*paddedColumns(n), b.Precision() == BF16)
}

// Tensor is [RelevancePoint.Factor] one product further.
func (p *RelevancePoint) Tensor(ctx context.Context, basis []float32) (*Tensor, error) {
	g, n := p.block.forward, p.Tokens
	padded := paddedColumns(n)
	t := &Tensor{point: p, g: newJacobian(g.fold.set, len(basis)/g.Width, g.Heads*n, padded, p.half())}
	rows := make([]float32, columns*g.Heads*n*padded)
	err := p.eachBasis(ctx, basis, func(w *workspace, first, at int, q matrix) {
		if p.half() {
			q = w.narrowed(q, n, g.Width, BF16)
		}
		p.attended(w, rows[at*g.Heads*n*padded:], q)
	}, func(w *workspace, first, count int) { t.g.put(w, first, count, rows) })
	return t, err
}

// attended writes G = q·Vᵀ [h, n, n padded].
func (p *RelevancePoint) attended(w *workspace, dst []float32, q matrix) {
	g, n := p.block.forward, p.Tokens
	size, padded := g.Width/g.Heads, paddedColumns(n)
	panels := padded / kernel.Columns
	tiles := split(n, w.set.TileRows())
	w.do(g.Heads*tiles.count, 2*float64(n)*float64(n)*float64(g.Width), func(_, item int) {
		head := item / tiles.count
		row, rows := tiles.at(item % tiles.count)
		to, at := dst[(head*n+row)*padded:], head*padded*size
		if q.bf16 != nil {
			w.set.TileBF16(to, padded, q.bf16[row*q.ld+head*size:], q.ld, p.keys.bf16[at:], nil, rows, size/2, panels)
		} else {
			w.set.TileF32(to, padded, q.f32[row*q.ld+head*size:], q.ld, p.keys.f32[at:], nil, rows, size, panels)
		}
	})
}

// together is how many vectors go through the tensor at once.
func (t *Tensor) together() int {
	const valuesMax = 8 << 20 // of G
	return max(1, min(factorTogether, valuesMax/(t.g.blocks*t.g.width)))
}

// Forward is [RelevancePoint.Forward] of vectors [T, E].
func (t *Tensor) Forward(ctx context.Context, run *RelevanceRun, vectors, relevance []float32) error {
	p := t.point
	g, n := p.block.forward, p.Tokens
	count := len(vectors) / t.g.size
	run.take(count, p.words())
	w := newWorkspace(ctx, g.fold.set, g.Threads)
	defer w.release()
	for first := 0; first < count; first += t.together() {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := min(t.together(), count-first)
		slopes := matrix{f32: w.mixed.floats(part * t.g.blocks * t.g.width), ld: t.g.blocks * t.g.width}
		t.g.there(w, slopes, vectors[first*t.g.size:], part)
		t.positive(w, slopes, run.signs[first*p.words():], relevance[first*n:], part)
	}
	return ctx.Err()
}

// positive is [RelevancePoint.positive] of G itself.
func (t *Tensor) positive(w *workspace, slopes matrix, signs []uint32, relevance []float32, part int) {
	g, n, padded := t.point.block.forward, t.point.Tokens, t.g.width
	panels := padded / kernel.Columns
	sums := w.qkv.floats(part * padded)
	clear(sums)
	w.do(part*panels, float64(part)*float64(t.g.blocks)*float64(padded)*2, func(_, item int) {
		k, panel := item/panels, item%panels
		w.set.PositiveSigns(sums[item*kernel.Columns:], signs[item*t.g.blocks:],
			slopes.f32[k*slopes.ld+panel*kernel.Columns:], t.g.blocks, padded)
	})
	scale := 1 / float32(g.Heads*n)
	for k := range part {
		for m := range n {
			relevance[k*n+m] = sums[k*padded+m] * scale
		}
	}
}

// Backward is [RelevancePoint.Backward] to vectors: it writes ∂loss/∂t [T, E].
func (t *Tensor) Backward(ctx context.Context, run *RelevanceRun, rho, gradients []float32) error {
	p := t.point
	g, n, padded := p.block.forward, p.Tokens, t.g.width
	panels, words := padded/kernel.Columns, p.words()
	count := len(gradients) / t.g.size
	w := newWorkspace(ctx, g.fold.set, g.Threads)
	defer w.release()
	scale := 1 / float32(g.Heads*n)
	for first := 0; first < count; first += t.together() {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := min(t.together(), count-first)
		weights := make([]float32, part*padded)
		for k := range part {
			for m, v := range rho[(first+k)*n:][:n] {
				weights[k*padded+m] = v * scale
			}
		}
		chosen := matrix{f32: w.mixed.floats(part * t.g.blocks * padded), ld: t.g.blocks * padded}
		w.do(part*panels, float64(part*t.g.blocks*padded)*2, func(_, item int) {
			k, panel := item/panels, item%panels
			to := chosen.f32[k*chosen.ld+panel*kernel.Columns:]
			w.set.SpreadSigns(to, padded, run.signs[run.from(first+k)*words+panel*t.g.blocks:], t.g.blocks)
			w.set.GateRows(to, padded, to, padded, weights[item*kernel.Columns:], t.g.blocks)
		})
		x := w.narrowed(chosen, part, chosen.ld, t.g.forward.Precision())
		t.g.back(w, gradients[first*t.g.size:], x, part)
	}
	return ctx.Err()
}
