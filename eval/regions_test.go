package eval

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"evident/eval/photos"
	"evident/internal/mask"
)

// outliner knows things by the columns that they cover in photos of 4 x 4 pixels: the method "right" gives the vector
// of the right class, "wrong" another one, "undecided" fits all alike.
type outliner struct {
	methods []string
	axes    map[string]int // of texts
	of      func(*mask.Mask) int
}

func (o *outliner) Methods() []string { return o.methods }

func (o *outliner) Regions(_ context.Context, _ []byte, masks []*mask.Mask) ([][][]float32, error) {
	all := make([][][]float32, len(o.methods))
	for i, method := range o.methods {
		for _, m := range masks {
			v := make([]float32, 8)
			switch method {
			case "right":
				v[o.of(m)] = 1
			case "wrong":
				v[(o.of(m)+1)%8] = 1
			}
			all[i] = append(all[i], v)
		}
	}
	return all, nil
}

// Picture gives photo 0 the vector of axis 0, and so on.
func (o *outliner) Picture(_ context.Context, file []byte) ([]float32, error) {
	v := make([]float32, 8)
	v[file[0]-'0'] = 1
	return v, nil
}

func (o *outliner) Texts(_ context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = make([]float32, 8)
		axis, ok := o.axes[text]
		if !ok {
			panic("text " + text + " is not asked for")
		}
		vectors[i][axis] = 1
	}
	return vectors, nil
}

func (o *outliner) Names(ctx context.Context, names []string) ([][]float32, error) {
	return o.Texts(ctx, names)
}

// TestRegionRetrieval: each thing counts by itself, among all classes of the set; the small, crowds and stuff do not.
func TestRegionRetrieval(t *testing.T) {
	fields := append(masked(3), strings.Join(strings.Fields(`"masks": [
		{"class": "sky", "isthing": 0, "rle": {"size": [4, 4], "counts": [0, 16]}},
		{"class": "cat", "iscrowd": 1, "rle": {"size": [4, 4], "counts": [0, 16]}},
		{"class": "diningtable", "rle": {"size": [4, 4], "counts": [16]}}]`), " "))
	set := writeSet(t, "mine", fields...)
	o := &outliner{
		methods: []string{"right", "wrong", "undecided"},
		axes:    map[string]int{"bird": 3, "cat": 0, "dining table": 1, "dog": 2},
		of:      func(m *mask.Mask) int { return map[int]int{0: 0, 2: 2, 3: 2}[m.Bounds().Min.X] },
	}
	var last [2]int
	opts := PhotoOptions{Settings: map[string]string{"method": "right"}}
	opts.Progress = func(done, total int) { last = [2]int{done, total} }
	r, err := RunRegionRetrieval(context.Background(), set, o, opts)
	if err != nil {
		t.Fatal(err)
	}
	if r.N != 9 || r.Settings["photos"] != "3" || r.Settings["classes"] != "4" || last != [2]int{4, 4} {
		t.Errorf("%d things, %v, progress %v", r.N, r.Settings, last)
	}
	for method, want := range map[string]float64{"wrong": 0, "undecided": 0, "chance": 25} {
		if got := r.Baselines[method]["top1"]; got != want {
			t.Errorf("%s: top1 %g, want %g", method, got, want)
		}
	}
	// Of four classes five are all: only what ranks behind all others and ties is within them.
	if r.Metrics["top1"] != 100 || r.Metrics["top5"] != 100 || r.Baselines["chance"]["top5"] != 100 {
		t.Errorf("%v, %v", r.Metrics, r.Baselines)
	}
	if d := r.Differences["chance"]["top1"]; d != (Interval{75, 75}) {
		t.Errorf("right is ahead of chance by %v", d)
	}
	all := opts
	all.AreaMin = -1
	if r, err = RunRegionRetrieval(context.Background(), set, o, all); err != nil || r.N != 12 {
		t.Errorf("%d things of any size: %v", r.N, err)
	}
	if _, err := RunRegionRetrieval(context.Background(), writeSet(t, "bare", `"labels": ["cat"]`), o, opts); err == nil {
		t.Error("a set without outlines is judged")
	}
}

func region(class string, x0, y0, x1, y1 float64) mask.Region {
	m, err := mask.Box(100, 50, x0, y0, x1, y1)
	if err != nil {
		panic(err)
	}
	return mask.Region{Name: class, Mask: m}
}

