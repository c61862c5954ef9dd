package nn

import (
	"context"

	"evident/internal/kernel"
)

// LayerNorm scales every row to mean 0 and variance 1, then by Gain, plus Bias.
type LayerNorm struct {
	Gain, Bias []float32
	Epsilon    float32
}

// Forward normalises x [m, d] in place.
func (n *LayerNorm) Forward(x []float32, m int) {
	w := newWorkspace(context.Background(), kernel.Active(), 0)
	defer w.release()
	all := matrix{f32: x, ld: len(n.Gain)}
	n.forward(w, all, all, m)
}

// forward writes src [m, d] normalised to dst, which may be src.
func (n *LayerNorm) forward(w *workspace, dst, src matrix, m int) {
	const step, flopPerValue = 16, 16
	d := len(n.Gain)
	w.do((m+step-1)/step, float64(m*d)*flopPerValue, func(_, item int) {
		row := item * step
		w.set.LayerNorm(dst.f32[row*dst.ld:], dst.ld, src.f32[row*src.ld:], src.ld,
			n.Gain, n.Bias, min(step, m-row), n.Epsilon)
	})
}
