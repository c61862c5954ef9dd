package legrad

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"evident/internal/kernel"
	"evident/internal/visiontest"
	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// random is the tower of tools/ref/baselines.py and what torch draws with it.
type random struct{ tower, golden *weights.File }

func openRandom(t *testing.T) *random {
	t.Helper()
	open := func(name string) *weights.File {
		file, err := weights.Open("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		return file
	}
	return &random{open("tower.safetensors"), open("baselines.safetensors")}
}

func (r *random) tensor(t *testing.T, name string) []float32 {
	t.Helper()
	raw, err := r.golden.Raw(name)
	if err != nil {
		t.Fatal(err)
	}
	values, err := r.golden.Float32(name, raw.Shape...)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func (r *random) build(t *testing.T, pooling vit.Pooling) *vit.Tower {
	t.Helper()
	const width, vector, patch, grid = 21, 17, 5, 4
	read := weights.NewReader(r.tower)
	c := vit.TimmTower{
		Stack: vit.Stack{Width: width, Wide: 41, Layers: 3, Heads: 3, Epsilon: 1e-6, Precision: nn.FP32},
		Patch: patch, Grid: [2]int{grid, grid}, ClassToken: true,
		Pool: func() vit.Pool {
			return &vit.TokenPool{
				Of: pooling, Norm: vit.ReadNorm(read, "norm", width, 1e-6), Prefix: 1,
				Projection: nn.NewLinear(read.Tensor("projection.weight", vector, width), nil, width, vector, nn.FP32),
			}
		},
	}
	tower := vit.ReadTimm(read, "", c)
	if err := read.Done(); err != nil {
		t.Fatal(err)
	}
	return tower
}

// TestMethods compares every method with torch's autograd, for every pooling, on a square image and on one that
// is not, in every tier.
func TestMethods(t *testing.T) {
	r := openRandom(t)
	texts := slices.Collect(slices.Chunk(r.tensor(t, "text"), 17))
	cases := map[string]MethodOptions{"legrad": {Precision: nn.FP32}, "chefer.last": {Layers: []int{2}}}
	for _, name := range MethodNames()[1:] {
		cases[name] = MethodOptions{}
	}
	for tier := kernel.Generic; tier <= kernel.AMXBF16; tier++ {
		t.Run(tier.String(), func(t *testing.T) {
			restore, err := kernel.Force(tier)
			if err != nil {
				t.Skipf("NOT TESTED: %v", err)
			}
			defer restore()
			for _, pooling := range []vit.Pooling{vit.Class, vit.Mean, vit.ClassAndMean, vit.Patches, vit.NormPatches} {
				tower := r.build(t, pooling)
				for name, opts := range cases {
					method, _, _ := strings.Cut(name, ".")
					m, err := NewMethod(method, tower, opts)
					if err != nil {
						t.Fatal(err)
					}
					for size, pixels := range map[string][2]int{"wide": {15, 25}, "square": {20, 20}} {
						maps, err := m.Maps(context.Background(), r.tensor(t, size+".pixels"), pixels[0], pixels[1], texts)
						if err != nil {
							t.Fatal(err)
						}
						same(t, fmt.Sprintf("%s.%s.%s", size, pooling, name), maps, r)
					}
				}
			}
		})
	}
}

// same measures the largest difference of maps, relative to the largest value of the golden ones.
func same(t *testing.T, name string, maps [][]float32, r *random) {
	t.Helper()
	want, got := r.tensor(t, name), slices.Concat(maps...)
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", name, len(got), len(want))
	}
	worst, largest := 0.0, 0.0
	for i, w := range want {
		worst = max(worst, math.Abs(float64(got[i]-w)))
		largest = max(largest, math.Abs(float64(w)))
	}
	if largest == 0 && worst == 0 {
		return
	}
	const limit = 2e-5
	if !(worst <= limit*largest) {
		t.Errorf("%s: largest difference %.2g of %.2g, limit %g", name, worst, largest, limit)
	}
}

// TestMethodsOfEmbedded: on the embedded model every method draws finite maps that differ from text to text, but
// for those that know no texts, and a text's map does not depend on its company.
func TestMethodsOfEmbedded(t *testing.T) {
	g := visiontest.Open(t, testdata)
	m := visiontest.Load(t, nn.Auto)
	vectors := slices.Collect(slices.Chunk(g.Tensor(t, "text"), 192))
	size := [2]int{48, 80}
	pixels := g.Pixels(t, size)
	for _, name := range MethodNames() {
		method, err := NewMethod(name, m.Tower, MethodOptions{})
		if err != nil {
			t.Fatal(err)
		}
		draw := func(texts ...[]float32) [][]float32 {
			maps, err := method.Maps(context.Background(), pixels, size[0], size[1], texts)
			if err != nil {
				t.Fatal(err)
			}
			return maps
		}
		maps := draw(vectors...)
		for i, one := range maps {
			broken := func(v float32) bool { return v != v || math.IsInf(float64(v), 0) }
			if len(one) != 3*5 || slices.ContainsFunc(one, broken) {
				t.Errorf("%s: text %d has the map %v", name, i, one)
			}
			if alone := draw(vectors[i]); !slices.Equal(alone[0], one) {
				t.Errorf("%s: text %d has another map alone than in company", name, i)
			}
		}
		// Of this picture AttentionCAM clips everything: no head's mean gradient is above 0.
		blind := name == "attention" || name == "rollout" || name == "attentioncam"
		if slices.Equal(maps[0], maps[1]) != blind {
			t.Errorf("%s: two texts have the same map: %v, want %v", name, !blind, blind)
		}
		if none := draw(); len(none) != 0 {
			t.Errorf("%s: no texts have %d maps", name, len(none))
		}
	}
}

// TestMapsOf: methods that share a pass draw the bits that each draws alone, in any order.
func TestMapsOf(t *testing.T) {
	r := openRandom(t)
	tower := r.build(t, vit.ClassAndMean)
	texts := slices.Collect(slices.Chunk(r.tensor(t, "text"), 17))
	var methods []Method
	for _, name := range append(MethodNames(), "chefer", "rollout") {
		m, err := NewMethod(name, tower, MethodOptions{})
		if err != nil {
			t.Fatal(err)
		}
		methods = append(methods, m)
	}
	slices.Reverse(methods)
	pixels := r.tensor(t, "wide.pixels")
	together, err := MapsOf(context.Background(), methods, pixels, 15, 25, texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range methods {
		alone, err := m.Maps(context.Background(), pixels, 15, 25, texts)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(alone, together[i]) {
			t.Errorf("method %d draws another map in company", i)
		}
	}
	other, err := NewMethod("rollout", r.build(t, vit.Mean), MethodOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := MapsOf(context.Background(), append(methods, other), pixels, 15, 25, texts); err == nil {
		t.Error("methods of two towers share a pass")
	}
	if maps, err := MapsOf(context.Background(), nil, pixels, 15, 25, texts); len(maps) != 0 || err != nil {
		t.Errorf("no methods draw %d maps, %v", len(maps), err)
	}
}

// attending is a pool that is no [vit.TokenPool].
type attending struct{ vit.Pool }

func TestWrongMethods(t *testing.T) {
	r := openRandom(t)
	tower := r.build(t, vit.Class)
	for _, c := range []struct {
		name string
		opts MethodOptions
		want string
	}{
		{
			"grad-cam",
			MethodOptions{},
			"there are legrad, attention, attentioncam, chefer, gradcam, maskclip, rollout, similarity",
		},
		{"chefer", MethodOptions{Layers: []int{3}}, "layers 0 to 2"},
		{"attention", MethodOptions{Layers: []int{2}}, "layers cannot be chosen"},
		{"rollout", MethodOptions{Rows: "first"}, `rows "first" are not known`},
		{"gradcam", MethodOptions{Rows: ClassRow}, "reads no rows"},
		{"legrad", MethodOptions{Rows: ClassRow}, "every row of attention alike"},
		{"maskclip", MethodOptions{Rows: MeanRows}, "reads no rows"},
	} {
		if _, err := NewMethod(c.name, tower, c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v, want an error with %q", c.name, c.opts, err, c.want)
		}
	}
	for _, name := range MethodNames() {
		m, err := NewMethod(name, tower, MethodOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Maps(context.Background(), make([]float32, 3*20*20), 20, 20, [][]float32{{1}}); err == nil {
			t.Errorf("%s: a vector of one value is taken for a text", name)
		}
		if _, err := m.Maps(context.Background(), nil, 21, 20, nil); err == nil {
			t.Errorf("%s: an image of 21 rows is cut into patches of 5", name)
		}
	}
	tower.Pool = attending{tower.Pool}
	for _, name := range []string{"chefer", "gradcam", "attentioncam", "similarity", "maskclip"} {
		_, err := NewMethod(name, tower, MethodOptions{})
		if err == nil || !strings.Contains(err.Error(), "pools tokens") {
			t.Errorf("%s of another pool: %v", name, err)
		}
	}
	if _, err := NewMethod("rollout", tower, MethodOptions{}); err != nil {
		t.Errorf("rollout needs no pool: %v", err)
	}
}

// TestRows: which rows are read can be chosen, and a class token model's own choice is its class token.
func TestRows(t *testing.T) {
	r := openRandom(t)
	for _, c := range []struct {
		pooling vit.Pooling
		rows    Rows
		as      string
	}{{vit.Mean, ClassRow, "cls"}, {vit.Class, PooledRows, "cls"}, {vit.Class, MeanRows, "mean"}} {
		for _, name := range []string{"attention", "rollout"} {
			m, err := NewMethod(name, r.build(t, c.pooling), MethodOptions{Rows: c.rows})
			if err != nil {
				t.Fatal(err)
			}
			texts := slices.Collect(slices.Chunk(r.tensor(t, "text"), 17))
			maps, err := m.Maps(context.Background(), r.tensor(t, "wide.pixels"), 15, 25, texts)
			if err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprintf("wide.%s.%s", c.as, name), maps, r)
		}
	}
}
