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
	for name, maps := range map[string]int{"siglip_tiny": 14, "hf_siglip_tiny": 6, "coca_tiny": 1} {
		t.Run(name, func(t *testing.T) {
			a := goldentest.OpenShared(t, "..", name)
			goldentest.EachTier(t, func(t *testing.T) { comparePools(t, a, maps) })
		})
	}
}

// TestReferencePools is TestSharedPools on small models of our own, and on an image that is not square.
func TestReferencePools(t *testing.T) {
	for folder, maps := range map[string]int{
		"siglip/testdata/open": 8, "siglip/testdata/huggingface": 8, "clip/testdata/coca": 4, "clip/testdata/coca-stacked": 4,
	} {
		t.Run(folder, func(t *testing.T) {
			a := goldentest.Open(t, "../model/"+folder)
			goldentest.EachTier(t, func(t *testing.T) { comparePools(t, a, maps) })
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

// comparePools compares everything that the reference computed: so many maps.
func comparePools(t *testing.T, a *goldentest.Arrays, maps int) {
	m, err := vision.LoadWith(os.DirFS(a.Folder), vision.Options{Precision: nn.FP32})
	if err != nil {
		t.Fatal(err)
	}
	texts, all, compared := directions(t, a, "out_text_embedding"), make([]int, len(m.Encoder.Layers)), 0
	for i := range all {
		all[i] = i
	}
	compare := func(name string, got []float32, relative bool) {
		if a.Has(name) {
			a.Compare(t, name, got, 1e-4, relative)
			compared++
		}
	}
	for _, tag := range []string{"", "_g6", "_g8", "_wide"} {
		if !a.Has("in_image" + tag) {
			continue
		}
		pixels, shape := a.Floats(t, "in_image"+tag)
		size := [2]int{shape[2], shape[3]}
		layers := layerMaps(t, m.Tower, pixels, size, texts, all)
		compare("out_legrad_layers"+tag, slices.Concat(slices.Concat(layers...)...), true)
		for name, of := range map[string][]int{"last2": nil, "all": all} {
			im := encoded(t, m.Tower, pixels, size, of)
			plain, err := im.Relevance(context.Background(), texts)
			if err != nil {
				t.Fatal(err)
			}
			compare("out_heatmap_layers_"+name+tag, heatmaps(im, plain), false)
			if !im.explainer.Corrects() {
				continue
			}
			empty := directions(t, a, "out_text_embedding_empty")[0]
			corrected, err := im.CorrectedRelevance(context.Background(), texts, empty)
			if err != nil {
				t.Fatal(err)
			}
			compare("out_heatmap_corrected_layers_"+name+tag, heatmaps(im, corrected), false)
			if of != nil {
				layers := layerMaps(t, m.Tower, pixels, size, [][]float32{empty}, all)
				compare("out_legrad_layers_empty"+tag, slices.Concat(slices.Concat(layers...)...), true)
			}
		}
	}
	if compared != maps {
		t.Errorf("%d golden maps were compared, want %d", compared, maps)
	}
}

func encoded(t *testing.T, tower *vit.Tower, pixels []float32, size [2]int, layers []int) *Image {
	t.Helper()
	e, err := New(tower, Options{Layers: layers})
	if err != nil {
		t.Fatal(err)
	}
	im, err := e.Encode(context.Background(), pixels, size[0], size[1])
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func heatmaps(im *Image, maps [][]float32) (heat []float32) {
	for _, m := range maps {
		heat = append(heat, im.Heatmap(m)...)
	}
	return heat
}

// TestCorrect: cells where the empty text is strongest are blanked in every map; nothing else changes, and a flat
// map of the empty text blanks nothing.
func TestCorrect(t *testing.T) {
	maps := [][]float32{{1, 2, 3, 4}, {8, 7, 6, 5}}
	Correct(maps, []float32{10, 12, 18.1, 20}, 0.8) // 0, 0.2, 0.81, 1
	if !slices.Equal(maps[0], []float32{1, 2, 0, 0}) || !slices.Equal(maps[1], []float32{8, 7, 0, 0}) {
		t.Errorf("corrected: %v", maps)
	}
	Correct(maps, []float32{3, 3, 3, 3}, 0.8)
	if !slices.Equal(maps[0], []float32{1, 2, 0, 0}) {
		t.Errorf("corrected by a flat map: %v", maps[0])
	}
}

// TestPoolBatch: of a pool that attends, too, the company of other texts changes no bit of a map, a text without
// direction has a map of zeros, and a vector of another size is an error.
func TestPoolBatch(t *testing.T) {
	for _, folder := range []string{"siglip/testdata/open", "clip/testdata/coca"} {
		a := goldentest.Open(t, "../model/"+folder)
		m, err := vision.Load(os.DirFS(a.Folder))
		if err != nil {
			t.Fatal(err)
		}
		texts := directions(t, a, "out_text_embedding")
		pixels, shape := a.Floats(t, "in_image_wide")
		im := encoded(t, m.Tower, pixels, [2]int{shape[2], shape[3]}, nil)
		relevance := func(texts ...[]float32) [][]float32 {
			maps, err := im.Relevance(context.Background(), texts)
			if err != nil {
				t.Fatal(err)
			}
			return maps
		}
		together := relevance(texts...)
		for i, text := range texts {
			if !slices.Equal(relevance(text)[0], together[i]) {
				t.Errorf("%s: text %d has another map alone than in company", folder, i)
			}
		}
		none := im.Heatmap(relevance(make([]float32, len(texts[0])))[0])
		if slices.ContainsFunc(none, func(v float32) bool { return v != 0 }) || len(none) != shape[2]*shape[3] {
			t.Errorf("%s: a text without direction has a map", folder)
		}
		if _, err := im.Relevance(context.Background(), [][]float32{{1, 2, 3}}); err == nil {
			t.Errorf("%s: a vector of 3 values is taken for one of %d", folder, len(texts[0]))
		}
	}
}
