package picture

import (
	"fmt"
	"image"
	"image/color"
)

// flatten copies what a decoder returned into RGB, as Pillow's convert("RGB") does: transparency is
// dropped, and of 16 bits the upper eight are kept.
func flatten(img image.Image) (*Image, error) {
	if p, ok := img.(*image.Paletted); ok {
		return painted(p), nil
	}
	b := img.Bounds()
	out := newImage(b.Dx(), b.Dy())
	for y := range out.Height {
		row := out.Pix[3*out.Width*y:][:3*out.Width]
		switch m := img.(type) {
		case *image.Gray:
			grey(row, m.Pix[y*m.Stride:], 1)
		case *image.Gray16:
			grey(row, m.Pix[y*m.Stride:], 2)
		case *image.NRGBA:
			colour(row, m.Pix[y*m.Stride:], 1)
		case *image.NRGBA64:
			colour(row, m.Pix[y*m.Stride:], 2)
		case *image.RGBA:
			unmultiplied(row, m.Pix[y*m.Stride:], 1)
		case *image.RGBA64:
			unmultiplied(row, m.Pix[y*m.Stride:], 2)
		default:
			return nil, fmt.Errorf("the decoder returned %T, which is not expected", img)
		}
	}
	return out, nil
}

// painted looks up the colours of a picture that has a palette, whose alpha is ignored.
func painted(p *image.Paletted) *Image {
	var rgb [256][3]uint8
	for i, c := range p.Palette {
		switch c := c.(type) {
		case color.NRGBA:
			rgb[i] = [3]uint8{c.R, c.G, c.B}
		case color.RGBA:
			rgb[i] = [3]uint8{c.R, c.G, c.B}
		case color.RGBA64:
			rgb[i] = [3]uint8{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8)}
		}
	}
	out := newImage(p.Rect.Dx(), p.Rect.Dy())
	for y := range out.Height {
		for x, index := range p.Pix[y*p.Stride:][:out.Width] {
			copy(out.Pix[3*(y*out.Width+x):], rgb[index][:])
		}
	}
	return out
}

// grey spreads values of size bytes, the upper first, to three channels.
func grey(row, src []uint8, size int) {
	for i := 0; i < len(row); i += 3 {
		v := src[i/3*size]
		row[i], row[i+1], row[i+2] = v, v, v
	}
}

// colour takes the first three of four values of size bytes, the upper first.
func colour(row, src []uint8, size int) {
	for i := 0; i < len(row); i += 3 {
		p := src[i/3*4*size:][:4*size]
		row[i], row[i+1], row[i+2] = p[0], p[size], p[2*size]
	}
}

// unmultiplied is colour for values that were multiplied by their alpha. The division is
// Pillow's: of the upper bytes, rounded down.
func unmultiplied(row, src []uint8, size int) {
	colour(row, src, size)
	for i := 0; i < len(row); i += 3 {
		alpha := int(src[(i/3*4+3)*size])
		if alpha == 255 {
			continue
		}
		for c := range 3 {
			v := 0
			if alpha > 0 {
				v = min(255, int(row[i+c])*255/alpha)
			}
			row[i+c] = uint8(v)
		}
	}
}

// inks prints one pixel of cyan, magenta, yellow and black, 255 being full ink, as Pillow does.
func inks(rgb []uint8, c, m, y, k uint8) {
	paper := int(255 - k)
	for i, ink := range [3]uint8{c, m, y} {
		t := int(ink)*paper + 128
		rgb[i] = uint8(paper - (t>>8+t)>>8)
	}
}
