package vision_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"evident/internal/goldentest"
	"evident/model/clip"
	"evident/model/vision"
	"evident/nn"
)

// TestSharedCLIP compares both towers of the golden checkpoints with open_clip's and transformers' outputs.
func TestSharedCLIP(t *testing.T) {
	for _, name := range []string{"openclip_tiny", "hf_clip_tiny"} {
		t.Run(name, func(t *testing.T) {
			a := goldentest.OpenShared(t, "../..", name)
			goldentest.EachTier(t, func(t *testing.T) { compareTowers(t, a, nn.FP32, 1e-4) })
		})
	}
}

// ourOwn are the small models of tools/ref/clip.py, in float32, bfloat16 and float16.
var ourOwn = []string{"clip-open", "clip-custom", "clip-hf", "timm-token", "timm-mean"}

// TestReference compares towers with what open_clip, transformers and timm compute, on square images and
// others, from texts on.
func TestReference(t *testing.T) {
	for _, name := range ourOwn {
		t.Run(name, func(t *testing.T) {
			a := goldentest.Open(t, filepath.Join("testdata", name))
			goldentest.EachTier(t, func(t *testing.T) { compareTowers(t, a, nn.FP32, 1e-4) })
		})
	}
}

func compareTowers(t *testing.T, a *goldentest.Arrays, precision nn.Precision, limit float64) {
	m, err := vision.LoadWith(os.DirFS(a.Folder), vision.Options{Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	var texts []vision.Text
	if a.Has("in_tokens") {
		ids, shape := a.Ints(t, "in_tokens")
		texts, err = m.Texts.(*clip.Texts).Tower.Encode(ctx, slices.Collect(slices.Chunk(ids, shape[1])))
		if err != nil {
			t.Fatal(err)
		}
		a.Compare(t, "out_text_embedding", vectors(texts), limit, false)
	}
	if facts := readFacts(t, a.Folder); facts != nil {
		if texts, err = m.EncodeTexts(ctx, facts.Texts); err != nil {
			t.Fatal(err)
		}
		a.Compare(t, "out_text_embedding", vectors(texts), limit, false)
		if m.Classes == nil && (!near(m.Scale, facts.Scale) || !near(m.Bias, facts.Bias)) {
			t.Errorf("logits are %g x cosine + %g, want %g and %g", m.Scale, m.Bias, facts.Scale, facts.Bias)
		}
	}
	for _, size := range []string{"", "_g6", "_g8", "_wide"} {
		if !a.Has("in_image" + size) {
			continue
		}
		pixels, shape := a.Floats(t, "in_image"+size)
		im, err := m.EncodeImage(ctx, pixels, shape[2], shape[3])
		if err != nil {
			t.Fatal(err)
		}
		a.Compare(t, "out_image_embedding"+size, im.Vector, limit, false)
		if size == "" && a.Has("out_logits") {
			var logits []float32
			for i := range texts {
				logits = append(logits, m.Logit(im, &texts[i]))
			}
			a.Compare(t, "out_logits", logits, 10*limit, false)
		}
	}
}

func vectors(texts []vision.Text) (joined []float32) {
	for _, text := range texts {
		joined = append(joined, text.Vector...)
	}
	return joined
}

func near(a, b float32) bool { return math.Abs(float64(a-b)) <= 1e-5*math.Abs(float64(b)) }

// facts is golden.json.
type facts struct {
	Texts       []string
	Scale, Bias float32
}

func readFacts(t *testing.T, folder string) *facts {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "golden.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f := new(facts)
	if err := errors.Join(err, json.Unmarshal(data, f)); err != nil {
		t.Fatal(err)
	}
	return f
}
