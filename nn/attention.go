package nn

import (
	"math"

	"evident/internal/kernel"
)

// attention computes softmax(q·kᵀ/√size)·v for every head of every sequence.
type attention struct {
	set    *kernel.Set
	d      int       // model width
	heads  int       // h
	size   int       // of a head, d/h
	causal bool      // no weight on tokens behind the query
	hidden []bool    // [M] tokens on which the last query of their sequence puts no weight; nil for none
	qkv    matrix    // [M, 3d]: queries, keys, values, each [h, size]
	out    matrix    // [M, d]
	maps   []float32 // for each sequence [h, n, n]: gets the weights; nil where nobody asked
}

// run splits the work into heads of sequences and, where those are few, parts of their rows. The
// parts of one head pack its keys and values anew, so their number does not touch the result.
func (a *attention) run(w *workspace, seqs Sequences) {
	longest, flop := 0, 0.0
	for i := range len(seqs) - 1 {
		n := seqs[i+1] - seqs[i]
		longest = max(longest, n)
		flop += 4 * float64(n) * float64(n) * float64(a.d)
	}
	items := (len(seqs) - 1) * a.heads
	parts := 1
	if w.threads > 1 && items < 2*w.threads {
		tiles := split(longest, a.set.TileRows()).count
		parts = max(1, min((2*w.threads+items-1)/max(items, 1), tiles))
	}
	var before []int // squares of the sequences before each one
	if a.maps != nil {
		before = make([]int, len(seqs))
		for i := range len(seqs) - 1 {
			before[i+1] = before[i] + (seqs[i+1]-seqs[i])*(seqs[i+1]-seqs[i])
		}
	}
	w.do(items*parts, flop, func(worker, item int) {
		sequence, head := item/parts/a.heads, item/parts%a.heads
		from, to := seqs[sequence], seqs[sequence+1]
		tiles := split(to-from, a.set.TileRows())
		part := item % parts
		first, last := tiles.count*part/parts, tiles.count*(part+1)/parts
		if first < last {
			var weights []float32
			if a.maps != nil {
				n := to - from
				weights = a.maps[before[sequence]*a.heads+head*n*n:][:n*n]
			}
			a.head(w.workers[worker], head, from, to, tiles, first, last, weights)
		}
	})
}

// head runs tiles [first, last) of one head of the sequence of rows [from, to). Its weights [n, n]
// are kept where asked for.
func (a *attention) head(
	s *scratch, head, from, to int, tiles blocks, first, last int, kept []float32,
) {
	n := to - from
	padded := (n + kernel.Columns - 1) / kernel.Columns * kernel.Columns
	for j := range s.mask {
		s.mask[j] = 0
		if padded-kernel.Columns+j >= n {
			s.mask[j] = float32(math.Inf(-1)) // its weight becomes 0
		}
	}
	scores := s.scores.floats(a.set.TileRows() * (padded + 16))
	if a.qkv.bf16 != nil {
		a.packBF16(s, head, from, n, padded)
		weights := s.weights.halves(a.set.TileRows() * (padded + 32))
		for i := first; i < last; i++ {
			row, rows := tiles.at(i)
			var to []float32
			if kept != nil {
				to = kept[row*n:]
			}
			a.tileBF16(s, scores, weights, to, head, from, from+row, rows, n, padded)
		}
		return
	}
	a.packF32(s, head, from, n, padded)
	for i := first; i < last; i++ {
		row, rows := tiles.at(i)
		a.tileF32(s, scores, head, from, from+row, rows, n, padded)
		if kept != nil {
			keep(kept[row*n:], scores, rows, n, padded+16)
		}
	}
}

// keep copies rows of n weights, ld apart, to rows end to end.
func keep(dst, weights []float32, rows, n, ld int) {
	for i := range rows {
		copy(dst[i*n:][:n], weights[i*ld:])
	}
}

// panels is the number of panels that the values of one head fill.
func (a *attention) panels() int { return (a.size + kernel.Columns - 1) / kernel.Columns }

// packF32 lays the keys of a head out as the columns of a matrix, and its values as the rows of
// one. A last panel that is not full takes some columns of the next head along; they are not used.
func (a *attention) packF32(s *scratch, head, from, n, padded int) {
	keys := s.keys.floats(padded * a.size)
	for j := 0; j < n; j += kernel.Columns {
		k := a.qkv.f32[(from+j)*a.qkv.ld+a.d+head*a.size:]
		a.set.PackF32(keys[j*a.size:], k, a.qkv.ld, min(kernel.Columns, n-j), a.size)
	}
	values := s.values.floats(a.panels() * n * kernel.Columns)
	for p := range a.panels() {
		v := a.qkv.f32[from*a.qkv.ld+2*a.d+head*a.size+p*kernel.Columns:]
		for j := range n {
			copy(values[(p*n+j)*kernel.Columns:][:kernel.Columns], v[j*a.qkv.ld:])
		}
	}
}

