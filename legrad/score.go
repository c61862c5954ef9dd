package legrad

import (
	"evident/model/vit"
	"evident/nn"
)

// head is what the score reads a mean token with: f = P·LN(z̄).
type head struct {
	norm          *nn.LayerNorm
	forward, back *nn.Linear // P [E, D] and Pᵀ; nil where E is D and P the identity
}

func newHead(pool *vit.TokenPool) *head {
	h := &head{norm: pool.Norm}
	if p := pool.Projection; p != nil {
		h.forward, h.back = p, p.Transposed()
	}
	return h
}

// score is s(z̄) = t · f/|f| with f = P·LN(z̄), at one z̄.
type score struct {
	head *head
	norm *nn.NormPoint // at z̄
	unit *nn.UnitPoint // at f
}

// at prepares the score at a mean token [D].
func (h *head) at(mean []float32) *score {
	feature, norm := h.norm.At(mean)
	if h.forward != nil {
		projected := make([]float32, h.forward.Out)
		h.forward.Forward(projected, feature, 1)
		feature = projected
	}
	return &score{head: h, norm: norm, unit: nn.UnitAt(feature)}
}

// gradients returns for each of several texts, vectors [T, E], ∂s/∂z_n, the same for each of n tokens
// [T, D]: LNᵀ(Pᵀ·df)/n with df = (t - f̂·(f̂·t))/|f|.
func (s *score) gradients(texts []float32, n int) []float32 {
	d := len(s.head.norm.Gain)
	size := d
	if s.head.forward != nil {
		size = s.head.forward.Out
	}
	count := len(texts) / size
	turned := make([]float32, count*size) // df
	for t := range count {
		s.unit.Back(turned[t*size:][:size], texts[t*size:][:size])
	}
	gradients := turned
	if s.head.back != nil {
		gradients = make([]float32, count*d)
		s.head.back.Forward(gradients, turned, count)
	}
	for t := range count {
		s.norm.Back(gradients[t*d:][:d])
	}
	for i := range gradients {
		gradients[i] /= float32(n)
	}
	return gradients
}
