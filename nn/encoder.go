package nn

import (
	"context"
	"fmt"

	"evident/internal/kernel"
)

// EncoderLayer is one block. Post-norm (Vaswani et al. 2017, as BERT uses it):
//
//	x = AttentionNorm(x + Out(attention(QKV(x))))
//	x = FeedForwardNorm(x + Down(act(Up(x))))
//
// and pre-norm, as vision transformers and CLIP's text tower use it:
//
//	x = x + Out(attention(QKV(AttentionNorm(x))))
//	x = x + Down(act(Up(FeedForwardNorm(x))))
//
// A layer scale belongs into the rows of Out and Down.
type EncoderLayer struct {
	Heads           int
	QKV             *Linear // [3d, d]: queries, keys, values, each [h, d/h]
	Out             *Linear // [d, d]
	Up, Down        *Linear // [ff, d], [d, ff]
	AttentionNorm   *LayerNorm
	FeedForwardNorm *LayerNorm
	Activation      Activation
	PreNorm         bool
}

// Encoder is a stack of layers. It may be used by any number of callers at once.
type Encoder struct {
	Width   int // d
	Layers  []EncoderLayer
	Threads int  // most threads one call uses; 0 means GOMAXPROCS. The result does not depend on it
	Causal  bool // a token attends to itself and those before it, not to those behind
}

// groupRows bounds the rows that go through a layer together, unless one sequence is longer:
// what lies between its steps then fits into the caches, whatever the size of the batch.
const groupRows = 1024

// Forward runs all layers on x [M, d] in place. Tokens attend within their own sequence only; a
// sequence's result does not depend on what else is in the batch. It stops when ctx ends, within a
// fraction of a layer, and returns its error; x is then of no use.
func (e *Encoder) Forward(ctx context.Context, x []float32, seqs Sequences) error {
	return e.ForwardKeep(ctx, x, seqs, nil)
}

// ForwardHiding is [Encoder.Forward] where the last token of a sequence does not see those of its tokens that
// are hidden [M], itself among them if it is; at least one it must see. CoCa's texts are read so.
func (e *Encoder) ForwardHiding(ctx context.Context, x []float32, seqs Sequences, hidden []bool) error {
	if len(hidden) != seqs.Rows() {
		panic(fmt.Sprintf("nn: %d tokens are hidden or not, there are %d", len(hidden), seqs.Rows()))
	}
	return e.run(ctx, x, seqs, nil, hidden)
}

// ForwardKeep is [Encoder.Forward] that also leaves behind what the layers named in keep computed.
// The result is the same to the bit.
func (e *Encoder) ForwardKeep(
	ctx context.Context, x []float32, seqs Sequences, keep map[int]*Kept,
) error {
	return e.run(ctx, x, seqs, keep, nil)
}

func (e *Encoder) run(
	ctx context.Context, x []float32, seqs Sequences, keep map[int]*Kept, hidden []bool,
) error {
	seqs.Check()
	if len(x) < seqs.Rows()*e.Width {
		panic(fmt.Sprintf("nn: %d values are not %d rows of width %d", len(x), seqs.Rows(), e.Width))
	}
	e.checkKept(seqs, keep)
	if len(e.Layers) == 0 {
		return ctx.Err()
	}
	w := newWorkspace(ctx, e.Layers[0].QKV.set, e.Threads)
	defer w.release()
	groups := seqs.groups(groupRows)
	w.reserve(e.Layers, groups)
	for i := range e.Layers {
		for _, group := range groups {
			if err := ctx.Err(); err != nil {
				return err
			}
			l := &e.Layers[i]
			pass := pass{w: w, d: e.Width, seqs: group.seqs, causal: e.Causal, kept: keep[i].at(l, e.Width, group)}
			if hidden != nil {
				pass.hidden = hidden[group.first:]
			}
			l.forward(pass, x[group.first*e.Width:])
		}
	}
	return w.stopped()
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

// pass is what one layer's forward pass is about.
type pass struct {
	w      *workspace
	d      int // model width
	seqs   Sequences
	causal bool
	hidden []bool
	kept   Kept
	hosts  *hosts // of guests, which seqs are then
}

// forward runs the layer on x [m, d], in place.
func (l *EncoderLayer) forward(p pass, x []float32) {
	w, d, m := p.w, p.d, p.seqs.Rows()
	stream := matrix{f32: x, ld: d}
	if d%l.Heads != 0 || l.QKV.Out != 3*d {
		panic(fmt.Sprintf("nn: %d heads and %d columns of QKV do not fit width %d",
			l.Heads, l.QKV.Out, d))
	}
	w.keepRows(p.kept.Input, stream, m, d)
	l.attend(p, stream)
	w.keepRows(p.kept.Attended, stream, m, d)
	if !l.PreNorm {
		l.AttentionNorm.forward(w, stream, stream, m)
	}

	in := l.input(w, l.FeedForwardNorm, stream, m, d)
	wide := w.wide.matrix(m, l.Up.Out, l.Down.bf16 != nil)
	l.Up.multiply(w, output{
		matrix: wide, activate: true, function: kernel.Activation(l.Activation), before: p.kept.Raised,
	}, w.narrowed(in, m, d, l.Up.Precision()), m)
	l.Down.multiply(w, output{matrix: stream, add: true},
		w.narrowed(wide, m, l.Down.In, l.Down.Precision()), m)
	if !l.PreNorm {
		l.FeedForwardNorm.forward(w, stream, stream, m)
	}
	w.keepRows(p.kept.Output, stream, m, d)
}

// input returns what a half of the block works on: the stream, in pre-norm blocks normalised.
func (l *EncoderLayer) input(w *workspace, norm *LayerNorm, stream matrix, m, d int) matrix {
	if !l.PreNorm {
		return stream
	}
	to := w.normed.matrix(m, d, false)
	norm.forward(w, to, stream, m)
	return to
}

// attend adds the attention half of the block to the stream.
func (l *EncoderLayer) attend(p pass, stream matrix) {
	w, d, m := p.w, p.d, p.seqs.Rows()
	in := l.input(w, l.AttentionNorm, stream, m, d)
	// A pair of odd heads' columns would belong to two of them: those attend in float32.
	size := d / l.Heads
	half := l.QKV.Precision() != FP32 && w.set.HasBF16() && size%2 == 0 && p.hosts == nil
	qkv := w.qkv.matrix(m, 3*d, half)
	l.QKV.multiply(w, output{matrix: qkv, unbiased: keyPanels(d)},
		w.narrowed(in, m, d, l.QKV.Precision()), m)
	w.keepRows(p.kept.QKV, qkv, m, 3*d)

	mixed := w.mixed.matrix(m, d, l.Out.bf16 != nil)
	if d%2 != 0 && mixed.bf16 != nil {
		for row := range m {
			mixed.bf16[row*mixed.ld+d] = 0 // its pair is multiplied
		}
	}
	a := attention{
		set: w.set, d: d, heads: l.Heads, size: size, causal: p.causal, hidden: p.hidden, qkv: qkv,
		out: mixed, maps: p.kept.Weights,
	}
	if p.hosts != nil {
		a.attendHosts(w, p.seqs, p.hosts)
	} else {
		a.run(w, p.seqs)
	}
	l.Out.multiply(w, output{matrix: stream, add: true},
		w.narrowed(mixed, m, d, l.Out.Precision()), m)
}
