// Package mask reads, makes and writes the regions of an image: PNG, COCO's run lengths and polygons, boxes,
// circles and points.
//
// A mask is binary. Coordinates are in pixels with the origin at the upper left corner of the upper left
// pixel, so pixel (x, y) covers x…x+1 and its centre is (x+½, y+½). Polygons follow COCO's own rule to the
// pixel (pycocotools); boxes, circles and points hold the pixels whose centre they hold.
//
// Input is foreign: no function reserves memory for more than [PixelsMax] pixels, whatever a file claims.
package mask

import (
	"errors"
	"fmt"
	"image"
	"slices"
)

// PixelsMax bounds the pixels of one mask, and of all masks of one file together.
const PixelsMax = 100_000_000

// ErrEmpty says that a region has no pixel in the image. Errors that wrap it say which region.
var ErrEmpty = errors.New("no pixel of it lies in the image")

// Mask is a binary picture.
type Mask struct {
	Width, Height int
	Bits          []bool // [Height, Width], true inside
}

// SizeError says that a mask cannot have this size.
type SizeError struct{ Width, Height int }

func (e *SizeError) Error() string {
	if e.Width <= 0 || e.Height <= 0 {
		return fmt.Sprintf("a mask of %d x %d pixels has no pixels", e.Width, e.Height)
	}
	return fmt.Sprintf("a mask of %d x %d pixels is too large: at most %d pixels", e.Width, e.Height, PixelsMax)
}

// MismatchError says that two masks that must be of one image have different sizes.
type MismatchError struct{ Width, Height, OtherWidth, OtherHeight int }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("masks of %d x %d and of %d x %d pixels do not belong to one image",
		e.Width, e.Height, e.OtherWidth, e.OtherHeight)
}

func checkSize(width, height int) error {
	if width <= 0 || height <= 0 || width > PixelsMax/height {
		return &SizeError{width, height}
	}
	return nil
}

// New returns a mask of which no pixel is inside.
func New(width, height int) (*Mask, error) {
	if err := checkSize(width, height); err != nil {
		return nil, err
	}
	return &Mask{width, height, make([]bool, width*height)}, nil
}

// Area is the number of pixels inside.
func (m *Mask) Area() int {
	n := 0
	for _, in := range m.Bits {
		if in {
			n++
		}
	}
	return n
}

// Empty reports whether no pixel is inside.
func (m *Mask) Empty() bool { return m.Area() == 0 }

// Full reports whether every pixel is inside.
func (m *Mask) Full() bool { return m.Area() == len(m.Bits) }

// Bounds is the smallest rectangle with all pixels inside; it is empty where the mask is.
func (m *Mask) Bounds() image.Rectangle {
	var all image.Rectangle
	for i, in := range m.Bits {
		if in {
			x, y := i%m.Width, i/m.Width
			all = all.Union(image.Rect(x, y, x+1, y+1))
		}
	}
	return all
}

// Union returns what is in any of several masks of one size.
func Union(masks ...*Mask) (*Mask, error) {
	if len(masks) == 0 {
		return nil, errors.New("the union of no masks has no size")
	}
	all, err := New(masks[0].Width, masks[0].Height)
	if err != nil {
		return nil, err
	}
	for _, m := range masks {
		if err := all.sameSize(m); err != nil {
			return nil, err
		}
		for i, in := range m.Bits {
			all.Bits[i] = all.Bits[i] || in
		}
	}
	return all, nil
}

// IoU is the area of what two masks share over the area of what either has, 0…1. Of two empty masks it
// is 0: nothing was found.
func IoU(a, b *Mask) (float64, error) {
	if err := a.sameSize(b); err != nil {
		return 0, err
	}
	shared, either := 0, 0
	for i, in := range a.Bits {
		if in && b.Bits[i] {
			shared++
		}
		if in || b.Bits[i] {
			either++
		}
	}
	if either == 0 {
		return 0, nil
	}
	return float64(shared) / float64(either), nil
}

func (m *Mask) sameSize(o *Mask) error {
	if m.Width != o.Width || m.Height != o.Height {
		return &MismatchError{m.Width, m.Height, o.Width, o.Height}
	}
	return nil
}

// Resize returns the mask at another size: each pixel takes the one that its centre falls into, as Pillow's
// NEAREST does. A thin mask can vanish; [Mask.Coverage] loses nothing.
func (m *Mask) Resize(width, height int) (*Mask, error) {
	to, err := New(width, height)
	if err != nil {
		return nil, err
	}
	columns := make([]int, width)
	for x := range columns {
		columns[x] = min(m.Width-1, int((float64(x)+0.5)*float64(m.Width)/float64(width)))
	}
	for y := range height {
		row := m.Bits[min(m.Height-1, int((float64(y)+0.5)*float64(m.Height)/float64(height)))*m.Width:]
		for x, from := range columns {
			to.Bits[y*width+x] = row[from]
		}
	}
	return to, nil
}

// Fit returns the mask at another size for a region of which something must be left: a pixel is inside where
// at least half of it is covered. Where no pixel is, of a mask that is not empty, those covered most are
// inside: a thin mask does not vanish.
func (m *Mask) Fit(width, height int) (*Mask, error) {
	if m.Width == width && m.Height == height {
		return m, nil
	}
	covered, err := m.Coverage(width, height)
	if err != nil {
		return nil, err
	}
	least := min(slices.Max(covered), 0.5)
	to := &Mask{width, height, make([]bool, width*height)}
	for i, share := range covered {
		to.Bits[i] = share > 0 && share >= least
	}
	return to, nil
}

// Coverage returns for each cell of a grid [height, width] laid over the mask which share of it is inside,
// 0…1. The mean of all cells is the share of the whole.
func (m *Mask) Coverage(width, height int) ([]float32, error) {
	if err := checkSize(width, height); err != nil {
		return nil, err
	}
	narrow := make([]float64, m.Height*width) // columns first
	for y := range m.Height {
		row := m.Bits[y*m.Width:][:m.Width]
		cover(m.Width, width, func(from, to int, share float64) {
			if row[from] {
				narrow[y*width+to] += share
			}
		})
	}
	out := make([]float64, width*height)
	cover(m.Height, height, func(from, to int, share float64) {
		for x := range width {
			out[to*width+x] += share * narrow[from*width+x]
		}
	})
	cells := make([]float32, len(out))
	for i, v := range out {
		cells[i] = float32(min(1, v))
	}
	return cells, nil
}

// cover calls f for each pair of a source cell and a target cell of one line that overlap, with the share
// of the target that the source covers.
func cover(from, to int, f func(from, to int, share float64)) {
	// In units in which the line is from·to long, a source cell is to long and a target cell from long.
	for t := range to {
		for s := t * from / to; s < from && s*to < (t+1)*from; s++ {
			overlap := min((s+1)*to, (t+1)*from) - max(s*to, t*from)
			f(s, t, float64(overlap)/float64(from))
		}
	}
}
