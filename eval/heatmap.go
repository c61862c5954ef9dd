package eval

import (
	"math"

	"evident/internal/cells"
)

// MapSide is the pixels a side at which heatmaps and masks are compared: both are squeezed to a square.
const MapSide = 224

// Heatmap is where a text is seen: one value a cell of a grid, larger where it is seen more.
type Heatmap struct {
	Height, Width int
	Values        []float32 // [Height, Width]
}

// enlarge returns the map at MapSide x MapSide, scaled to 0…1; a flat one becomes zeros.
func (h Heatmap) enlarge() []float32 {
	return cells.MinMax(cells.Spread(h.Values, h.Height, h.Width, MapSide, MapSide))
}

// centrePrior is the map of someone who does not look: everything is in the middle.
func centrePrior(height, width int) Heatmap {
	h := Heatmap{height, width, make([]float32, height*width)}
	for i := range h.Values {
		y := (float64(i/width)+0.5)/float64(height) - 0.5
		x := (float64(i%width)+0.5)/float64(width) - 0.5
		h.Values[i] = float32(1 - math.Hypot(x, y)*math.Sqrt2)
	}
	return h
}
