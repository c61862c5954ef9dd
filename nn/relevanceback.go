package nn

import (
	"context"
	"fmt"

	"evident/internal/kernel"
)

// Backward writes ∂loss/∂g [T, d] for ρ = ∂loss/∂relevance [T, n], at the gradients that [RelevancePoint.Forward]
// last took run to: the same T of them, or one alone that all T share.
func (p *RelevancePoint) Backward(ctx context.Context, run *RelevanceRun, rho, gradients []float32) error {
	g, n := p.block.forward, p.Tokens
	d, ld, dd := g.Width, paddedColumns(g.Wide), paddedColumns(g.Width)
	count := len(gradients) / d
	if len(gradients) != count*d || len(rho) != count*n || run.count != 1 && run.count != count {
		panic(fmt.Sprintf("nn: %d values of gradient and %d of loss do not fit width %d, %d tokens and %d gradients there",
			len(gradients), len(rho), d, n, run.count))
	}
	w := newWorkspace(ctx, g.fold.set, g.Threads)
	defer w.release()
	sums, widths := make([]float32, count*dd), make([]float32, count*ld) // Σ c_n and ∂loss/∂w
	alpha, beta := make([]float32, count*n), make([]float32, count*n)
	for first := 0; first < count; first += together(n) {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := min(together(n), count-first)
		c := p.spread(w, run, rho, first, part)
		p.project(w, c, alpha[first*n:], beta[first*n:], sums[first*dd:], part)
		p.raise(w, c, widths[first*ld:], part)
	}
	p.correct(w, alpha, beta, widths, count)
	p.block.out.multiply(w, output{matrix: matrix{f32: gradients, ld: d}}, matrix{f32: sums, ld: dd}, count)
	p.block.down.multiply(w, output{matrix: matrix{f32: gradients, ld: d}, add: true}, matrix{f32: widths, ld: ld}, count)
	return ctx.Err()
}

// spread returns c [part·n, d] of part gradients from first on. An item is one head of one of them.
func (p *RelevancePoint) spread(w *workspace, run *RelevanceRun, rho []float32, first, part int) matrix {
	g, n := p.block.forward, p.Tokens
	d, size, heads := g.Width, g.Width/g.Heads, g.Heads
	c := w.mixed.matrix(part*n, d, false)
	tiles := split(n, w.set.TileRows())
	scale := 1 / float32(heads*n)
	w.do(part*heads, 2*float64(part)*float64(n)*float64(n)*float64(d), func(worker, item int) {
		t, head := item/heads, item%heads
		s := w.workers[worker]
		weighted := p.weigh(w, s, head, rho[(first+t)*n:][:n], scale)
		signs := run.signs[run.from(first+t)*p.words()+head*(paddedColumns(n)/kernel.Columns)*n:]
		for i := range tiles.count {
			row, rows := tiles.at(i)
			p.spreadTile(w, s, c.f32[(t*n+row)*c.ld+head*size:], c.ld, weighted, signs[row:], rows)
		}
	})
	if dd := paddedColumns(d); dd != d {
		for row := range part * n {
			clear(c.f32[row*c.ld+d:][:dd-d])
		}
	}
	return c
}

// weigh returns ρ_m·scale·V_h[m] as panels of rows, in a worker's memory: float32 [⌈size/32⌉, n, 32], or bf16
// with rows in pairs.
func (p *RelevancePoint) weigh(w *workspace, s *scratch, head int, rho []float32, scale float32) matrix {
	n := p.Tokens
	size := p.block.forward.Width / p.block.forward.Heads
	panels := (size + kernel.Columns - 1) / kernel.Columns
	all := panels * n * kernel.Columns
	factors := s.scores.floats(n + all)
	for m, v := range rho {
		factors[m] = v * scale
	}
	values := factors[n:]
	copy(values, p.values[head*all:][:all])
	for panel := range panels {
		w.set.ScaleTile(values[panel*n*kernel.Columns:], factors, n)
	}
	if !p.half() {
		return matrix{f32: values}
	}
	pairs := p.pairs(w)
	rounded := s.weights.halves(all)
	w.set.ToBF16(rounded, kernel.Columns, values, kernel.Columns, panels*n, kernel.Columns)
	packed := s.values.halves(panels * pairs * 2 * kernel.Columns)
	for panel := range panels {
		to := packed[panel*pairs*2*kernel.Columns:][:pairs*2*kernel.Columns]
		w.set.Interleave(to, rounded[panel*n*kernel.Columns:], kernel.Columns, n)
		clear(to[(n+1)/2*2*kernel.Columns:])
	}
	return matrix{bf16: packed}
}

// pairs is the number of pairs of tokens that a product in bf16 runs over.
func (p *RelevancePoint) pairs(w *workspace) int {
	step := w.set.PairsBF16()
	return ((p.Tokens+1)/2 + step - 1) / step * step
}

