// Package cells spreads a map of cells, such as a value a patch, over pixels, and scales it.
package cells

import "slices"

// Spread resizes a map [rows, columns] to [height, width]: bilinear between the centres of the cells,
// constant beyond the outermost, as torch's interpolate does with align_corners=False.
func Spread(m []float32, rows, columns, height, width int) []float32 {
	out := make([]float32, height*width)
	across := line(width, columns)
	for y, down := range line(height, rows) {
		above, below := m[down.first*columns:][:columns], m[down.second*columns:][:columns]
		row := out[y*width:][:width]
		for x, along := range across {
			a := above[along.first] + along.share*(above[along.second]-above[along.first])
			b := below[along.first] + along.share*(below[along.second]-below[along.first])
			row[x] = a + down.share*(b-a)
		}
	}
	return out
}

// blend is a pixel between two cells: first·(1-share) + second·share.
type blend struct {
	first, second int
	share         float32
}

// line places n pixels on a line of cells.
func line(n, cells int) []blend {
	pixels := make([]blend, n)
	for i := range pixels {
		at := max(0, (float64(i)+0.5)*float64(cells)/float64(n)-0.5)
		first := min(int(at), cells-1)
		pixels[i] = blend{first, min(first+1, cells-1), float32(at - float64(first))}
	}
	return pixels
}

// MinMax scales a map to 0…1, in place, and returns it. A flat map becomes zeros.
func MinMax(m []float32) []float32 {
	if len(m) == 0 {
		return m
	}
	low, high := slices.Min(m), slices.Max(m)
	for i, v := range m {
		if high > low {
			m[i] = (v - low) / (high - low)
		} else {
			m[i] = 0
		}
	}
	return m
}
