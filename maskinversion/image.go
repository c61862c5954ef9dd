package maskinversion

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"evident/internal/cells"
	"evident/legrad"
	"evident/model/vit"
	"evident/nn"
)

// Image is an encoded image, ready for any number of masks. It is safe for concurrent use.
type Image struct {
	Height, Width int       // of the grid, in patches
	Vector        []float32 // [E] as the tower gives it
	Embedding     []float32 // [E] Vector, scaled to length 1
	Tokens        []float32 // [N, D] the last block's output, those before the patches first

	inverter *Inverter
	start    []float32 // [E] where every mask starts
	grid     *grid
	layers   []*layer
	blank    []bool // cells that answer to any text; nil where none are looked for
	flat     bool   // the loss is flat at the start
}

// layer is where an image stands in one layer.
type layer struct {
	point *nn.RelevancePoint // of the block, and
	score *legrad.MeanScore  // at its output; or
	pool  *poolJacobian      // of the pool that reads it

	mu     sync.Mutex // guards what is set up when it is first wanted
	factor *nn.Factor
	tensor *nn.Tensor
}

// ErrNoDirection says that an image's vector is zeros, from which no mask can start.
var ErrNoDirection = errors.New("the image's vector is zeros")

// Prepare runs the tower once on pixels [3, height, width], normalised as the model wants them.
func (v *Inverter) Prepare(ctx context.Context, pixels []float32, height, width int) (*Image, error) {
	tower := v.model.Tower
	keep := map[int]*nn.Kept{}
	n, d := tower.Tokens(height, width), tower.Width
	for _, l := range v.layers {
		keep[l] = &nn.Kept{Output: make([]float32, n*d)}
		if v.pool == nil {
			keep[l].QKV, keep[l].Attended = make([]float32, 3*n*d), make([]float32, n*d)
			keep[l].Raised = make([]float32, n*tower.Encoder.Layers[l].Up.Out)
		}
	}
	encoded, err := tower.EncodeKeep(ctx, pixels, height, width, keep)
	if err != nil {
		return nil, err
	}
	if length(encoded.Vector) == 0 {
		return nil, ErrNoDirection
	}
	im := &Image{
		Height: encoded.Height, Width: encoded.Width, Vector: encoded.Vector, Embedding: encoded.Embedding,
		Tokens: encoded.Tokens, inverter: v, grid: newGrid(encoded.Height, encoded.Width, tower.Patch, v.scale),
		start: encoded.Vector, flat: v.pool == nil,
	}
	if v.pool != nil && !v.pool.AnswersAll() {
		im.start = im.Embedding // open_clip hands out CoCa's vectors with length 1
	}
	for i, l := range v.layers {
		at, err := v.at(ctx, i, keep[l])
		if err != nil {
			return nil, err
		}
		im.flat = im.flat && alike(at.score.Feature(), im.Vector)
		im.layers = append(im.layers, at)
	}
	if v.empty != nil {
		err = im.correct(ctx)
	}
	return im, err
}

// at prepares the way to the i-th layer's map and back at what the pass kept of it.
func (v *Inverter) at(ctx context.Context, i int, kept *nn.Kept) (at *layer, err error) {
	at = &layer{}
	if v.pool != nil {
		point, err := v.pool.At(ctx, kept.Output)
		if err != nil {
			return nil, err
		}
		at.pool, err = newPoolJacobian(ctx, point, v.model.Size(), len(kept.Output)/v.model.Width)
		return at, err
	}
	if at.point, err = v.blocks[i].At(ctx, kept, len(kept.Output)/v.model.Width); err != nil {
		return nil, err
	}
	at.score = v.head.At(vit.MeanToken(kept.Output, v.model.Width))
	return at, nil
}

// alike reports whether two vectors have one direction, but for rounding: the cosine of such a pair cannot grow, so
// its slope is noise.
func alike(unit []float64, x []float32) bool {
	const sine = 1e-3
	along, size := 0.0, length(x)
	for i, u := range unit {
		along += u * float64(x[i])
	}
	rest := 0.0
	for i, u := range unit {
		off := float64(x[i]) - along*u
		rest += off * off
	}
	return rest < sine*sine*size*size
}

