package maskinversion

import (
	"context"
	"fmt"

	"evident/legrad"
	"evident/nn"
)

// run is the way from vectors to one layer's map and back, with what is remembered between there and back. One
// goroutine uses it at a time.
type run interface {
	// there writes the relevance [T, N] of vectors [T, E] of length 1.
	there(ctx context.Context, vectors, relevance []float32) error
	// back writes ∂loss/∂vectors [T, E] for ρ = ∂loss/∂relevance [T, N], at the vectors that last went there: the
	// same T of them, or one alone that all T share.
	back(ctx context.Context, rho, gradients []float32) error
}

// way makes runs.
type way func() run

// directRun goes through the block.
type directRun struct {
	point *nn.RelevancePoint
	score *legrad.MeanScore
	signs nn.RelevanceRun
}

func (r *directRun) there(ctx context.Context, vectors, relevance []float32) error {
	return r.point.Forward(ctx, &r.signs, r.score.Gradients(vectors, r.point.Tokens), relevance)
}

func (r *directRun) back(ctx context.Context, rho, gradients []float32) error {
	count := len(rho) / r.point.Tokens
	at := make([]float32, count*r.point.Width())
	if err := r.point.Backward(ctx, &r.signs, rho, at); err != nil {
		return err
	}
	copy(gradients, r.score.Texts(at, r.point.Tokens))
	return nil
}

// linear is a factor or a tensor.
type linear interface {
	Forward(ctx context.Context, run *nn.RelevanceRun, vectors, relevance []float32) error
	Backward(ctx context.Context, run *nn.RelevanceRun, rho, gradients []float32) error
}

// linearRun goes by what was set up.
type linearRun struct {
	by    linear
	signs nn.RelevanceRun
}

func (r *linearRun) there(ctx context.Context, vectors, relevance []float32) error {
	return r.by.Forward(ctx, &r.signs, vectors, relevance)
}

func (r *linearRun) back(ctx context.Context, rho, gradients []float32) error {
	return r.by.Backward(ctx, &r.signs, rho, gradients)
}

// layerWays returns the ways of a form that needs no setting up, or was set up.
func (im *Image) layerWays(form Form) []way {
	ways := make([]way, len(im.layers))
	for i, l := range im.layers {
		switch {
		case l.pool != nil:
			ways[i] = func() run { return &poolRun{by: l.pool} }
		case form == Factor:
			ways[i] = func() run { return &linearRun{by: l.factor} }
		case form == Tensor:
			ways[i] = func() run { return &linearRun{by: l.tensor} }
		default:
			ways[i] = func() run { return &directRun{point: l.point, score: l.score} }
		}
	}
	return ways
}

// begin makes a run of each way.
func (im *Image) begin(ways []way) []run {
	runs := make([]run, len(ways))
	for i, w := range ways {
		runs[i] = w()
	}
	return runs
}

// setUp makes what a form needs of each layer, where it is not there from an earlier call.
func (im *Image) setUp(ctx context.Context, form Form) error {
	if im.inverter.pool != nil || form == Direct {
		return nil
	}
	for _, l := range im.layers {
		if err := l.setUp(ctx, form, len(im.Vector)); err != nil {
			return fmt.Errorf("set up the form %s: %w", form, err)
		}
	}
	return nil
}

func (l *layer) setUp(ctx context.Context, form Form, size int) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if form == Factor && l.factor != nil || form == Tensor && l.tensor != nil {
		return nil
	}
	units := make([]float32, size*size)
	for i := range size {
		units[i*size+i] = 1
	}
	basis := l.score.Gradients(units, l.point.Tokens)
	if form == Factor {
		factor, err := l.point.Factor(ctx, basis)
		if err == nil {
			l.factor = factor
		}
		return err
	}
	tensor, err := l.point.Tensor(ctx, basis)
	if err == nil {
		l.tensor = tensor
	}
	return err
}
