package nn

import (
	"context"
	"fmt"

	"evident/internal/kernel"
)

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

// Encoder is a stack of layers. It may be used by any number of callers at once.
type Encoder struct {
	Width   int // d
	Layers  []EncoderLayer
	Threads int // most threads one call uses; 0 means GOMAXPROCS. The result does not depend on it
}

// groupRows bounds the rows that go through a layer together, unless one sequence is longer:
// what lies between its steps then fits into the caches, whatever the size of the batch.
const groupRows = 1024

// Forward runs all layers on x [M, d] in place. Tokens attend within their own sequence only; a
// sequence's result does not depend on what else is in the batch. It stops when ctx ends, after at
// most one layer of about a thousand rows or of one sequence, and returns its error; x is then of
// no use.
func (e *Encoder) Forward(ctx context.Context, x []float32, seqs Sequences) error {
	return e.ForwardMaps(ctx, x, seqs, nil)
}

// ForwardMaps is [Encoder.Forward] that also writes the attention weights of the layers named in
// maps: for each sequence of n tokens in turn softmax(q·kᵀ/√(d/h)) as [h, n, n], a row a query.
// They are float32 in every precision. A slice of another length panics.
func (e *Encoder) ForwardMaps(
	ctx context.Context, x []float32, seqs Sequences, maps map[int][]float32,
) error {
	seqs.Check()
	if len(x) < seqs.Rows()*e.Width {
		panic(fmt.Sprintf("nn: %d values are not %d rows of width %d", len(x), seqs.Rows(), e.Width))
	}
	e.checkMaps(seqs, maps)
	if len(e.Layers) == 0 {
		return ctx.Err()
	}
	w := newWorkspace(e.Layers[0].QKV.set, e.Threads)
	defer w.release()
	groups := seqs.groups(groupRows)
	for i := range e.Layers {
		for _, group := range groups {
			if err := ctx.Err(); err != nil {
				return err
			}
			weights := maps[i]
			if weights != nil {
				weights = weights[group.before*e.Layers[i].Heads:]
			}
			e.Layers[i].forward(w, x[group.first*e.Width:], e.Width, group.seqs, weights)
		}
	}
	return nil
}

// checkMaps panics unless every map has room for all sequences of its layer, and no more.
func (e *Encoder) checkMaps(seqs Sequences, maps map[int][]float32) {
	for layer, weights := range maps {
		if layer < 0 || layer >= len(e.Layers) {
			panic(fmt.Sprintf("nn: maps of layer %d are asked for, there are %d", layer, len(e.Layers)))
		}
		if want := e.Layers[layer].Heads * seqs.squares(); len(weights) != want {
			panic(fmt.Sprintf("nn: the map of layer %d has %d values, want %d",
				layer, len(weights), want))
		}
	}
}

// squares returns Σn² of the sequences: the weights of one head.
func (s Sequences) squares() int {
	sum := 0
	for i := 1; i < len(s); i++ {
		sum += (s[i] - s[i-1]) * (s[i] - s[i-1])
	}
	return sum
}

// group is neighbouring sequences, counted from their own first row.
type group struct {
	first  int
	before int // squares of the sequences before the group
	seqs   Sequences
}

// groups cuts a batch between sequences into groups of at most so many rows.
func (s Sequences) groups(rowsMax int) []group {
	var all []group
	for from, before := 0, 0; from+1 < len(s); {
		to := from + 1
		for to+1 < len(s) && s[to+1]-s[from] <= rowsMax {
			to++
		}
		g := group{first: s[from], before: before, seqs: make(Sequences, 0, to-from+1)}
		for _, row := range s[from : to+1] {
			g.seqs = append(g.seqs, row-g.first)
		}
		if g.seqs.Rows() > 0 {
			all = append(all, g)
		}
		before += g.seqs.squares()
		from = to
	}
	return all
}

// keyPanels returns the panels of QKV that hold nothing but keys. They need no bias: q·(k+b) exceeds
// q·k by the same amount for every key, and softmax does not see it. Checkpoints can have key
// biases far larger than the keys, and rounding to bf16 would spend its digits on them. A panel
// shared with queries or values keeps its bias, which is as right.
func keyPanels(d int) [2]int {
	return [2]int{(d + kernel.Columns - 1) / kernel.Columns, 2 * d / kernel.Columns}
}

// forward runs the layer on x [m, d], in place; weights is nil or gets the attention weights.
func (l *EncoderLayer) forward(
	w *workspace, x []float32, d int, seqs Sequences, weights []float32,
) {
	m := seqs.Rows()
	stream := matrix{f32: x, ld: d}
	if d%l.Heads != 0 || l.QKV.Out != 3*d {
		panic(fmt.Sprintf("nn: %d heads and %d columns of QKV do not fit width %d",
			l.Heads, l.QKV.Out, d))
	}
	size := d / l.Heads

	// A pair of odd heads' columns would belong to two of them: those attend in float32.
	qkv := w.qkv.matrix(m, 3*d, l.QKV.Precision() != FP32 && w.set.HasBF16() && size%2 == 0)
	l.QKV.multiply(w, output{matrix: qkv, unbiased: keyPanels(d)},
		w.narrowed(stream, m, d, l.QKV.Precision()), m)

	mixed := w.mixed.matrix(m, d, l.Out.bf16 != nil)
	if d%2 != 0 && mixed.bf16 != nil {
		for row := range m {
			mixed.bf16[row*mixed.ld+d] = 0 // its pair is multiplied
		}
	}
	a := attention{set: w.set, d: d, heads: l.Heads, size: size, qkv: qkv, out: mixed, maps: weights}
	a.run(w, seqs)
	l.Out.multiply(w, output{matrix: stream, add: true},
		w.narrowed(mixed, m, d, l.Out.Precision()), m)
	l.AttentionNorm.forward(w.set, w.threads, x, m)

	wide := w.wide.matrix(m, l.Up.Out, l.Down.bf16 != nil)
	l.Up.multiply(w, output{matrix: wide, activate: true, function: kernel.Activation(l.Activation)},
		w.narrowed(stream, m, d, l.Up.Precision()), m)
	l.Down.multiply(w, output{matrix: stream, add: true},
		w.narrowed(wide, m, l.Down.In, l.Down.Precision()), m)
	l.FeedForwardNorm.forward(w.set, w.threads, x, m)
}
