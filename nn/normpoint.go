package nn

import "fmt"

// NormPoint is where one row stands in a LayerNorm: what the way back through it depends on.
type NormPoint struct {
	gain   []float32
	normed []float64 // x̂, the row with mean 0 and variance 1
	scale  float64   // r, one over its deviation
}

// At returns the row x [d] normalised, and the way back from there.
func (n *LayerNorm) At(x []float32) ([]float32, *NormPoint) {
	d := len(n.Gain)
	if len(x) != d {
		panic(fmt.Sprintf("nn: a row of %d values is normalised by a norm of %d", len(x), d))
	}
	p := &NormPoint{gain: n.Gain, normed: make([]float64, d)}
	p.scale = standardise(p.normed, x, n.Epsilon)
	out := make([]float32, d)
	for i, v := range p.normed {
		out[i] = float32(float64(n.Gain[i])*v + float64(n.Bias[i]))
	}
	return out, p
}

// Back takes a gradient y at the norm's output back to its input, in place:
//
//	LNᵀ(y) = r·(γy - mean(γy) - x̂·mean(γy·x̂))
func (p *NormPoint) Back(y []float32) {
	mean, tilt := 0.0, 0.0
	for i, v := range y {
		scaled := float64(p.gain[i]) * float64(v)
		mean += scaled
		tilt += scaled * p.normed[i]
	}
	mean, tilt = mean/float64(len(y)), tilt/float64(len(y))
	for i, v := range y {
		y[i] = float32(p.scale * (float64(p.gain[i])*float64(v) - mean - p.normed[i]*tilt))
	}
}

// Along takes a small change v of the norm's input to that of its output, in place; it is the transpose of Back:
//
//	LNᴶ(v) = γ·r·(v - mean(v) - x̂·mean(v·x̂))
func (p *NormPoint) Along(v []float32) {
	mean, tilt := 0.0, 0.0
	for i, x := range v {
		mean += float64(x)
		tilt += float64(x) * p.normed[i]
	}
	mean, tilt = mean/float64(len(v)), tilt/float64(len(v))
	for i, x := range v {
		v[i] = float32(float64(p.gain[i]) * p.scale * (float64(x) - mean - p.normed[i]*tilt))
	}
}