func (a *attention) packBF16(s *scratch, head, from, n, padded int) {
	keys := s.keys.halves(padded * a.size)
	for j := 0; j < n; j += kernel.Columns {
		k := a.qkv.bf16[(from+j)*a.qkv.ld+a.d+head*a.size:]
		a.set.PackPairs(keys[j*a.size:], k, a.qkv.ld, min(kernel.Columns, n-j), a.size/2)
	}
	pairs := a.pairs(n)
	values := s.values.halves(a.panels() * pairs * 2 * kernel.Columns)
	for p := range a.panels() {
		v := a.qkv.bf16[from*a.qkv.ld+2*a.d+head*a.size+p*kernel.Columns:]
		to := values[p*pairs*2*kernel.Columns:][:pairs*2*kernel.Columns]
		a.set.Interleave(to, v, a.qkv.ld, n)
		clear(to[(n+1)/2*2*kernel.Columns:])
	}
}

// pairs is the number of pairs of values that weights are multiplied by: those of n tokens, and
// zeros to where the CPU stops best. The weights have as many: they end with a whole panel of
// scores.
func (a *attention) pairs(n int) int {
	step := a.set.PairsBF16()
	return ((n+1)/2 + step - 1) / step * step
}

func (a *attention) scale() float32 { return float32(1 / math.Sqrt(float64(a.size))) }

// hide takes from queries [first, first+rows) of the sequence that begins at from the keys behind them, and
// from its last query those that are hidden.
func (a *attention) hide(scores []float32, ld, from, first, rows, n int) {
	if a.hidden != nil && first+rows == n {
		for j, hidden := range a.hidden[from : from+n] {
			if hidden {
				scores[(rows-1)*ld+j] = float32(math.Inf(-1))
			}
		}
	}
	if !a.causal {
		return
	}
	for i := range rows {
		behind := scores[i*ld:][min(first+i+1, n):n]
		for j := range behind {
			behind[j] = float32(math.Inf(-1))
		}
	}
}

// tileF32 computes a tile of rows of the output of the sequence that begins at from: scores first,
// then weights in their place.
func (a *attention) tileF32(s *scratch, scores []float32, head, from, row, rows, n, padded int) {
	q, ld := a.qkv.f32[row*a.qkv.ld+head*a.size:], padded+16
	full := padded/kernel.Columns - 1 // panels before the last one, which is masked
	a.set.TileF32(scores, ld, q, a.qkv.ld, s.keys.f32, nil, rows, a.size, full)
	a.set.TileF32(scores[full*kernel.Columns:], ld, q, a.qkv.ld,
		s.keys.f32[full*kernel.Columns*a.size:], s.mask, rows, a.size, 1)
	a.hide(scores, ld, from, row-from, rows, n)
	a.set.Softmax(scores, rows, padded, ld, a.scale())
	for p := range a.panels() {
		a.set.TileF32(s.tile, kernel.Columns, scores, ld,
			s.values.f32[p*n*kernel.Columns:], nil, rows, n, 1)
		a.store(s.tile, head, p, row, rows)
	}
}

// tileBF16 is tileF32 with products of bf16; the weights are divided by their sum at the end. Those
// kept are the float32 ones: the product takes each rounded to bf16, a relative error of up to 2⁻⁸.
func (a *attention) tileBF16(
	s *scratch, scores []float32, weights []uint16, kept []float32,
	head, from, row, rows, n, padded int,
) {
	q, ld, ldw := a.qkv.bf16[row*a.qkv.ld+head*a.size:], padded+16, padded+32
	full := padded/kernel.Columns - 1
	a.set.TileBF16(scores, ld, q, a.qkv.ld, s.keys.bf16, nil, rows, a.size/2, full)
	a.set.TileBF16(scores[full*kernel.Columns:], ld, q, a.qkv.ld,
		s.keys.bf16[full*kernel.Columns*a.size:], s.mask, rows, a.size/2, 1)
	a.hide(scores, ld, from, row-from, rows, n)
	a.set.SoftmaxBF16(weights, ldw, s.inverse, scores, rows, padded, ld, a.scale(), kept, n)
	pairs := a.pairs(n)
	for p := range a.panels() {
		a.set.TileBF16(s.tile, kernel.Columns, weights, ldw,
			s.values.bf16[p*pairs*2*kernel.Columns:], nil, rows, pairs, 1)
		a.set.ScaleTile(s.tile, s.inverse, rows)
		a.store(s.tile, head, p, row, rows)
	}
}

// store writes panel p of a head's output in the precision of the next product.
func (a *attention) store(tile []float32, head, p, row, rows int) {
	width := min(kernel.Columns, a.size-p*kernel.Columns)
	at := row*a.out.ld + head*a.size + p*kernel.Columns
	if a.out.bf16 != nil {
		a.set.ToBF16(a.out.bf16[at:], a.out.ld, tile, kernel.Columns, rows, width)
		return
	}
	storeNarrow(a.out.f32[at:], a.out.ld, tile, kernel.Columns, rows, width, false)
}
