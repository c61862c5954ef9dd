package maskinversion

import "math"

// adam is AdamW (Loshchilov and Hutter, arXiv:1711.05101) on one vector, as torch has it, in float64.
type adam struct {
	rate, decay  float64
	mean, square []float64 // of gradients, moving
	steps        int
}

func newAdam(rate, decay float64, n int) *adam {
	return &adam{rate: rate, decay: decay, mean: make([]float64, n), square: make([]float64, n)}
}

// move takes a step from x down the gradient, in place.
func (a *adam) move(x, gradient []float64) {
	const keepMean, keepSquare, epsilon = 0.9, 0.999, 1e-8
	a.steps++
	whole := 1 - math.Pow(keepMean, float64(a.steps))
	deviation := math.Sqrt(1 - math.Pow(keepSquare, float64(a.steps)))
	for i, g := range gradient {
		a.mean[i] += (1 - keepMean) * (g - a.mean[i])
		a.square[i] = keepSquare*a.square[i] + (1-keepSquare)*g*g
		x[i] -= a.rate * a.decay * x[i]
		x[i] -= a.rate / whole * a.mean[i] / (math.Sqrt(a.square[i])/deviation + epsilon)
	}
}
