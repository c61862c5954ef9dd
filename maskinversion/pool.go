package maskinversion

import (
	"context"

	"evident/model/vit"
	"evident/nn"
)

// poolJacobian is the gradient at a pool's attention as a linear function of a vector, ∂s/∂A = J·t with J [N·h, E]. It
// is small: one query attends, and no token to token.
type poolJacobian struct {
	heads, tokens int
	there, back   *nn.Linear // J and Jᵀ
}

// newPoolJacobian asks a point for what attention is worth to each of the E unit vectors.
func newPoolJacobian(ctx context.Context, point vit.AttentionPoint, size, tokens int) (*poolJacobian, error) {
	heads := point.Heads()
	rows := tokens * heads
	units, columns := make([]float32, size*size), make([]float32, size*rows)
	for i := range size {
		units[i*size+i] = 1
	}
	if err := point.Slopes(ctx, units, columns); err != nil {
		return nil, err
	}
	weight := make([]float32, len(columns))
	for e := range size {
		for i, v := range columns[e*rows:][:rows] {
			weight[i*size+e] = v
		}
	}
	return &poolJacobian{
		heads: heads, tokens: tokens,
		there: nn.NewLinear(weight, nil, size, rows, nn.FP32), back: nn.NewLinear(columns, nil, rows, size, nn.FP32),
	}, nil
}

// poolRun is the run of a pool's map.
type poolRun struct {
	by     *poolJacobian
	slopes []float32 // [T, N, h] of the vectors that last went there
}

func (r *poolRun) there(ctx context.Context, vectors, relevance []float32) error {
	heads, rows := r.by.heads, r.by.tokens*r.by.heads
	count := len(vectors) / r.by.there.In
	r.slopes = make([]float32, count*rows)
	r.by.there.Forward(r.slopes, vectors, count)
	for i := range relevance {
		sum := float32(0)
		for _, v := range r.slopes[i*heads:][:heads] {
			sum += max(0, v)
		}
		relevance[i] = sum / float32(heads)
	}
	return ctx.Err()
}

func (r *poolRun) back(ctx context.Context, rho, gradients []float32) error {
	heads, rows := r.by.heads, r.by.tokens*r.by.heads
	count := len(rho) / r.by.tokens
	chosen := make([]float32, count*rows)
	for i, v := range rho {
		for h := range heads {
			if r.slopes[(i*heads+h)%len(r.slopes)] >= 0 {
				chosen[i*heads+h] = v / float32(heads)
			}
		}
	}
	r.by.back.Forward(gradients, chosen, count)
	return ctx.Err()
}
