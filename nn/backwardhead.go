package nn

import "math"

// headBackward is the way back through one head's attention. All matrices are row-major and dense.
type headBackward struct {
	n, size int // tokens, values of a head

	q, k, v []float32 // [n, size]
	mixed   []float32 // [n, size] ∂s/∂c
	shares  []float32 // [n, n] A, of kept
	slope   []float32 // [n, n] ∂s/∂A, later D
	turned  []float32 // [n, n] a transposed matrix
	product []float32 // [n, size]
}

func newHead(n, size int) *headBackward {
	room := func(m int) []float32 { return make([]float32, n*m) }
	return &headBackward{
		n: n, size: size, q: room(size), k: room(size), v: room(size), mixed: room(size),
		slope: room(n), turned: room(n), product: room(size),
	}
}

// load gathers one head from rows of all heads.
func (h *headBackward) load(kept *Kept, mixed []float32, head, heads int) {
	d := heads * h.size
	for i := range h.n {
		at := i*3*d + head*h.size
		copy(h.q[i*h.size:][:h.size], kept.QKV[at:])
		copy(h.k[i*h.size:][:h.size], kept.QKV[at+d:])
		copy(h.v[i*h.size:][:h.size], kept.QKV[at+2*d:])
		copy(h.mixed[i*h.size:][:h.size], mixed[i*d+head*h.size:])
	}
	h.shares = kept.Weights[head*h.n*h.n:][:h.n*h.n]
}

// weights computes slope = ∂s/∂A.
func (h *headBackward) weights(w *workspace) {
	product(w, h.slope, h.mixed, h.v, h.n, h.size, h.n)
}

// inputs writes this head's part of the gradients at queries, keys and values, qkv [n, 3d]. It leaves D in
// slope.
func (h *headBackward) inputs(w *workspace, qkv []float32, head, heads int) {
	n, size := h.n, h.size
	scale := 1 / math.Sqrt(float64(size))
	const step = 16
	w.do((n+step-1)/step, float64(n*n)*4, func(_, item int) {
		for i := item * step; i < min(n, (item+1)*step); i++ {
			weights, row := h.shares[i*n:][:n], h.slope[i*n:][:n]
			mean := 0.0
			for j, a := range weights {
				mean += float64(a) * float64(row[j])
			}
			for j, a := range weights {
				row[j] = float32(scale * float64(a) * (float64(row[j]) - mean))
			}
		}
	})
	put := func(part int) {
		for i := range n {
			copy(qkv[i*3*heads*size+part*heads*size+head*size:][:size], h.product[i*size:])
		}
	}
	product(w, h.product, h.slope, transposed(h.k, n, size), n, n, size)
	put(0)
	transpose(h.turned, h.slope, n, n)
	product(w, h.product, h.turned, transposed(h.q, n, size), n, n, size)
	put(1)
	transpose(h.turned, h.shares, n, n)
	product(w, h.product, h.turned, transposed(h.mixed, n, size), n, n, size)
	put(2)
}

// product computes dst [m, n] = x [m, k] · yᵀ for y [n, k].
func product(w *workspace, dst, x, y []float32, m, k, n int) {
	l := NewLinear(y, nil, k, n, FP32)
	l.multiply(w, output{matrix: matrix{f32: dst, ld: n}}, matrix{f32: x, ld: k}, m)
}
