package generator

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// two regions of three values, maps of 1 x 2 pixels.
var two = &Vectors{
	Regions: [][]float32{{1, 2, 3}, {4, 5, 6}}, Nothing: []float32{7, 8, 9}, Height: 1, Width: 2,
	Maps: [][]float32{{0.2, 1}, {0.5, 0.4}}, Masks: [][]float32{{0, 1}, {1, 1}},
}

// TestTensors: names, shapes and values are what the pipelines take.
func TestTensors(t *testing.T) {
	type tensor struct {
		shape  []int
		values []float32
	}
	beside := map[string]tensor{
		"map": {[]int{2, 1, 2}, []float32{0.2, 1, 0.5, 0.4}}, "mask": {[]int{2, 1, 2}, []float32{0, 1, 1, 1}},
	}
	rows := tensor{[]int{2, 3}, []float32{1, 2, 3, 4, 5, 6}}
	adapter := map[string]tensor{
		"ip_adapter_image_embeds": {[]int{2, 2, 3}, []float32{0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6}},
		"ip_adapter_masks":        {[]int{1, 2, 1, 2}, []float32{0, 1, 1, 0}},
	}
	for name, want := range map[string]map[string]tensor{
		"kandinsky": {"image_embeds": rows, "negative_image_embeds": {[]int{2, 3}, []float32{7, 8, 9, 7, 8, 9}}},
		"unclip":    {"image_embeddings": rows}, "stable-unclip": {"image_embeds": rows}, "plain": {"image_embeds": rows},
		"stable-unclip-small": {"image_embeds": rows}, "ip-adapter": adapter, "ip-adapter-sdxl": adapter,
	} {
		f, err := ParseForm(name)
		if err != nil {
			t.Fatal(err)
		}
		got := f.Tensors(two)
		if len(got) != len(want)+len(beside) {
			t.Errorf("%s has %d tensors", name, len(got))
		}
		for _, all := range []map[string]tensor{want, beside} {
			for member, w := range all {
				g := got[member]
				if !slices.Equal(g.Shape, w.shape) || !slices.Equal(g.Data, weights.FromFloat32(w.values).Data) {
					t.Errorf("%s: %s is %v %v, want %v", name, member, g.Shape, g.Data, w)
				}
			}
		}
	}
	if two.Maps[0][0] != 0.2 {
		t.Error("the maps were changed")
	}
	if _, err := ParseForm("dall-e"); err == nil || !strings.Contains(err.Error(), "kandinsky, unclip") {
		t.Errorf("an unknown form: %v", err)
	}
}

// TestFits: sizes and activation must be the encoder's.
func TestFits(t *testing.T) {
	model := func(e Encoder) *vit.Model {
		tower := &vit.Tower{Width: e.Width, Patch: e.Patch, Pool: &vit.TokenPool{Norm: &nn.LayerNorm{Gain: make([]float32, e.Size)}}}
		tower.Encoder.Layers = make([]nn.EncoderLayer, e.Layers)
		for i := range tower.Encoder.Layers {
			tower.Encoder.Layers[i].Activation = e.Activation
		}
		return &vit.Model{Tower: tower}
	}
	for _, f := range Forms() {
		if err := f.Fits(model(f.Encoder)); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if f.Name == "plain" {
			continue
		}
		for name, change := range map[string]func(*Encoder){
			"size": func(e *Encoder) { e.Size++ }, "width": func(e *Encoder) { e.Width++ }, "layers": func(e *Encoder) { e.Layers-- },
			"patch": func(e *Encoder) { e.Patch = 16 }, "activation": func(e *Encoder) { e.Activation = nn.GELUTanh },
		} {
			other := f.Encoder
			change(&other)
			var misfit *MisfitError
			if err := f.Fits(model(other)); !errors.As(err, &misfit) || !strings.Contains(err.Error(), f.Encoder.Name) {
				t.Errorf("%s of another %s: %v", f.Name, name, err)
			}
		}
	}
}
