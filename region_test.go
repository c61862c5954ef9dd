package evident_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evident"
)

// discMasks are the disc of drawPhoto and the lower left corner.
func discMasks(t *testing.T, p *evident.Photo) []evident.Mask {
	t.Helper()
	masks, err := evident.ParseMasks([]byte(`[
		{"name": "disc", "circle": [63, 18, 12]}, {"name": "corner", "box": [0, 40, 30, 61]}]`), "mask", p)
	if err != nil {
		t.Fatal(err)
	}
	return masks
}

var quick = evident.RegionOptions{Size: 96, Steps: 3}

// TestRegions: what is said of a region is its own, whatever stands beside it.
func TestRegions(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	masks := discMasks(t, p)
	both, err := v.Regions(context.Background(), p, masks, quick)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := v.Regions(context.Background(), p, masks[1:], quick)
	if err != nil {
		t.Fatal(err)
	}
	corner := both.Regions[1]
	if corner.Mask != "corner" || corner.Box != [4]int{0, 40, 30, 61} || math.Abs(corner.Area-30*21/(90*61.0)) > 1e-9 {
		t.Errorf("the corner is %s, %v, %g", corner.Mask, corner.Box, corner.Area)
	}
	if !slices.Equal(corner.Embedding, alone.Regions[0].Embedding) || corner.Dice != alone.Regions[0].Dice {
		t.Error("a region depends on what stands beside it")
	}
	if both.Method != evident.RegionInversion || both.Model != v.Name() || both.Width != 90 || len(corner.Embedding) != 192 {
		t.Errorf("%+v", both)
	}
	length := 0.0
	for _, x := range corner.Vector() {
		length += float64(x) * float64(x)
	}
	if math.Abs(length-1) > 1e-5 {
		t.Errorf("the vector's squared length is %g", length)
	}
	if m := corner.Map(90, 61); len(m) != 90*61 || slices.Min(m) < 0 {
		t.Errorf("a map of %d values from %g", len(m), slices.Min(m))
	}
	if drawn, err := both.Draw(evident.DrawOptions{}); err != nil || drawn.Bounds().Dx() < 90 {
		t.Errorf("drawn as %v, %v", drawn, err)
	}
	for _, method := range evident.RegionMethods() {
		o := quick
		o.Method = method
		r, err := v.Regions(context.Background(), p, masks, o)
		if err != nil || r.Method != method {
			t.Errorf("%s: %v", method, err)
		}
	}
	o := quick
	o.Method = "guess"
	if _, err := v.Regions(context.Background(), p, masks, o); err == nil || !strings.Contains(err.Error(), "mask-inversion") {
		t.Errorf("an unknown method: %v", err)
	}
}

// TestRegionSteps: the steps of MaskInversion are told as they are taken, alone and within a combination, and
// being told changes nothing.
func TestRegionSteps(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	masks := discMasks(t, p)
	for _, method := range []string{evident.RegionInversion, evident.RegionCombined} {
		o := quick
		o.Method = method
		want, err := v.Regions(t.Context(), p, masks, o)
		if err != nil {
			t.Fatal(err)
		}
		var steps []evident.RegionStep
		var maps []float32 // of the first region's maps, their sums
		o.Progress = func(s evident.RegionStep) {
			steps = append(steps, s)
			sum := float32(0)
			for _, x := range s.Regions[0].Map {
				sum += x
			}
			maps = append(maps, sum)
		}
		got, err := v.Regions(t.Context(), p, masks, o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Regions[0].Embedding, want.Regions[0].Embedding) {
			t.Errorf("%s: being told changes the vector", method)
		}
		if len(steps) != 3 || steps[2].Step != 3 || steps[2].Steps != 3 || len(steps[0].Regions) != 2 {
			t.Fatalf("%s: told %+v", method, steps)
		}
		first, last := steps[0].Regions[0], steps[2].Regions[0]
		if first.Mask != "disc" || first.Rows*first.Columns != len(first.Map) || first.Rows < 2 || last.Dice <= first.Dice {
			t.Errorf("%s: from %+v to %+v", method, first, last)
		}
		if maps[0] == maps[2] {
			t.Errorf("%s: the map does not move", method)
		}
	}
	o := quick
	o.Method = "patches"
	o.Progress = func(evident.RegionStep) { t.Error("patches take no steps") }
	if _, err := v.Regions(t.Context(), p, masks, o); err != nil {
		t.Error(err)
	}
}

