package picture

import (
	"fmt"
	"image"
	"math"
)

// Mode is how a picture is fitted to a model's size.
type Mode int

const (
	// Squash resizes to the size whatever the aspect: LeGrad's LePreprocess, SigLIP, CLIPA.
	Squash Mode = iota
	// ShortestCrop resizes the shorter side and cuts out the centre, rounding the offset half to
	// even: torchvision's Resize and CenterCrop, and so open_clip and timm.
	ShortestCrop
	// ShortestCropFloor is ShortestCrop with the offset rounded down: Hugging Face's processors.
	ShortestCropFloor
)

// Mean and standard deviation of the channels, as models were trained with them.
var (
	CLIPMean     = [3]float32{0.48145466, 0.4578275, 0.40821073}
	CLIPStd      = [3]float32{0.26862954, 0.26130258, 0.27577711}
	ImageNetMean = [3]float32{0.485, 0.456, 0.406}
	ImageNetStd  = [3]float32{0.229, 0.224, 0.225}
	HalfMean     = [3]float32{0.5, 0.5, 0.5} // SigLIP: -1 to 1; the deviation is the same
)

// Recipe is the preprocessing of a model.
type Recipe struct {
	Size   [2]int // width and height of the result
	Mode   Mode
	Filter Filter
	Mean   [3]float32 // of red, green, blue in 0 to 1, subtracted
	Std    [3]float32 // divided by, after that
	// Shortest is what the shorter side is resized to before the crop, for models that see less
	// than the whole of it; 0 means as little as the crop needs. Not for Squash.
	Shortest int
}

// Apply returns the picture as the model takes it: [3, height, width], normalised. It panics on
// a recipe without a size, or whose crop is larger than Shortest.
func (r Recipe) Apply(im *Image) []float32 {
	im = r.Fit(im)
	out := make([]float32, len(im.Pix))
	for c := range 3 {
		var value [256]float32
		for v := range value {
			value[v] = (float32(v)/255 - r.Mean[c]) / r.Std[c]
		}
		plane := out[c*len(out)/3:][:len(out)/3]
		for i := range plane {
			plane[i] = value[im.Pix[3*i+c]]
		}
	}
	return out
}

// Fit returns the picture resized and cut as Apply does, not yet normalised: what the model
// looks at.
func (r Recipe) Fit(im *Image) *Image {
	width, height := r.Size[0], r.Size[1]
	if width < 1 || height < 1 || r.Shortest != 0 && r.Shortest < max(width, height) {
		panic(fmt.Sprintf("picture: crop to %v after resizing to %d", r.Size, r.Shortest))
	}
	if r.Mode == Squash {
		return im.Resize(width, height, r.Filter)
	}
	whole := r.resized(im)
	offset := func(side, crop int) int {
		if r.Mode == ShortestCrop {
			return int(math.RoundToEven(float64(side-crop) / 2))
		}
		return (side - crop) / 2
	}
	x, y := offset(whole.X, width), offset(whole.Y, height)
	return im.resizePart(whole.X, whole.Y, image.Rect(x, y, x+width, y+height), r.Filter)
}

// resized returns the size of the picture before the crop.
func (r Recipe) resized(im *Image) image.Point {
	if r.Shortest == 0 && r.Size[0] != r.Size[1] && r.Mode == ShortestCrop {
		// open_clip's ResizeKeepRatio: one side fits, the other covers, both rounded.
		ratio := min(float64(im.Width)/float64(r.Size[0]), float64(im.Height)/float64(r.Size[1]))
		fit := func(side int) int { return int(math.RoundToEven(float64(side) / ratio)) }
		return image.Pt(fit(im.Width), fit(im.Height))
	}
	shortest := r.Shortest
	if shortest == 0 {
		shortest = max(r.Size[0], r.Size[1])
	}
	if im.Width <= im.Height {
		return image.Pt(shortest, shortest*im.Height/im.Width)
	}
	return image.Pt(shortest*im.Width/im.Height, shortest)
}
