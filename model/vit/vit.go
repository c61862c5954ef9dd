// Package vit runs vision transformers (Dosovitskiy et al., arXiv:2010.11929): images of any size and aspect
// ratio become one token a patch, and one vector. It reads evident's own vision-language model, whose texts
// live where the vectors of images live and whose image tower has timm's names.
//
// Shapes: N is the number of tokens, one class token and gh·gw patches; D the width.
package vit

import (
	"context"
	"fmt"
	"math"

	"evident/nn"
)

// Tower is a vision transformer with pre-norm blocks. It is safe for concurrent use.
type Tower struct {
	Width, Patch int // D; pixels a side of a patch

	Encoder nn.Encoder
	Norm    *nn.LayerNorm // after the last block
	Pooling Pooling

	patches   *nn.Linear // [D, 3·Patch²]
	class     []float32  // [D]
	grid      int        // the position table is for grid·grid patches
	positions []float32  // [1+grid², D]
}

// Pooling is how tokens become an image's vector.
type Pooling string

// The poolings. Each normalises what it pools and gives a vector of length 1.
const (
	Class        Pooling = "cls"      // the class token
	Mean         Pooling = "mean"     // the mean of all tokens, normalised after the mean
	ClassAndMean Pooling = "cls+mean" // both, added
)

// Prefix is the number of tokens before those of the patches.
const Prefix = 1

// Image is an encoded image.
type Image struct {
	Height, Width int              // of the grid, in patches
	Tokens        []float32        // [N, D] the last block's output
	Kept          map[int]*nn.Kept // of the blocks asked for
	Embedding     []float32        // [D] of length 1
}

// SizeError says that an image of this size cannot be cut into patches.
type SizeError struct{ Height, Width, Patch int }

func (e *SizeError) Error() string {
	return fmt.Sprintf("an image of %d x %d pixels cannot be cut into patches of %d", e.Width, e.Height, e.Patch)
}

// Encode runs the tower on pixels [3, height, width], normalised as the model wants them; both sides are
// multiples of Patch. For the blocks named in keep it leaves behind what [nn.BlockGradient.At] reads.
func (t *Tower) Encode(ctx context.Context, pixels []float32, height, width int, keep ...int) (*Image, error) {
	if height < t.Patch || width < t.Patch || height%t.Patch != 0 || width%t.Patch != 0 {
		return nil, &SizeError{height, width, t.Patch}
	}
	if len(pixels) != 3*height*width {
		panic(fmt.Sprintf("vit: %d values are not 3 x %d x %d pixels", len(pixels), height, width))
	}
	im := &Image{Height: height / t.Patch, Width: width / t.Patch, Kept: map[int]*nn.Kept{}}
	im.Tokens = t.embed(pixels, im.Height, im.Width)
	n := len(im.Tokens) / t.Width
	for _, layer := range keep {
		im.Kept[layer] = &nn.Kept{
			QKV: make([]float32, 3*n*t.Width), Attended: make([]float32, n*t.Width),
			Raised: make([]float32, n*t.Encoder.Layers[layer].Up.Out), Output: make([]float32, n*t.Width),
		}
	}
	if err := t.Encoder.ForwardKeep(ctx, im.Tokens, nn.Sequences{0, n}, im.Kept); err != nil {
		return nil, fmt.Errorf("encode image: %w", err)
	}
	im.Embedding = t.pool(im.Tokens)
	return im, nil
}

// embed returns the tokens [N, D] that enter the first block: patches by one product, the class token, and
// to each its position.
func (t *Tower) embed(pixels []float32, gh, gw int) []float32 {
	p, width := t.Patch, gw*t.Patch
	cut := make([]float32, 0, len(pixels)) // [gh·gw, 3·p²], a patch a row
	for y := range gh {
		for x := range gw {
			for channel := range 3 {
				for row := range p {
					at := (channel*gh*p+y*p+row)*width + x*p
					cut = append(cut, pixels[at:at+p]...)
				}
			}
		}
	}
	tokens := make([]float32, (Prefix+gh*gw)*t.Width)
	t.patches.Forward(tokens[Prefix*t.Width:], cut, gh*gw)
	copy(tokens, t.class)
	positions := t.positions
	if gh != t.grid || gw != t.grid {
		positions = resizePositions(positions, t.grid, gh, gw, t.Width)
	}
	for i, v := range positions {
		tokens[i] += v
	}
	return tokens
}

// pool returns the image's vector.
func (t *Tower) pool(tokens []float32) []float32 {
	d := t.Width
	read := func(token []float32) []float32 {
		t.Norm.Forward(token, 1)
		return Normalise(token)
	}
	class := func() []float32 { return read(append([]float32(nil), tokens[:d]...)) }
	mean := func() []float32 { return read(MeanToken(tokens, d)) }
	switch t.Pooling {
	case Class:
		return class()
	case Mean:
		return mean()
	}
	both := class()
	for i, v := range mean() {
		both[i] += v
	}
	return Normalise(both)
}

// MeanToken returns the mean of tokens [N, d].
func MeanToken(tokens []float32, d int) []float32 {
	sums := make([]float64, d)
	for i, v := range tokens {
		sums[i%d] += float64(v)
	}
	mean := make([]float32, d)
	for i, v := range sums {
		mean[i] = float32(v / float64(len(tokens)/d))
	}
	return mean
}

// Normalise scales x to length 1, in place, and returns it; a vector of zeros stays.
func Normalise(x []float32) []float32 {
	squares := 0.0
	for _, v := range x {
		squares += float64(v) * float64(v)
	}
	if squares > 0 {
		scale := 1 / math.Sqrt(squares)
		for i, v := range x {
			x[i] = float32(float64(v) * scale)
		}
	}
	return x
}
