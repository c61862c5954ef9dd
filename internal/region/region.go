// Package region makes vectors of parts of a picture, told by masks, in the space where a model's vectors of
// pictures and texts live: by MaskInversion, by the methods that it is compared with, and by a
// combination of them.
//
// A region's vector has length 1. What several methods need of a picture, such as the pass of the whole, is
// computed once.
package region

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"evident/internal/heatmap"
	"evident/internal/mask"
	"evident/internal/picture"
	"evident/legrad"
	"evident/maskinversion"
	"evident/model/vision"
	"evident/model/vit"
)

// Method is how a region's vector is made.
type Method string

// The methods.
const (
	MaskInversion Method = "mask-inversion" // the vector whose LeGrad map fits the mask (arXiv:2407.20034)
	Whole         Method = "whole"          // of the whole picture, whatever the mask
	BoxCrop       Method = "box-crop"       // of the mask's box, cut out
	MaskedCrop    Method = "masked-crop"    // the same, with what lies outside of the mask painted over
	RedCircle     Method = "red-circle"     // of the whole picture with a red ellipse around the mask (arXiv:2304.06712)
	Patches       Method = "patches"        // mean of the mask's patches in the last layer
	CropPatches   Method = "crop-patches"   // the same, of the mask's surroundings cut out and enlarged
	Combined      Method = "combined"       // a weighted sum of the vectors of other methods
)

// Methods lists all methods, the paper's first.
func Methods() []Method {
	return []Method{MaskInversion, Whole, BoxCrop, MaskedCrop, RedCircle, Patches, CropPatches, Combined}
}

// ParseMethod returns the method of that name.
func ParseMethod(name string) (Method, error) {
	if m := Method(name); slices.Contains(Methods(), m) {
		return m, nil
	}
	var names []string
	for _, m := range Methods() {
		names = append(names, string(m))
	}
	return "", fmt.Errorf("unknown method %q: there are %s", name, strings.Join(names, ", "))
}

// Weights says how much each method's vector counts in [Combined].
type Weights map[Method]float32

// Options tunes a [Seer]. The zero value is the model's own choice.
type Options struct {
	Size    int     // pixels a side of the picture whose maps and patches are read
	Layers  []int   // whose maps MaskInversion adds
	Steps   int     // of MaskInversion, at most
	Alpha   float64 // how strongly MaskInversion holds on to the whole picture's vector; below 0 not at all
	Stride  float64 // length of MaskInversion's first step, as a share of the start's
	Rate    float64 // instead of Stride: by how much MaskInversion's first step moves each value
	Weights Weights // of [Combined]
}

// Seer makes vectors of regions with one model. It is safe for concurrent use.
type Seer struct {
	model     *vision.Model
	opts      Options
	inverter  *maskinversion.Inverter
	explainer *legrad.Explainer
	empty     []float32 // the vector that maps are corrected with; nil where they are not
}

// New prepares a model.
func New(ctx context.Context, model *vision.Model, opts Options) (*Seer, error) {
	if opts.Size == 0 {
		opts.Size = cmp.Or(model.Inversion.Size, model.MapSize)
	}
	if len(opts.Layers) == 0 {
		opts.Layers = model.Inversion.Layers
	}
	const sideMax = 1024 // attention takes the square of its square
	if opts.Size < model.Patch || opts.Size > sideMax {
		return nil, fmt.Errorf("size %d: the model looks at %d to %d pixels a side", opts.Size, model.Patch, sideMax)
	}
	opts.Size = opts.Size / model.Patch * model.Patch
	if opts.Weights == nil {
		opts.Weights = weightsOf(model)
	}
	for m, weight := range opts.Weights {
		if _, err := ParseMethod(string(m)); err != nil || m == Combined || weight < 0 {
			return nil, fmt.Errorf("%q cannot be a part of a combination with weight %g", m, weight)
		}
	}
	inverter, err := maskinversion.New(ctx, model, maskinversion.Setup{Layers: opts.Layers})
	if err != nil {
		return nil, err
	}
	layers := opts.Layers
	if len(layers) == 0 {
		layers = model.MapLayers
	}
	s := &Seer{model: model, opts: opts, inverter: inverter}
	if s.explainer, err = legrad.New(model.Tower, legrad.Options{Layers: layers}); err != nil {
		return nil, err
	}
	if s.explainer.Corrects() {
		empty, err := model.EncodeTexts(ctx, []string{legrad.EmptyText})
		if err != nil {
			return nil, err
		}
		s.empty = empty[0].Embedding
	}
	return s, nil
}

