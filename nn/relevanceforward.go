package nn

import "evident/internal/kernel"

// attention returns q [part·n, d], the gradients at the output of attention of part texts from first on.
func (p *RelevancePoint) attention(w *workspace, l lowered, first, part int) matrix {
	g, n := p.block.forward, p.Tokens
	d, ld := g.Width, paddedColumns(g.Wide)
	gated := w.wide.matrix(part*n, g.Wide, g.fold.bf16 != nil)
	panels := ld / kernel.Columns
	const step = 64
	chunks := (n + step - 1) / step
	w.do(part*chunks, float64(part*n*ld)*4, func(_, item int) {
		t, row := item/chunks, item%chunks*step
		rows := min(step, n-row)
		for panel := range panels {
			column := panel * kernel.Columns
			s, gate := p.slope[(panel*n+row)*kernel.Columns:], l.gate[(first+t)*ld+column:]
			at := (t*n+row)*gated.ld + column
			if gated.bf16 != nil {
				w.set.GateRowsBF16(gated.bf16[at:], gated.ld, s, kernel.Columns, gate, rows)
			} else {
				w.set.GateRows(gated.f32[at:], gated.ld, s, kernel.Columns, gate, rows)
			}
		}
	})
	q := w.mixed.matrix(part*n, d, false)
	g.fold.multiply(w, output{matrix: q}, gated, part*n)
	w.do(part*chunks, float64(part*n*d)*8, func(_, item int) {
		t, row := item/chunks, item%chunks*step
		direct := l.direct[(first+t)*d:][:d]
		for i := row; i < min(row+step, n); i++ {
			p.settle(q.f32[(t*n+i)*q.ld:][:d], direct, i, l.even[(first+t)*n+i], l.uneven[(first+t)*n+i])
		}
	})
	return q
}

// settle adds to C·a of one token what the norm's two directions and the skip around the block leave.
func (p *RelevancePoint) settle(q, direct []float32, token int, even, uneven float32) {
	mixed := p.mixed[token*len(p.block.ones):][:len(q)]
	ones, direct := p.block.ones[:len(q)], direct[:len(q)]
	for j, c := range q {
		q[j] = c + direct[j] - even*ones[j] - uneven*mixed[j]
	}
}

// words is how many words the signs of one gradient take.
func (p *RelevancePoint) words() int {
	return p.block.forward.Heads * (paddedColumns(p.Tokens) / kernel.Columns) * p.Tokens
}

// positive sums what is above 0 in q·Vᵀ over queries and heads for part gradients q [part·n, d], and keeps the
// signs of all. An item is one head's panel of keys, so the order of the sums does not depend on who computes
// them.
func (p *RelevancePoint) positive(w *workspace, q matrix, signs []uint32, relevance []float32, part int) {
	g, n := p.block.forward, p.Tokens
	d, size, heads := g.Width, g.Width/g.Heads, g.Heads
	padded := paddedColumns(n)
	panels := padded / kernel.Columns
	columns := w.qkv.floats(part * heads * padded)
	clear(columns)
	tiles := split(n, w.set.TileRows())
	w.do(part*heads*panels, 2*float64(part)*float64(n)*float64(n)*float64(d), func(worker, item int) {
		t, head, panel := item/(heads*panels), item/panels%heads, item%panels
		tile, sums := w.workers[worker].tile, columns[item*kernel.Columns:]
		words := signs[item*n:]
		at := (head*padded + panel*kernel.Columns) * size
		for i := range tiles.count {
			row, rows := tiles.at(i)
			from := (t*n+row)*q.ld + head*size
			if q.bf16 != nil {
				w.set.TileBF16(tile, kernel.Columns, q.bf16[from:], q.ld, p.keys.bf16[at:], nil, rows, size/2, 1)
			} else {
				w.set.TileF32(tile, kernel.Columns, q.f32[from:], q.ld, p.keys.f32[at:], nil, rows, size, 1)
			}
			w.set.PositiveSigns(sums, words[row:], tile, rows, kernel.Columns)
		}
	})
	scale := 1 / float32(heads*n)
	for t := range part {
		for m := range n {
			sum := float32(0)
			for head := range heads {
				sum += columns[(t*heads+head)*padded+m]
			}
			relevance[t*n+m] = sum * scale
		}
	}
}
