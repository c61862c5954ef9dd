// Package legrad draws where an image matches a text (Bousselham et al., "LeGrad: An Explainability Method for
// Vision Transformers via Feature Formation Sensitivity", arXiv:2404.03214): the gradient of the score with
// respect to each layer's attention map, clipped, averaged and added over layers.
//
// The score of layer l reads the mean of its tokens: s = t · f/|f|, f = P·LN(z̄), z̄ = the mean over all N
// tokens of the block's output, t the text's vector of length 1. Everything is closed form: one pass of
// the image serves any number of texts, and nothing is differentiated by tape.
//
// What the paper leaves open, and we chose: the layers are the model's own choice (the reference's code
// takes the last two, the paper adds all); layers are added raw and scaled once at the end, for scaling
// each would let a flat layer speak as loudly as a sharp one.
package legrad

import (
	"context"
	"fmt"
	"math"
	"slices"

	"evident/model/vit"
	"evident/nn"
)

// Explainer draws maps of one vision tower. It is safe for concurrent use.
type Explainer struct {
	tower  *vit.Tower
	layers []int
	blocks []*nn.BlockGradient // of each layer
}

// Options tunes an [Explainer]. The zero value is what the authors' code does.
type Options struct {
	Layers    []int        // whose maps are added; none means the last two
	Precision nn.Precision // of the gradient's products; Auto is bf16 where native, whatever the tower's: maps differ by less than 1 %
}

// New prepares an explainer of a tower.
func New(tower *vit.Tower, opts Options) (*Explainer, error) {
	count, layers := len(tower.Encoder.Layers), opts.Layers
	if len(layers) == 0 {
		layers = []int{max(0, count-2), count - 1}
	}
	precision := opts.Precision
	if precision == nn.Auto {
		precision = nn.BF16 // float32 where the CPU does not multiply it
	}
	layers = slices.Clone(layers)
	slices.Sort(layers)
	e := &Explainer{tower: tower, layers: slices.Compact(layers)}
	for _, layer := range e.layers {
		if layer < 0 || layer >= count {
			return nil, fmt.Errorf("there is no layer %d: the model has layers 0 to %d", layer, count-1)
		}
		block := nn.NewBlockGradient(&tower.Encoder.Layers[layer], precision)
		block.Threads = tower.Encoder.Threads
		e.blocks = append(e.blocks, block)
	}
	return e, nil
}

// Image is an encoded image, ready to be explained for any text.
type Image struct {
	Height, Width int       // of the grid, in patches
	Embedding     []float32 // [D] of length 1

	explainer *Explainer
	layers    []layer
}

// layer is where an image stands in one layer.
type layer struct {
	point *nn.Point
	score score
}

// Encode runs the tower once on pixels [3, height, width], normalised as the model wants them.
func (e *Explainer) Encode(ctx context.Context, pixels []float32, height, width int) (*Image, error) {
	encoded, err := e.tower.Encode(ctx, pixels, height, width, e.layers...)
	if err != nil {
		return nil, err
	}
	im := &Image{Height: encoded.Height, Width: encoded.Width, Embedding: encoded.Embedding, explainer: e}
	n := vit.Prefix + im.Height*im.Width
	for i, l := range e.layers {
		kept := encoded.Kept[l]
		point, err := e.blocks[i].At(ctx, kept, n)
		if err != nil {
			return nil, err
		}
		im.layers = append(im.layers, layer{point, newScore(e.tower.Norm, vit.MeanToken(kept.Output, e.tower.Width))})
	}
	return im, nil
}

// Relevance returns for each text, a vector [D] of length 1, how much the attention to each patch raises its
// score: [len(texts), Height, Width], not scaled, never negative. Values of one image compare between
// texts.
func (im *Image) Relevance(ctx context.Context, texts [][]float32) ([][]float32, error) {
	d, n := im.explainer.tower.Width, vit.Prefix+im.Height*im.Width
	sum := make([]float32, len(texts)*n)
	gradients, part := make([]float32, len(texts)*d), make([]float32, len(texts)*n)
	for i, l := range im.layers {
		for t, text := range texts {
			if len(text) != d {
				return nil, fmt.Errorf("text %d has a vector of %d values, the model's have %d", t, len(text), d)
			}
			l.score.gradient(gradients[t*d:][:d], text, n)
		}
		if err := im.explainer.blocks[i].Relevance(ctx, l.point, gradients, part); err != nil {
			return nil, err
		}
		for j, v := range part {
			sum[j] += v
		}
	}
	maps := make([][]float32, len(texts))
	for t := range texts {
		maps[t] = sum[t*n+vit.Prefix : (t+1)*n : (t+1)*n]
	}
	return maps, nil
}

// score is s(z̄) = t · f/|f| with f = LN(z̄), at one z̄.
type score struct {
	gain   []float32
	normed []float64 // x̂, z̄ normalised
	scale  float64   // r, one over the deviation
	unit   []float64 // f/|f|
	length float64   // |f|
}

func newScore(norm *nn.LayerNorm, mean []float32) score {
	d := float64(len(mean))
	s := score{gain: norm.Gain, normed: make([]float64, len(mean)), unit: make([]float64, len(mean))}
	sum, squares := 0.0, 0.0
	for _, v := range mean {
		sum += float64(v)
	}
	for _, v := range mean {
		squares += (float64(v) - sum/d) * (float64(v) - sum/d)
	}
	s.scale = 1 / math.Sqrt(squares/d+float64(norm.Epsilon))
	squares = 0
	for i, v := range mean {
		s.normed[i] = (float64(v) - sum/d) * s.scale
		s.unit[i] = float64(norm.Gain[i])*s.normed[i] + float64(norm.Bias[i])
		squares += s.unit[i] * s.unit[i]
	}
	s.length = math.Sqrt(squares)
	for i := range s.unit {
		s.unit[i] /= s.length
	}
	return s
}

// gradient writes ∂s/∂z_n, the same for each of n tokens: LNᵀ(df)/n with df = (t - f̂·(f̂·t))/|f| and
// LNᵀ(y) = r·(γy - mean(γy) - x̂·mean(γy·x̂)).
func (s *score) gradient(dst, text []float32, n int) {
	if s.length == 0 { // nothing to turn: every direction is as good
		clear(dst)
		return
	}
	along := 0.0
	for i, u := range s.unit {
		along += u * float64(text[i])
	}
	mean, tilt := 0.0, 0.0
	scaled := make([]float64, len(s.unit))
	for i, u := range s.unit {
		scaled[i] = float64(s.gain[i]) * (float64(text[i]) - u*along) / s.length
		mean += scaled[i]
		tilt += scaled[i] * s.normed[i]
	}
	mean, tilt = mean/float64(len(scaled)), tilt/float64(len(scaled))
	for i, y := range scaled {
		dst[i] = float32(s.scale * (y - mean - s.normed[i]*tilt) / float64(n))
	}
}

// MinMax scales a map to 0…1, in place, and returns it. A flat map becomes zeros.
func MinMax(m []float32) []float32 {
	if len(m) == 0 {
		return m
	}
	low, high := slices.Min(m), slices.Max(m)
	for i, v := range m {
		if high > low {
			m[i] = (v - low) / (high - low)
		} else {
			m[i] = 0
		}
	}
	return m
}
