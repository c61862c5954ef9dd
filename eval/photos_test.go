package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evident/eval/photos"
)

// writeSet writes photos whose file says their line, with the fields of the manifest, and opens them.
func writeSet(t *testing.T, name string, fields ...string) *photos.Set {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var manifest strings.Builder
	for i, f := range fields {
		file := fmt.Sprintf("%d.png", i)
		fmt.Fprintf(&manifest, `{"image": %q, %s}`+"\n", file, f)
		if err := os.WriteFile(filepath.Join(dir, file), fmt.Appendf(nil, "%d", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.jsonl"), []byte(manifest.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := photos.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// masked are photos of 4 x 4 pixels: a cat in the left column, a dog, told apart as two, in the right half, and
// a bird of one pixel in 224 x 224, too small to be asked for.
func masked(n int) []string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = `"masks": [{"class": "cat", "rle": {"size": [4, 4], "counts": [0, 4, 12]}},
			{"class": "dog", "rle": {"size": [4, 4], "counts": [8, 4, 4]}},
			{"class": "dog", "rle": {"size": [4, 4], "counts": [12, 4]}},
			{"class": "bird", "rle": {"size": [224, 224], "counts": [0, 1, 50175]}}]`
		fields[i] = strings.Join(strings.Fields(fields[i]), " ")
	}
	return fields
}

// seers are methods by name, in order.
type seers []struct {
	name string
	maps func(picture []byte, classes []string) ([]Heatmap, error)
}

func (s seers) Methods() (names []string) {
	for _, one := range s {
		names = append(names, one.name)
	}
	return names
}

func (s seers) Maps(_ context.Context, picture []byte, classes []string) (all [][]Heatmap, err error) {
	for _, one := range s {
		maps, err := one.maps(picture, classes)
		if err != nil {
			return nil, err
		}
		all = append(all, maps)
	}
	return all, nil
}

// painter draws on a grid of 4 columns: the value of the class's own columns and of the others, which may depend
// on the photo.
type painter func(photo string) (own, other float32)

func (p painter) maps(picture []byte, classes []string) ([]Heatmap, error) {
	maps := make([]Heatmap, len(classes))
	for i, class := range classes {
		own, other := p(string(picture))
		first, last := 0, 1
		switch class {
		case "dog":
			first, last = 2, 4
		case "cat":
		default:
			return nil, fmt.Errorf("class %q is not asked for", class)
		}
		maps[i] = Heatmap{1, 4, []float32{other, other, other, other}}
		for x := first; x < last; x++ {
			maps[i].Values[x] = own
		}
	}
	return maps, nil
}

var (
	right = painter(func(string) (float32, float32) { return 1, 0 })
	wrong = painter(func(string) (float32, float32) { return 0, 1 })
	blank = painter(func(string) (float32, float32) { return 1, 1 })
)

func TestPointing(t *testing.T) {
	set := writeSet(t, "mine", masked(3)...)
	var last [2]int
	opts := PhotoOptions{Settings: map[string]string{"method": "right"}}
	opts.Now = clock()
	opts.Progress = func(done, total int) { last = [2]int{done, total} }
	all := seers{{"right", right.maps}, {"wrong", wrong.maps}, {"blank", blank.maps}}
	r, err := RunPointing(context.Background(), set, all, opts)
	if err != nil {
		t.Fatal(err)
	}
	if r.N != 6 || r.Metrics["accuracy"] != 100 || r.Baselines["wrong"]["accuracy"] != 0 ||
		math.Abs(r.Baselines["blank"]["accuracy"]-100*(0.25+0.5)/2) > 1e-9 || last != [2]int{3, 3} {
		t.Errorf("%d pairs, right %v, others %v, progress %v", r.N, r.Metrics, r.Baselines, last)
	}
	if d := r.Differences["wrong"]["accuracy"]; d != (Interval{100, 100}) {
		t.Errorf("right is ahead of wrong by %v", d)
	}
	var table, document bytes.Buffer
	if err := errors.Join(r.Table(&table), r.JSON(&document)); err != nil {
		t.Fatal(err)
	}
	squeezed := strings.Join(strings.Fields(table.String()), " ")
	for _, want := range []string{"right 100.00", "right - wrong 100.0…100.0", "6 pairs of photo and class", "photos: 3"} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
	var fields map[string]any
	if err := json.Unmarshal(document.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"task", "n", "metrics", "baselines", "seconds", "unit", "settings", "intervals"} {
		if fields[name] == nil {
			t.Errorf("the document lacks %q", name)
		}
	}
	if _, ok := fields["baselines"].(map[string]any)["centre"]; !ok {
		t.Error("the document lacks the centre prior")
	}
}

// TestThreshold: the threshold comes from photos that may choose, and from them alone, whatever would suit the
// photos that are reported on.
func TestThreshold(t *testing.T) {
	// Line 10 chooses, odd lines (from 0) are for tests: there the second column glows as well, at 0.6, which
	// a threshold of at most 0.6 takes for the cat.
	set := writeSet(t, "coco-seg", masked(12)...)
	seen := map[string]int{}
	glowing := seers{{"glowing", eachClass(func(photo, class string) Heatmap {
		seen[photo]++
		glow := float32(0.6)
		if photo == "10" {
			glow = 0.1
		}
		if class == "dog" {
			return Heatmap{1, 4, []float32{0, glow, 1, 1}}
		}
		return Heatmap{1, 4, []float32{1, glow, 0, 0}}
	})}}
	r, err := RunSegmentation(context.Background(), set, glowing, PhotoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.N != 12 || len(seen) != 7 || seen["10"] != 2 {
		t.Errorf("%d pairs, photos asked for %v", r.N, seen)
	}
	chosen, err := localise(context.Background(), set, []*photos.Photo{&set.Photos[10]}, glowing, &PhotoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tested, err := localise(context.Background(), set, []*photos.Photo{&set.Photos[1]}, glowing, &PhotoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cut, own := bestThreshold(chosen.pairs["glowing"]), bestThreshold(tested.pairs["glowing"])
	if cut == own {
		t.Fatal("the photos do not differ: the test sees nothing")
	}
	want := 100 * mean(column(tested.pairs["glowing"], func(p *pair) float64 { return p.iou[cut] }))
	if math.Abs(r.Metrics["miou"]-want) > 1e-9 || r.Settings["threshold"] != fmt.Sprintf("%.2f", thresholdAt(cut)) {
		t.Errorf("mIoU %g at %s, want %g at %.2f", r.Metrics["miou"], r.Settings["threshold"], want, thresholdAt(cut))
	}
	other := writeSet(t, "mine", masked(2)...)
	all, err := RunSegmentation(context.Background(), set, glowing, PhotoOptions{Part: photos.All})
	if err != nil || !strings.Contains(all.Settings["threshold"], "best of the other") {
		t.Errorf("a threshold is chosen on photos that are reported on: %v, %v", all, err)
	}
	elsewhere, err := RunSegmentation(context.Background(), other, glowing, PhotoOptions{Choose: set})
	if err != nil || elsewhere.Settings["threshold"] != r.Settings["threshold"] {
		t.Errorf("another set's threshold: %v, %v", elsewhere, err)
	}
	crosswise, err := RunSegmentation(context.Background(), other, seers{{"right", right.maps}}, PhotoOptions{})
	if err != nil || !strings.Contains(crosswise.Settings["threshold"], "best of the other") {
		t.Errorf("crosswise: %v, %v", crosswise, err)
	}
	// The bilinear edges between columns keep a perfect map from a perfect outline.
	if m := crosswise.Metrics; !(m["miou"] > 95 && m["pixel_accuracy"] > 97 && m["map"] > 99 && m["pointing"] == 100) {
		t.Errorf("a perfect map has %v", m)
	}
	for what, opts := range map[string]PhotoOptions{
		"a threshold is chosen on a set without photos for it": {Choose: other},
		"a single photo is judged at its own threshold":        {Options: Options{Limit: 1}},
	} {
		if _, err := RunSegmentation(context.Background(), other, seers{{"right", right.maps}}, opts); err == nil {
			t.Error(what)
		}
	}
}

// eachClass draws one class after the other.
func eachClass(draw func(photo, class string) Heatmap) func(picture []byte, classes []string) ([]Heatmap, error) {
	return func(picture []byte, classes []string) ([]Heatmap, error) {
		maps := make([]Heatmap, len(classes))
		for i, class := range classes {
			maps[i] = draw(string(picture), class)
		}
		return maps, nil
	}
}

func TestWrongPhotos(t *testing.T) {
	ctx, seer := context.Background(), seers{{"right", right.maps}}
	plain := writeSet(t, "plain", `"width": 3`)
	for name, run := range map[string]func() (*Report, error){
		"class that covers enough": func() (*Report, error) { return RunPointing(ctx, plain, seer, PhotoOptions{}) },
		`two methods are named "right"`: func() (*Report, error) {
			return RunPointing(ctx, plain, append(seer, seer...), PhotoOptions{})
		},
		`two methods are named "centre"`: func() (*Report, error) {
			return RunSegmentation(ctx, plain, seers{{centre, right.maps}}, PhotoOptions{})
		},
		`of the part "train"`: func() (*Report, error) {
			return RunPointing(ctx, plain, seer, PhotoOptions{Part: photos.Train})
		},
		"has no label": func() (*Report, error) {
			return RunPerturbation(ctx, plain, &keyhole{methods: []string{"a"}}, PerturbationOptions{})
		},
		"no method":   func() (*Report, error) { return RunPerturbation(ctx, plain, &keyhole{}, PerturbationOptions{}) },
		"no captions": func() (*Report, error) { return RunImageRetrieval(ctx, plain, nil, PhotoOptions{}) },
		"no labels":   func() (*Report, error) { return RunTagging(ctx, plain, nil, PhotoOptions{}) },
	} {
		if _, err := run(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want an error with %q", err, name)
		}
	}
}

// keyhole sees the first class as long as one patch of 2 x 5 is left, the one named by the photo's file.
type keyhole struct{ methods, classes []string }

func (k *keyhole) Methods() []string { return k.methods }

func (k *keyhole) SetClasses(_ context.Context, names []string) error { k.classes = names; return nil }

func (k *keyhole) Look(_ context.Context, picture []byte) (Subject, error) {
	return &key{k, int(picture[0] - '0')}, nil
}

type key struct {
	*keyhole
	patch int
}

func (k *key) Grid() (int, int) { return 2, 5 }

func (k *key) Class(_ context.Context, removed []bool) (int, error) {
	if len(removed) != 10 || removed[k.patch] {
		return 1, nil
	}
	return 0, nil
}

func (k *key) Relevance(_ context.Context, class int) ([][]float32, error) {
	all := make([][]float32, len(k.methods))
	for i, method := range k.methods {
		all[i] = make([]float32, 10)
		all[i][k.patch] = -1
		if method == "knowing" && class == 0 {
			all[i][k.patch] = 1
		}
	}
	return all, nil
}

func TestPerturbation(t *testing.T) {
	// The classes' order is that of class_index, not of the photos.
	set := writeSet(t, "keys", `"labels": ["key", "x"], "class_index": 3`, `"labels": ["lock"], "class_index": 9`,
		`"labels": ["key"], "class_index": 3`)
	k := &keyhole{methods: []string{"knowing", "misled"}}
	r, err := RunPerturbation(context.Background(), set, k, PerturbationOptions{Labels: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(k.classes, []string{"key", "lock"}) {
		t.Errorf("classes %v", k.classes)
	}
	// Two keys: the area is half a step when the first removal loses the class, all when none does. The lock is
	// never seen with its patch there, always without: the other way round.
	const step = 1.0 / 9
	keys, lock := [2]float64{step / 2, 1}, [2]float64{1 - step/2, 0}
	check := func(name string, got map[string]float64, want [2]float64) {
		t.Helper()
		for i, metric := range []string{"positive_auc", "negative_auc"} {
			if math.Abs(got[metric]-100*want[i]) > 1e-9 {
				t.Errorf("%s %s: %g, want %g", name, metric, got[metric], 100*want[i])
			}
		}
		if math.Abs(got["accuracy"]-100*2.0/3) > 1e-9 {
			t.Errorf("%s: accuracy %g", name, got["accuracy"])
		}
	}
	// "knowing" is misled about locks: it gives the patch the least relevance.
	check("knowing", r.Metrics, [2]float64{(2*keys[0] + lock[1]) / 3, (2*keys[1] + lock[0]) / 3})
	check("misled", r.Baselines["misled"], [2]float64{(2*keys[1] + lock[1]) / 3, (2*keys[0] + lock[0]) / 3})
	if r.N != 3 || r.Baselines["centre"] == nil || r.Baselines["random"] == nil {
		t.Errorf("%d photos, baselines %v", r.N, slices.Sorted(maps.Keys(r.Baselines)))
	}
	seen, err := RunPerturbation(context.Background(), set, k, PerturbationOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check("knowing of the class seen", seen.Metrics, keys)
	again, err := RunPerturbation(context.Background(), set, k, PerturbationOptions{Labels: true})
	if err != nil || again.Baselines["random"]["positive_auc"] != r.Baselines["random"]["positive_auc"] {
		t.Errorf("one seed gives two random orders: %v, %v", again, err)
	}
}

// axes embeds a text "a b" along axes a and b, and a photo along the axis of its line.
type axes struct{}

func (axes) Picture(_ context.Context, picture []byte) ([]float32, error) {
	v := make([]float32, 4)
	v[picture[0]-'0'] = 1
	return v, nil
}

func (axes) Texts(_ context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = make([]float32, 4)
		for weight, axis := range strings.Fields(text) {
			vectors[i][axis[0]-'0'] = 1 / float32(weight+1)
		}
	}
	return vectors, nil
}

func (a axes) Names(ctx context.Context, names []string) ([][]float32, error) {
	return a.Texts(ctx, names)
}

func TestImageRetrieval(t *testing.T) {
	set := writeSet(t, "captions", `"captions": ["0", "1 0"]`, `"captions": ["1"]`, `"captions": ["0 1 3 2"]`,
		`"captions": ["0"]`)
	r, err := RunImageRetrieval(context.Background(), set, axes{}, PhotoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Ranks from 0: 0, 1, 0, 3, and the last caption is far from its own photo, behind one.
	m := r.Metrics
	if r.N != 5 || m["recall_at_1"] != 40 || m["recall_at_5"] != 100 || r.Baselines["chance"]["recall_at_1"] != 25 {
		t.Errorf("%d captions, %v, %v", r.N, r.Metrics, r.Baselines)
	}
}

func TestTagging(t *testing.T) {
	set := writeSet(t, "tags", `"labels": ["0"]`, `"labels": ["1"]`, `"boxes": [{"class": "0 1", "box": [0, 0, 1, 1]}]`)
	r, err := RunTagging(context.Background(), set, axes{}, PhotoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// "0" and "1" find their photos first; "0 1" ranks its own, the third, last.
	if want := 100 * (1 + 1 + 1.0/3) / 3; r.N != 3 || math.Abs(r.Metrics["map"]-want) > 1e-9 {
		t.Errorf("%d photos, %v, want map %g", r.N, r.Metrics, want)
	}
	if i := r.Intervals["map"]; !(i[0] <= r.Metrics["map"] && r.Metrics["map"] <= i[1]) {
		t.Errorf("the interval %v is elsewhere", i)
	}
}
