package evident

import (
	"context"
	"fmt"

	"evident/legrad"
	"evident/model/vit"
)

// seen is what a method makes of a picture.
type seen struct {
	image vit.Image   // with its grid
	maps  [][]float32 // [len(texts), Height, Width] of the grid
	apart bool        // values of two maps do not compare
}

// see draws maps of pixels [3, size[1], size[0]] for texts, vectors of length 1.
func (v *Vision) see(
	ctx context.Context, pixels []float32, size [2]int, texts [][]float32, o ExplainOptions,
) (*seen, error) {
	name, opts, err := legrad.ParseMethod(o.Method)
	if err != nil {
		return nil, err
	}
	if len(o.Layers) > 0 {
		if len(opts.Layers) > 0 {
			return nil, fmt.Errorf("method %s names layers, and so do the options", o.Method)
		}
		opts.Layers = o.Layers
	}
	if name == "" || name == legradName && opts.Rows == legrad.PooledRows {
		return v.seeLeGrad(ctx, pixels, size, texts, opts.Layers)
	}
	method, err := v.method(name, opts)
	if err != nil {
		return nil, err
	}
	encoded, err := v.model.EncodeImage(ctx, pixels, size[1], size[0])
	if err != nil {
		return nil, err
	}
	maps, err := method.Maps(ctx, pixels, size[1], size[0], texts)
	return &seen{image: *encoded, maps: maps, apart: true}, err
}

const legradName = "legrad"

// seeLeGrad is see by LeGrad: one pass for vector and maps, and one scale for all of these.
func (v *Vision) seeLeGrad(
	ctx context.Context, pixels []float32, size [2]int, texts [][]float32, layers []int,
) (*seen, error) {
	explainer, err := v.explainer(layers)
	if err != nil {
		return nil, err
	}
	encoded, err := explainer.Encode(ctx, pixels, size[1], size[0])
	if err != nil {
		return nil, err
	}
	maps, err := v.relevance(ctx, explainer, encoded, texts)
	return &seen{image: vit.Image{
		Height: encoded.Height, Width: encoded.Width, Vector: encoded.Vector, Embedding: encoded.Embedding,
	}, maps: maps}, err
}

// explainer returns the one for a choice of layers.
func (v *Vision) explainer(layers []int) (*legrad.Explainer, error) {
	if len(layers) == 0 {
		layers = v.model.MapLayers
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	key := fmt.Sprint(layers)
	if e := v.explainers[key]; e != nil {
		return e, nil
	}
	e, err := legrad.New(v.model.Tower, legrad.Options{Layers: layers})
	if err == nil {
		v.explainers[key] = e
	}
	return e, err
}

// method returns one of the methods beside LeGrad.
func (v *Vision) method(name string, opts legrad.MethodOptions) (legrad.Method, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := fmt.Sprint(name, opts)
	if m := v.methods[key]; m != nil {
		return m, nil
	}
	m, err := legrad.NewMethod(name, v.model.Tower, opts)
	if err == nil {
		v.methods[key] = m
	}
	return m, err
}

// relevance returns the maps [len(texts), rows, columns], corrected where the model needs it.
func (v *Vision) relevance(
	ctx context.Context, explainer *legrad.Explainer, im *legrad.Image, texts [][]float32,
) ([][]float32, error) {
	if !explainer.Corrects() {
		return im.Relevance(ctx, texts)
	}
	empty, err := v.texts(ctx, []string{legrad.EmptyText})
	if err != nil {
		return nil, err
	}
	return im.CorrectedRelevance(ctx, texts, empty[0].Embedding)
}
