package picture

import (
	"fmt"
	"image"
	"math"
)

// Filter weighs the pixels around a point.
type Filter int

// The filters of Pillow. Each but Nearest grows with the reduction, so that every pixel counts.
const (
	Bicubic  Filter = iota // Keys, a = -1/2
	Bilinear               // a triangle
	Lanczos                // a sinc of three lobes
	Hamming                // a sinc of one lobe
	Box                    // the mean
	Nearest                // one pixel
)

// Resize returns the picture at another size, byte for byte as Pillow 13 on x86-64; it is im itself
// if the size is the same. It panics unless both sides are at least 1.
func (im *Image) Resize(width, height int, f Filter) *Image {
	return im.resizePart(width, height, image.Rect(0, 0, width, height), f)
}

// resizePart is Resize followed by Crop, without the work for what is cropped away: the shorter
// side of a strip of 1 × 60,000 pixels can be brought to 224.
func (im *Image) resizePart(width, height int, part image.Rectangle, f Filter) *Image {
	if width < 1 || height < 1 {
		panic(fmt.Sprintf("picture: resize to %d × %d", width, height))
	}
	across := axis{im.Width, width, part.Min.X, part.Max.X}
	down := axis{im.Height, height, part.Min.Y, part.Max.Y}
	if f == Nearest {
		return im.nearest(across, down)
	}
	// Pillow 13 goes down the columns first where that removes the most pixels. The order shows
	// in the bytes, as each pass rounds and clips.
	rows, columns := im.Height-height, im.Width-width
	if rows > 0 && rows > 2*columns {
		return im.resizeHeight(down, f).resizeWidth(across, f)
	}
	return im.resizeWidth(across, f).resizeHeight(down, f)
}

// Crop returns the pixels from (x0, y0) up to but without (x1, y1). What lies outside of the
// picture is black, as in Pillow. It panics on a crop without pixels.
func (im *Image) Crop(x0, y0, x1, y1 int) *Image {
	if x1 <= x0 || y1 <= y0 {
		panic(fmt.Sprintf("picture: crop from (%d, %d) to (%d, %d)", x0, y0, x1, y1))
	}
	out := im.blank(x1-x0, y1-y0)
	left, right := max(x0, 0), min(x1, im.Width)
	if left >= right {
		return out
	}
	for y := max(y0, 0); y < min(y1, im.Height); y++ {
		row := im.Pix[3*y*im.Width:]
		copy(out.Pix[3*((y-y0)*out.Width+left-x0):], row[3*left:3*right])
	}
	return out
}

// blank returns a black picture that is otherwise described like im.
func (im *Image) blank(width, height int) *Image {
	out := newImage(width, height)
	out.Format, out.Notes = im.Format, im.Notes
	return out
}

// precision is the number of fractional bits of a weight.
const precision = 22

// axis is a side to be resized, and the part of the result that is wanted.
type axis struct{ from, to, begin, end int }

// wanted is the length of the part that is wanted.
func (a axis) wanted() int { return a.end - a.begin }

// weights says how the values along an axis are made from those of another length.
type weights struct {
	first  []int32   // the first value that counts
	factor [][]int32 // the factors of it and of those after it, in 1/2^precision
}

// newWeights computes the weights of the wanted values. Products are rounded before they are
// added, so that no processor fuses the two.
func newWeights(a axis, f Filter) weights {
	support, weigh := f.kernel()
	scale := float64(a.from) / float64(a.to)
	stretch := max(scale, 1)
	support *= stretch
	room := int(math.Ceil(support))*2 + 1
	out := weights{make([]int32, a.wanted()), make([][]int32, a.wanted())}
	factors, raw := make([]int32, a.wanted()*room), make([]float64, room)
	for i := range a.wanted() {
		centre := float64((float64(a.begin+i) + 0.5) * scale)
		begin := max(int(centre-support+0.5), 0)
		end := min(int(centre+support+0.5), a.from)
		sum := 0.0
		raw = raw[:end-begin]
		for j := range raw {
			raw[j] = weigh(float64((float64(j+begin) - centre + 0.5) * (1 / stretch)))
			sum += raw[j]
		}
		out.first[i] = int32(begin)
		out.factor[i] = factors[i*room:][:len(raw)]
		for j, w := range raw {
			if sum != 0 {
				w /= sum
			}
			out.factor[i][j] = int32(float64(w*(1<<precision)) + math.Copysign(0.5, w))
		}
	}
	return out
}