// TestExpressions: what can be said of things, and which is meant.
func TestExpressions(t *testing.T) {
	dog, bird, table := region("dog", 0, 0, 10, 10), region("bird", 50, 0, 60, 10), region("diningtable", 0, 40, 90, 50)
	for name, c := range map[string]struct {
		regions []mask.Region
		small   []string // classes of what is in the photo, and too small to be a region
		want    []expression
	}{
		"each the only one": {
			regions: []mask.Region{dog, table},
			want:    []expression{{"the dog", byName, 0}, {"the dining table", byName, 1}},
		},
		"another one that is too small": {
			regions: []mask.Region{dog, table}, small: []string{"dog"},
			want: []expression{{"the dining table", byName, 1}},
		},
		"one of two": {
			regions: []mask.Region{region("dog", 60, 0, 70, 10), bird, dog},
			want: []expression{
				{"the dog on the left", byPlace, 2}, {"the dog on the right", byPlace, 0}, {"the bird", byName, 1},
			},
		},
		"below and larger": {
			regions: []mask.Region{dog, region("dog", 0, 20, 20, 50)},
			want: []expression{
				{"the dog at the top", byPlace, 0},
				{"the dog at the bottom", byPlace, 1},
				{"the small dog", bySize, 0},
				{"the large dog", bySize, 1},
			},
		},
		"alike":       {regions: []mask.Region{dog, region("dog", 8, 2, 18, 12)}},
		"three":       {regions: []mask.Region{dog, region("dog", 40, 0, 50, 10), region("dog", 80, 0, 90, 10)}},
		"two and one": {regions: []mask.Region{dog, region("dog", 40, 0, 50, 10)}, small: []string{"dog"}},
	} {
		p := new(photos.Photo)
		for _, r := range c.regions {
			p.Masks = append(p.Masks, photos.Object{Class: r.Name})
		}
		for _, class := range c.small {
			p.Masks = append(p.Masks, photos.Object{Class: class})
		}
		if got := expressions(p, c.regions); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestReferring: an expression picks among the things of its own photo.
func TestReferring(t *testing.T) {
	fields := append(masked(2), strings.Join(strings.Fields(`"masks": [
		{"class": "cat", "rle": {"size": [4, 4], "counts": [0, 4, 12]}},
		{"class": "bird", "rle": {"size": [4, 4], "counts": [12, 4]}}]`), " "),
		`"masks": [{"class": "cat", "rle": {"size": [4, 4], "counts": [0, 4, 12]}}]`)
	set := writeSet(t, "mine", fields...)
	o := &outliner{
		methods: []string{"right", "wrong", "undecided"},
		axes: map[string]int{
			"the cat": 0, "the bird": 3, "the dog on the left": 2, "the dog on the right": 3,
		},
		of: func(m *mask.Mask) int { return m.Bounds().Min.X },
	}
	r, err := RunReferring(context.Background(), set, o, PhotoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Two photos of a cat and two dogs, three expressions each; one of a cat and a bird; one of a single cat.
	if r.N != 8 || r.Settings["photos"] != "3" || r.Settings["regions"] != "8" || r.Settings["place"] != "4" ||
		r.Settings["name"] != "4" || r.Settings["size"] != "0" {
		t.Errorf("%d expressions, %v", r.N, r.Settings)
	}
	if r.Metrics["top1"] != 100 || r.Metrics["name_top1"] != 100 || r.Metrics["place_top1"] != 100 {
		t.Errorf("right: %v", r.Metrics)
	}
	if _, ok := r.Metrics["size_top1"]; ok {
		t.Error("nothing was said of sizes")
	}
	if r.Baselines["wrong"]["top1"] != 0 || r.Baselines["undecided"]["top1"] != 0 {
		t.Errorf("wrong and undecided: %v", r.Baselines)
	}
	if want := 100 * (6/3.0 + 2/2.0) / 8; math.Abs(r.Baselines["chance"]["top1"]-want) > 1e-9 {
		t.Errorf("chance has %g, want %g", r.Baselines["chance"]["top1"], want)
	}
	if _, err := RunReferring(context.Background(), writeSet(t, "single", fields[3]), o, PhotoOptions{}); err == nil {
		t.Error("a photo of a single thing is judged")
	}
	if _, err := RunReferring(context.Background(), set, &outliner{methods: []string{"a", "a"}}, PhotoOptions{}); err == nil {
		t.Error("two methods of one name are judged")
	}
}

// TestThings: things with an outline, of photos of every part.
func TestThings(t *testing.T) {
	set := writeSet(t, "mine", append(masked(1), `"split": "train", `+
		`"masks": [{"class": "ant", "rle": {"size": [1, 1], "counts": [1]}}, `+
		`{"class": "sky", "isthing": 0, "rle": {"size": [1, 1], "counts": [1]}}]`)...)
	if got, want := set.Things(), []string{"ant", "bird", "cat", "dog"}; !slices.Equal(got, want) {
		t.Errorf("things %v, want %v", got, want)
	}
}

// fixed proposes the same masks for every picture.
type fixed []*mask.Mask

func (f fixed) Propose(_ context.Context, _ []byte, count int) ([]*mask.Mask, error) {
	return f[:min(count, len(f))], nil
}

// TestProposals: a thing is found if one proposal overlaps it by half; the boxes of the baseline are spread evenly.
func TestProposals(t *testing.T) {
	set := writeSet(t, "mine", masked(2)...)
	// Photos have 4 x 4 pixels: a cat in the first column, dogs in the third and the fourth.
	half, err := mask.Box(8, 8, 0, 0, 2, 5) // fitted: the column's upper half, and no more
	if err != nil {
		t.Fatal(err)
	}
	dogs, err := mask.Box(4, 4, 2, 0, 4, 4)
	if err != nil {
		t.Fatal(err)
	}
	r, err := RunProposals(context.Background(), set, fixed{half, dogs}, ProposalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// 8 x 8 pixels of 2 x 5 become rows 0 to 2 of the column, of which the last is half covered.
	cat, dog := 3/4.0, 4/8.0
	if r.N != 6 || r.Metrics["recall_50"] != 100 || math.Abs(r.Metrics["best_iou"]-100*(cat+2*dog)/3) > 1e-9 {
		t.Errorf("%d things, %v", r.N, r.Metrics)
	}
	opts := ProposalOptions{Count: 1}
	r, err = RunProposals(context.Background(), set, fixed{half, dogs}, opts)
	if err != nil || math.Abs(r.Metrics["recall_50"]-100/3.0) > 1e-9 {
		t.Errorf("one proposal: %v, %v", r.Metrics, err)
	}
	boxes := spread(120, 60, 20)
	var bounds []string
	for _, b := range boxes {
		bounds = append(bounds, b.Bounds().String())
	}
	if len(boxes) != 20 || bounds[0] != "(0,0)-(90,45)" || bounds[3] != "(30,15)-(120,60)" || bounds[8] != "(30,15)-(90,45)" ||
		bounds[13] != "(0,0)-(40,20)" || bounds[19] != "(20,10)-(60,30)" {
		t.Errorf("boxes %v", bounds)
	}
	if n := len(spread(120, 60, 100)); n != 38 {
		t.Errorf("%d boxes of three sizes", n)
	}
}

// TestRegionSearch: a thing finds the other photos that show its class; its own photo does not count.
func TestRegionSearch(t *testing.T) {
	thing := func(class, counts string) string {
		return `{"class": "` + class + `", "rle": {"size": [4, 4], "counts": ` + counts + `}}`
	}
	left, right := "[0, 4, 12]", "[12, 4]"
	set := writeSet(t, "mine", `"masks": [`+thing("cat", left)+`, `+thing("dog", right)+`]`,
		`"masks": [`+thing("cat", left)+`]`, `"masks": [`+thing("bird", left)+`]`, `"masks": [`+thing("cat", right)+`]`)
	// A thing on the left has the vector of photo 1, one on the right that of photo 3.
	o := &outliner{methods: []string{"right"}, of: func(m *mask.Mask) int { return map[int]int{0: 1, 3: 3}[m.Bounds().Min.X] }}
	r, err := RunRegionSearch(context.Background(), set, o, PhotoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The cats of photos 0, 1 and 3; dog and bird are shown once. Photo 0's finds photo 1, then of two alike 2 and 3;
	// photo 1's knows its own photo alone, and takes the first of three alike, photo 0; photo 3's likewise.
	if r.N != 3 || r.Metrics["top1"] != 100 {
		t.Errorf("%d things, %v", r.N, r.Metrics)
	}
	if want := 100 * 2 / 3.0; math.Abs(r.Baselines["chance"]["map"]-want) > 1e-9 {
		t.Errorf("chance has %g, want %g", r.Baselines["chance"]["map"], want)
	}
	first, precision := searched([]float32{1, 0}, [][]float32{{0.1, 0}, {0.9, 0}, {0.5, 0}}, []bool{true, false, true})
	if first != 0 || math.Abs(precision-(1/2.0+2/3.0)/2) > 1e-9 {
		t.Errorf("first %g, precision %g", first, precision)
	}
	alone := writeSet(t, "alone", `"masks": [`+thing("cat", left)+`]`, `"masks": [`+thing("dog", left)+`]`)
	if _, err := RunRegionSearch(context.Background(), alone, o, PhotoOptions{}); err == nil {
		t.Error("things of which there is one are looked for")
	}
}
