package efficientqa

import "math"

// Sample is what is known of one question's best answer, and whether it was right.
type Sample struct {
	Share, Score float64
	Right        bool
}

// fitRidge keeps the weights of features that say nothing finite; on hundreds of samples it changes
// nothing that shows.
const fitRidge = 1e-3

// FitCalibration returns the calibration under which the samples are likeliest (logistic regression,
// by Newton's method). Fit it on questions that nothing was trained on.
func FitCalibration(samples []Sample) Calibration {
	const features, rounds = 3, 50
	var w [features]float64
	for range rounds {
		var gradient [features]float64
		var curvature [features][features]float64
		for _, s := range samples {
			x := [features]float64{1, logit(s.Share), s.Score}
			z := 0.0
			for i, v := range x {
				z += w[i] * v
			}
			p := 1 / (1 + math.Exp(-z))
			y := 0.0
			if s.Right {
				y = 1
			}
			for i, v := range x {
				gradient[i] += (y - p) * v
				for j, u := range x {
					curvature[i][j] += p * (1 - p) * v * u
				}
			}
		}
		for i := range w {
			gradient[i] -= fitRidge * w[i]
			curvature[i][i] += fitRidge
		}
		step := solve(curvature, gradient)
		size := 0.0
		for i, d := range step {
			d = min(4, max(-4, d))
			w[i] += d
			size = max(size, math.Abs(d))
		}
		if size < 1e-9 {
			break
		}
	}
	return Calibration{Bias: w[0], Share: w[1], Score: w[2]}
}

// solve returns x with a·x = b by elimination; a is symmetric and positive.
func solve(a [3][3]float64, b [3]float64) [3]float64 {
	const n = 3
	for i := range n {
		for row := i + 1; row < n; row++ {
			f := a[row][i] / a[i][i]
			for j := i; j < n; j++ {
				a[row][j] -= f * a[i][j]
			}
			b[row] -= f * b[i]
		}
	}
	var x [n]float64
	for i := n - 1; i >= 0; i-- {
		x[i] = b[i]
		for j := i + 1; j < n; j++ {
			x[i] -= a[i][j] * x[j]
		}
		x[i] /= a[i][i]
	}
	return x
}