// kernel returns how far the filter reaches and its function.
func (f Filter) kernel() (support float64, weigh func(x float64) float64) {
	switch f {
	case Bicubic:
		return 2, bicubic
	case Bilinear:
		return 1, func(x float64) float64 { return max(0, 1-math.Abs(x)) }
	case Lanczos:
		return 3, func(x float64) float64 {
			if x < -3 || x >= 3 {
				return 0
			}
			return sinc(x) * sinc(x/3)
		}
	case Hamming:
		return 1, func(x float64) float64 {
			if math.Abs(x) >= 1 {
				return 0
			}
			const a, b = float64(float32(0.54)), float64(float32(0.46)) // single precision in Pillow
			return sinc(x) * (a + float64(b*math.Cos(x*math.Pi)))
		}
	case Box:
		return 0.5, func(x float64) float64 {
			if x > -0.5 && x <= 0.5 {
				return 1
			}
			return 0
		}
	}
	panic(fmt.Sprintf("picture: there is no filter %d", f))
}

// bicubic is the convolution of Keys (1981) with a = -1/2.
func bicubic(x float64) float64 {
	x = math.Abs(x)
	switch {
	case x < 1:
		t := float64((float64(1.5*x) - 2.5) * x)
		return float64(t*x) + 1
	case x < 2:
		t := float64((x-5)*x) + 8
		return (float64(t*x) - 4) * -0.5
	}
	return 0
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// resizeWidth resizes every row.
func (im *Image) resizeWidth(a axis, f Filter) *Image {
	if a.to == a.from {
		return im.keep(a.begin, 0, a.end, im.Height)
	}
	width := a.wanted()
	out, w := im.blank(width, im.Height), newWeights(a, f)
	for y := range im.Height {
		src, dst := im.Pix[3*y*im.Width:][:3*im.Width], out.Pix[3*y*width:][:3*width]
		for x, factors := range w.factor {
			r, g, b := int32(1<<(precision-1)), int32(1<<(precision-1)), int32(1<<(precision-1))
			window := src[3*w.first[x]:]
			for _, factor := range factors {
				p := window[:3]
				r += int32(p[0]) * factor
				g += int32(p[1]) * factor
				b += int32(p[2]) * factor
				window = window[3:]
			}
			p := dst[3*x:][:3]
			p[0], p[1], p[2] = clip(r>>precision), clip(g>>precision), clip(b>>precision)
		}
	}
	return out
}

// resizeHeight resizes every column.
func (im *Image) resizeHeight(a axis, f Filter) *Image {
	if a.to == a.from {
		return im.keep(0, a.begin, im.Width, a.end)
	}
	out, w := im.blank(im.Width, a.wanted()), newWeights(a, f)
	stride := 3 * im.Width
	sums := make([]int32, stride)
	for y, factors := range w.factor {
		for i := range sums {
			sums[i] = 1 << (precision - 1)
		}
		for j, factor := range factors {
			row := im.Pix[(int(w.first[y])+j)*stride:][:len(sums)]
			for i, v := range row {
				sums[i] += int32(v) * factor
			}
		}
		row := out.Pix[y*stride:][:len(sums)]
		for i, sum := range sums {
			row[i] = clip(sum >> precision)
		}
	}
	return out
}

// keep is Crop that copies nothing if all is kept.
func (im *Image) keep(x0, y0, x1, y1 int) *Image {
	if x0 == 0 && y0 == 0 && x1 == im.Width && y1 == im.Height {
		return im
	}
	return im.Crop(x0, y0, x1, y1)
}

// nearest takes the pixel that lies at each point.
func (im *Image) nearest(across, down axis) *Image {
	if across.from == across.to && down.from == down.to {
		return im.keep(across.begin, down.begin, across.end, down.end)
	}
	out := im.blank(across.wanted(), down.wanted())
	columns := across.points()
	for y, sy := range down.points() {
		for x, sx := range columns {
			copy(out.Pix[3*(y*out.Width+x):][:3], im.Pix[3*(sy*im.Width+sx):])
		}
	}
	return out
}

// points returns the value nearest to each that is wanted. As in Pillow, they are found by
// adding up steps.
func (a axis) points() []int {
	step := float64(a.from) / float64(a.to)
	out, at := make([]int, 0, a.wanted()), step*0.5
	for i := range a.end {
		if i >= a.begin {
			out = append(out, min(int(at), a.from-1))
		}
		at += step
	}
	return out
}
