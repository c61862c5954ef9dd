package nn

import "evident/internal/kernel"

// LayerNorm scales every row to mean 0 and variance 1, then by Gain, plus Bias.
type LayerNorm struct {
	Gain, Bias []float32
	Epsilon    float32
}

// Forward normalises x [m, d] in place.
func (n *LayerNorm) Forward(x []float32, m int) { n.forward(kernel.Active(), threads(0), x, m) }

func (n *LayerNorm) forward(set *kernel.Set, threads int, x []float32, m int) {
	const step, flopPerValue = 16, 16
	d := len(n.Gain)
	shared.do(threads, (m+step-1)/step, float64(m*d)*flopPerValue, func(_, item int) {
		row := item * step
		part := x[row*d:]
		set.LayerNorm(part, d, part, d, n.Gain, n.Bias, min(step, m-row), n.Epsilon)
	})
}
