package clip

import (
	"context"

	"evident/nn"
)

// A text's class token comes last, in the place behind a full context, and sees what is no padding. The mask of
// open_clip's code is off by one: it hides a token from the class token where the one before it is padding
// (build_cls_mask pads at the front). Models were trained with that, so the first padding is seen, the class
// token does not see itself unless the context is full, and id 0, which pads, hides its successor anywhere.

// beforeClass returns the tokens that the class token may see: without padding at the end but for the first.
func (t *TextTower) beforeClass(ids []int32) []int32 {
	n := len(ids)
	for n > 0 && ids[n-1] == t.Padding {
		n--
	}
	return t.padded(ids[:n])[:min(n+1, t.Context)]
}

// hidden says of the tokens of a text, and of the class token behind them, what the class token does not see.
func (t *TextTower) hidden(ids []int32) []bool {
	hidden := make([]bool, 1, len(ids)+1)
	for _, id := range ids {
		hidden = append(hidden, id == t.Padding)
	}
	return hidden
}

func (t *TextTower) forward(ctx context.Context, rows []float32, seqs nn.Sequences, hidden []bool) error {
	if t.class != nil {
		return t.encoder.ForwardHiding(ctx, rows, seqs, hidden)
	}
	return t.encoder.Forward(ctx, rows, seqs)
}
