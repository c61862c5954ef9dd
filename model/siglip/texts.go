package siglip

import (
	"context"
	"fmt"
	"slices"

	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// Texts is SigLIP's text tower: every token, padding included, sees every other, and the last place, mostly a
// padding, becomes the vector. It implements [vit.TextEncoder].
type Texts struct {
	Context int // ids of a text

	tokenizer  *tokenize.SigLIP
	missing    error // why there is no tokenizer
	tokens     *weights.Table
	positions  []float32 // [Context, Dt]
	encoder    nn.Encoder
	norm       *nn.LayerNorm
	projection *nn.Linear // [E, Dt]; nil for none
}

// together bounds the texts that are encoded at once, and with them the memory that many take.
const together = 32

// EncodeTexts implements [vit.TextEncoder].
func (m *Texts) EncodeTexts(ctx context.Context, texts []string) ([]vit.Text, error) {
	if m.tokenizer == nil {
		return nil, fmt.Errorf("encode texts: %w", m.missing)
	}
	ids, cut := make([][]int32, len(texts)), make([]int, len(texts))
	for i, text := range texts {
		ids[i], cut[i] = m.tokenizer.Encode(text)
	}
	out, err := m.EncodeIDs(ctx, ids)
	for i := range out {
		out[i].Cut = cut[i] > 0
	}
	return out, err
}

// EncodeIDs returns the vectors of texts that are ids already, each Context of them.
func (m *Texts) EncodeIDs(ctx context.Context, texts [][]int32) ([]vit.Text, error) {
	for i, ids := range texts {
		if len(ids) != m.Context {
			return nil, fmt.Errorf("encode texts: text %d has %d ids, the model reads %d", i, len(ids), m.Context)
		}
		for _, id := range ids {
			if id < 0 || int(id) >= m.tokens.Rows {
				return nil, fmt.Errorf("encode texts: text %d has the id %d, the model has %d", i, id, m.tokens.Rows)
			}
		}
	}
	out := make([]vit.Text, 0, len(texts))
	for part := range slices.Chunk(texts, together) {
		vectors, err := m.encode(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("encode texts: %w", err)
		}
		for vector := range slices.Chunk(vectors, len(vectors)/len(part)) {
			vector = slices.Clip(vector)
			out = append(out, vit.Text{Vector: vector, Embedding: vit.Normalise(slices.Clone(vector))})
		}
	}
	return out, nil
}

// encode returns the vectors of texts [len(texts), E].
func (m *Texts) encode(ctx context.Context, texts [][]int32) ([]float32, error) {
	d, n := m.tokens.Columns, m.Context
	x, sequences := make([]float32, len(texts)*n*d), nn.Sequences{0}
	for i, ids := range texts {
		for at, id := range ids {
			row := x[(i*n+at)*d:][:d]
			m.tokens.Row(row, int(id))
			for c, v := range m.positions[at*d:][:d] {
				row[c] += v
			}
		}
		sequences = append(sequences, (i+1)*n)
	}
	if err := m.encoder.Forward(ctx, x, sequences); err != nil {
		return nil, err
	}
	last := make([]float32, 0, len(texts)*d)
	for i := range texts {
		last = append(last, x[((i+1)*n-1)*d:][:d]...)
	}
	m.norm.Forward(last, len(texts))
	if m.projection == nil {
		return last, nil
	}
	vectors := make([]float32, len(texts)*m.projection.Out)
	m.projection.Forward(vectors, last, len(texts))
	return vectors, nil
}
