package legrad

import (
	"math"

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
		weight := p.Weight()
		transposed := make([]float32, len(weight))
		for o := range p.Out {
			for i := range p.In {
				transposed[i*p.Out+o] = weight[o*p.In+i]
			}
		}
		h.forward, h.back = p, nn.NewLinear(transposed, nil, p.Out, p.In, nn.FP32)
	}
	return h
}

// score is s(z̄) = t · f/|f| with f = P·LN(z̄), at one z̄.
type score struct {
	head   *head
	normed []float64 // [D] x̂, z̄ normalised
	scale  float64   // r, one over the deviation
	unit   []float64 // [E] f/|f|
	length float64   // |f|
}

// at prepares the score at a mean token [D].
func (h *head) at(mean []float32) *score {
	d := float64(len(mean))
	s := &score{head: h, normed: make([]float64, len(mean))}
	sum, squares := 0.0, 0.0
	for _, v := range mean {
		sum += float64(v)
	}
	for _, v := range mean {
		squares += (float64(v) - sum/d) * (float64(v) - sum/d)
	}
	s.scale = 1 / math.Sqrt(squares/d+float64(h.norm.Epsilon))
	feature := make([]float32, len(mean)) // LN(z̄), then f
	for i, v := range mean {
		s.normed[i] = (float64(v) - sum/d) * s.scale
		feature[i] = float32(float64(h.norm.Gain[i])*s.normed[i] + float64(h.norm.Bias[i]))
	}
	if h.forward != nil {
		projected := make([]float32, h.forward.Out)
		h.forward.Forward(projected, feature, 1)
		feature = projected
	}
	squares = 0
	for _, v := range feature {
		squares += float64(v) * float64(v)
	}
	s.unit, s.length = make([]float64, len(feature)), math.Sqrt(squares)
	for i, v := range feature {
		s.unit[i] = float64(v) / s.length
	}
	return s
}

// gradients returns for each of several texts, vectors [T, E], ∂s/∂z_n, the same for each of n tokens
// [T, D]: LNᵀ(Pᵀ·df)/n with df = (t - f̂·(f̂·t))/|f| and LNᵀ(y) = r·(γy - mean(γy) - x̂·mean(γy·x̂)).
func (s *score) gradients(texts []float32, n int) []float32 {
	size, d := len(s.unit), len(s.normed)
	count := len(texts) / size
	if s.length == 0 { // nothing to turn: every direction is as good
		return make([]float32, count*d)
	}
	turned := make([]float32, count*size) // df
	for t := range count {
		s.turn(turned[t*size:][:size], texts[t*size:][:size])
	}
	gradients := turned
	if s.head.back != nil {
		gradients = make([]float32, count*d)
		s.head.back.Forward(gradients, turned, count)
	}
	for t := range count {
		s.unnorm(gradients[t*d:][:d], n)
	}
	return gradients
}

// turn writes df, the part of a text that turns f.
func (s *score) turn(dst, text []float32) {
	along := 0.0
	for i, u := range s.unit {
		along += u * float64(text[i])
	}
	for i, u := range s.unit {
		dst[i] = float32((float64(text[i]) - u*along) / s.length)
	}
}

// unnorm takes y back through the LayerNorm and the mean over n tokens, in place.
func (s *score) unnorm(y []float32, n int) {
	mean, tilt := 0.0, 0.0
	for i, v := range y {
		scaled := float64(s.head.norm.Gain[i]) * float64(v)
		mean += scaled
		tilt += scaled * s.normed[i]
	}
	mean, tilt = mean/float64(len(y)), tilt/float64(len(y))
	for i, v := range y {
		scaled := float64(s.head.norm.Gain[i]) * float64(v)
		y[i] = float32(s.scale * (scaled - mean - s.normed[i]*tilt) / float64(n))
	}
}
