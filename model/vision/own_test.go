package vision_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"evident/internal/kernel"
	"evident/internal/visiontest"
	"evident/model/vit"
	"evident/nn"
)

// compare reports the worst of got against the golden tensor.
func compare(t *testing.T, g *visiontest.Golden, name string, got []float32, limit float64) {
	t.Helper()
	want := g.Tensor(t, name)
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

// TestGolden compares both towers with torch, on a square image and on one that is not, in every tier.
func TestGolden(t *testing.T) {
	g := visiontest.Open(t, "testdata")
	for tier := kernel.Generic; tier <= kernel.AMXBF16; tier++ {
		t.Run(tier.String(), func(t *testing.T) {
			restore, err := kernel.Force(tier)
			if err != nil {
				t.Skipf("NOT TESTED: %v", err)
			}
			defer restore()
			m := visiontest.Load(t, nn.FP32)
			texts, err := m.EncodeTexts(context.Background(), g.Texts)
			if err != nil {
				t.Fatal(err)
			}
			var vectors []float32
			for _, text := range texts {
				vectors = append(vectors, text.Embedding...)
			}
			compare(t, g, "text", vectors, g.Tolerance["text"])
			for prefix, size := range g.Sizes() {
				pixels := g.Pixels(t, size)
				for pooling, name := range map[vit.Pooling]string{
					vit.Class: "cls", vit.Mean: "mean", vit.ClassAndMean: "embedding",
				} {
					m.Pool.(*vit.TokenPool).Of = pooling
					im, err := m.Encode(context.Background(), pixels, size[0], size[1])
					if err != nil {
						t.Fatal(err)
					}
					compare(t, g, prefix+name, im.Embedding, g.Tolerance[name])
				}
			}
		})
	}
}

func TestSizes(t *testing.T) {
	m := visiontest.Load(t, nn.Auto)
	for _, size := range [][2]int{{0, 16}, {16, 8}, {17, 16}} {
		_, err := m.Encode(context.Background(), nil, size[0], size[1])
		var wrong *vit.SizeError
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
	m := visiontest.Load(t, nn.Auto)
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
