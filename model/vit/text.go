package vit

import (
	"context"
	"fmt"
	"math"

	"evident/internal/tokenize"
	"evident/model/bert"
	"evident/nn"
)

// Model is evident's own vision-language model: a vision transformer, and a BERT whose sentence vectors a
// small head carries to where the vectors of images live. It is safe for concurrent use.
type Model struct {
	*Tower
	Mean, Std [3]float32 // pixels 0…1 are normalised as (p - Mean)/Std
	ImageSize int        // pixels a side for a vector of the whole image
	MapSize   int        // pixels a side for maps
	MapLayers []int      // whose LeGrad maps are added
	Scale     float32    // logit of a text is Scale times its cosine
	Prompt    string     // how a class name is asked for: "a photo of a {}"

	text      *bert.Model
	head      *textHead
	tokensMax int
}

// textHead is skip(x) + fc2(gelu(fc1(x))).
type textHead struct {
	skip, up, down *nn.Linear
	width          int // of the image's vectors
}

func (r *reader) textHead(prefix string, in, out int) *textHead {
	const wide = 768
	return &textHead{
		skip: r.packed(prefix+"skip", in, out, nn.FP32, func() (weight, bias []float32) {
			return r.tensor(prefix+"skip.weight", out, in), nil
		}),
		up:    r.linear(prefix+"fc1", in, wide, nn.FP32),
		down:  r.linear(prefix+"fc2", wide, out, nn.FP32),
		width: out,
	}
}

// Text is an encoded text.
type Text struct {
	Embedding []float32 // [D] of length 1
	Cut       bool      // the text was longer than the model reads
}

// EncodeTexts returns a vector for each text. What the model cannot read of a long text is cut.
func (m *Model) EncodeTexts(ctx context.Context, texts []string) ([]Text, error) {
	out, inputs := make([]Text, len(texts)), make([]tokenize.Pair, len(texts))
	for i, text := range texts {
		tokens := m.text.Tokenizer().Tokens(text)
		inputs[i] = m.text.Tokenizer().EncodeOne(tokens, m.tokensMax)
		out[i].Cut = len(inputs[i].Tokens) < len(tokens)+2 // [CLS] and [SEP]
	}
	if len(texts) == 0 {
		return nil, nil
	}
	hidden, err := m.text.Encode(ctx, inputs)
	if err != nil {
		return nil, fmt.Errorf("encode texts: %w", err)
	}
	sentences := make([]float32, 0, len(texts)*hidden.Width)
	for i := range texts {
		rows := hidden.Rows[hidden.Sequences[i]*hidden.Width : hidden.Sequences[i+1]*hidden.Width]
		sentences = append(sentences, Normalise(MeanToken(rows, hidden.Width))...)
	}
	vectors := m.head.forward(sentences, len(texts))
	for i := range texts {
		out[i].Embedding = Normalise(vectors[i*m.head.width:][:m.head.width:m.head.width])
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