// spreadTile computes rows of one head's c: signs times weighted values.
func (p *RelevancePoint) spreadTile(
	w *workspace, s *scratch, dst []float32, ldd int, weighted matrix, signs []uint32, rows int,
) {
	n, padded := p.Tokens, paddedColumns(p.Tokens)
	size := p.block.forward.Width / p.block.forward.Heads
	pairs := p.pairs(w)
	ld := max(padded, 2*pairs)
	var chosen matrix
	if weighted.bf16 != nil {
		chosen = matrix{bf16: s.keys.halves(rows * ld), ld: ld}
		if ld > padded {
			clear(chosen.bf16)
		}
	} else {
		chosen = matrix{f32: s.keys.floats(rows * ld), ld: ld}
	}
	for panel := range padded / kernel.Columns {
		if chosen.bf16 != nil {
			w.set.SpreadSignsBF16(chosen.bf16[panel*kernel.Columns:], ld, signs[panel*n:], rows)
		} else {
			w.set.SpreadSigns(chosen.f32[panel*kernel.Columns:], ld, signs[panel*n:], rows)
		}
	}
	for panel := 0; panel*kernel.Columns < size; panel++ {
		column := panel * kernel.Columns
		if chosen.bf16 != nil {
			w.set.TileBF16(s.tile, kernel.Columns, chosen.bf16, ld, weighted.bf16[panel*pairs*2*kernel.Columns:],
				nil, rows, pairs, 1)
		} else {
			w.set.TileF32(s.tile, kernel.Columns, chosen.f32, ld, weighted.f32[panel*n*kernel.Columns:], nil, rows, n, 1)
		}
		storeNarrow(dst[column:], ldd, s.tile, kernel.Columns, rows, min(kernel.Columns, size-column), false)
	}
}

// project writes α and β [part, n], and Σ c_n [part, d padded].
func (p *RelevancePoint) project(w *workspace, c matrix, alpha, beta, sums []float32, part int) {
	n, dd := p.Tokens, len(p.block.ones)
	one := make([]float32, dd)
	for i := range one {
		one[i] = 1
	}
	const step = 64
	chunks := (n + step - 1) / step
	w.do(part*chunks, float64(part*n*dd)*4, func(worker, item int) {
		t, row := item/chunks, item%chunks*step
		copied := w.workers[worker].scores.floats(dd)
		var two [2]float32
		for i := row; i < min(row+step, n); i++ {
			w.set.Gate(copied, two[:], c.f32[(t*n+i)*c.ld:][:dd], one, p.block.ones, p.mixed[i*dd:][:dd])
			alpha[t*n+i], beta[t*n+i] = two[0], two[1]
		}
	})
	for t := range part {
		for column := 0; column < dd; column += kernel.Columns {
			w.set.AddProduct(sums[t*dd+column:], c.f32[t*n*c.ld+column:], c.ld, one, 0, n)
		}
	}
}

// raise adds Σ_n S_n ∘ (Cᵀ·c_n) to widths [part, ff padded]. Rows go through in chunks that stay in the second
// level cache; an item is a panel of one chunk, and chunks are added up in their order.
func (p *RelevancePoint) raise(w *workspace, c matrix, widths []float32, part int) {
	g, n, back := p.block.forward, p.Tokens, p.block.back
	ld := paddedColumns(g.Wide)
	x := w.narrowed(c, part*n, g.Width, back.Precision())
	size := map[bool]int{true: 2, false: 4}[x.bf16 != nil]
	chunks := max(1, (n*size*x.ld+chunkBytes-1)/chunkBytes)
	parts := w.qkv.floats(part * chunks * ld)
	clear(parts)
	flop := 2 * float64(part*n) * float64(g.Width) * float64(g.Wide)
	w.do(part*chunks*back.panels, flop, func(worker, item int) {
		block, panel := item/back.panels, item%back.panels
		t, chunk := block/chunks, block%chunks
		from, to := n*chunk/chunks, n*(chunk+1)/chunks
		tiles := split(to-from, w.set.TileRows())
		s, sum := w.workers[worker], parts[block*ld+panel*kernel.Columns:]
		for i := range tiles.count {
			row, rows := tiles.at(i)
			row += from
			back.plain(s.tile, x, t*n+row, rows, panel)
			w.set.AddProduct(sum, s.tile, kernel.Columns, p.slope[(panel*n+row)*kernel.Columns:], kernel.Columns, rows)
		}
	})
	for t := range part {
		for chunk := range chunks {
			for f, v := range parts[(t*chunks+chunk)*ld:][:ld] {
				widths[t*ld+f] += v
			}
		}
	}
}

// correct takes p ∘ (Sᵀ·α) and Tᵀ·β from widths [T, ff padded].
func (p *RelevancePoint) correct(w *workspace, alpha, beta, widths []float32, count int) {
	g, n := p.block.forward, p.Tokens
	ld := paddedColumns(g.Wide)
	even, uneven := make([]float32, count*ld), make([]float32, count*ld)
	p.evenT.multiply(w, output{matrix: matrix{f32: even, ld: ld}}, matrix{f32: alpha, ld: n}, count)
	p.unevenT.multiply(w, output{matrix: matrix{f32: uneven, ld: ld}}, matrix{f32: beta, ld: n}, count)
	for t := range count {
		row := widths[t*ld:][:ld]
		for f := range row {
			row[f] -= g.means[f]*even[t*ld+f] + uneven[t*ld+f]
		}
	}
}
