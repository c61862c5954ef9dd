package mask

import (
	"fmt"
	"math"
)

// Box returns the pixels whose centre lies between two corners, (x0, y0) included and (x1, y1) not. What lies
// outside the image is cut off; a box without a pixel is [ErrEmpty].
func Box(width, height int, x0, y0, x1, y1 float64) (*Mask, error) {
	m, err := New(width, height)
	if err != nil {
		return nil, err
	}
	if !(x0 < x1 && y0 < y1) { // NaN too
		return nil, fmt.Errorf("the box (%g, %g)–(%g, %g) has no area: want left, top, right, bottom",
			x0, y0, x1, y1)
	}
	for y := firstCentre(y0, height); y < firstCentre(y1, height); y++ {
		for x := firstCentre(x0, width); x < firstCentre(x1, width); x++ {
			m.Bits[y*width+x] = true
		}
	}
	if m.Empty() {
		return nil, fmt.Errorf("the box (%g, %g)–(%g, %g) in an image of %d x %d: %w",
			x0, y0, x1, y1, width, height, ErrEmpty)
	}
	return m, nil
}

// firstCentre is the first of n pixels whose centre is not before v.
func firstCentre(v float64, n int) int {
	return int(min(max(math.Ceil(v-0.5), 0), float64(n)))
}

// Circle returns the pixels whose centre is at most radius from (x, y), and the pixel that holds (x, y). What
// lies outside the image is cut off; a circle without a pixel is [ErrEmpty].
func Circle(width, height int, x, y, radius float64) (*Mask, error) {
	return Points(width, height, [][2]float64{{x, y}}, radius)
}

// Points is the union of circles of one radius around several points. It is [ErrEmpty] if one of them has no
// pixel: a point that misses the image is a mistake, also in the company of others.
func Points(width, height int, points [][2]float64, radius float64) (*Mask, error) {
	m, err := New(width, height)
	if err != nil {
		return nil, err
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("no points: %w", ErrEmpty)
	}
	if !(radius >= 0) || math.IsInf(radius, 1) {
		return nil, fmt.Errorf("the radius is %g: want pixels, 0 or more", radius)
	}
	for _, p := range points {
		if !m.addDisc(p[0], p[1], radius) {
			return nil, fmt.Errorf("the point (%g, %g) with radius %g in an image of %d x %d: %w",
				p[0], p[1], radius, width, height, ErrEmpty)
		}
	}
	return m, nil
}

// addDisc reports whether it has a pixel in the image.
func (m *Mask) addDisc(x, y, radius float64) bool {
	if math.IsNaN(x) || math.IsNaN(y) {
		return false
	}
	found := false
	for row := firstCentre(y-radius, m.Height); row < m.Height && float64(row)+0.5 <= y+radius; row++ {
		dy := float64(row) + 0.5 - y
		half := math.Sqrt(max(0, radius*radius-dy*dy))
		for column := firstCentre(x-half, m.Width); column < m.Width && float64(column)+0.5 <= x+half; column++ {
			m.Bits[row*m.Width+column] = true
			found = true
		}
	}
	if x >= 0 && y >= 0 && x < float64(m.Width) && y < float64(m.Height) {
		m.Bits[int(y)*m.Width+int(x)] = true
		found = true
	}
	return found
}
