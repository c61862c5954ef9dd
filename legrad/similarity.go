package legrad

import (
	"context"
	"fmt"
	"slices"

	"evident/model/vit"
	"evident/nn"
)

// similarity compares each patch with the text as if it were the image: the cosine of P·LN(z_m) and the text,
// z_m the last block's output at patch m.
//
// By the value path it is MaskCLIP's map (Zhou, Loy and Dai, "Extract Free Dense Labels from CLIP",
// arXiv:2112.01071): in the last block each token attends to itself alone and what is not attention is left out,
// z_m = Out·v_m. Their smoothing of keys and their refinement of prompts are not part of it.
//
// Values can be negative.
type similarity struct {
	*reading
	values bool // take the value path
}

func newSimilarity(tower *vit.Tower, opts MethodOptions) (drawer, error) {
	return newSimilarityOf(tower, opts, false)
}

func newMaskCLIP(tower *vit.Tower, opts MethodOptions) (drawer, error) {
	return newSimilarityOf(tower, opts, true)
}

func newSimilarityOf(tower *vit.Tower, opts MethodOptions, values bool) (drawer, error) {
	r, err := newReading(tower, opts, true)
	if err != nil {
		return nil, err
	}
	if opts.Rows != PooledRows {
		return nil, fmt.Errorf("it reads no rows of attention")
	}
	if err := r.needsPool(); err != nil {
		return nil, err
	}
	return &similarity{r, values}, nil
}

func (s *similarity) reads(layer int) keeps {
	return keeps{qkv: s.values && layer == s.layers[0]}
}

func (s *similarity) draw(_ context.Context, p *pass, texts [][]float32) ([][]float32, error) {
	count := p.n - s.tower.Prefix
	tokens := slices.Clone(p.tokens[s.tower.Prefix*s.tower.Width:])
	if last := s.layers[0]; s.values {
		tokens = s.valuePath(&s.tower.Encoder.Layers[last], p.kept[last].QKV, count)
	}
	s.pool.Norm.Forward(tokens, count)
	if p := s.pool.Projection; p != nil {
		projected := make([]float32, count*p.Out)
		p.Forward(projected, tokens, count)
		tokens = projected
	}
	size := s.tower.Size()
	maps := make([][]float32, len(texts))
	for t := range maps {
		maps[t] = make([]float32, count)
	}
	for m := range count {
		vector := vit.Normalise(tokens[m*size:][:size])
		for t, text := range texts {
			sum := 0.0
			for i, v := range vector {
				sum += float64(v) * float64(text[i])
			}
			maps[t][m] = float32(sum)
		}
	}
	return maps, nil
}

// valuePath returns Out·v [count, D] of the patches.
func (s *similarity) valuePath(block *nn.EncoderLayer, qkv []float32, count int) []float32 {
	d := s.tower.Width
	values := make([]float32, 0, count*d)
	for m := range count {
		values = append(values, qkv[((m+s.tower.Prefix)*3+2)*d:][:d]...)
	}
	out := make([]float32, count*d)
	block.Out.Forward(out, values, count)
	return out
}
