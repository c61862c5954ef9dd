// Package vit runs vision transformers (Dosovitskiy et al., arXiv:2010.11929): images of any size and aspect
// ratio become one token a patch, and one vector. A [Tower] is put together from [Parts], which the packages
// beside this one read from the files people have; the blocks, which towers of texts share, are read here by
// one [Layout] a family of files.
//
// Shapes: N is the number of tokens, the tower's prefix and gh·gw patches; D the width of a token, E that of
// an image's vector.
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
	Prefix       int // tokens before those of the patches: class token and registers

	Encoder nn.Encoder
	Pool    Pool

	patches   *nn.Linear // [D, 3·Patch²]
	first     []float32  // [Prefix, D]
	grid      [2]int     // rows and columns of patches that the position table is for
	positions []float32  // [grid, D]
	preNorm   *nn.LayerNorm
}

// Parts is what a checkpoint has of a tower.
type Parts struct {
	Width, Patch int
	Patches      []float32     // [D, 3, Patch, Patch]
	PatchBias    []float32     // [D]; nil for none
	First        []float32     // [Prefix, D] the tokens before those of the patches, their positions added; nil for none
	Grid         [2]int        // rows and columns of patches that Positions are for
	Positions    []float32     // [Grid, D]
	PreNorm      *nn.LayerNorm // before the first block; nil for none
	Blocks       []nn.EncoderLayer
	Pool         Pool
}

// New puts a tower together. Sizes that do not fit are a mistake of the caller and panic.
func New(p Parts) *Tower {
	d := p.Width
	if d <= 0 || len(p.First)%d != 0 || len(p.Positions) != p.Grid[0]*p.Grid[1]*d {
		panic(fmt.Sprintf("vit: %d values of first tokens and %d of positions do not fit width %d and grid %v",
			len(p.First), len(p.Positions), d, p.Grid))
	}
	return &Tower{
		Width: d, Patch: p.Patch, Prefix: len(p.First) / d, Pool: p.Pool,
		Encoder: nn.Encoder{Width: d, Layers: p.Blocks},
		// Pixels keep float32: the first product decides what all others see, and is small.
		patches: nn.NewLinear(p.Patches, p.PatchBias, 3*p.Patch*p.Patch, d, nn.FP32),
		first:   p.First, grid: p.Grid, positions: p.Positions, preNorm: p.PreNorm,
	}
}

// Image is an encoded image.
type Image struct {
	Height, Width int       // of the grid, in patches
	Tokens        []float32 // [N, D] the last block's output
	Vector        []float32 // [E] as the tower gives it
	Embedding     []float32 // [E] Vector, scaled to length 1
}

// SizeError says that an image of this size cannot be cut into patches.
type SizeError struct{ Height, Width, Patch int }

func (e *SizeError) Error() string {
	return fmt.Sprintf("an image of %d x %d pixels cannot be cut into patches of %d", e.Width, e.Height, e.Patch)
}

// Size returns E, the length of an image's vector.
func (t *Tower) Size() int { return t.Pool.Size() }

// Encode runs the tower on pixels [3, height, width], normalised as the model wants them; both sides are
// multiples of Patch.
func (t *Tower) Encode(ctx context.Context, pixels []float32, height, width int) (*Image, error) {
	return t.EncodeKeep(ctx, pixels, height, width, nil)
}

// Tokens returns N for an image of so many pixels.
func (t *Tower) Tokens(height, width int) int {
	return t.Prefix + (height/t.Patch)*(width/t.Patch)
}

// EncodeKeep is Encode that leaves behind what the blocks named in keep computed of the image's N tokens.
func (t *Tower) EncodeKeep(
	ctx context.Context, pixels []float32, height, width int, keep map[int]*nn.Kept,
) (*Image, error) {
	if height < t.Patch || width < t.Patch || height%t.Patch != 0 || width%t.Patch != 0 {
		return nil, &SizeError{height, width, t.Patch}
	}
	if len(pixels) != 3*height*width {
		panic(fmt.Sprintf("vit: %d values are not 3 x %d x %d pixels", len(pixels), height, width))
	}
	im := &Image{Height: height / t.Patch, Width: width / t.Patch}
	im.Tokens = t.embed(pixels, im.Height, im.Width)
	n := len(im.Tokens) / t.Width
	if err := t.Encoder.ForwardKeep(ctx, im.Tokens, nn.Sequences{0, n}, keep); err != nil {
		return nil, fmt.Errorf("encode image: %w", err)
	}
	im.Vector = t.Pool.Vector(im.Tokens)
	im.Embedding = Normalise(append([]float32(nil), im.Vector...))
	return im, nil
}

// embed returns the tokens [N, D] that enter the first block: patches by one product, the first tokens, and
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
	n := t.Prefix + gh*gw
	tokens := make([]float32, n*t.Width)
	copy(tokens, t.first)
	patches := tokens[t.Prefix*t.Width:]
	t.patches.Forward(patches, cut, gh*gw)
	for i, v := range resizePositions(t.positions, t.grid, [2]int{gh, gw}, t.Width) {
		patches[i] += v
	}
	if t.preNorm != nil {
		t.preNorm.Forward(tokens, n)
	}
	return tokens
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
