package vit

import "math"

// resizePositions returns the position table [from, d] of a grid for another grid, [to, d]: bicubic with
// antialiasing, as timm and LeGrad's reference resize it. The same grid returns the same table.
func resizePositions(table []float32, from, to [2]int, d int) []float32 {
	if from[1] != to[1] {
		table = resizeRows(table, from[1], to[1], from[0], d)
	}
	if from[0] != to[0] {
		table = resizeColumns(table, from[0], to[0], to[1]*d)
	}
	return table
}

// resizeRows resizes x [rows, from, d] to [rows, to, d].
func resizeRows(x []float32, from, to, rows, d int) []float32 {
	out := make([]float32, rows*to*d)
	for row := range rows {
		copy(out[row*to*d:], resizeColumns(x[row*from*d:][:from*d], from, to, d))
	}
	return out
}

// resizeColumns resizes x [from, d] to [to, d].
func resizeColumns(x []float32, from, to, d int) []float32 {
	out := make([]float32, to*d)
	for i := range to {
		first, weights := cubicWeights(i, from, to)
		for j, w := range weights {
			for c, v := range x[(first+j)*d:][:d] {
				out[i*d+c] += w * v
			}
		}
	}
	return out
}

// cubicWeights returns which inputs make output i, and their weights: Keys' cubic with a = -1/2, widened
// where it shrinks, centres half a pixel in (as torch's interpolate with antialias).
func cubicWeights(i, from, to int) (first int, weights []float32) {
	scale := float64(from) / float64(to)
	widened := max(scale, 1)
	support, center := 2*widened, scale*(float64(i)+0.5)
	first = max(0, int(center-support+0.5))
	last := min(from, int(center+support+0.5))
	all, sum := make([]float64, last-first), 0.0
	for j := range all {
		all[j] = cubic((float64(first+j) - center + 0.5) / widened)
		sum += all[j]
	}
	for _, w := range all {
		weights = append(weights, float32(w/sum))
	}
	return first, weights
}

// cubic is Keys' kernel (1981) with a = -1/2.
func cubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	}
	return 0
}
