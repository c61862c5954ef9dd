package caption

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"evident/model/vit"
)

// Nearest chooses among given captions the ones whose vectors are nearest: for models that have no decoder, or to say
// nothing that nobody has written. It is safe for concurrent use.
type Nearest struct {
	texts   []string
	vectors []vit.Text
}

// NewNearest encodes captions with the model whose vectors are to be captioned.
func NewNearest(ctx context.Context, model vit.TextEncoder, texts []string) (*Nearest, error) {
	if len(texts) == 0 {
		return nil, errors.New("there is no caption to choose from")
	}
	const together = 256
	n := &Nearest{texts: slices.Clone(texts)}
	for part := range slices.Chunk(n.texts, together) {
		encoded, err := model.EncodeTexts(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("read captions: %w", err)
		}
		n.vectors = append(n.vectors, encoded...)
	}
	return n, nil
}

// Captions returns the n captions nearest to each vector [E] of length 1, the nearest first; of equal ones the first
// given. The kind makes no difference.
func (n *Nearest) Captions(ctx context.Context, vectors [][]float32, _ Kind, count int) ([][]Caption, error) {
	all := make([][]Caption, len(vectors))
	for i, vector := range vectors {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		order, fits := make([]int, len(n.texts)), make([]float64, len(n.texts))
		for j := range n.texts {
			order[j], fits[j] = j, dot(n.vectors[j].Embedding, vector)
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(fits[b], fits[a]) })
		for _, j := range order[:min(count, len(order))] {
			all[i] = append(all[i], Caption{Text: n.texts[j]})
		}
	}
	return all, nil
}
