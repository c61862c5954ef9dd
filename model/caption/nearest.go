package caption

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// Nearest chooses among given captions the ones whose vectors are nearest: for models that have no decoder, or to say
// nothing that nobody has written. It is safe for concurrent use.
type Nearest struct {
	texts   []string
	vectors [][]float32
}

// NewNearest takes captions and their vectors [E] of length 1, by the model whose vectors are to be captioned.
func NewNearest(texts []string, vectors [][]float32) *Nearest {
	if len(texts) == 0 || len(texts) != len(vectors) {
		panic(fmt.Sprintf("caption: %d captions and %d vectors", len(texts), len(vectors)))
	}
	return &Nearest{texts, vectors}
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
			order[j], fits[j] = j, dot(n.vectors[j], vector)
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(fits[b], fits[a]) })
		for _, j := range order[:min(count, len(order))] {
			all[i] = append(all[i], Caption{Text: n.texts[j]})
		}
	}
	return all, nil
}
