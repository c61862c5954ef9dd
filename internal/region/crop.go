package region

import (
	"context"
	"image"
	"math"
	"slices"

	"evident/internal/mask"
	"evident/internal/picture"
)

// whole is the picture's own vector, for every region.
func (p *Picture) whole(ctx context.Context) ([][]float32, error) {
	im, err := p.seer.model.EncodePicture(ctx, p.image)
	if err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(p.masks))
	for i := range vectors {
		vectors[i] = slices.Clone(im.Embedding)
	}
	return vectors, nil
}

// each encodes a picture that is made for each region, as the model encodes any picture.
func (p *Picture) each(ctx context.Context, of func(*mask.Mask) *picture.Image) ([][]float32, error) {
	vectors := make([][]float32, len(p.masks))
	for i, m := range p.masks {
		im, err := p.seer.model.EncodePicture(ctx, of(m))
		if err != nil {
			return nil, err
		}
		vectors[i] = im.Embedding
	}
	return vectors, nil
}

func (p *Picture) boxCrop(m *mask.Mask) *picture.Image {
	b := m.Bounds()
	return p.image.Crop(b.Min.X, b.Min.Y, b.Max.X, b.Max.Y)
}

// maskedCrop paints what lies outside of the mask in the mean colour that the model's pixels are measured from.
func (p *Picture) maskedCrop(m *mask.Mask) *picture.Image {
	b := m.Bounds()
	im := p.image.Crop(b.Min.X, b.Min.Y, b.Max.X, b.Max.Y)
	var mean [3]uint8
	for c, v := range p.seer.model.Recipe.Mean {
		mean[c] = uint8(min(max(math.Round(255*float64(v)), 0), 255))
	}
	for y := range im.Height {
		row := m.Bits[(b.Min.Y+y)*m.Width+b.Min.X:][:im.Width]
		for x, in := range row {
			if !in {
				copy(im.Pix[3*(y*im.Width+x):], mean[:])
			}
		}
	}
	return im
}

// redCircle draws a red ellipse around the mask, as Shtedritski et al. (arXiv:2304.06712) mark what they ask for:
// the ellipse that the mask's box contains, its line a hundredth of the picture's shorter side wide.
func (p *Picture) redCircle(m *mask.Mask) *picture.Image {
	im := *p.image
	im.Pix = slices.Clone(im.Pix)
	b := m.Bounds()
	thick := math.Max(2, float64(min(im.Width, im.Height))/100)
	centre := [2]float64{float64(b.Min.X+b.Max.X) / 2, float64(b.Min.Y+b.Max.Y) / 2}
	half := [2]float64{float64(b.Dx()) / 2, float64(b.Dy()) / 2}
	// A pixel is on the line if the ellipse with axes half passes between it and one that is thick larger.
	inside := func(x, y int, grown float64) bool {
		dx := (float64(x) + 0.5 - centre[0]) / (half[0] + grown)
		dy := (float64(y) + 0.5 - centre[1]) / (half[1] + grown)
		return dx*dx+dy*dy <= 1
	}
	reach := int(thick) + 1
	area := b.Inset(-reach).Intersect(image.Rect(0, 0, im.Width, im.Height))
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			if inside(x, y, thick) && !inside(x, y, 0) {
				copy(im.Pix[3*(y*im.Width+x):], []uint8{255, 0, 0})
			}
		}
	}
	return &im
}

// surroundings is the square around a mask's box, a quarter of its longer side added on each side, moved into the
// picture and cut to it: what is enlarged for [CropPatches].
func surroundings(m *mask.Mask) image.Rectangle {
	b := m.Bounds()
	side := max(b.Dx(), b.Dy()) * 3 / 2
	fit := func(from, to, limit int) (int, int) {
		length := min(max(side, to-from), limit)
		start := (from + to - length) / 2
		start = min(max(start, 0), limit-length)
		return start, start + length
	}
	x0, x1 := fit(b.Min.X, b.Max.X, m.Width)
	y0, y1 := fit(b.Min.Y, b.Max.Y, m.Height)
	return image.Rect(x0, y0, x1, y1)
}

// cut returns the part of a mask inside a rectangle.
func cut(m *mask.Mask, r image.Rectangle) *mask.Mask {
	out := &mask.Mask{Width: r.Dx(), Height: r.Dy()}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		out.Bits = append(out.Bits, m.Bits[y*m.Width+r.Min.X:][:r.Dx()]...)
	}
	return out
}
