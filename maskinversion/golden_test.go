package maskinversion

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"evident/internal/goldentest"
	"evident/model/vision"
	"evident/model/vit"
	"evident/nn"
)

// settings are those of a case of golden values.
type settings struct {
	Layer  int     `json:"layer_index"` // from the end
	Rate   float64 `json:"lr"`
	Alpha  float64 `json:"alpha"`
	Decay  float64 `json:"wd"`
	Single bool    `json:"single"` // one mask a call, where the reference would mix them
}

// TestShared compares embeddings, losses and maps of several masks with maskinversion-torch's, in every tier.
func TestShared(t *testing.T) {
	for _, name := range []string{"openclip_tiny", "hf_clip_tiny", "siglip_tiny", "hf_siglip_tiny"} {
		t.Run(name, func(t *testing.T) {
			a := goldentest.OpenShared(t, "..", name)
			cases := map[string]settings{"default": {Layer: -1, Rate: 0.1, Single: true}} // SigLIP's
			if data, err := os.ReadFile(filepath.Join(a.Folder, "cases.json")); err == nil {
				cases = map[string]settings{}
				if err := json.Unmarshal(data, &cases); err != nil {
					t.Fatal(err)
				}
			}
			goldentest.EachTier(t, func(t *testing.T) { compareAll(t, a, a, cases) })
		})
	}
}

// TestReference is TestShared on small models of our own (tools/ref/regions.py): layer scale, an odd patch, soft masks,
// and CoCa's pool.
func TestReference(t *testing.T) {
	for _, name := range []string{"clip-open", "siglip-open", "coca"} {
		t.Run(name, func(t *testing.T) {
			golden := goldentest.Open(t, filepath.Join("testdata", name))
			data, err := os.ReadFile(filepath.Join(golden.Folder, "cases.json"))
			if err != nil {
				t.Fatal(err)
			}
			var facts struct {
				Model string
				Cases map[string]settings
			}
			if err := json.Unmarshal(data, &facts); err != nil {
				t.Fatal(err)
			}
			model := goldentest.Open(t, filepath.Join("..", "model", filepath.FromSlash(facts.Model)))
			goldentest.EachTier(t, func(t *testing.T) { compareAll(t, model, golden, facts.Cases) })
		})
	}
}

// compareAll compares every case of a model, by every form.
func compareAll(t *testing.T, a, golden *goldentest.Arrays, cases map[string]settings) {
	m, err := vision.LoadWith(os.DirFS(a.Folder), vision.Options{Precision: nn.FP32})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		for _, form := range []Form{Direct, Factor, Tensor} {
			if _, ok := m.Pool.(vit.AttentionPool); ok && form != Direct {
				continue // one form
			}
			t.Run(fmt.Sprintf("%s-%s", name, form), func(t *testing.T) {
				im := preparedFor(t, a, m, c)
				compareCase(t, im, golden, name, c, form)
			})
		}
	}
}

// preparedFor encodes a model's image for a case.
func preparedFor(t *testing.T, a *goldentest.Arrays, m *vision.Model, c settings) *Image {
	t.Helper()
	setup := Setup{Precision: nn.FP32}
	for l := len(m.Encoder.Layers) + c.Layer; l < len(m.Encoder.Layers); l++ {
		setup.Layers = append(setup.Layers, l)
	}
	if a.Has("out_text_embedding_empty") {
		setup.Empty, _ = a.Floats(t, "out_text_embedding_empty")
	}
	v, err := New(context.Background(), m, setup)
	if err != nil {
		t.Fatal(err)
	}
	pixels, shape := a.Floats(t, "in_image")
	im, err := v.Prepare(context.Background(), pixels, shape[2], shape[3])
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func compareCase(t *testing.T, im *Image, a *goldentest.Arrays, name string, c settings, form Form) {
	masks, size := masksOf(t, a, "in_masks_"+name)
	o := Options{Rate: c.Rate, Alpha: c.Alpha, Decay: c.Decay, Form: form, Batch: len(masks)}
	if c.Single {
		o.Batch = 1
	}
	out := "out_mi_" + name + "_"
	for _, steps := range []int{1, 5, 10} {
		o.Steps = steps
		regions, err := im.Invert(context.Background(), masks, o)
		if err != nil {
			t.Fatal(err)
		}
		var vectors, maps, losses []float32
		for i := range regions {
			vectors = append(vectors, regions[i].Vector...)
			maps = append(maps, im.Heatmap(&regions[i], size[0], size[1])...)
			for _, l := range regions[i].Loss {
				losses = append(losses, float32(l))
			}
		}
		a.Compare(t, fmt.Sprintf("%semb_%d", out, steps), vectors, 2e-3, false)
		if steps < 10 {
			continue
		}
		if !c.Single { // the mean of all masks
			for i := range steps {
				sum := float32(0)
				for k := range masks {
					sum += losses[k*steps+i] / float32(len(masks))
				}
				losses[i] = sum
			}
			losses = losses[:steps]
		}
		a.Compare(t, out+"loss", losses, 1e-4, false)
		a.Compare(t, out+"map_10", maps, 1e-3, false)
	}
}

// masksOf reads masks [K, h, w].
func masksOf(t *testing.T, a *goldentest.Arrays, name string) (masks []Mask, size [2]int) {
	t.Helper()
	values, shape := a.Floats(t, name)
	for one := range slices.Chunk(values, shape[1]*shape[2]) {
		masks = append(masks, Mask{Width: shape[2], Height: shape[1], Values: one})
	}
	return masks, [2]int{shape[1], shape[2]}
}
