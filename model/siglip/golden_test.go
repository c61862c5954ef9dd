package siglip_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"evident/internal/goldentest"
	"evident/model/siglip"
	"evident/model/vision"
	"evident/model/vit"
	"evident/nn"
)

func load(t testing.TB, folder string, precision nn.Precision) *vit.Model {
	t.Helper()
	m, err := vision.LoadWith(os.DirFS(folder), vision.Options{Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func vectors(texts []vit.Text) (joined []float32) {
	for _, text := range texts {
		joined = append(joined, text.Vector...)
	}
	return joined
}

// TestSharedGolden compares vectors of both layouts with those of open_clip and transformers.
func TestSharedGolden(t *testing.T) {
	for _, name := range []string{"siglip_tiny", "hf_siglip_tiny"} {
		t.Run(name, func(t *testing.T) {
			a := goldentest.OpenShared(t, "../..", name)
			goldentest.EachTier(t, func(t *testing.T) {
				m := load(t, a.Folder, nn.FP32)
				for in, out := range map[string]string{
					"in_tokens": "out_text_embedding", "in_tokens_empty": "out_text_embedding_empty",
				} {
					ids, shape := a.Ints(t, in)
					inputs := slices.Collect(slices.Chunk(ids, shape[1]))
					texts, err := m.Texts.(*siglip.Texts).Tower.Encode(context.Background(), inputs)
					if err != nil {
						t.Fatal(err)
					}
					a.Compare(t, out, vectors(texts), 1e-4, false)
				}
				compareImages(t, a, m, 1e-4)
			})
		})
	}
}

func compareImages(t *testing.T, a *goldentest.Arrays, m *vit.Model, limit float64) {
	t.Helper()
	for _, size := range []string{"", "_g6", "_g8", "_wide"} {
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

// ourOwn are the small models of tools/ref/siglip.py, in float16.
var ourOwn = []string{"open", "huggingface"}

// TestReference compares vectors with the reference's, from texts on, of square images and others.
func TestReference(t *testing.T) {
	for _, name := range ourOwn {
		t.Run(name, func(t *testing.T) {
			a := goldentest.Open(t, filepath.Join("testdata", name))
			facts := readFacts(t, a.Folder)
			goldentest.EachTier(t, func(t *testing.T) {
				for precision, limit := range map[nn.Precision]float64{nn.FP32: 1e-4, nn.Auto: 0.1} {
					m := load(t, a.Folder, precision)
					if !near(m.Scale, facts.Scale) || !near(m.Bias, facts.Bias) {
						t.Errorf("logits are %g × cosine + %g, want %g and %g", m.Scale, m.Bias, facts.Scale, facts.Bias)
					}
					texts, err := m.EncodeTexts(context.Background(), facts.Texts)
					if err != nil {
						t.Fatal(err)
					}
					a.Compare(t, "out_text_embedding", vectors(texts), limit, false)
					if texts[0].Cut || !texts[3].Cut {
						t.Errorf("cut: %v and %v, want the last text only", texts[0].Cut, texts[3].Cut)
					}
					compareImages(t, a, m, limit)
				}
			})
		})
	}
}

func near(a, b float32) bool { return math.Abs(float64(a-b)) <= 1e-5*math.Abs(float64(b)) }

// facts is golden.json.
type facts struct {
	Texts       []string
	Empty       string
	Scale, Bias float32
}

func readFacts(t testing.TB, folder string) (f facts) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}
