package legrad

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"evident/internal/kernel"
	"evident/internal/visiontest"
	"evident/model/vit"
	"evident/nn"
)

const testdata = "../model/vision/testdata"

// TestGolden compares maps with torch's (tools/ref/vision.py), layer by layer and added, on a square image
// and on one that is not, in every tier.
func TestGolden(t *testing.T) {
	g := visiontest.Open(t, testdata)
	vectors := slices.Collect(slices.Chunk(g.Tensor(t, "text"), 192))
	for tier := kernel.Generic; tier <= kernel.AMXBF16; tier++ {
		t.Run(tier.String(), func(t *testing.T) {
			restore, err := kernel.Force(tier)
			if err != nil {
				t.Skipf("NOT TESTED: %v", err)
			}
			defer restore()
			for of, limit := range map[precisions]float64{
				{nn.FP32, nn.FP32}: 2e-4, {nn.FP32, nn.BF16}: 1e-2, {nn.Auto, nn.Auto}: 8e-2,
			} {
				m := visiontest.Load(t, of.tower)
				for prefix, size := range g.Sizes() {
					for name, layers := range map[string][]int{"layer.10": {10}, "layer.11": {11}, "map": nil} {
						got := relevance(t, m.Tower, g.Pixels(t, size), size, vectors,
							Options{Layers: layers, Precision: of.gradient})
						compare(t, fmt.Sprint(of, " ", prefix+name), got, g.Tensor(t, prefix+name), name == "map", limit)
					}
				}
			}
		})
	}
}

// precisions of the products forward and back. Rounding the tower to bf16 moves single patches by up to 6.5 % of
// a map's largest value; rounding the way back alone stays below 1 %.
type precisions struct{ tower, gradient nn.Precision }

func relevance(
	t testing.TB, tower *vit.Tower, pixels []float32, size [2]int, texts [][]float32, opts Options,
) [][]float32 {
	t.Helper()
	e, err := New(tower, opts)
	if err != nil {
		t.Fatal(err)
	}
	im, err := e.Encode(context.Background(), pixels, size[0], size[1])
	if err != nil {
		t.Fatal(err)
	}
	maps, err := im.Relevance(context.Background(), texts)
	if err != nil {
		t.Fatal(err)
	}
	return maps
}

// compare measures the largest difference of each map, relative to its largest value.
func compare(t *testing.T, name string, maps [][]float32, want []float32, scaled bool, limit float64) {
	t.Helper()
	n := len(maps[0])
	if len(want) != n*len(maps) {
		t.Fatalf("%s: maps of %d values, want %d", name, n, len(want)/len(maps))
	}
	for i, m := range maps {
		if scaled {
			m = MinMax(slices.Clone(m))
		}
		w := want[i*n:][:n]
		worst, at := 0.0, 0
		for j := range m {
			if d := math.Abs(float64(m[j] - w[j])); !(d <= worst) {
				worst, at = d, j
			}
		}
		worst /= float64(slices.Max(w))
		t.Logf("%s, text %d: relative difference %.2g", name, i, worst)
		if !(worst <= limit) {
			t.Errorf("%s, text %d: value %d is %g, want %g (difference %g, limit %g)",
				name, i, at, m[at], w[at], worst, limit)
		}
	}
}

// TestBatch: the company of other texts changes no bit of a map.
func TestBatch(t *testing.T) {
	g := visiontest.Open(t, testdata)
	m := visiontest.Load(t, nn.Auto)
	vectors := slices.Collect(slices.Chunk(g.Tensor(t, "text"), 192))
	size := [2]int{48, 80}
	pixels := g.Pixels(t, size)
	together := relevance(t, m.Tower, pixels, size, vectors, Options{})
	for i, v := range vectors {
		if alone := relevance(t, m.Tower, pixels, size, [][]float32{v}, Options{}); !slices.Equal(alone[0], together[i]) {
			t.Errorf("text %d has another map alone than in company", i)
		}
	}
	if none := relevance(t, m.Tower, pixels, size, nil, Options{}); len(none) != 0 {
		t.Errorf("no text has %d maps", len(none))
	}
}

// TestFlat: a map without a gradient is zeros, not NaN: of one patch, and of a text without direction.
func TestFlat(t *testing.T) {
	m := visiontest.Load(t, nn.Auto)
	maps := relevance(t, m.Tower, make([]float32, 3*32*32), [2]int{32, 32}, [][]float32{make([]float32, 192)}, Options{})
	for _, v := range MinMax(maps[0]) {
		if v != 0 {
			t.Fatalf("the map of a text of zeros has %g", v)
		}
	}
	for _, v := range MinMax([]float32{3, 3}) {
		if v != 0 {
			t.Fatalf("a flat map becomes %g", v)
		}
	}
}

func TestWrongInput(t *testing.T) {
	m := visiontest.Load(t, nn.Auto)
	if _, err := New(m.Tower, Options{Layers: []int{12}}); err == nil || !strings.Contains(err.Error(), "layers 0 to 11") {
		t.Errorf("layer 12: %v", err)
	}
	e, err := New(m.Tower, Options{})
	if err != nil {
		t.Fatal(err)
	}
	im, err := e.Encode(context.Background(), make([]float32, 3*32*32), 32, 32)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := im.Relevance(context.Background(), [][]float32{make([]float32, 5)}); err == nil {
		t.Error("a vector of 5 values is taken for one of 192")
	}
}
