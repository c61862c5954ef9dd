package evident_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"evident"
	"evident/legrad"
)

// openVision loads the built-in model, or skips where the program was built without.
func openVision(t *testing.T) *evident.Vision {
	t.Helper()
	v, err := evident.OpenVision(context.Background(), evident.VisionOptions{})
	if errors.Is(err, evident.ErrModelMissing) {
		t.Skip("NOT TESTED: the built-in models are left out of this build")
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// drawPhoto writes a picture of a red disc on grey, off its middle, and opens it.
func drawPhoto(t *testing.T, width, height int) *evident.Photo {
	t.Helper()
	im := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.RGBA{uint8(120 + x%9), 130, 140, 255}
			if math.Hypot(float64(x)-0.7*float64(width), float64(y)-0.3*float64(height)) < float64(height)/5 {
				c = color.RGBA{210, 30, 20, 255}
			}
			im.SetRGBA(x, y, c)
		}
	}
	path := filepath.Join(t.TempDir(), "disc.png")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := png.Encode(file, im); err != nil {
		t.Fatal(err)
	}
	photo, err := evident.OpenPhoto(path, evident.PhotoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return photo
}

func explain(t *testing.T, v *evident.Vision, p *evident.Photo, o evident.ExplainOptions, texts ...string) *evident.Explanation {
	t.Helper()
	e, err := v.Explain(context.Background(), p, texts, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Every method draws; its maps are scaled each by itself, and presence and similarity do not depend on it.
func TestExplainMethods(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	want := explain(t, v, p, evident.ExplainOptions{Each: true}, "a red ball", "a dog")
	for _, method := range legrad.MethodNames() {
		got := explain(t, v, p, evident.ExplainOptions{Method: method, Each: true}, "a red ball", "a dog")
		for i, m := range got.Maps {
			if math.Abs(m.Similarity-want.Maps[i].Similarity) > 1e-5 || math.Abs(m.Presence-want.Maps[i].Presence) > 1e-4 {
				t.Errorf("%s, %s: similarity %v, presence %v; want %v, %v", method, m.Text,
					m.Similarity, m.Presence, want.Maps[i].Similarity, want.Maps[i].Presence)
			}
			if same := near(m.Raw(90, 61), want.Maps[i].Raw(90, 61), 1e-6); same != (method == "legrad") {
				t.Errorf("%s, %s: the map is LeGrad's: %v", method, m.Text, same)
			}
		}
		if _, err := got.Draw(evident.DrawOptions{}); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// A text's map does not depend on the texts beside it, nor on their order.
func TestExplainTextByText(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	both := explain(t, v, p, evident.ExplainOptions{}, "a red ball", "a dog")
	turned := explain(t, v, p, evident.ExplainOptions{}, "a dog", "a red ball")
	alone := explain(t, v, p, evident.ExplainOptions{}, "a dog")
	want := both.Maps[1].Raw(90, 61)
	for name, got := range map[string]*evident.TextMap{"turned": &turned.Maps[0], "alone": &alone.Maps[0]} {
		if !near(got.Raw(90, 61), want, 1e-5) {
			t.Errorf("%s: the map of a text changed", name)
		}
		if math.Abs(got.Similarity-both.Maps[1].Similarity) > 1e-6 || math.Abs(got.Presence-both.Maps[1].Presence) > 1e-5 {
			t.Errorf("%s: similarity %g, presence %g; with the other text %g, %g",
				name, got.Similarity, got.Presence, both.Maps[1].Similarity, both.Maps[1].Presence)
		}
	}
}

// near says whether a and b differ by at most limit times the largest of b.
func near(a, b []float32, limit float64) bool {
	top := float64(slices.Max(b))
	return top > 0 && slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Abs(float64(x)-float64(y)) <= limit*top
	})
}

// What is printed of a map is what the map says.
func TestExplainNumbers(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	for name, o := range map[string]evident.ExplainOptions{
		"the model's choice": {}, "another size": {Size: 160}, "the picture's aspect": {Aspect: true}, "one layer": {Layers: []int{11}},
	} {
		e := explain(t, v, p, o, "a red ball")
		m := e.Maps[0]
		raw := m.Raw(e.Width, e.Height)
		if float64(slices.Max(raw)) != m.Max || float64(slices.Min(raw)) != m.Min || m.Max <= 0 || m.Min < 0 {
			t.Errorf("%s: from %g to %g, said to be %g to %g", name, slices.Min(raw), slices.Max(raw), m.Min, m.Max)
		}
		if raw[m.Peak[1]*e.Width+m.Peak[0]] != slices.Max(raw) {
			t.Errorf("%s: the peak is not at %v", name, m.Peak)
		}
		if m.Presence < 0 || m.Presence > 1 || math.Abs(m.Similarity) > 1 {
			t.Errorf("%s: presence %g, similarity %g", name, m.Presence, m.Similarity)
		}
	}
}

func TestExplainDraws(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	e := explain(t, v, p, evident.ExplainOptions{}, "a red ball", "a dog", "the sea")
	for _, layout := range []string{"", "overlay", "contour", "side", "heat"} {
		im, err := e.Draw(evident.DrawOptions{Layout: layout})
		if err != nil {
			t.Fatal(err)
		}
		if size := im.Bounds(); size.Dx() < 90 || size.Dy() < 61 {
			t.Errorf("layout %q has %v", layout, size)
		}
	}
	small, err := e.Draw(evident.DrawOptions{SideMax: 30, Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	if size := small.Bounds(); size.Dx() > 3*30+2*8 || size.Dy() > 3*20+2*8 {
		t.Errorf("three tiles of at most 30 pixels have %v", size)
	}
	for _, bad := range []evident.DrawOptions{{Layout: "round"}, {Palette: "grey"}, {Opacity: 2}} {
		if _, err := e.Draw(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestExplainRefuses(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 20, 20)
	for name, texts := range map[string][]string{"no text": {}, "an empty one": {"a dog", " \n"}} {
		_, err := v.Explain(context.Background(), p, texts, evident.ExplainOptions{})
		var bad *evident.TextError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, o := range map[string]evident.ExplainOptions{"layer": {Layers: []int{99}}, "size": {Size: 9}, "large": {Size: 1 << 20}} {
		if _, err := v.Explain(context.Background(), p, []string{"a dog"}, o); err == nil {
			t.Errorf("%s: %+v was taken", name, o)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := v.Explain(ctx, p, []string{"a dog"}, evident.ExplainOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
