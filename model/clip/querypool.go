package clip

import (
	"context"
	"fmt"

	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// QueryPool is CoCa's pool (Yu et al., arXiv:2205.01917) as open_clip has it: learnt queries attend to the
// normalised tokens, and the first of them becomes the image's vector:
//
//	y = attention(LNk(X))        [E]
//	f = P·LN(y)                  [E]
//
// What the other queries see is for captions, and not made here. It implements [vit.AttentionPool] and is
// safe for concurrent use.
type QueryPool struct {
	tokenNorm *nn.LayerNorm // LNk
	attention *nn.QueryAttention
	norm      *nn.LayerNorm
	forward   *nn.Linear // P
	back      *nn.Linear // Pᵀ
}

// Size returns E.
func (p *QueryPool) Size() int { return p.forward.Out }

// Vector returns the vector of an image [E].
func (p *QueryPool) Vector(tokens []float32) []float32 {
	y := p.attention.Forward(p.normed(tokens))
	p.norm.Forward(y, 1)
	f := make([]float32, p.forward.Out)
	p.forward.Forward(f, y, 1)
	return f
}

func (p *QueryPool) normed(tokens []float32) []float32 {
	normed := append([]float32(nil), tokens...)
	p.tokenNorm.Forward(normed, len(normed)/p.attention.In)
	return normed
}

// AnswersAll implements [vit.AttentionPool]: the authors' code corrects no map of CoCa.
func (p *QueryPool) AnswersAll() bool { return false }

// At prepares LeGrad's score s = t·P·y of the pool reading a block's output. As in the authors' code y is not
// normalised, nor is the length of P·y taken out.
func (p *QueryPool) At(ctx context.Context, tokens []float32) (vit.AttentionPoint, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &queryPoint{p, p.normed(tokens)}, nil
}

type queryPoint struct {
	pool   *QueryPool
	tokens []float32 // [N, D] LNk(X)
}

// Relevance implements [vit.AttentionPoint]. The gradient ∂s/∂y = Pᵀ·t is the same for every image: what
// differs is the values.
func (p *queryPoint) Relevance(ctx context.Context, texts, relevance []float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.pool.attention.Relevance(p.tokens, p.gradients(texts), relevance)
	return ctx.Err()
}

// gradients returns ∂s/∂y [T, E].
func (p *queryPoint) gradients(texts []float32) []float32 {
	gradients := make([]float32, len(texts))
	p.pool.back.Forward(gradients, texts, len(texts)/p.pool.back.In)
	return gradients
}

// Slopes implements [vit.AttentionPoint].
func (p *queryPoint) Slopes(ctx context.Context, texts, slopes []float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.pool.attention.Slopes(p.tokens, p.gradients(texts), slopes)
	return ctx.Err()
}

// Heads implements [vit.AttentionPoint].
func (p *queryPoint) Heads() int { return p.pool.attention.Heads }

// kind is what a model is called before its size.
func (c *OpenModel) kind() string {
	if c.Vision.Attends() {
		return "CoCa "
	}
	return "CLIP "
}

// checkPool refuses a pool of sizes that are none.
func (c *OpenModel) checkPool() error {
	v := &c.Vision
	if !v.Attends() {
		return nil
	}
	if v.PoolQueries <= 0 || v.PoolHeads <= 0 || c.Size%v.PoolHeads != 0 || v.Pool != "tok" {
		return fmt.Errorf("an attentional pool of %d queries, %d heads for a size of %d and pool_type %q is not known",
			v.PoolQueries, v.PoolHeads, c.Size, v.Pool)
	}
	return nil
}

// readQueryPool reads "visual.attn_pool.", with what follows it.
func (c *OpenModel) readQueryPool(r *weights.Reader, s vit.Stack) vit.Pool {
	const at, epsilon = "visual.attn_pool.", 1e-5 // norm_kwargs are not for the pool
	d, e := s.Width, c.Size
	queries := r.Tensor(at+"query", c.Vision.PoolQueries, e)
	queryNorm := vit.ReadNorm(r, at+"ln_q", e, epsilon)
	p := &QueryPool{
		tokenNorm: vit.ReadNorm(r, at+"ln_k", d, epsilon), norm: vit.ReadNorm(r, "visual.ln_post", e, s.Epsilon),
		forward: vit.ReadTransposed(r, "visual.proj", e, e, nn.FP32),
	}
	parts := nn.QueryParts{
		In: d, Size: e, Heads: c.Vision.PoolHeads,
		Out: r.Tensor(at+"attn.out_proj.weight", e, e), OutBias: r.Tensor(at+"attn.out_proj.bias", e),
	}
	var query []float32 // Wq
	if d == e {         // then torch stacks the three
		if stacked := r.Tensor(at+"attn.in_proj_weight", 3*e, e); stacked != nil {
			query, parts.Keys, parts.Values = stacked[:e*e], stacked[e*e:2*e*e], stacked[2*e*e:]
		}
	} else {
		query = r.Tensor(at+"attn.q_proj_weight", e, e)
		parts.Keys, parts.Values = r.Tensor(at+"attn.k_proj_weight", e, d), r.Tensor(at+"attn.v_proj_weight", e, d)
	}
	bias := r.Tensor(at+"attn.in_proj_bias", 3*e)
	if r.Err() != nil {
		return nil
	}
	first := append([]float32(nil), queries[:e]...)
	queryNorm.Forward(first, 1)
	parts.Query, parts.ValuesBias = make([]float32, e), bias[2*e:]
	nn.NewLinear(query, bias[:e], e, e, nn.FP32).Forward(parts.Query, first, 1)
	p.attention, p.back = nn.NewQueryAttention(parts), p.forward.Transposed()
	return p
}