// correct finds the cells where the map of a text that names nothing is strong: they are 0 in every map.
func (im *Image) correct(ctx context.Context) error {
	cellsOf := make([]float32, im.Height*im.Width)
	runs := im.begin(im.layerWays(Direct))
	all, err := im.relevance(ctx, runs, im.inverter.empty, 1)
	if err != nil {
		return err
	}
	copy(cellsOf, all)
	im.blank = make([]bool, len(cellsOf))
	for i, v := range cells.MinMax(cellsOf) {
		im.blank[i] = v > legrad.CorrectionThreshold
	}
	return nil
}

// relevance returns the maps [T, cells] of vectors [T, E] of length 1, layers added, cells that answer to any text 0.
func (im *Image) relevance(ctx context.Context, runs []run, vectors []float32, count int) ([]float32, error) {
	prefix, size := im.inverter.model.Prefix, im.Height*im.Width
	n := prefix + size
	sum, one := make([]float32, count*size), make([]float32, count*n)
	for _, r := range runs {
		if err := r.there(ctx, vectors, one); err != nil {
			return nil, err
		}
		for t := range count {
			to := sum[t*size:][:size]
			for i, v := range one[t*n+prefix:][:size] {
				to[i] += v
			}
		}
	}
	for i := range sum {
		if im.blank != nil && im.blank[i%size] {
			sum[i] = 0
		}
	}
	return sum, nil
}

// Heatmap makes of a region's map one of pixels [height, width] in 0…1, as the loss compares it with a mask of that
// size.
func (im *Image) Heatmap(r *Region, height, width int) []float32 {
	patch := im.grid.patch
	m := slices.Clone(r.Map)
	if im.inverter.scale == cellsFirst {
		cells.MinMax(m)
	}
	m = cells.Spread(m, im.Height, im.Width, im.Height*patch, im.Width*patch)
	if im.inverter.scale == pixelsFirst {
		cells.MinMax(m)
	}
	if height == im.Height*patch && width == im.Width*patch {
		return m
	}
	return cells.Spread(m, im.Height*patch, im.Width*patch, height, width)
}

// nudged returns a start at which the loss is not flat: from the image's vector by share of its length towards what
// the tokens that a mask covers come to on their mean, or, where that is the image itself, in an arbitrary direction
// that is always the same.
func (im *Image) nudged(t *target, share float64) []float64 {
	d, prefix := im.inverter.model.Width, im.inverter.model.Prefix
	mean := make([]float64, d)
	for cell, weight := range t.inside {
		for i, v := range im.Tokens[(prefix+cell)*d:][:d] {
			mean[i] += weight / t.area * float64(v)
		}
	}
	rounded := make([]float32, d)
	for i, v := range mean {
		rounded[i] = float32(v)
	}
	size := length(im.start)
	start, towards := make([]float64, len(im.start)), im.inverter.head.At(rounded).Feature()
	if alike(towards, im.Vector) {
		for i := range towards {
			towards[i] = float64(1 - i%2*2)
		}
	}
	along, rest := 0.0, 0.0
	for i, v := range towards {
		along += v * float64(im.Embedding[i])
	}
	for i, v := range towards {
		start[i] = v - along*float64(im.Embedding[i])
		rest += start[i] * start[i]
	}
	for i, v := range im.start {
		start[i] = float64(v) + start[i]*share*size/math.Sqrt(rest)
	}
	return start
}

// form returns the form to take, and an error where the one that was asked for takes too much memory.
func (im *Image) form(masks int, o Options) (Form, error) {
	if im.inverter.pool != nil {
		return Direct, nil
	}
	plan := im.plan(masks, o)
	switch o.Form {
	case Auto, Fastest:
		return plan.Form, nil
	case Direct:
		return Direct, nil
	}
	if need := plan.Costs[o.Form].Memory; need > o.MemoryMax {
		return "", &MemoryError{Form: o.Form, Need: need, Max: o.MemoryMax}
	}
	return o.Form, nil
}

// MemoryError says that a form was asked for that takes more memory than it may.
type MemoryError struct {
	Form      Form
	Need, Max int64 // bytes
}

// Error says how much it is.
func (e *MemoryError) Error() string {
	return fmt.Sprintf("form %s takes %d MiB, at most %d MiB may be taken", e.Form, e.Need>>20, e.Max>>20)
}
