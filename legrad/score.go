package legrad

import (
	"evident/model/vit"
	"evident/nn"
)

// MeanHead is what LeGrad's score reads a mean token with: f = P·LN(z̄). It is safe for concurrent use.
type MeanHead struct {
	norm          *nn.LayerNorm
	forward, back *nn.Linear // P [E, D] and Pᵀ; nil where E is D and P the identity
}

// NewMeanHead returns the head of a model that pools tokens, whichever tokens it pools.
func NewMeanHead(pool *vit.TokenPool) *MeanHead {
	h := &MeanHead{norm: pool.Norm}
	if p := pool.Projection; p != nil {
		h.forward, h.back = p, p.Transposed()
	}
	return h
}

// MeanScore is s(z̄) = t · f/|f| with f = P·LN(z̄), at one z̄.
type MeanScore struct {
	head *MeanHead
	norm *nn.NormPoint // at z̄
	unit *nn.UnitPoint // at f
}

// At prepares the score at a mean token [D].
func (h *MeanHead) At(mean []float32) *MeanScore {
	feature, norm := h.norm.At(mean)
	if h.forward != nil {
		projected := make([]float32, h.forward.Out)
		h.forward.Forward(projected, feature, 1)
		feature = projected
	}
	return &MeanScore{head: h, norm: norm, unit: nn.UnitAt(feature)}
}

// Feature returns f/|f| [E].
func (s *MeanScore) Feature() []float64 { return s.unit.Unit() }

// size is E.
func (s *MeanScore) size() int { return len(s.unit.Unit()) }

// Gradients returns for each of several texts, vectors [T, E], ∂s/∂z_n, the same for each of n tokens
// [T, D]: LNᵀ(Pᵀ·df)/n with df = (t - f̂·(f̂·t))/|f|. It is linear in the texts.
func (s *MeanScore) Gradients(texts []float32, n int) []float32 {
	d, size := len(s.head.norm.Gain), s.size()
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

// Texts is the transpose of [MeanScore.Gradients]: of what a loss changes by with the gradients [T, D] it returns
// what it changes by with the texts [T, E]. It spoils its argument.
func (s *MeanScore) Texts(gradients []float32, n int) []float32 {
	d, size := len(s.head.norm.Gain), s.size()
	count := len(gradients) / d
	for t := range count {
		s.norm.Along(gradients[t*d:][:d])
	}
	for i := range gradients {
		gradients[i] /= float32(n)
	}
	turned := gradients
	if s.head.forward != nil {
		turned = make([]float32, count*size)
		s.head.forward.Forward(turned, gradients, count)
	}
	texts := make([]float32, count*size)
	for t := range count {
		s.unit.Back(texts[t*size:][:size], turned[t*size:][:size])
	}
	return texts
}
