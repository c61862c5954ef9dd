package nn

import (
	"context"
	"fmt"
	"math"

	"evident/internal/kernel"
)

// hosts are the sequences that guests join, and what a layer computed of them.
type hosts struct {
	seqs Sequences
	qkv  []float32 // [M, 3d] of the layer at work, from Kept
}

// ForwardGuests runs all layers on guests: tokens that join sequences without being seen. In every
// layer a guest attends to all tokens of its sequence, as they were there, and to itself; no token
// and no other guest attends to it. So guests cost a row each and change nothing.
//
//	x       [G, d]  in/out: the guests of all sequences, laid end to end
//	guests          guests of sequence i are rows guests[i] … guests[i+1]
//	seqs            the sequences themselves, of which there are as many, M rows
//	kept            of every layer its QKV [M, 3d], from [Encoder.ForwardKeep]
//
// It stops when ctx ends and returns its error; x is then of no use.
func (e *Encoder) ForwardGuests(
	ctx context.Context, x []float32, guests, seqs Sequences, kept map[int]*Kept,
) error {
	guests.Check()
	seqs.Check()
	if len(guests) != len(seqs) || len(x) < guests.Rows()*e.Width {
		panic(fmt.Sprintf("nn: guests of %d sequences in %d values join %d sequences",
			len(guests)-1, len(x), len(seqs)-1))
	}
	e.checkKept(seqs, kept)
	if len(e.Layers) == 0 || guests.Rows() == 0 {
		return ctx.Err()
	}
	w := newWorkspace(ctx, e.Layers[0].QKV.set, e.Threads)
	defer w.release()
	w.reserve(e.Layers, []group{{seqs: guests}})
	for i := range e.Layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if kept[i] == nil || len(kept[i].QKV) != 3*seqs.Rows()*e.Width {
			panic(fmt.Sprintf("nn: layer %d has guests, but its QKV was not kept", i))
		}
		pass := pass{w: w, d: e.Width, seqs: guests, hosts: &hosts{seqs, kept[i].QKV}}
		e.Layers[i].forward(pass, x)
	}
	return w.stopped()
}

// attendHosts computes the guests' attention, in float32. A piece of work is one head of one
// sequence.
func (a *attention) attendHosts(w *workspace, guests Sequences, h *hosts) {
	flop := 0.0
	for i := range len(guests) - 1 {
		flop += 4 * float64(guests[i+1]-guests[i]) * float64(h.seqs[i+1]-h.seqs[i]) * float64(a.d)
	}
	w.do((len(guests)-1)*a.heads, flop, func(worker, item int) {
		sequence, head := item/a.heads, item%a.heads
		if guests[sequence] < guests[sequence+1] {
			a.guestHead(w.workers[worker], h, sequence, head, guests[sequence], guests[sequence+1])
		}
	})
}

// guestHead computes one head of guests [from, to) of a sequence. Columns of scores are the
// sequence's tokens, then the guest itself, then nothing.
func (a *attention) guestHead(s *scratch, h *hosts, sequence, head, from, to int) {
	first, n := h.seqs[sequence], h.seqs[sequence+1]-h.seqs[sequence]
	padded := (n + kernel.Columns) / kernel.Columns * kernel.Columns // n+1 columns and up
	host := attention{
		set: a.set, d: a.d, heads: a.heads, size: a.size, qkv: matrix{f32: h.qkv, ld: 3 * a.d},
	}
	host.packHosts(s, head, first, n)
	ld := padded + 16
	scores := s.scores.floats(a.set.TileRows() * ld)
	tiles := split(to-from, a.set.TileRows())
	for i := range tiles.count {
		at, rows := tiles.at(i)
		at += from
		q := a.qkv.f32[at*a.qkv.ld+head*a.size:]
		a.set.TileF32(scores, ld, q, a.qkv.ld, s.keys.f32, nil, rows, a.size, padded/kernel.Columns)
		for j := range rows {
			a.ownScore(scores[j*ld:][:padded], at+j, head, n)
		}
		a.set.Softmax(scores, rows, padded, ld, a.scale())
		for p := range a.panels() {
			a.set.TileF32(s.tile, kernel.Columns, scores, ld, s.values.f32[p*n*kernel.Columns:], nil, rows, n, 1)
			for j := range rows {
				a.addOwn(s.tile[j*kernel.Columns:][:kernel.Columns], scores[j*ld+n], at+j, head, p)
			}
			a.store(s.tile, head, p, at, rows)
		}
	}
}

// packHosts lays out keys and values of a sequence, with panels enough for one more column.
func (a *attention) packHosts(s *scratch, head, first, n int) {
	padded := (n + kernel.Columns) / kernel.Columns * kernel.Columns
	keys := s.keys.floats(padded * a.size)
	for j := 0; j < padded; j += kernel.Columns {
		rows := max(0, min(kernel.Columns, n-j))
		if rows == 0 {
			clear(keys[j*a.size:])
			break
		}
		k := a.qkv.f32[(first+j)*a.qkv.ld+a.d+head*a.size:]
		a.set.PackF32(keys[j*a.size:], k, a.qkv.ld, rows, a.size)
	}
	values := s.values.floats(a.panels() * n * kernel.Columns)
	for p := range a.panels() {
		width := min(kernel.Columns, a.size-p*kernel.Columns)
		for j := range n {
			to := values[(p*n+j)*kernel.Columns:][:kernel.Columns]
			clear(to[copy(to[:width], a.qkv.f32[(first+j)*a.qkv.ld+2*a.d+head*a.size+p*kernel.Columns:]):])
		}
	}
}

// ownScore writes a guest's score with its own key behind those of the n tokens, and leaves the rest
// of the columns out.
func (a *attention) ownScore(scores []float32, row, head, n int) {
	q := a.qkv.f32[row*a.qkv.ld+head*a.size:][:a.size]
	k := a.qkv.f32[row*a.qkv.ld+a.d+head*a.size:][:a.size]
	sum := float32(0)
	for i, v := range q {
		sum += v * k[i]
	}
	scores[n] = sum
	for j := n + 1; j < len(scores); j++ {
		scores[j] = float32(math.Inf(-1))
	}
}

// addOwn adds a guest's own value, weighted, to panel p of its output.
func (a *attention) addOwn(to []float32, weight float32, row, head, p int) {
	from := p * kernel.Columns
	v := a.qkv.f32[row*a.qkv.ld+2*a.d+head*a.size+from:][:min(kernel.Columns, a.size-from)]
	for i, x := range v {
		to[i] += weight * x
	}
}
