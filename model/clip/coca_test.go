package clip_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evident/internal/goldentest"
	"evident/model/clip"
	"evident/nn"
)

// TestCoCa compares vectors of images and texts with open_clip's, in every tier: of the shared golden model, whose
// texts are CLIP's, and of two of our own (tools/ref/siglip.py).
func TestCoCa(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *goldentest.Arrays{
		"shared": func(t *testing.T) *goldentest.Arrays { return goldentest.OpenShared(t, "../..", "coca_tiny") },
		"coca":   func(t *testing.T) *goldentest.Arrays { return goldentest.Open(t, filepath.Join("testdata", "coca")) },
		"stacked": func(t *testing.T) *goldentest.Arrays {
			return goldentest.Open(t, filepath.Join("testdata", "coca-stacked"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t)
			goldentest.EachTier(t, func(t *testing.T) {
				testCoCa(t, a, nn.FP32, 1e-4)
				testCoCa(t, a, nn.Auto, 0.1)
			})
		})
	}
}

func testCoCa(t *testing.T, a *goldentest.Arrays, precision nn.Precision, limit float64) {
	t.Helper()
	m, err := clip.LoadOpen(os.DirFS(a.Folder), clip.Options{Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(m.Name, "CoCa ") {
		t.Errorf("the model is called %q", m.Name)
	}
	ids, shape := a.Ints(t, "in_tokens")
	inputs := slices.Collect(slices.Chunk(ids, shape[1]))
	texts, err := m.Texts.(*clip.Texts).Tower.Encode(context.Background(), inputs)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []float32
	for _, text := range texts {
		vectors = append(vectors, text.Vector...)
	}
	a.Compare(t, "out_text_embedding", vectors, limit, false)
	for _, size := range []string{"", "_wide"} {
		if !a.Has("in_image" + size) {
			continue
		}
		pixels, shape := a.Floats(t, "in_image"+size)
		im, err := m.EncodeImage(context.Background(), pixels, shape[2], shape[3])
		if err != nil {
			t.Fatal(err)
		}
		a.Compare(t, "out_image_embedding"+size, im.Vector, limit, false)
	}
}
