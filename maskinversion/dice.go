package maskinversion

import (
	"errors"
	"fmt"
)

// target is a mask as the loss sees it: all of it in cells, for a map of pixels is linear in its cells but for two
// numbers, its least and its largest.
type target struct {
	grid         *grid
	inside       []float64 // Wᵀ·Y [cells]
	all          []float64 // Wᵀ·1 [cells]
	area, pixels float64   // ΣY and the number of pixels
}

var errNoSize = errors.New("it has no pixels")

// newTarget checks a mask and carries it to a grid.
func newTarget(g *grid, m Mask) (*target, error) {
	if m.Width <= 0 || m.Height <= 0 {
		return nil, errNoSize
	}
	if m.Width > len(m.Values) || m.Width*m.Height != len(m.Values) {
		return nil, fmt.Errorf("%d values are not %d x %d pixels", len(m.Values), m.Width, m.Height)
	}
	area := 0.0
	for i, v := range m.Values {
		if !(v >= 0 && v <= 1) {
			return nil, fmt.Errorf("pixel %d, %d is %g: values are 0 to 1", i%m.Width, i/m.Width, v)
		}
		area += float64(v)
	}
	if area == 0 {
		return nil, ErrEmpty
	}
	return &target{
		grid: g, inside: g.gather(m.Values, m.Height, m.Width), all: g.whole(m.Height, m.Width),
		area: area, pixels: float64(len(m.Values)),
	}, nil
}

// dice returns the overlap of mask and map, and in slope ∂(1 - overlap)/∂cells. With S the map of pixels, resized
// to the mask, X = (S - low)/(high - low) and Y the mask, it is (2·ΣXY + 1)/(ΣX + ΣY + 1):
//
//	∂(1 - dice)/∂X = num/den² - 2·Y/den
//
// goes back through the resizing and the scaling, of which the least and the largest pixel have a part of their
// own: ΣdX·(S - high)/(high - low)² and -ΣdX·(S - low)/(high - low)². A flat map is zeros, and moves nothing.
func (t *target) dice(cells []float32, slope []float64) float64 {
	clear(slope)
	low, high := t.grid.extremes(cells)
	height := high.value - low.value
	if !(height > 0) {
		return 1 / (t.area + 1)
	}
	whole, inside := 0.0, 0.0 // ΣS and ΣSY
	for i, v := range cells {
		whole += t.all[i] * float64(v)
		inside += t.inside[i] * float64(v)
	}
	sum := (whole - low.value*t.pixels) / height
	shared := (inside - low.value*t.area) / height
	num, den := 2*shared+1, sum+t.area+1
	a, b := num/(den*den), 2/den // dX = a - b·Y
	for i := range slope {
		slope[i] = (a*t.all[i] - b*t.inside[i]) / height
	}
	alone := a*t.pixels - b*t.area // ΣdX
	with := a*whole - b*inside     // ΣdX·S
	t.grid.add(slope, low, (with-high.value*alone)/(height*height))
	t.grid.add(slope, high, -(with-low.value*alone)/(height*height))
	return num / den
}
