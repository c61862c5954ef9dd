package viewer

import (
	"context"

	"evident/eval"
	"evident/internal/region"
	"evident/model/caption"
)

// Way is a way of making captions.
type Way struct {
	Name string
	By   interface {
		Captions(ctx context.Context, vectors [][]float32, kind caption.Kind, n int) ([][]caption.Caption, error)
	}
}

// Nearest is the way that chooses the nearest of given captions.
func (v *Viewer) Nearest(ctx context.Context, captions []string) (Way, error) {
	vectors, err := v.Texts(ctx, captions)
	if err != nil {
		return Way{}, err
	}
	return Way{"nearest", caption.NewNearest(captions, vectors)}, nil
}

// Captioner returns the model as an evaluation asks it for captions, by several ways and of vectors by several methods; the
// first of each are judged.
func (v *Viewer) Captioner(
	ctx context.Context, opts region.Options, ways []Way, methods ...string,
) (eval.Captioner, error) {
	seer, err := v.Regions(ctx, opts, methods...)
	if err != nil {
		return nil, err
	}
	return &captioner{seer, ways}, nil
}

// captioner implements [eval.Captioner].
type captioner struct {
	eval.RegionSearcher
	ways []Way
}

// Ways implements [eval.Captioner].
func (c *captioner) Ways() []string {
	names := make([]string, len(c.ways))
	for i, w := range c.ways {
		names[i] = w.Name
	}
	return names
}

// Captions implements [eval.Captioner].
func (c *captioner) Captions(ctx context.Context, vectors [][]float32, whole bool) ([][]string, error) {
	kind := caption.Region
	if whole {
		kind = caption.Picture
	}
	all := make([][]string, len(c.ways))
	for i, w := range c.ways {
		all[i] = make([]string, len(vectors))
		const together = 32
		for from := 0; from < len(vectors); from += together {
			written, err := w.By.Captions(ctx, vectors[from:min(from+together, len(vectors))], kind, 1)
			if err != nil {
				return nil, err
			}
			for j, captions := range written {
				if len(captions) > 0 {
					all[i][from+j] = captions[0].Text
				}
			}
		}
	}
	return all, nil
}
