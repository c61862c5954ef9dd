package region

import (
	"context"

	"evident/internal/heatmap"
	"evident/internal/mask"
	"evident/internal/picture"
	"evident/legrad"
	"evident/maskinversion"
)

// inverted makes the vectors by MaskInversion.
func (p *Picture) inverted(ctx context.Context) ([][]float32, error) {
	im, err := p.prepared(ctx)
	if err != nil {
		return nil, err
	}
	masks := make([]maskinversion.Mask, len(p.masks))
	for i, m := range p.masks {
		if masks[i], err = inversionMask(m); err != nil {
			return nil, err
		}
	}
	o := p.seer.opts
	inversion := maskinversion.Options{Steps: o.Steps, Alpha: o.Alpha, Stride: o.Stride, Rate: o.Rate}
	if p.Steps != nil {
		inversion.Progress = func(at maskinversion.Progress) {
			step := Step{Step: at.Step, Steps: at.Steps, Dice: at.Dice}
			for _, m := range at.Maps {
				step.Maps = append(step.Maps, heatmap.Field{Rows: im.Height, Columns: im.Width, Values: m})
			}
			p.Steps(step)
		}
	}
	regions, err := im.Invert(ctx, masks, inversion)
	if err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(regions))
	for i := range regions {
		vectors[i] = regions[i].Embedding
	}
	return vectors, nil
}

// inversionMask is a mask as MaskInversion compares it with maps. Maps have some dozens of patches a side: of large
// pictures the mask is taken smaller, its pixels the share that is covered.
func inversionMask(m *mask.Mask) (maskinversion.Mask, error) {
	const sideMax = 1024
	longest := max(m.Width, m.Height)
	if longest <= sideMax {
		return maskinversion.Binary(m), nil
	}
	width, height := max(1, m.Width*sideMax/longest), max(1, m.Height*sideMax/longest)
	covered, err := m.Coverage(width, height)
	return maskinversion.Mask{Width: width, Height: height, Values: covered}, err
}

// prepared is the pass of the whole picture whose maps MaskInversion draws.
func (p *Picture) prepared(ctx context.Context) (im *maskinversion.Image, err error) {
	if p.inversion == nil {
		side := p.seer.opts.Size
		p.inversion, err = p.seer.inverter.Prepare(ctx, p.seer.recipe().Apply(p.image), side, side)
	}
	return p.inversion, err
}

// Maps returns where in the picture vectors are seen, one for each region, by LeGrad: maps as they are computed,
// and how well each, scaled to 0…1, fits its mask. The soft Dice coefficient is the one that MaskInversion
// maximises, (2·Σ XY + 1) / (Σ X + Σ Y + 1), over the pixels that the model looks at.
func (p *Picture) Maps(ctx context.Context, vectors [][]float32) (fields []heatmap.Field, dice []float64, err error) {
	maps, err := p.relevance(ctx, vectors)
	if err != nil {
		return nil, nil, err
	}
	side := p.seer.opts.Size
	for i, m := range maps {
		field := heatmap.Field{Rows: p.explained.Height, Columns: p.explained.Width, Values: m}
		fits, err := overlap(p.explained.Heatmap(m), side, p.masks[i])
		if err != nil {
			return nil, nil, err
		}
		fields, dice = append(fields, field), append(dice, fits)
	}
	return fields, dice, nil
}

// relevance draws LeGrad's maps of vectors.
func (p *Picture) relevance(ctx context.Context, vectors [][]float32) ([][]float32, error) {
	if p.explained == nil {
		im, err := p.seer.explain(ctx, p.image)
		if err != nil {
			return nil, err
		}
		p.explained = im
	}
	return p.seer.draw(ctx, p.explained, vectors)
}

// explain runs a picture through the tower, so that maps can be drawn of it.
func (s *Seer) explain(ctx context.Context, im *picture.Image) (*legrad.Image, error) {
	return s.explainer.Encode(ctx, s.recipe().Apply(im), s.opts.Size, s.opts.Size)
}

// draw draws maps of vectors, corrected where the model needs it.
func (s *Seer) draw(ctx context.Context, im *legrad.Image, vectors [][]float32) ([][]float32, error) {
	if s.empty != nil {
		return im.CorrectedRelevance(ctx, vectors, s.empty)
	}
	return im.Relevance(ctx, vectors)
}

// Where returns where in a picture vectors, such as those of another picture's regions, are seen: LeGrad's maps as
// they are computed.
func (s *Seer) Where(ctx context.Context, im *picture.Image, vectors [][]float32) ([]heatmap.Field, error) {
	seen, err := s.explain(ctx, im)
	if err != nil {
		return nil, err
	}
	maps, err := s.draw(ctx, seen, vectors)
	if err != nil {
		return nil, err
	}
	fields := make([]heatmap.Field, len(maps))
	for i, m := range maps {
		fields[i] = heatmap.Field{Rows: seen.Height, Columns: seen.Width, Values: m}
	}
	return fields, nil
}

// overlap is the soft Dice coefficient of a map [side, side] of 0…1 and a mask that is squeezed to its size.
func overlap(heat []float32, side int, m *mask.Mask) (float64, error) {
	covered, err := m.Coverage(side, side)
	if err != nil {
		return 0, err
	}
	both, all := 0.0, 0.0
	for i, v := range heat {
		both += float64(v) * float64(covered[i])
		all += float64(v) + float64(covered[i])
	}
	return (2*both + 1) / (all + 1), nil
}
