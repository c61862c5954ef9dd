package nn

import (
	"context"

	"evident/internal/kernel"
)

// jacobian is a linear function y = J·t of vectors t [E], packed for products there and back. The rows of J lie
// in blocks of a width that is a multiple of 32: what goes back is added up block by block, so that many masks
// read each block once.
type jacobian struct {
	size, blocks, width int // E; y is [blocks, width]

	forward *Linear   // [blocks·width, E]
	f32     []float32 // panels back [blocks, ⌈E/32⌉, width, 32], or
	bf16    []uint16  // [blocks, ⌈E/32⌉, width/2, 32, 2]
}

func newJacobian(set *kernel.Set, size, blocks, width int, half bool) *jacobian {
	rows, panels := blocks*width, (size+kernel.Columns-1)/kernel.Columns
	j := &jacobian{size: size, blocks: blocks, width: width}
	j.forward = &Linear{In: size, Out: rows, set: set, panels: rows / kernel.Columns, bias: make([]float32, rows)}
	if half {
		j.forward.bf16 = aligned[uint16](rows * ((size + 1) / 2 * 2))
		j.bf16 = aligned[uint16](rows * panels * kernel.Columns)
	} else {
		j.forward.f32 = aligned[float32](rows * size)
		j.f32 = aligned[float32](rows * panels * kernel.Columns)
	}
	return j
}

// jacobianBytes is the memory that a jacobian takes.
func jacobianBytes(size, rows int, half bool) int64 {
	each := int64(8)
	if half {
		each = 4
	}
	return each * int64(rows) * int64(paddedColumns(size))
}

// columns is how many columns of J are packed at a time: a panel's.
const columns = kernel.Columns

// put packs columns [first, first+count) of J, given as rows y [count, blocks·width]; first is a multiple of 32 and
// count is 32 but for the last.
func (j *jacobian) put(w *workspace, first, count int, y []float32) {
	rows := j.blocks * j.width
	set, panels := w.set, (j.size+columns-1)/columns
	w.do(j.blocks, float64(count)*float64(rows)*4, func(worker, block int) {
		at := (block*panels + first/columns) * j.width * columns
		from := y[block*j.width:]
		if j.bf16 == nil {
			set.PackF32(j.f32[at:], from, rows, count, j.width)
			for p := range j.width / columns {
				panel := block*j.width/columns + p
				to := j.forward.f32[(panel*j.size+first)*columns:]
				for k := range count {
					copy(to[k*columns:][:columns], from[k*rows+p*columns:])
				}
			}
			return
		}
		set.PackBF16(j.bf16[at:], from, rows, count, j.width)
		rounded := w.workers[worker].weights.halves(count * j.width)
		set.ToBF16(rounded, j.width, from, rows, count, j.width)
		pairs := (j.size + 1) / 2
		for p := range j.width / columns {
			panel := block*j.width/columns + p
			set.Interleave(j.forward.bf16[(panel*pairs+first/2)*2*columns:], rounded[p*columns:], j.width, count)
		}
	})
}

// there computes y [T, blocks·width] = J·t of vectors t [T, E] into dst, whose rows are blocks·width apart.
func (j *jacobian) there(w *workspace, dst matrix, vectors []float32, count int) {
	x := w.narrowed(matrix{f32: vectors, ld: j.size}, count, j.size, j.forward.Precision())
	j.forward.multiply(w, output{matrix: dst}, x, count)
}

// back computes Jᵀ·y [T, E] of y [T, blocks·width], rows x.ld apart, in the precision of J. An item is a panel of
// columns: it adds up all blocks in order.
func (j *jacobian) back(w *workspace, dst []float32, x matrix, count int) {
	panels := (j.size + columns - 1) / columns
	tiles := split(count, w.set.TileRows())
	flop := 2 * float64(count) * float64(j.blocks*j.width) * float64(j.size)
	w.do(panels, flop, func(worker, panel int) {
		s := w.workers[worker]
		sums := s.scores.floats(count * columns)
		clear(sums)
		for block := range j.blocks {
			at := (block*panels + panel) * j.width * columns
			for i := range tiles.count {
				row, rows := tiles.at(i)
				from := row*x.ld + block*j.width
				if j.bf16 != nil {
					w.set.TileBF16(s.tile, columns, x.bf16[from:], x.ld, j.bf16[at:], nil, rows, j.width/2, 1)
				} else {
					w.set.TileF32(s.tile, columns, x.f32[from:], x.ld, j.f32[at:], nil, rows, j.width, 1)
				}
				w.set.AddTile(sums[row*columns:], columns, s.tile, rows)
			}
		}
		storeNarrow(dst[panel*columns:], j.size, sums, columns, count, min(columns, j.size-panel*columns), false)
	})
}

// Factor is the gradient at each token's attention output as a linear function of a text's vector: the token
// factor of MaskInversion's gradient, q = Q·t with Q [n·d, E]. It is set up by the gradients of all E directions,
// and then a step costs what two products with Q do, instead of two passes through the feed-forward block.
type Factor struct {
	point *RelevancePoint
	q     *jacobian // [n, d padded]
}

// FactorBytes is the memory that a factor takes, of n tokens and vectors [E].
func (b *BlockRelevance) FactorBytes(n, size int) int64 {
	return jacobianBytes(size, n*paddedColumns(b.forward.Width), b.Precision() == BF16)
}

