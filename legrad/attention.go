package legrad

import (
	"context"

	"evident/model/vit"
)

// rawAttention is the last block's attention, the mean over heads: what DINO's authors draw (Caron et al.,
// "Emerging Properties in Self-Supervised Vision Transformers", arXiv:2104.14294) and every comparison begins
// with. It knows nothing of texts: all get one map.
type rawAttention struct{ *reading }

func newRawAttention(tower *vit.Tower, opts MethodOptions) (drawer, error) {
	r, err := newReading(tower, opts, true)
	if err != nil {
		return nil, err
	}
	return &rawAttention{r}, nil
}

func (a *rawAttention) draw(_ context.Context, p *pass, texts [][]float32) ([][]float32, error) {
	mixed := mixRows(a.weights(p.n), p.kept[a.layers[0]].Weights, p.n)
	return forAll(texts, a.patches(mixed)), nil
}

// mixRows returns rows·A with A the mean over heads of maps [heads, n, n].
func mixRows(rows []float64, maps []float32, n int) []float64 {
	out := make([]float64, n)
	heads := len(maps) / (n * n)
	for head := range heads {
		for q, share := range rows {
			if share == 0 {
				continue
			}
			for m, a := range maps[(head*n+q)*n:][:n] {
				out[m] += share * float64(a) / float64(heads)
			}
		}
	}
	return out
}

// rollout follows attention through all blocks (Abnar and Zuidema, "Quantifying Attention Flow in
// Transformers", arXiv:2005.00928): with A the mean over heads and the residual stream as half of each block,
//
//	R = Π_l (A_l + I)/2, the last block leftmost
//
// and the map is rows·R. Rows are carried from the last block to the first, so no product of maps is made. It
// knows nothing of texts: all get one map.
type rollout struct{ *reading }

func newRollout(tower *vit.Tower, opts MethodOptions) (drawer, error) {
	r, err := newReading(tower, opts, false)
	if err != nil {
		return nil, err
	}
	return &rollout{r}, nil
}

func (o *rollout) draw(_ context.Context, p *pass, texts [][]float32) ([][]float32, error) {
	rows := o.weights(p.n)
	for i := len(o.layers) - 1; i >= 0; i-- {
		for m, v := range mixRows(rows, p.kept[o.layers[i]].Weights, p.n) {
			rows[m] = (rows[m] + v) / 2
		}
	}
	return forAll(texts, o.patches(rows)), nil
}
