package vit

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"

	"evident/internal/kernel"
	"evident/internal/weights"
	"evident/models"
	"evident/nn"
)

// golden is what torch computes from the embedded model (tools/ref/vision.py).
type golden struct {
	Texts     []string
	Part      [2]int
	Tolerance map[string]float64 `json:"absolute"`

	file *weights.File
}

func openGolden(t testing.TB) *golden {
	t.Helper()
	data, err := os.ReadFile("testdata/vision-192.json")
	if err != nil {
		t.Fatal(err)
	}
	g := new(golden)
	if err := json.Unmarshal(data, g); err != nil {
		t.Fatal(err)
	}
	if g.file, err = weights.Open("testdata/vision-192.safetensors"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.file.Close() })
	return g
}

func (g *golden) tensor(t testing.TB, name string) []float32 {
	t.Helper()
	raw, err := g.file.Raw(name)
	if err != nil {
		t.Fatal(err)
	}
	values, err := g.file.Float32(name, raw.Shape...)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// compare reports the worst of got against the golden tensor.
func (g *golden) compare(t *testing.T, name string, got []float32, limit float64) {
	t.Helper()
	want := g.tensor(t, name)
	if len(got) != len(want) {
		t.Errorf("%s has %d values, want %d", name, len(got), len(want))
		return
	}
	worst, at := 0.0, 0
	for i := range got {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= worst) {
			worst, at = d, i
		}
	}
	t.Logf("%s: largest difference %.2g", name, worst)
	if !(worst <= limit) {
		t.Errorf("%s: value %d is %g, want %g (limit %g)", name, at, got[at], want[at], limit)
	}
}

// crop returns the upper left part of an image [3, h, w].
func crop(pixels []float32, h, w, height, width int) []float32 {
	var out []float32
	for channel := range 3 {
		for y := range height {
			out = append(out, pixels[(channel*h+y)*w:][:width]...)
		}
	}
	return out
}

func load(t testing.TB, precision nn.Precision) *Model {
	t.Helper()
	folder, err := models.Open(models.Vision)
	if errors.Is(err, models.ErrMissing) {
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(folder, precision)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestGolden compares both towers with torch, on a square image and on one that is not, in every tier.
func TestGolden(t *testing.T) {
	g := openGolden(t)
	pixels := g.tensor(t, "pixels")
	for tier := kernel.Generic; tier <= kernel.AVX512BF16; tier++ {
		t.Run(tier.String(), func(t *testing.T) {
			restore, err := kernel.Force(tier)
			if err != nil {
				t.Skipf("NOT TESTED: %v", err)
			}
			defer restore()
			m := load(t, nn.FP32)
			texts, err := m.EncodeTexts(context.Background(), g.Texts)
			if err != nil {
				t.Fatal(err)
			}
			var vectors []float32
			for _, text := range texts {
				vectors = append(vectors, text.Embedding...)
			}
			g.compare(t, "text", vectors, g.Tolerance["text"])
			for prefix, size := range map[string][2]int{"": {224, 224}, "part.": g.Part} {
				part := crop(pixels, 224, 224, size[0], size[1])
				for pooling, name := range map[Pooling]string{Class: "cls", Mean: "mean", ClassAndMean: "embedding"} {
					m.Pooling = pooling
					im, err := m.Encode(context.Background(), part, size[0], size[1])
					if err != nil {
						t.Fatal(err)
					}
					g.compare(t, prefix+name, im.Embedding, g.Tolerance[name])
				}
			}
		})
	}
}

func TestSizes(t *testing.T) {
	m := load(t, nn.Auto)
	for _, size := range [][2]int{{0, 16}, {16, 8}, {17, 16}} {
		_, err := m.Encode(context.Background(), nil, size[0], size[1])
		var wrong *SizeError
		if !errors.As(err, &wrong) {
			t.Errorf("%d x %d pixels: %v, want a SizeError", size[1], size[0], err)
		}
	}
	for _, size := range [][2]int{{16, 16}, {48, 16}, {16, 640}} {
		im, err := m.Encode(context.Background(), make([]float32, 3*size[0]*size[1]), size[0], size[1])
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(im.Embedding, func(v float32) bool { return v != v }) {
			t.Errorf("%d x %d pixels: the vector has NaN", size[1], size[0])
		}
	}
}

// TestLongText: what is cut is said, and what is left is what a shorter text gives.
func TestLongText(t *testing.T) {
	m := load(t, nn.Auto)
	long := ""
	for range 10_000 {
		long += "dog "
	}
	texts, err := m.EncodeTexts(context.Background(), []string{"a dog", long, ""})
	if err != nil {
		t.Fatal(err)
	}
	if texts[0].Cut || !texts[1].Cut || texts[2].Cut {
		t.Errorf("cut: %v, %v, %v, want only the second", texts[0].Cut, texts[1].Cut, texts[2].Cut)
	}
}
