package legrad

import (
	"context"
	"fmt"
	"slices"

	"evident/model/vit"
	"evident/nn"
)

// gradCAM weighs channels by their mean gradient (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep
// Networks via Gradient-based Localization", arXiv:1610.02391) at the tokens y that enter the last block's
// attention, normalised, the layer that is customary for vision transformers (pytorch-grad-cam): behind it a
// class token model's patches have no gradient.
//
//	α_c = mean over patches of ∂s/∂y_mc        map_m = max(0, Σ_c α_c·y_mc)
type gradCAM struct{ *descent }

func newGradCAM(tower *vit.Tower, opts MethodOptions) (drawer, error) {
	if opts.Rows != PooledRows {
		return nil, fmt.Errorf("it reads no rows of attention")
	}
	d, err := newLastDescent(tower, opts)
	if err != nil {
		return nil, err
	}
	return &gradCAM{d}, nil
}

func (g *gradCAM) draw(ctx context.Context, p *pass, texts [][]float32) ([][]float32, error) {
	last, d, prefix := g.layers[0], g.tower.Width, g.tower.Prefix
	normed := slices.Clone(p.kept[last].Input)
	g.tower.Encoder.Layers[last].AttentionNorm.Forward(normed, p.n)
	maps, slope := make([][]float32, len(texts)), make([]float32, p.n*d)
	for t, text := range texts {
		err := g.blocks[last].Run(ctx, p.kept[last], g.top(p, text), nn.Gradients{Normed: slope})
		if err != nil {
			return nil, err
		}
		channels := vit.MeanToken(slope[prefix*d:], d)
		values := make([]float64, p.n)
		for m := prefix; m < p.n; m++ {
			for c, y := range normed[m*d:][:d] {
				values[m] += float64(channels[c]) * float64(y)
			}
			values[m] = max(0, values[m])
		}
		maps[t] = g.patches(values)
	}
	return maps, nil
}

// attentionCAM is Grad-CAM with the last block's attention maps as its channels, as Chefer, Gur and Wolf compare
// with it ("Transformer Interpretability Beyond Attention Visualization", arXiv:2012.09838, and its code's
// generate_cam_attn):
//
//	α_h = mean over patches of rows·∂s/∂A_h        map_m = max(0, mean_h α_h·(rows·A_h)_m)
type attentionCAM struct{ *descent }

func newAttentionCAM(tower *vit.Tower, opts MethodOptions) (drawer, error) {
	d, err := newLastDescent(tower, opts)
	if err != nil {
		return nil, err
	}
	return &attentionCAM{d}, nil
}

func (a *attentionCAM) draw(ctx context.Context, p *pass, texts [][]float32) ([][]float32, error) {
	kept, n, prefix := p.kept[a.layers[0]], p.n, a.tower.Prefix
	heads := a.tower.Encoder.Layers[a.layers[0]].Heads
	rows := a.weights(n)
	maps, slope := make([][]float32, len(texts)), make([]float32, len(kept.Weights))
	for t, text := range texts {
		err := a.blocks[a.layers[0]].Run(ctx, kept, a.top(p, text), nn.Gradients{Weights: slope})
		if err != nil {
			return nil, err
		}
		values := make([]float64, n)
		for head := range heads {
			weight := 0.0
			for _, v := range mixRows(rows, slope[head*n*n:][:n*n], n)[prefix:] {
				weight += v / float64(n-prefix)
			}
			for m, v := range mixRows(rows, kept.Weights[head*n*n:][:n*n], n) {
				values[m] += weight * v / float64(heads)
			}
		}
		for m, v := range values {
			values[m] = max(0, v)
		}
		maps[t] = a.patches(values)
	}
	return maps, nil
}
