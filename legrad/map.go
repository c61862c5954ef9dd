package legrad

import "evident/internal/cells"

// Heatmap makes of a relevance map [height, width] of patches one of pixels [height·patch, width·patch]:
// resized as the reference does, then scaled to 0…1. Layers are added before: resizing is linear.
func Heatmap(m []float32, height, width, patch int) []float32 {
	return MinMax(Upsample(m, height, width, patch))
}

// Upsample resizes a map [height, width] by a whole factor, bilinearly: the centre of a cell is that of
// its factor² pixels, and beyond the outermost centres the edge goes on.
func Upsample(m []float32, height, width, factor int) []float32 {
	return cells.Spread(m, height, width, height*factor, width*factor)
}

// MinMax scales a map to 0…1, in place, and returns it. A flat map becomes zeros.
func MinMax(m []float32) []float32 { return cells.MinMax(m) }
