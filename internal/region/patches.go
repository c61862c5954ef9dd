package region

import (
	"context"
	"slices"

	"evident/internal/mask"
	"evident/internal/picture"
	"evident/model/vit"
)

// patches is what the model's pool makes of the mask's patches.
func (p *Picture) patches(ctx context.Context) ([][]float32, error) {
	prepared, err := p.prepared(ctx)
	if err != nil {
		return nil, err
	}
	im := &vit.Image{Height: prepared.Height, Width: prepared.Width, Tokens: prepared.Tokens}
	vectors := make([][]float32, len(p.masks))
	for i, m := range p.masks {
		if vectors[i], err = p.seer.pooled(im, m); err != nil {
			return nil, err
		}
	}
	return vectors, nil
}

// cropPatches is the same in an enlarged part of the picture for each mask.
func (p *Picture) cropPatches(ctx context.Context) ([][]float32, error) {
	vectors := make([][]float32, len(p.masks))
	for i, m := range p.masks {
		r := surroundings(m)
		im, err := p.seer.tokens(ctx, p.image.Crop(r.Min.X, r.Min.Y, r.Max.X, r.Max.Y))
		if err != nil {
			return nil, err
		}
		if vectors[i], err = p.seer.pooled(im, cut(m, r)); err != nil {
			return nil, err
		}
	}
	return vectors, nil
}

// recipe is how a picture is prepared for maps and patches: all of it, squeezed into a square.
func (s *Seer) recipe() picture.Recipe {
	return picture.Recipe{
		Size: [2]int{s.opts.Size, s.opts.Size}, Mode: picture.Squash, Filter: s.model.Recipe.Filter,
		Mean: s.model.Recipe.Mean, Std: s.model.Recipe.Std,
	}
}

// tokens runs the tower on a picture at the size of maps.
func (s *Seer) tokens(ctx context.Context, im *picture.Image) (*vit.Image, error) {
	return s.model.Encode(ctx, s.recipe().Apply(im), s.opts.Size, s.opts.Size)
}

// pooled returns the vector of a mask's patches, each counting as much as the mask covers it.
func (s *Seer) pooled(im *vit.Image, m *mask.Mask) ([]float32, error) {
	covered, err := m.Coverage(im.Width, im.Height)
	if err != nil {
		return nil, err
	}
	d, prefix := s.model.Width, s.model.Prefix
	patch := func(i int) []float32 { return im.Tokens[(prefix+i)*d:][:d] }
	pool, ok := s.model.Pool.(*vit.TokenPool)
	if !ok {
		// A pool that attends weighs the tokens itself: it is given those of which half is covered.
		least := min(slices.Max(covered), 0.5)
		var tokens []float32
		for i, share := range covered {
			if share > 0 && share >= least {
				tokens = append(tokens, patch(i)...)
			}
		}
		return vit.Normalise(s.model.Pool.Vector(tokens)), nil
	}
	if pool.Of == vit.NormPatches {
		return vit.Normalise(weighted(covered, func(i int) []float32 { return read(pool, patch(i)) })), nil
	}
	return vit.Normalise(read(pool, weighted(covered, patch))), nil
}

// read makes a vector of one token [D] as a pool does of the one that it reads.
func read(pool *vit.TokenPool, token []float32) []float32 {
	if pool.Of != vit.Patches && pool.Of != vit.NormPatches {
		return pool.Vector(token)
	}
	return pool.Vector(append(make([]float32, pool.Prefix*len(token)), token...))
}

// weighted returns the mean of vectors, with weights.
func weighted(weights []float32, of func(i int) []float32) []float32 {
	var sums []float64
	total := 0.0
	for i, w := range weights {
		if w == 0 {
			continue
		}
		total += float64(w)
		vector := of(i)
		if sums == nil {
			sums = make([]float64, len(vector))
		}
		for j, v := range vector {
			sums[j] += float64(w) * float64(v)
		}
	}
	mean := make([]float32, len(sums))
	for j, v := range sums {
		mean[j] = float32(v / total)
	}
	return mean
}
