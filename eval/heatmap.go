package eval

import "math"

// MapSide is the pixels a side at which heatmaps and masks are compared: both are squeezed to a square.
const MapSide = 224

// Heatmap is where a text is seen: one value a cell of a grid, larger where it is seen more.
type Heatmap struct {
	Height, Width int
	Values        []float32 // [Height, Width]
}

// enlarge returns the map at MapSide x MapSide, scaled to 0…1; a flat one becomes zeros. Between the cells'
// centres it is bilinear, beyond the outermost it is constant (as torch's interpolate does it).
func (h Heatmap) enlarge() []float32 {
	out := make([]float32, MapSide*MapSide)
	columns := bilinear(h.Width)
	for y, down := range bilinear(h.Height) {
		upper, lower := h.Values[down.first*h.Width:][:h.Width], h.Values[down.second*h.Width:][:h.Width]
		for x, along := range columns {
			above := upper[along.first] + along.share*(upper[along.second]-upper[along.first])
			below := lower[along.first] + along.share*(lower[along.second]-lower[along.first])
			out[y*MapSide+x] = above + down.share*(below-above)
		}
	}
	low, high := out[0], out[0]
	for _, v := range out {
		low, high = min(low, v), max(high, v)
	}
	for i, v := range out {
		if high > low {
			out[i] = (v - low) / (high - low)
		} else {
			out[i] = 0
		}
	}
	return out
}

// blend is a pixel between two cells: first·(1-share) + second·share.
type blend struct {
	first, second int
	share         float32
}

// bilinear places MapSide pixels on a line of n cells.
func bilinear(n int) []blend {
	line := make([]blend, MapSide)
	for i := range line {
		at := max(0, (float64(i)+0.5)*float64(n)/MapSide-0.5)
		first := min(int(at), n-1)
		line[i] = blend{first, min(first+1, n-1), float32(at - float64(first))}
	}
	return line
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