// Picture is a picture with regions. It is not safe for concurrent use.
type Picture struct {
	seer  *Seer
	image *picture.Image
	masks []*mask.Mask
	done  map[Method][][]float32

	// Steps, where it is set, is told of each step of MaskInversion, by the goroutine that calls Vectors.
	Steps func(Step)

	// Passes of the whole picture through the tower; nil before they are needed.
	inversion *maskinversion.Image
	explained *legrad.Image
}

// Step is how far MaskInversion is with the vectors of a picture's regions.
type Step struct {
	Step, Steps int             // the step just taken, from 1, and how many there will be at most
	Dice        []float64       // of each region: how well its vector's map fits the mask, before the step
	Maps        []heatmap.Field // of each region: that map; the values change with the next step
}

// Look prepares the regions of a picture: masks of the picture's size, none of them empty. Nothing is computed yet.
func (s *Seer) Look(im *picture.Image, masks []*mask.Mask) (*Picture, error) {
	if len(masks) == 0 {
		return nil, errors.New("there is no region to look at")
	}
	for i, m := range masks {
		if m.Width != im.Width || m.Height != im.Height {
			return nil, fmt.Errorf("region %d: %w", i, &mask.MismatchError{
				Width: m.Width, Height: m.Height, OtherWidth: im.Width, OtherHeight: im.Height,
			})
		}
		if m.Empty() {
			return nil, fmt.Errorf("region %d: %w", i, mask.ErrEmpty)
		}
	}
	return &Picture{seer: s, image: im, masks: masks, done: map[Method][][]float32{}}, nil
}

// Vectors returns a vector of length 1 for each region, by a method. Regions do not influence each other.
func (p *Picture) Vectors(ctx context.Context, method Method) (vectors [][]float32, err error) {
	if known, ok := p.done[method]; ok {
		return known, nil
	}
	switch method {
	case Whole:
		vectors, err = p.whole(ctx)
	case BoxCrop:
		vectors, err = p.each(ctx, p.boxCrop)
	case MaskedCrop:
		vectors, err = p.each(ctx, p.maskedCrop)
	case RedCircle:
		vectors, err = p.each(ctx, p.redCircle)
	case Patches:
		vectors, err = p.patches(ctx)
	case CropPatches:
		vectors, err = p.cropPatches(ctx)
	case MaskInversion:
		vectors, err = p.inverted(ctx)
	case Combined:
		vectors, err = p.combined(ctx)
	default:
		return nil, fmt.Errorf("unknown method %q", method)
	}
	if err != nil {
		return nil, err
	}
	p.done[method] = vectors
	return vectors, nil
}

// ErrNoWeights says that a model does not say how methods are combined.
var ErrNoWeights = errors.New("the model does not say how methods are combined")

// combined adds up the methods' vectors.
func (p *Picture) combined(ctx context.Context) ([][]float32, error) {
	if len(p.seer.opts.Weights) == 0 {
		return nil, ErrNoWeights
	}
	sums := make([][]float32, len(p.masks))
	for i := range sums {
		sums[i] = make([]float32, p.seer.model.Size())
	}
	for _, m := range Methods() { // in order: sums of floats depend on it
		weight := p.seer.opts.Weights[m]
		if weight == 0 {
			continue
		}
		vectors, err := p.Vectors(ctx, m)
		if err != nil {
			return nil, err
		}
		for i, vector := range vectors {
			for j, v := range vector {
				sums[i][j] += weight * v
			}
		}
	}
	for i := range sums {
		vit.Normalise(sums[i])
	}
	return sums, nil
}
