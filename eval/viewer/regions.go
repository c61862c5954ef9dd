package viewer

import (
	"context"

	"evident/eval"
	"evident/internal/mask"
	"evident/internal/region"
)

// Regions returns the model with methods that make vectors of regions, as an evaluation asks it; the first is judged.
// See [region.ParseMethod] for their names.
func (v *Viewer) Regions(ctx context.Context, opts region.Options, methods ...string) (eval.RegionSearcher, error) {
	r := &regions{Viewer: v, names: methods}
	for _, name := range methods {
		m, err := region.ParseMethod(name)
		if err != nil {
			return nil, err
		}
		r.methods = append(r.methods, m)
	}
	seer, err := region.New(ctx, v.model, opts)
	if err != nil {
		return nil, err
	}
	r.seer = seer
	return r, nil
}

// regions implements [eval.RegionSearcher].
type regions struct {
	*Viewer
	seer    *region.Seer
	names   []string
	methods []region.Method
}

// Methods implements [eval.RegionSeer].
func (r *regions) Methods() []string { return r.names }

// Regions implements [eval.RegionSeer]. A mask of another size than the picture is fitted to it.
func (r *regions) Regions(ctx context.Context, file []byte, masks []*mask.Mask) ([][][]float32, error) {
	im, err := decode(file)
	if err != nil {
		return nil, err
	}
	fitted := make([]*mask.Mask, len(masks))
	for i, m := range masks {
		if fitted[i], err = m.Fit(im.Width, im.Height); err != nil {
			return nil, err
		}
	}
	looked, err := r.seer.Look(im, fitted)
	if err != nil {
		return nil, err
	}
	all := make([][][]float32, len(r.methods))
	for i, m := range r.methods {
		if all[i], err = looked.Vectors(ctx, m); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Propose implements [eval.Proposer].
func (p *proposer) Propose(ctx context.Context, file []byte, count int) ([]*mask.Mask, error) {
	im, err := decode(file)
	if err != nil {
		return nil, err
	}
	return p.seer.Propose(ctx, im, region.ProposeOptions{Count: count})
}

// proposer implements [eval.Proposer].
type proposer struct{ seer *region.Seer }

// Proposer returns the model as an evaluation asks it for regions that could be things.
func (v *Viewer) Proposer(ctx context.Context, opts region.Options) (eval.Proposer, error) {
	seer, err := region.New(ctx, v.model, opts)
	if err != nil {
		return nil, err
	}
	return &proposer{seer}, nil
}
