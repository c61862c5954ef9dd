package viewer

import (
	"context"
	"fmt"
	"slices"

	"evident/eval"
	"evident/legrad"
	"evident/model/vision"
)

// Classifier returns the model as a classifier by names, of pictures at the size of its vectors, with methods that
// say where a class is seen; the first is judged.
func (v *Viewer) Classifier(ctx context.Context, methods ...string) (eval.Classifier, error) {
	d, err := v.drawer(ctx, methods)
	if err != nil {
		return nil, err
	}
	return &classifier{drawer: d}, nil
}

type classifier struct {
	*drawer
	texts []vision.Text // of the classes
}

// SetClasses implements [eval.Classifier].
func (c *classifier) SetClasses(ctx context.Context, names []string) (err error) {
	c.texts, err = c.classes(ctx, names)
	return err
}

// Look implements [eval.Classifier].
func (c *classifier) Look(_ context.Context, file []byte) (eval.Subject, error) {
	im, err := decode(file)
	if err != nil {
		return nil, err
	}
	recipe := c.model.Recipe
	if recipe.Size[0]%c.model.Patch != 0 || recipe.Size[1]%c.model.Patch != 0 {
		return nil, fmt.Errorf("pictures of %v pixels are not whole patches of %d", recipe.Size, c.model.Patch)
	}
	return &subject{c, recipe.Apply(im), recipe.Size[1], recipe.Size[0]}, nil
}

type subject struct {
	*classifier
	pixels        []float32 // [3, height, width]
	height, width int
}

// Grid implements [eval.Subject].
func (s *subject) Grid() (height, width int) {
	return s.height / s.model.Patch, s.width / s.model.Patch
}

// Relevance implements [eval.Subject].
func (s *subject) Relevance(ctx context.Context, class int) ([][]float32, error) {
	maps, err := legrad.MapsOf(ctx, s.methods, s.pixels, s.height, s.width, embeddings(s.texts[class:class+1]))
	if err != nil {
		return nil, err
	}
	all := make([][]float32, len(maps))
	for i, m := range maps {
		all[i] = m[0]
	}
	return all, nil
}

// Class implements [eval.Subject].
func (s *subject) Class(ctx context.Context, removed []bool) (int, error) {
	im, err := s.model.EncodeImage(ctx, s.without(removed), s.height, s.width)
	if err != nil {
		return 0, err
	}
	best, highest := 0, float32(0)
	for i := range s.texts {
		if logit := s.model.Logit(im, &s.texts[i]); i == 0 || logit > highest {
			best, highest = i, logit
		}
	}
	return best, nil
}

// without returns the pixels without some patches. One that is removed gets the mean colour that the model's
// pixels are measured from, 0 once normalised; the model still sees that there is a patch.
func (s *subject) without(removed []bool) []float32 {
	patch := s.model.Patch
	pixels := slices.Clone(s.pixels)
	_, width := s.Grid()
	for i, gone := range removed {
		if !gone {
			continue
		}
		for channel := range 3 {
			for y := range patch {
				row := (channel*s.height+i/width*patch+y)*s.width + i%width*patch
				clear(pixels[row : row+patch])
			}
		}
	}
	return pixels
}
