package legrad

import (
	"context"
	"slices"

	"evident/model/vit"
	"evident/nn"
)

// chefer is the relevance of Chefer, Gur and Wolf ("Generic Attention-model Explainability for Interpreting
// Bi-Modal and Encoder-Decoder Transformers", arXiv:2103.15679), CheferCAM in comparisons: through all blocks,
// attention weighed by its gradient,
//
//	C_l = mean over heads of max(0, ∂s/∂A_l ∘ A_l)        R = Π_l (I + C_l), the last block leftmost
//
// and the map is rows·R. Rows are carried from the last block to the first, beside the gradient, so neither R nor
// more than one C is held. The paper takes every block; the authors' notebook for CLIP takes the last one
// alone (MethodOptions.Layers).
type chefer struct{ *descent }

func newChefer(tower *vit.Tower, opts MethodOptions) (drawer, error) {
	r, err := newReading(tower, opts, false)
	if err != nil {
		return nil, err
	}
	d, err := newDescent(r)
	if err != nil {
		return nil, err
	}
	return &chefer{d}, nil
}

func (c *chefer) draw(ctx context.Context, p *pass, texts [][]float32) ([][]float32, error) {
	maps := make([][]float32, len(texts))
	for t, text := range texts {
		rows, err := c.relevance(ctx, p, text)
		if err != nil {
			return nil, err
		}
		maps[t] = c.patches(rows)
	}
	return maps, nil
}

// relevance returns rows·R.
func (c *chefer) relevance(ctx context.Context, p *pass, text []float32) ([]float64, error) {
	gradient, rows := c.top(p, text), c.weights(p.n)
	var slope []float32
	for l := len(c.tower.Encoder.Layers) - 1; l >= c.layers[0]; l-- {
		kept := p.kept[l]
		if len(slope) != len(kept.Weights) {
			slope = make([]float32, len(kept.Weights))
		}
		to := nn.Gradients{Weights: slope}
		if l > c.layers[0] {
			to.Input = gradient
		}
		if err := c.blocks[l].Run(ctx, kept, gradient, to); err != nil {
			return nil, err
		}
		if !slices.Contains(c.layers, l) {
			continue
		}
		for i, a := range kept.Weights {
			slope[i] = max(0, slope[i]*a)
		}
		for m, v := range mixRows(rows, slope, p.n) {
			rows[m] += v
		}
	}
	return rows, nil
}
