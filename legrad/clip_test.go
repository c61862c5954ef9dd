package legrad

import (
	"context"
	"os"
	"slices"
	"testing"

	"evident/internal/goldentest"
	"evident/model/vision"
	"evident/model/vit"
	"evident/nn"
)

// TestSharedCLIP compares maps, attention and its gradient with legrad-torch's, in every tier.
func TestSharedCLIP(t *testing.T) {
	for _, name := range []string{"openclip_tiny", "hf_clip_tiny"} {
		t.Run(name, func(t *testing.T) {
			a := goldentest.OpenShared(t, "..", name)
			goldentest.EachTier(t, func(t *testing.T) { compareMaps(t, a) })
		})
	}
}

// TestReference is TestSharedCLIP on small models of our own: layer scale, other poolings, registers, classifiers,
// and images that are not square.
func TestReference(t *testing.T) {
	for _, name := range []string{"clip-open", "clip-custom", "clip-hf", "timm-token", "timm-mean"} {
		t.Run(name, func(t *testing.T) {
			a := goldentest.Open(t, "../model/vision/testdata/"+name)
			goldentest.EachTier(t, func(t *testing.T) { compareMaps(t, a) })
		})
	}
}

// compareMaps compares everything that the reference computed of a model, in float32.
func compareMaps(t *testing.T, a *goldentest.Arrays) {
	m, err := vision.LoadWith(os.DirFS(a.Folder), vision.Options{Precision: nn.FP32})
	if err != nil {
		t.Fatal(err)
	}
	values, shape := a.Floats(t, "out_text_embedding")
	var texts [][]float32
	for text := range slices.Chunk(values, shape[1]) {
		texts = append(texts, vit.Normalise(text))
	}
	all := make([]int, len(m.Encoder.Layers))
	for i := range all {
		all[i] = i
	}
	for _, size := range []string{"", "_g6", "_g8", "_wide"} {
		if !a.Has("in_image" + size) {
			continue
		}
		pixels, shape := a.Floats(t, "in_image"+size)
		layers := layerMaps(t, m.Tower, pixels, [2]int{shape[2], shape[3]}, texts, all)
		a.Compare(t, "out_legrad_layers"+size, slices.Concat(slices.Concat(layers...)...), 1e-4, true)
		grid := [2]int{shape[2] / m.Patch, shape[3] / m.Patch}
		for name, of := range map[string][]int{"out_heatmap_layers_last2": nil, "out_heatmap_layers_all": all} {
			if !a.Has(name + size) {
				continue
			}
			var heat []float32
			for _, sum := range relevance(t, m.Tower, pixels, [2]int{shape[2], shape[3]}, texts,
				Options{Layers: of, Precision: nn.FP32}) {
				heat = append(heat, Heatmap(sum, grid[0], grid[1], m.Patch)...)
			}
			a.Compare(t, name+size, heat, 1e-4, false)
		}
	}
	compareAttention(t, a, m.Tower, texts)
}

func layerMaps(
	t *testing.T, tower *vit.Tower, pixels []float32, size [2]int, texts [][]float32, layers []int,
) [][][]float32 {
	t.Helper()
	e, err := New(tower, Options{Layers: layers, Precision: nn.FP32})
	if err != nil {
		t.Fatal(err)
	}
	im, err := e.Encode(context.Background(), pixels, size[0], size[1])
	if err != nil {
		t.Fatal(err)
	}
	maps, err := im.LayerRelevance(context.Background(), texts)
	if err != nil {
		t.Fatal(err)
	}
	return maps
}

// compareAttention compares the last block's attention and the gradient there, before anything is clipped.
func compareAttention(t *testing.T, a *goldentest.Arrays, tower *vit.Tower, texts [][]float32) {
	t.Helper()
	pixels, shape := a.Floats(t, "in_image")
	last := len(tower.Encoder.Layers) - 1
	block, n, d := &tower.Encoder.Layers[last], tower.Tokens(shape[2], shape[3]), tower.Width
	kept := &nn.Kept{
		Weights: make([]float32, block.Heads*n*n), QKV: make([]float32, 3*n*d), Attended: make([]float32, n*d),
		Raised: make([]float32, n*block.Up.Out), Output: make([]float32, n*d),
	}
	ctx := context.Background()
	if _, err := tower.EncodeKeep(ctx, pixels, shape[2], shape[3], map[int]*nn.Kept{last: kept}); err != nil {
		t.Fatal(err)
	}
	a.Compare(t, "out_attn_last_layer", kept.Weights, 1e-5, false)
	back := nn.NewBlockBackward(block)
	score := NewMeanHead(tower.Pool.(*vit.TokenPool)).At(vit.MeanToken(kept.Output, d))
	_, shape = a.Floats(t, "out_attn_grad_last_layer")
	var gradients []float32
	for _, text := range texts[:shape[0]] {
		every := slices.Repeat(score.Gradients(text, n), n) // the same at each token
		gradient := make([]float32, len(kept.Weights))
		if err := back.Run(ctx, kept, every, nn.Gradients{Weights: gradient}); err != nil {
			t.Fatal(err)
		}
		gradients = append(gradients, gradient...)
	}
	a.Compare(t, "out_attn_grad_last_layer", gradients, 1e-4, true)
}
