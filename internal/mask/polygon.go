package mask

import (
	"fmt"
	"math"
)

// The polygons that COCO's rule is applied to are small drawings; these bounds keep foreign ones so.
const (
	cornerMax = 1 << 16 // pixels from the origin
	stepsMax  = 1 << 26 // of all edges together, in fifths of a pixel
)

// fine is how many steps a pixel has while an edge is followed.
const fine = 5

// Polygon returns the inside of polygons given as x, y, x, y, …, each closed by itself; what several
// cover belongs to the mask once. The rule is pycocotools': corners are rounded to fifths of a pixel, an
// edge is followed along its longer axis, and where it passes the middle of a column everything below
// changes sides. Parts outside the image are cut off. A region without a pixel is [ErrEmpty].
func Polygon(width, height int, polygons ...[]float64) (*Mask, error) {
	all, err := New(width, height)
	if err != nil {
		return nil, err
	}
	for i, p := range polygons {
		if err := all.addPolygon(p); err != nil {
			return nil, fmt.Errorf("polygon %d: %w", i, err)
		}
	}
	if all.Empty() {
		return nil, fmt.Errorf("the polygon: %w", ErrEmpty)
	}
	return all, nil
}

// point is in fifths of a pixel.
type point struct{ x, y int }

func (m *Mask) addPolygon(coordinates []float64) error {
	if len(coordinates)%2 != 0 || len(coordinates) < 6 {
		return fmt.Errorf("%d coordinates are not three corners or more", len(coordinates))
	}
	corners := make([]point, len(coordinates)/2)
	for i := range corners {
		x, y := coordinates[2*i], coordinates[2*i+1]
		if !(math.Abs(x) <= cornerMax && math.Abs(y) <= cornerMax) {
			return fmt.Errorf("corner %d at (%g, %g) is too far outside", i, x, y)
		}
		corners[i] = point{int(fine*x + 0.5), int(fine*y + 0.5)} // towards zero, as the reference's cast
	}
	// Column by column, everything from a crossing on changes sides. A crossing at the lower end of a
	// column is the upper end of the next: so does the reference count.
	turns := make([]bool, m.Width*m.Height+1)
	steps := 0
	var last point
	begun := false
	for i, from := range corners {
		to := corners[(i+1)%len(corners)]
		if steps += max(abs(to.x-from.x), abs(to.y-from.y)); steps > stepsMax {
			return fmt.Errorf("its edges are longer than %d pixels", stepsMax/fine)
		}
		follow(from, to, func(p point) {
			if begun && p.x != last.x {
				m.turn(turns, last, p)
			}
			last, begun = p, true
		})
	}
	inside := false
	for at := range m.Width * m.Height {
		inside = inside != turns[at]
		if inside {
			m.Bits[at%m.Height*m.Width+at/m.Height] = true
		}
	}
	return nil
}

// follow calls f for each step of an edge, both ends included: one a fifth of a pixel along the longer axis.
// The steps are those of the edge drawn from its lower end on that axis, so that they do not depend on
// its direction.
func follow(from, to point, f func(point)) {
	dx, dy := abs(to.x-from.x), abs(to.y-from.y)
	if dx >= dy {
		low, high := from, to
		if from.x > to.x {
			low, high = to, from
		}
		slope := float64(high.y-low.y) / float64(dx)
		for i := range dx + 1 {
			step := i
			if from.x > to.x {
				step = dx - i
			}
			y := low.y
			if dx > 0 { // else it is one point, without a slope
				y = int(float64(low.y) + slope*float64(step) + 0.5)
			}
			f(point{low.x + step, y})
		}
		return
	}
	low, high := from, to
	if from.y > to.y {
		low, high = to, from
	}
	slope := float64(high.x-low.x) / float64(dy)
	for i := range dy + 1 {
		step := i
		if from.y > to.y {
			step = dy - i
		}
		f(point{int(float64(low.x) + slope*float64(step) + 0.5), low.y + step})
	}
}

// turn notes where the step from a to b, which changes x, passes the middle of a column of the image.
func (m *Mask) turn(turns []bool, a, b point) {
	left := min(a.x, b.x)
	if b.x > a.x {
		left = b.x - 1
	}
	// The middle of column c is fine·c + fine/2, in whole fifths.
	if left < fine/2 || (left-fine/2)%fine != 0 {
		return
	}
	column := (left - fine/2) / fine
	if column >= m.Width {
		return
	}
	row := (float64(min(a.y, b.y))+0.5)/fine - 0.5
	y := int(math.Ceil(min(max(row, 0), float64(m.Height))))
	at := column*m.Height + y
	turns[at] = !turns[at]
}

func abs(x int) int {
	if x < 0 {
		return -x
	}
	return x
}
