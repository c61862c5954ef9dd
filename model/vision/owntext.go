package vision

import (
	"context"
	"fmt"
	"math"
	"slices"

	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/model/bert"
	"evident/model/vit"
	"evident/nn"
)

// ownTexts is the text tower of evident's own models: a BERT whose sentence vectors a small head carries to
// where the vectors of images live.
type ownTexts struct {
	bert      *bert.Model
	head      *textHead
	tokensMax int
}

// textHead is skip(x) + fc2(gelu(fc1(x))).
type textHead struct {
	skip, up, down *nn.Linear
	width          int // of the image's vectors
}

func readTextHead(r *weights.Reader, prefix string, in, out int) *textHead {
	const wide = 768
	return &textHead{
		skip:  vit.ReadBare(r, prefix+"skip.weight", in, out, nn.FP32),
		up:    vit.ReadLinear(r, prefix+"fc1", in, wide, nn.FP32),
		down:  vit.ReadLinear(r, prefix+"fc2", wide, out, nn.FP32),
		width: out,
	}
}

// EncodeTexts implements [vit.TextEncoder].
func (m *ownTexts) EncodeTexts(ctx context.Context, texts []string) ([]vit.Text, error) {
	out, inputs := make([]vit.Text, len(texts)), make([]tokenize.Pair, len(texts))
	for i, text := range texts {
		tokens := m.bert.Tokenizer().Tokens(text)
		inputs[i] = m.bert.Tokenizer().EncodeOne(tokens, m.tokensMax)
		out[i].Cut = len(inputs[i].Tokens) < len(tokens)+2 // [CLS] and [SEP]
	}
	hidden, err := m.bert.Encode(ctx, inputs)
	if err != nil {
		return nil, fmt.Errorf("encode texts: %w", err)
	}
	sentences := make([]float32, 0, len(texts)*hidden.Width)
	for i := range texts {
		rows := hidden.Rows[hidden.Sequences[i]*hidden.Width : hidden.Sequences[i+1]*hidden.Width]
		sentences = append(sentences, vit.Normalise(vit.MeanToken(rows, hidden.Width))...)
	}
	vectors := m.head.forward(sentences, len(texts))
	for i := range texts {
		out[i].Vector = vectors[i*m.head.width:][:m.head.width:m.head.width]
		out[i].Embedding = vit.Normalise(slices.Clone(out[i].Vector))
	}
	return out, nil
}

// forward returns [n, width].
func (h *textHead) forward(x []float32, n int) []float32 {
	out, raised, lowered := make([]float32, n*h.width), make([]float32, n*h.up.Out), make([]float32, n*h.width)
	h.skip.Forward(out, x, n)
	h.up.Forward(raised, x, n)
	for i, v := range raised {
		raised[i] = v * float32(math.Erfc(-float64(v)/math.Sqrt2)/2)
	}
	h.down.Forward(lowered, raised, n)
	for i, v := range lowered {
		out[i] += v
	}
	return out
}