// Factor prepares the factor for vectors [E] whose gradients at the block's output are linear in them: basis
// [E, d] holds those of the E unit vectors.
func (p *RelevancePoint) Factor(ctx context.Context, basis []float32) (*Factor, error) {
	g, n := p.block.forward, p.Tokens
	dd := paddedColumns(g.Width)
	f := &Factor{point: p, q: newJacobian(g.fold.set, len(basis)/g.Width, n, dd, p.half())}
	rows := make([]float32, columns*n*dd)
	err := p.eachBasis(ctx, basis, func(w *workspace, first, at int, q matrix) {
		to := rows[at*n*dd:]
		for row := range n {
			copy(to[row*dd:][:g.Width], q.f32[row*q.ld:])
		}
	}, func(w *workspace, first, count int) { f.q.put(w, first, count, rows) })
	return f, err
}

// eachBasis computes q of each unit vector and hands it to keep, and after each 32 of them, or fewer at the end,
// calls pack.
func (p *RelevancePoint) eachBasis(
	ctx context.Context, basis []float32,
	keep func(w *workspace, first, at int, q matrix), pack func(w *workspace, first, count int),
) error {
	g, n := p.block.forward, p.Tokens
	d, ld := g.Width, paddedColumns(g.Wide)
	size := len(basis) / d
	w := newWorkspace(ctx, g.fold.set, g.Threads)
	defer w.release()
	for first := 0; first < size; first += columns {
		count := min(columns, size-first)
		l := p.lower(w, basis[first*d:(first+count)*d], count, ld)
		for at := 0; at < count; at += together(n) {
			if err := ctx.Err(); err != nil {
				return err
			}
			part := min(together(n), count-at)
			q := p.attention(w, l, at, part)
			for i := range part {
				keep(w, first, at+i, matrix{f32: q.f32[i*n*q.ld:], ld: q.ld})
			}
		}
		pack(w, first, count)
	}
	return ctx.Err()
}

// factorTogether is how many vectors go through a factor at once: it is read once for all of them.
const factorTogether = 64

// Forward is [RelevancePoint.Forward] of vectors [T, E].
func (f *Factor) Forward(ctx context.Context, run *RelevanceRun, vectors, relevance []float32) error {
	p := f.point
	g, n, dd := p.block.forward, p.Tokens, f.q.width
	count := len(vectors) / f.q.size
	run.take(count, p.words())
	w := newWorkspace(ctx, g.fold.set, g.Threads)
	defer w.release()
	for first := 0; first < count; first += factorTogether {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := min(factorTogether, count-first)
		q := matrix{ld: n * dd}
		if p.half() {
			q.bf16 = w.mixed.halves(part * q.ld)
		} else {
			q.f32 = w.mixed.floats(part * q.ld)
		}
		f.q.there(w, q, vectors[first*f.q.size:], part)
		q.ld = dd
		for i := 0; i < part; i += together(n) {
			some := min(together(n), part-i)
			p.positive(w, q.from(i*n), run.signs[(first+i)*p.words():], relevance[(first+i)*n:], some)
		}
	}
	return ctx.Err()
}

// from returns the matrix from a row on.
func (m matrix) from(row int) matrix {
	if m.bf16 != nil {
		return matrix{bf16: m.bf16[row*m.ld:], ld: m.ld}
	}
	return matrix{f32: m.f32[row*m.ld:], ld: m.ld}
}

// Backward is [RelevancePoint.Backward] to vectors: it writes ∂loss/∂t [T, E].
func (f *Factor) Backward(ctx context.Context, run *RelevanceRun, rho, gradients []float32) error {
	p := f.point
	g, n, dd := p.block.forward, p.Tokens, f.q.width
	count := len(gradients) / f.q.size
	w := newWorkspace(ctx, g.fold.set, g.Threads)
	defer w.release()
	for first := 0; first < count; first += factorTogether {
		part := min(factorTogether, count-first)
		all := matrix{ld: n * dd}
		if p.half() {
			all.bf16 = w.wide.halves(part * all.ld)
		} else {
			all.f32 = w.wide.floats(part * all.ld)
		}
		for i := 0; i < part; i += together(n) {
			if err := ctx.Err(); err != nil {
				return err
			}
			some := min(together(n), part-i)
			c := p.spread(w, run, rho, first+i, some)
			p.gather(w, all, i*n, c, some*n)
		}
		f.q.back(w, gradients[first*f.q.size:], all, part)
	}
	return ctx.Err()
}

// gather copies rows of c to rows [d padded] of dst from row first on, which are end to end.
func (p *RelevancePoint) gather(w *workspace, dst matrix, first int, c matrix, rows int) {
	dd := len(p.block.ones)
	const step = 64
	w.do((rows+step-1)/step, float64(rows*dd)*4, func(_, item int) {
		row := item * step
		count := min(step, rows-row)
		if dst.bf16 != nil {
			w.set.ToBF16(dst.bf16[(first+row)*dd:], dd, c.f32[row*c.ld:], c.ld, count, dd)
			return
		}
		for i := range count {
			copy(dst.f32[(first+row+i)*dd:][:dd], c.f32[(row+i)*c.ld:])
		}
	})
}
