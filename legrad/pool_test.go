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

// TestSharedPools compares maps of pools that attend with legrad-torch's, in every tier.
func TestSharedPools(t *testing.T) {
	for _, name := range []string{"siglip_tiny", "hf_siglip_tiny"} {
		t.Run(name, func(t *testing.T) {
			a := goldentest.OpenShared(t, "..", name)
			eachTier(t, func(t *testing.T) { comparePools(t, a, 4) })
		})
	}
}

// TestReferencePools is TestSharedPools on small models of our own, and on an image that is not square.
func TestReferencePools(t *testing.T) {
	for _, name := range []string{"open", "huggingface"} {
		t.Run(name, func(t *testing.T) {
			a := goldentest.Open(t, "../model/siglip/testdata/"+name)
			eachTier(t, func(t *testing.T) { comparePools(t, a, 6) })
		})
	}
}

func directions(t *testing.T, a *goldentest.Arrays, name string) (texts [][]float32) {
	t.Helper()
	values, shape := a.Floats(t, name)
	for text := range slices.Chunk(values, shape[1]) {
		texts = append(texts, vit.Normalise(text))
	}
	return texts
}

// comparePools compares everything that the reference computed of a SigLIP, at least so many maps.
func comparePools(t *testing.T, a *goldentest.Arrays, least int) {
	m, err := vision.LoadWith(os.DirFS(a.Folder), vision.Options{Precision: nn.FP32})
	if err != nil {
		t.Fatal(err)
	}
	texts, empty := directions(t, a, "out_text_embedding"), directions(t, a, "out_text_embedding_empty")[0]
	all, compared := make([]int, len(m.Encoder.Layers)), 0
	for i := range all {
		all[i] = i
	}
	compare := func(name string, got []float32, relative bool) {
		if a.Has(name) {
			a.Compare(t, name, got, 1e-4, relative)
			compared++
		}
	}
	for _, size := range []string{"", "_g6", "_g8", "_wide"} {
		if !a.Has("in_image" + size) {
			continue
		}
		pixels, shape := a.Floats(t, "in_image"+size)
		h, w := shape[2], shape[3]
		layers := layerMaps(t, m.Tower, pixels, [2]int{h, w}, texts, all)
		compare("out_legrad_layers"+size, slices.Concat(slices.Concat(layers...)...), true)
		layers = layerMaps(t, m.Tower, pixels, [2]int{h, w}, [][]float32{empty}, all)
		compare("out_legrad_layers_empty"+size, slices.Concat(slices.Concat(layers...)...), true)
		for name, of := range map[string][]int{"last2": nil, "all": all} {
			e, err := New(m.Tower, Options{Layers: of})
			if err != nil {
				t.Fatal(err)
			}
			im, err := e.Encode(context.Background(), pixels, h, w)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := im.Relevance(context.Background(), texts)
			if err != nil {
				t.Fatal(err)
			}
			corrected, err := im.CorrectedRelevance(context.Background(), texts, empty)
			if err != nil {
				t.Fatal(err)
			}
			compare("out_heatmap_layers_"+name+size, heatmaps(im, plain), false)
			compare("out_heatmap_corrected_layers_"+name+size, heatmaps(im, corrected), false)
		}
	}
	if compared < least {
		t.Errorf("only %d golden maps were compared, want %d", compared, least)
	}
}

func heatmaps(im *Image, maps [][]float32) (heat []float32) {
	for _, m := range maps {
		heat = append(heat, im.Heatmap(m)...)
	}
	return heat
}
