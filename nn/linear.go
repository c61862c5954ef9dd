package nn

// Linear is y = x·Wᵀ + b.
type Linear struct {
	In, Out int
	weight  []float32
	bias    []float32
}

// NewLinear packs a weight [out, in] (PyTorch's layout) and a bias [out], which may be nil.
func NewLinear(weight, bias []float32, in, out int, _ Precision) *Linear {
	return &Linear{In: in, Out: out, weight: weight, bias: bias}
}

// Forward computes dst [m, Out] = x [m, In]·Wᵀ + b. The slices must not overlap.
func (l *Linear) Forward(dst, x []float32, m int) {
	for i := range m {
		row := x[i*l.In:][:l.In]
		for o := range l.Out {
			sum := float32(0)
			if l.bias != nil {
				sum = l.bias[o]
			}
			for k, w := range l.weight[o*l.In:][:l.In] {
				sum += w * row[k]
			}
			dst[i*l.Out+o] = sum
		}
	}
}