// TestClassifyRegions: scores are probabilities among the labels, best first, whatever their order.
func TestClassifyRegions(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	masks := discMasks(t, p)
	classify := func(o evident.RegionOptions, labels ...string) []evident.Label {
		t.Helper()
		r, err := v.ClassifyRegions(context.Background(), p, masks[:1], labels, o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Regions[0].Embedding != nil || r.Method != evident.RegionCombined {
			t.Errorf("the vector is printed with the labels, or made by %s", r.Method)
		}
		return r.Regions[0].Labels
	}
	labels := classify(quick, "ball", "dog", "boat")
	turned := classify(quick, "boat", "dog", "ball")
	sum := 0.0
	for i, l := range labels {
		sum += l.Score
		if l.Text != turned[i].Text || math.Abs(l.Score-turned[i].Score) > 1e-6 {
			t.Errorf("label %d is %+v, in another order %+v", i, l, turned[i])
		}
		if i > 0 && l.Score > labels[i-1].Score {
			t.Errorf("not the best first: %+v", labels)
		}
	}
	if math.Abs(sum-1) > 1e-6 {
		t.Errorf("the probabilities add up to %g", sum)
	}
	if one := classify(quick, "ball"); one[0].Score <= 0 || one[0].Score >= 1 {
		t.Errorf("a single label has the score %g", one[0].Score)
	}
	// The model's own prompt is the default; the mean of it with itself is itself; another one changes scores.
	o := quick
	o.Prompt = []string{"a photo of a {}", "a photo of a {}"}
	if same := classify(o, "ball", "dog", "boat"); math.Abs(same[0].Similarity-labels[0].Similarity) > 1e-5 {
		t.Errorf("the model's prompt twice: %+v, once %+v", same, labels)
	}
	o.Prompt = []string{"a drawing of the {}"}
	if other := classify(o, "ball", "dog", "boat"); other[0].Similarity == labels[0].Similarity {
		t.Error("the prompt changes nothing")
	}
	var bad *evident.TextError
	for name, labels := range map[string][]string{"none": nil, "an empty one": {"dog", " "}} {
		if _, err := v.ClassifyRegions(context.Background(), p, masks, labels, quick); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o.Prompt = []string{"a photo"}
	if _, err := v.ClassifyRegions(context.Background(), p, masks, []string{"dog"}, o); !errors.As(err, &bad) {
		t.Errorf("a template without a place: %v", err)
	}
}

// TestMatchRegions: both rankings say the same similarities.
func TestMatchRegions(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	masks := discMasks(t, p)
	o := quick
	o.Method = "box-crop"
	texts := []string{"a red ball", "grey"}
	r, err := v.MatchRegions(context.Background(), p, masks, texts, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Matches) != 2 || r.Matches[0].Text != texts[0] {
		t.Fatalf("matches %+v", r.Matches)
	}
	for _, m := range r.Matches {
		sum := 0.0
		for i, ranked := range m.Ranking {
			sum += ranked.Score
			at := slices.IndexFunc(r.Regions, func(x evident.Region) bool { return x.Mask == ranked.Mask })
			label := slices.IndexFunc(r.Regions[at].Labels, func(l evident.Label) bool { return l.Text == m.Text })
			if r.Regions[at].Labels[label].Similarity != ranked.Similarity {
				t.Errorf("%s and %s: two similarities", m.Text, ranked.Mask)
			}
			if i > 0 && ranked.Similarity > m.Ranking[i-1].Similarity {
				t.Errorf("%s: not the best first", m.Text)
			}
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Errorf("%s: the probabilities add up to %g", m.Text, sum)
		}
		if found := m.Presence >= evident.PresenceMin; found != (m.Mask != "") || found && m.Mask != m.Ranking[0].Mask {
			t.Errorf("%s: region %q with presence %g", m.Text, m.Mask, m.Presence)
		}
	}
}

// TestMasks: files of every kind, of any size, and the names that masks get.
func TestMasks(t *testing.T) {
	p := drawPhoto(t, 90, 61)
	dir := t.TempDir()
	write := func(name string, im image.Image) string {
		t.Helper()
		var b bytes.Buffer
		if err := png.Encode(&b, im); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	half := image.NewGray(image.Rect(0, 0, 180, 122))
	objects := image.NewPaletted(image.Rect(0, 0, 45, 30), color.Palette{color.Black, color.White, color.Gray{9}, color.Gray{8}})
	for y := range 122 {
		for x := range 90 {
			half.SetGray(x, y, color.Gray{255})
		}
	}
	for i := range objects.Pix {
		objects.Pix[i] = []uint8{0, 1, 3}[i%45/15]
	}
	left, right := write("left.png", half), write("things.v2.png", objects)
	for path, want := range map[string][]string{
		left: {"left"}, right: {"things.v2"}, right + "#3": {"object 3"}, right + "#all": {"object 1", "object 3"},
	} {
		masks, err := evident.OpenMasks(path, p)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		var got []string
		for _, m := range masks {
			got = append(got, m.Name)
			if w, h := m.Size(); w != 90 || h != 61 {
				t.Errorf("%s has %d × %d pixels", m.Name, w, h)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: masks %q, want %q", path, got, want)
		}
	}
	masks, err := evident.OpenMasks(left, p)
	if err != nil {
		t.Fatal(err)
	}
	m := masks[0]
	if m.Area() != 45*61 || m.Bounds() != image.Rect(0, 0, 45, 61) || !m.Contains(44, 60) || m.Contains(45, 0) || m.Contains(-1, 0) {
		t.Errorf("the left half has %d pixels in %v", m.Area(), m.Bounds())
	}
	same, err := evident.ParseMasks([]byte(`[{"box": [0, 0, 9, 9]}, {"name": "a", "box": [0, 0, 9, 9]},
		{"name": "a", "box": [1, 1, 9, 9]}]`), "mask", p)
	if err != nil || same[0].Name != "mask" || same[1].Name != "a" || same[2].Name != "a 2" {
		t.Errorf("names %v, %v", same, err)
	}
	var written bytes.Buffer
	if err := evident.WriteMasks(&written, same); err != nil || !json.Valid(written.Bytes()) {
		t.Fatal(err)
	}
	again, err := evident.ParseMasks(written.Bytes(), "mask", p)
	if err != nil || len(again) != 3 || again[2].Name != "a 2" || again[2].Bounds() != image.Rect(1, 1, 9, 9) {
		t.Errorf("read back as %v, %v", again, err)
	}
}

// TestMasksRefused: which mask, of which picture, and why.
func TestMasksRefused(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	for text, want := range map[string]string{
		`{"box": [90, 0, 99, 9]}`: "no pixel of it", `{"box": 3}`: "cannot unmarshal", `words`: "neither PNG nor JSON",
		``: "neither PNG nor JSON", "\x89PNG": "unexpected EOF",
	} {
		_, err := evident.ParseMasks([]byte(text), "given", p)
		var bad *evident.MaskError
		said := errors.As(err, &bad) && bad.Width == 90
		if !said || !strings.Contains(err.Error(), "mask given") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := evident.BoxMask(p, "box", 200, 0, 210, 9); !errors.Is(err, evident.ErrEmptyMask) {
		t.Errorf("a box outside: %v", err)
	}
	if _, err := evident.OpenMasks(filepath.Join(t.TempDir(), "a#1"), p); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	other := discMasks(t, drawPhoto(t, 100, 80))
	var bad *evident.MaskError
	if _, err := v.Regions(context.Background(), p, other, quick); !errors.As(err, &bad) || bad.Mask != "disc" {
		t.Errorf("masks of another picture: %v", err)
	}
	if _, err := v.Regions(context.Background(), p, nil, quick); err == nil {
		t.Error("no masks are taken")
	}
}

// TestRegionsOfOtherModels: every method works on every kind of model, and a model that says nothing of combinations
// names regions by MaskInversion.
func TestRegionsOfOtherModels(t *testing.T) {
	p := drawPhoto(t, 50, 40)
	masks, err := evident.ParseMasks([]byte(`[{"name": "disc", "circle": [35, 12, 8]}, {"box": [0, 20, 20, 40]}]`), "corner", p)
	if err != nil {
		t.Fatal(err)
	}
	for folder, labels := range map[string][]string{
		"model/vision/testdata/clip-open": {"a dog", "a red ball"}, "model/vision/testdata/clip-hf": {"a dog", "a red ball"},
		"model/vision/testdata/timm-token": {"goldfish", "tench"}, "model/vision/testdata/timm-mean": nil,
		"model/siglip/testdata/huggingface": {"a dog", "a red ball"},
	} {
		v, err := evident.OpenVision(context.Background(), evident.VisionOptions{Model: os.DirFS(folder)})
		if err != nil {
			t.Fatal(err)
		}
		if labels == nil {
			labels = v.Classes()[:2]
		}
		for _, method := range evident.RegionMethods() {
			o := evident.RegionOptions{Method: method, Steps: 2, Size: 6 * v.Model().Patch}
			r, err := v.ClassifyRegions(context.Background(), p, masks, labels, o)
			if method == evident.RegionCombined {
				if err == nil {
					t.Errorf("%s: combined, of nothing", folder)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", folder, method, err)
				continue
			}
			for _, region := range r.Regions {
				sum := 0.0
				for _, l := range region.Labels {
					sum += l.Score
				}
				if math.Abs(sum-1) > 1e-6 || region.Dice < 0 || region.Dice > 1 {
					t.Errorf("%s, %s: probabilities of %g, Dice %g", folder, method, sum, region.Dice)
				}
			}
		}
		r, err := v.ClassifyRegions(context.Background(), p, masks, labels, evident.RegionOptions{Steps: 2, Size: 6 * v.Model().Patch})
		if err != nil || r.Method != evident.RegionInversion {
			t.Errorf("%s is named by %v, %v", folder, r, err)
		}
	}
}
