package siglip

import (
	"context"
	"fmt"
	"sync"

	"evident/model/vit"
	"evident/nn"
)

// Pool is SigLIP's attention pool: one learnt query attends to all tokens, and a feed-forward block follows
// (timm's AttentionPoolLatent, Hugging Face's SiglipMultiheadAttentionPoolingHead):
//
//	y = attention(tokens)        [D]
//	e = y + Down(act(Up(LN(y))))
//
// It implements [vit.AttentionPool] and is safe for concurrent use.
type Pool struct {
	tokenNorm  *nn.LayerNorm // the tower's last, before the attention
	attention  *nn.QueryAttention
	norm       *nn.LayerNorm
	up, down   *nn.Linear // [F, D], [D, F]
	activation nn.Activation

	back sync.Once // makes the way back, which only maps need
	// Downᵀ [F, D] and Upᵀ [D, F].
	raise, lower *nn.Linear
}

// Size returns D: SigLIP's vectors are as wide as its tokens.
func (p *Pool) Size() int { return p.attention.Size }

// Vector returns the vector of an image [D].
func (p *Pool) Vector(tokens []float32) []float32 {
	normed := append([]float32(nil), tokens...)
	p.tokenNorm.Forward(normed, len(normed)/p.attention.In)
	return p.at(normed).vector
}

// AnswersAll implements [vit.AttentionPool]: SigLIP's pool puts much of its attention on a few patches.
func (p *Pool) AnswersAll() bool { return true }

// Point is where an image stands in the pool when it reads one layer.
type Point struct {
	pool   *Pool
	tokens []float32     // [N, D]
	slope  []float32     // [F] act'(h)
	norm   *nn.NormPoint // at y
	vector []float32     // [D] e
	unit   *nn.UnitPoint // at e
}

// at runs the pool on tokens that enter attention.
func (p *Pool) at(tokens []float32) *Point {
	y := p.attention.Forward(tokens)
	point := &Point{pool: p, tokens: tokens, slope: make([]float32, p.up.Out), vector: make([]float32, p.down.Out)}
	raised := make([]float32, p.up.Out)
	var normed []float32
	normed, point.norm = p.norm.At(y)
	p.up.Forward(raised, normed, 1)
	copy(point.slope, raised)
	p.activation.Slope(point.slope)
	p.activation.Apply(raised)
	p.down.Forward(point.vector, raised, 1)
	for i, v := range y {
		point.vector[i] += v
	}
	point.unit = nn.UnitAt(point.vector)
	return point
}

// At prepares LeGrad's score s = t·e/|e| of the pool reading a block's output. As in the authors' code, that
// output is not normalised, though the model itself normalises what its pool reads.
func (p *Pool) At(ctx context.Context, tokens []float32) (vit.AttentionPoint, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.back.Do(func() {
		p.raise, p.lower = p.down.Transposed(), p.up.Transposed()
	})
	return p.at(tokens), nil
}

// Relevance implements [vit.AttentionPoint].
func (p *Point) Relevance(ctx context.Context, texts, relevance []float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.pool.attention.Relevance(p.tokens, p.gradients(texts), relevance)
	return ctx.Err()
}

// Slopes implements [vit.AttentionPoint].
func (p *Point) Slopes(ctx context.Context, texts, slopes []float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.pool.attention.Slopes(p.tokens, p.gradients(texts), slopes)
	return ctx.Err()
}

// Heads implements [vit.AttentionPoint].
func (p *Point) Heads() int { return p.pool.attention.Heads }

// gradients returns ∂s/∂y [T, D] for texts [T, D]:
//
//	∂s/∂e = (t - ê·(ê·t))/|e|
//	∂s/∂y = ∂s/∂e + LNᵀ(Upᵀ·(act'(h) ∘ Downᵀ·∂s/∂e))
func (p *Point) gradients(texts []float32) []float32 {
	d, wide := len(p.vector), len(p.slope)
	if len(texts)%d != 0 {
		panic(fmt.Sprintf("siglip: %d values are not vectors of %d", len(texts), d))
	}
	count := len(texts) / d
	turned := make([]float32, count*d) // ∂s/∂e
	for t := range count {
		p.unit.Back(turned[t*d:][:d], texts[t*d:][:d])
	}
	raised, lowered := make([]float32, count*wide), make([]float32, count*d)
	p.pool.raise.Forward(raised, turned, count)
	for i := range raised {
		raised[i] *= p.slope[i%wide]
	}
	p.pool.lower.Forward(lowered, raised, count)
	for t := range count {
		p.norm.Back(lowered[t*d:][:d])
	}
	for i, v := range lowered {
		turned[i] += v
	}
	return turned
}
