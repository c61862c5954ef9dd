package clip

import (
	"context"
	"fmt"
	"slices"

	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// TextTower is the transformer that makes vectors of texts (Radford et al. 2021, §2.4): tokens and their places, blocks,
// one token of the last block normalised and projected. With other options it is that of SigLIP. It is safe
// for concurrent use.
type TextTower struct {
	TextOptions
	Width int // D
	Size  int // E

	tokens     *weights.Table // [vocabulary, D]
	positions  []float32      // [Context, D], and one more for a class token
	class      []float32      // [D] see TextParts
	encoder    nn.Encoder
	norm       *nn.LayerNorm
	projection *nn.Linear // [E, D]; nil for none, and then E is D
}

// TextOptions says how a text tower reads tokens.
type TextOptions struct {
	Context    int  // tokens of an input at most
	Vocabulary int  // ids are below
	Causal     bool // a token sees those before it
	Pooling    TextPooling
	End        int32 // the id that FirstEnd looks for
	Padding    int32 // the id that fills an input up to Context, where what lies behind its end is seen
}

// TextPooling is which token stands for a text.
type TextPooling uint8

// The poolings of texts.
const (
	HighestID TextPooling = iota // the first token with the highest id, which is CLIP's end
	FirstEnd                     // the first token whose id is End
	Last                         // the last one, padding or not
	First
)

// TextParts is what a checkpoint has of a text tower.
type TextParts struct {
	TextOptions
	Tokens     *weights.Table // [Vocabulary, D]
	Positions  []float32      // [Context, D], and one more for Class
	Class      []float32      // [D] a token behind each text that stands for it, as CoCa has it; nil for none
	Blocks     []nn.EncoderLayer
	Norm       *nn.LayerNorm
	Projection *nn.Linear // [E, D]; nil for none
}

// NewText puts a text tower together.
func NewText(p TextParts) *TextTower {
	d := p.Tokens.Columns
	from, size := d, d
	if p.Projection != nil {
		from, size = p.Projection.In, p.Projection.Out
	}
	if p.Tokens.Rows != p.Vocabulary || len(p.Positions) != p.Context*d+len(p.Class) || from != d {
		panic(fmt.Sprintf("clip: %d tokens, %d values of positions and a projection of %d do not fit width %d",
			p.Tokens.Rows, len(p.Positions), from, d))
	}
	return &TextTower{
		TextOptions: p.TextOptions, Width: d, Size: size,
		tokens: p.Tokens, positions: p.Positions, class: p.Class, norm: p.Norm, projection: p.Projection,
		encoder: nn.Encoder{Width: d, Layers: p.Blocks, Causal: p.Causal},
	}
}

// InputError says which input a text tower cannot read.
type InputError struct {
	Input  int
	Reason string
}

func (e *InputError) Error() string { return fmt.Sprintf("input %d %s", e.Input, e.Reason) }

// Encode returns a vector [E] for each input, ids of tokens with begin and end.
func (t *TextTower) Encode(ctx context.Context, inputs [][]int32) ([]vit.Text, error) {
	inputs = slices.Clone(inputs)
	seqs, pooled := make(nn.Sequences, 1, len(inputs)+1), make([]int, len(inputs))
	var hidden []bool // from class tokens
	for i, ids := range inputs {
		if err := t.check(i, ids); err != nil {
			return nil, fmt.Errorf("encode texts: %w", err)
		}
		if t.class != nil {
			inputs[i] = t.beforeClass(ids)
			hidden = append(hidden, t.hidden(inputs[i])...)
			seqs = append(seqs, len(hidden))
			pooled[i] = len(hidden) - 1
			continue
		}
		if !t.Causal || t.Pooling == Last {
			ids = t.padded(ids)
			inputs[i] = ids
		}
		at, n := t.pooled(ids), len(ids)
		if t.Causal {
			n = at + 1 // nobody sees what lies behind
		}
		pooled[i] = seqs[i] + at
		seqs = append(seqs, seqs[i]+n)
	}
	rows := make([]float32, seqs.Rows()*t.Width)
	for i := range inputs {
		t.embed(rows[seqs[i]*t.Width:seqs[i+1]*t.Width], inputs[i])
	}
	if err := t.forward(ctx, rows, seqs, hidden); err != nil {
		return nil, fmt.Errorf("encode texts: %w", err)
	}
	chosen := make([]float32, 0, len(inputs)*t.Width)
	for _, row := range pooled {
		chosen = append(chosen, rows[row*t.Width:][:t.Width]...)
	}
	t.norm.Forward(chosen, len(inputs))
	vectors := chosen
	if t.projection != nil {
		vectors = make([]float32, len(inputs)*t.Size)
		t.projection.Forward(vectors, chosen, len(inputs))
	}
	out := make([]vit.Text, len(inputs))
	for i := range out {
		out[i].Vector = vectors[i*t.Size:][:t.Size:t.Size]
		out[i].Embedding = vit.Normalise(append([]float32(nil), out[i].Vector...))
	}
	return out, nil
}

func (t *TextTower) check(i int, ids []int32) error {
	if len(ids) == 0 || len(ids) > t.Context {
		return &InputError{i, fmt.Sprintf("has %d tokens, the model takes 1 to %d", len(ids), t.Context)}
	}
	for at, id := range ids {
		if id < 0 || int(id) >= t.Vocabulary {
			return &InputError{i, fmt.Sprintf("has id %d at token %d, the model has %d", id, at, t.Vocabulary)}
		}
	}
	return nil
}

// padded returns ids filled up to the context.
func (t *TextTower) padded(ids []int32) []int32 {
	ids = slices.Clone(ids)
	for len(ids) < t.Context {
		ids = append(ids, t.Padding)
	}
	return ids
}

// pooled returns the token that stands for the text.
func (t *TextTower) pooled(ids []int32) int {
	at := 0
	switch t.Pooling {
	case Last:
		return len(ids) - 1
	case FirstEnd:
		for i, id := range ids {
			if id == t.End {
				return i
			}
		}
	case HighestID:
		for i, id := range ids {
			if id > ids[at] {
				at = i
			}
		}
	}
	return at
}

// embed writes the tokens that enter the first block to x [n, D]: the first n of ids, the last one the class
// token where there is one.
func (t *TextTower) embed(x []float32, ids []int32) {
	if t.class != nil {
		last := x[len(x)-t.Width:]
		x = x[:len(x)-t.Width]
		for c, p := range t.positions[t.Context*t.Width:] {
			last[c] = t.class[c] + p
		}
	}
	for i := range len(x) / t.Width {
		row := x[i*t.Width:][:t.Width]
		t.tokens.Row(row, int(ids[i]))
		for c, p := range t.positions[i*t.Width:][:t.Width] {
			row[c] += p
		}
	}
}
