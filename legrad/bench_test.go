package legrad

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"evident/model/vit"
	"evident/nn"
)

// randomTower is a tower with random weights, class token, and a projection.
func randomTower(width, layers, heads, patch, grid, size int, precision nn.Precision) *vit.Tower {
	rng := rand.New(rand.NewPCG(1, 2))
	values := func(n, fan int) []float32 {
		x := make([]float32, n)
		scale := 1.7 * 2 / float32(fan) // about a deviation of 1/fan² for a flat distribution
		for i := range x {
			x[i] = (rng.Float32() - 0.5) * scale
		}
		return x
	}
	root := func(n int) int { // the fan whose values keep sums of n about 1
		r := 1
		for r*r < n {
			r++
		}
		return r
	}
	linear := func(in, out int) *nn.Linear {
		return nn.NewLinear(values(out*in, root(in)), values(out, 10), in, out, precision)
	}
	norm := func() *nn.LayerNorm {
		n := &nn.LayerNorm{Gain: make([]float32, width), Bias: values(width, 10), Epsilon: 1e-5}
		for i := range n.Gain {
			n.Gain[i] = 1
		}
		return n
	}
	p := vit.Parts{
		Width: width, Patch: patch, Patches: values(width*3*patch*patch, root(3*patch*patch)), First: values(width, 1),
		Grid: [2]int{grid, grid}, Positions: values(grid*grid*width, 2), PreNorm: norm(),
	}
	for range layers {
		p.Blocks = append(p.Blocks, nn.EncoderLayer{
			Heads: heads, PreNorm: true, Activation: nn.QuickGELU, QKV: linear(width, 3*width), Out: linear(width, width),
			Up: linear(width, 4*width), Down: linear(4*width, width), AttentionNorm: norm(), FeedForwardNorm: norm(),
		})
	}
	p.Pool = &vit.TokenPool{
		Of: vit.Class, Norm: norm(), Prefix: 1, Projection: nn.NewLinear(values(size*width, root(width)), nil, width, size, nn.FP32),
	}
	return vit.New(p)
}

func randomTexts(n, size int) [][]float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	texts := make([][]float32, n)
	for i := range texts {
		texts[i] = make([]float32, size)
		for j := range texts[i] {
			texts[i][j] = float32(rng.NormFloat64())
		}
		vit.Normalise(texts[i])
	}
	return texts
}

// BenchmarkRelevance is the way back through two blocks of ViT-B/16 and of ViT-B/32, for one text and for twenty.
func BenchmarkRelevance(b *testing.B) {
	for _, patch := range []int{16, 32} {
		tower := randomTower(768, 2, 12, patch, 224/patch, 512, nn.Auto)
		e, err := New(tower, Options{})
		if err != nil {
			b.Fatal(err)
		}
		im, err := e.Encode(context.Background(), make([]float32, 3*224*224), 224, 224)
		if err != nil {
			b.Fatal(err)
		}
		for _, count := range []int{1, 20} {
			texts := randomTexts(count, 512)
			b.Run(fmt.Sprintf("patch=%d/texts=%d", patch, count), func(b *testing.B) {
				for b.Loop() {
					if _, err := im.Relevance(context.Background(), texts); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
