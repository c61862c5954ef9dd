package viewer

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"
	"testing"

	"evident/internal/picture"
	"evident/internal/visiontest"
	"evident/legrad"
	"evident/nn"
)

// scene is a PNG of a red disc on a green ground, wider than high.
func scene(t *testing.T) []byte {
	t.Helper()
	im := image.NewRGBA(image.Rect(0, 0, 120, 80))
	for y := range 80 {
		for x := range 120 {
			c := color.RGBA{60, uint8(120 + x%7), 50, 255}
			if (x-90)*(x-90)+(y-30)*(y-30) < 400 {
				c = color.RGBA{220, 30, uint8(30 + y), 255}
			}
			im.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, im); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestViewer: what an evaluation is given is what the model and the method make of the picture's pixels.
func TestViewer(t *testing.T) {
	model := visiontest.Load(t, nn.Auto)
	v, err := New(model, Options{MapSize: 96})
	if err != nil {
		t.Fatal(err)
	}
	ctx, file := context.Background(), scene(t)
	im, err := picture.Decode(bytes.NewReader(file), picture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pixels := func(side int) []float32 {
		return picture.Recipe{
			Size: [2]int{side, side}, Mode: picture.Squash, Filter: picture.Bicubic,
			Mean: model.Recipe.Mean, Std: model.Recipe.Std,
		}.Apply(im)
	}
	whole, err := model.EncodeImage(ctx, pixels(224), 224, 224)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Picture(ctx, file); err != nil || !slices.Equal(got, whole.Embedding) {
		t.Errorf("the picture's vector is another: %v", err)
	}
	texts, err := model.EncodeTexts(ctx, []string{"a photo of a ball", "a photo of a dog"})
	if err != nil {
		t.Fatal(err)
	}
	names, err := v.Names(ctx, []string{"dog", "ball", "dog"})
	if err != nil || !slices.Equal(names[0], texts[1].Embedding) || !slices.Equal(names[1], texts[0].Embedding) ||
		&names[0][0] != &names[2][0] {
		t.Errorf("the names' vectors are others: %v", err)
	}
	m, err := legrad.NewMethod("legrad", model.Tower, legrad.MethodOptions{Layers: model.MapLayers})
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Maps(ctx, pixels(96), 96, 96, [][]float32{texts[0].Embedding})
	if err != nil {
		t.Fatal(err)
	}
	s, err := v.Seer(ctx, "legrad", "rollout")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := s.Maps(ctx, file, []string{"ball"})
	if err != nil || len(maps) != 2 || len(maps[0]) != 1 {
		t.Fatalf("maps %v, %v", maps, err)
	}
	if m := maps[0][0]; m.Height != 6 || m.Width != 6 || !slices.Equal(m.Values, want[0]) {
		t.Error("the map is another")
	}
	if _, err := s.Maps(ctx, []byte("no picture"), []string{"ball"}); err == nil {
		t.Error("text is taken for a picture")
	}
}

// TestSubject: what is removed is the patch's own pixels, and the picture stays as it was.
func TestSubject(t *testing.T) {
	model := visiontest.Load(t, nn.Auto)
	v, err := New(model, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	c, err := v.Classifier(ctx, legrad.MethodNames()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetClasses(ctx, []string{"dog", "red ball", "train"}); err != nil {
		t.Fatal(err)
	}
	looked, err := c.Look(ctx, scene(t))
	if err != nil {
		t.Fatal(err)
	}
	s := looked.(*subject)
	height, width := s.Grid()
	if height != 14 || width != 14 {
		t.Fatalf("a grid of %d x %d", height, width)
	}
	before := slices.Clone(s.pixels)
	removed := make([]bool, height*width)
	first, err := s.Class(ctx, removed)
	if err != nil {
		t.Fatal(err)
	}
	removed[3*width+5] = true
	painted := s.without(removed)
	for i, p := range painted {
		y, x := i/224%224, i%224
		want := s.pixels[i]
		if y/16 == 3 && x/16 == 5 {
			want = 0
		}
		if p != want {
			t.Fatalf("pixel (%d, %d) is %g without the patch, want %g", x, y, p, want)
		}
	}
	if _, err := s.Class(ctx, removed); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, s.pixels) {
		t.Error("removing a patch changes the picture")
	}
	if again, err := s.Class(ctx, make([]bool, height*width)); err != nil || again != first {
		t.Errorf("the class is %d, then %d, %v", first, again, err)
	}
	relevance, err := s.Relevance(ctx, 1)
	if err != nil || len(relevance) != len(c.Methods()) {
		t.Fatalf("%d methods, want %d: %v", len(relevance), len(c.Methods()), err)
	}
	for i, values := range relevance {
		if len(values) != height*width {
			t.Errorf("%s: %d values", c.Methods()[i], len(values))
		}
	}
}

func TestWrongOptions(t *testing.T) {
	model := visiontest.Load(t, nn.Auto)
	for want, opts := range map[string]Options{
		"want a multiple": {MapSize: 100}, "of 8 pixels": {MapSize: 8}, "has no {}": {Prompt: "a photo"},
	} {
		if _, err := New(model, opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error with %q", opts, err, want)
		}
	}
	v, err := New(model, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"guessing", "legrad@12", "gradcam/cls"} {
		if _, err := v.Seer(context.Background(), method); err == nil {
			t.Errorf("%s is a method", method)
		}
	}
}
