package legrad

import "slices"

// Heatmap makes of a relevance map [height, width] of patches one of pixels [height·patch, width·patch]:
// resized as the reference does, then scaled to 0…1. Layers are added before: resizing is linear.
func Heatmap(m []float32, height, width, patch int) []float32 {
	return MinMax(Upsample(m, height, width, patch))
}

// Upsample resizes a map [height, width] by a whole factor, bilinearly: the centre of a cell is that of
// its factor² pixels, and beyond the outermost centres the edge goes on.
func Upsample(m []float32, height, width, factor int) []float32 {
	wide := make([]float32, height*width*factor) // rows resized
	for y := range height {
		for x := range width * factor {
			left, right, t := between(x, width, factor)
			row := m[y*width:][:width]
			wide[y*width*factor+x] = row[left]*(1-t) + row[right]*t
		}
	}
	columns := width * factor
	out := make([]float32, height*factor*columns)
	for y := range height * factor {
		above, below, t := between(y, height, factor)
		upper, lower := wide[above*columns:][:columns], wide[below*columns:][:columns]
		for x := range columns {
			out[y*columns+x] = upper[x]*(1-t) + lower[x]*t
		}
	}
	return out
}

// between returns the two of n cells whose centres output i lies between, and how far it is from the first.
func between(i, n, factor int) (low, high int, t float32) {
	at := max(0, (float32(i)+0.5)/float32(factor)-0.5)
	low = min(int(at), n-1)
	return low, min(low+1, n-1), at - float32(low)
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
