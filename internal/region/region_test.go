package region

import (
	"context"
	"errors"
	"image"
	"math"
	"slices"
	"strings"
	"testing"

	"evident/internal/mask"
	"evident/internal/picture"
	"evident/internal/visiontest"
	"evident/model/vision"
	"evident/model/vit"
	"evident/nn"
)

// scene is a red disc on a green ground that changes from left to right, wider than high.
func scene() *picture.Image {
	im := &picture.Image{Width: 120, Height: 80}
	for y := range 80 {
		for x := range 120 {
			c := []uint8{60, uint8(100 + x), 50}
			if (x-90)*(x-90)+(y-30)*(y-30) < 400 {
				c = []uint8{220, 30, uint8(30 + y)}
			}
			im.Pix = append(im.Pix, c...)
		}
	}
	return im
}

func box(t testing.TB, x0, y0, x1, y1 float64) *mask.Mask {
	t.Helper()
	m, err := mask.Box(120, 80, x0, y0, x1, y1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func load(t testing.TB, opts Options) *Seer {
	t.Helper()
	s, err := New(context.Background(), visiontest.Load(t, nn.Auto), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func vectors(t testing.TB, s *Seer, method Method, masks ...*mask.Mask) [][]float32 {
	t.Helper()
	p, err := s.Look(scene(), masks)
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Vectors(context.Background(), method)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return v
}

func cosine(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// small keeps tests fast: maps of 6 x 6 patches.
var small = Options{Size: 96, Steps: 3, Weights: Weights{Patches: 1, BoxCrop: 2, MaskInversion: 0.5}}

// TestAlone: by every method a region has one vector of length 1, the same to the bit alone, twice, and in company.
func TestAlone(t *testing.T) {
	s := load(t, small)
	disc, corner := box(t, 70, 10, 110, 50), box(t, 0, 60, 30, 80)
	for _, method := range Methods() {
		alone := vectors(t, s, method, disc)
		all := vectors(t, s, method, corner, disc, disc)
		if !slices.Equal(all[1], alone[0]) || !slices.Equal(all[2], alone[0]) {
			t.Errorf("%s: a region's vector depends on what else is asked", method)
		}
		if length := cosine(alone[0], alone[0]); math.Abs(length-1) > 1e-5 {
			t.Errorf("%s: a vector of squared length %g", method, length)
		}
		if same := slices.Equal(all[0], all[1]); same != (method == Whole) {
			t.Errorf("%s: two regions have the same vector: %v", method, same)
		}
	}
}

// TestCrops: what is encoded is the part of the picture that the method's name promises.
func TestCrops(t *testing.T) {
	s := load(t, small)
	im, m := scene(), box(t, 70, 10, 110, 50)
	encode := func(im *picture.Image) []float32 {
		encoded, err := s.model.EncodePicture(context.Background(), im)
		if err != nil {
			t.Fatal(err)
		}
		return encoded.Embedding
	}
	if got := vectors(t, s, Whole, m)[0]; !slices.Equal(got, encode(im)) {
		t.Error("the whole picture has another vector")
	}
	if got := vectors(t, s, BoxCrop, m)[0]; !slices.Equal(got, encode(im.Crop(70, 10, 110, 50))) {
		t.Error("the box has another vector")
	}
	if got := vectors(t, s, MaskedCrop, m)[0]; !slices.Equal(got, encode(im.Crop(70, 10, 110, 50))) {
		t.Error("a mask that fills its box leaves something out")
	}
	half := box(t, 70, 10, 110, 50)
	for y := 30; y < 50; y++ {
		for x := 70; x < 90; x++ {
			half.Bits[y*120+x] = false
		}
	}
	painted := im.Crop(70, 10, 110, 50)
	for y := 20; y < 40; y++ {
		for x := range 20 {
			copy(painted.Pix[3*(y*40+x):], []uint8{128, 128, 128}) // 127.5, the model's mean
		}
	}
	if got := vectors(t, s, MaskedCrop, half)[0]; !slices.Equal(got, encode(painted)) {
		t.Error("what lies outside of the mask is not painted over")
	}
}

// TestRedCircle: the line is red, around the box, and the picture itself stays as it was.
func TestRedCircle(t *testing.T) {
	im := scene()
	before := slices.Clone(im.Pix)
	p := &Picture{image: im}
	marked := p.redCircle(box(t, 40, 20, 80, 60))
	red := func(x, y int) bool { return slices.Equal(marked.Pix[3*(y*120+x):][:3], []uint8{255, 0, 0}) }
	for name, c := range map[string]struct {
		x, y int
		want bool
	}{
		"left": {39, 40, true}, "right": {80, 40, true}, "top": {60, 19, true}, "bottom": {60, 60, true},
		"inside": {42, 40, false}, "the middle": {60, 40, false}, "the box's corner": {40, 20, false}, "beyond": {36, 40, false},
	} {
		if red(c.x, c.y) != c.want {
			t.Errorf("%s (%d, %d) is red: %v", name, c.x, c.y, !c.want)
		}
	}
	if !slices.Equal(im.Pix, before) {
		t.Error("the picture itself is painted")
	}
	p.redCircle(box(t, 0, 0, 120, 80)) // the line leaves the picture
}

func TestSurroundings(t *testing.T) {
	for want, m := range map[image.Rectangle]*mask.Mask{
		image.Rect(35, 20, 65, 50):  box(t, 40, 30, 60, 40),
		image.Rect(0, 0, 30, 30):    box(t, 0, 0, 20, 10),
		image.Rect(90, 50, 120, 80): box(t, 110, 60, 120, 80),
		image.Rect(0, 0, 120, 80):   box(t, 5, 5, 115, 75),
	} {
		if got := surroundings(m); got != want {
			t.Errorf("around %v: %v, want %v", m.Bounds(), got, want)
		}
	}
	m := box(t, 40, 30, 60, 40)
	if part := cut(m, image.Rect(35, 20, 65, 50)); part.Bounds() != image.Rect(5, 10, 25, 20) || part.Area() != m.Area() {
		t.Errorf("the mask cut out has %v", part.Bounds())
	}
}

// TestPatches: a mask of one whole patch reads that patch's token, one of two halves the mean of both.
func TestPatches(t *testing.T) {
	s := load(t, small)
	im, err := s.tokens(context.Background(), scene())
	if err != nil {
		t.Fatal(err)
	}
	d := s.model.Width
	token := func(i int) []float32 { return im.Tokens[(1+i)*d:][:d] }
	pool := s.model.Pool.(*vit.TokenPool)
	want := func(tokens ...[]float32) []float32 {
		return vit.Normalise(pool.Vector(vit.MeanToken(slices.Concat(tokens...), d)))
	}
	// The picture is squeezed to 6 x 6 patches of 20 x 13⅓ pixels; 80/6·3 = 40.
	column := box(t, 40, 0, 60, 40) // patches (0…2, 2)
	if got := vectors(t, s, Patches, column)[0]; cosine(got, want(token(2), token(8), token(14))) < 1-1e-6 {
		t.Error("three whole patches have another vector")
	}
	halves := box(t, 30, 0, 50, 40)
	six := want(token(1), token(8), token(14), token(2), token(7), token(13))
	if got := vectors(t, s, Patches, halves)[0]; cosine(got, six) < 1-1e-6 {
		t.Error("six patches covered by half have another vector")
	}
}

// TestPools: patches of a model that pools them behind its LayerNorm, or attends to them.
func TestPools(t *testing.T) {
	model := visiontest.Load(t, nn.Auto)
	s, err := New(context.Background(), model, small)
	if err != nil {
		t.Fatal(err)
	}
	norm := model.Pool.(*vit.TokenPool).Norm
	im := &vit.Image{Height: 1, Width: 3}
	d := model.Width
	for i := range 4 * d {
		im.Tokens = append(im.Tokens, float32(math.Sin(float64(i*i%97))))
	}
	m := &mask.Mask{Width: 6, Height: 1, Bits: []bool{false, true, true, true, false, false}}
	pooled := func(pool vit.Pool) []float32 {
		altered := *model
		tower := *model.Tower
		tower.Pool, altered.Tower = pool, &tower
		one := *s
		one.model = &altered
		v, err := one.pooled(im, m)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	read := func(i int) []float32 {
		token := slices.Clone(im.Tokens[(1+i)*d:][:d])
		norm.Forward(token, 1)
		return token
	}
	want := make([]float32, d)
	for i, a := range read(0) {
		want[i] = a/3 + read(1)[i]*2/3 // half of the first patch is covered, and all of the second
	}
	vit.Normalise(want)
	if got := pooled(&vit.TokenPool{Of: vit.NormPatches, Norm: norm, Prefix: 1}); cosine(got, want) < 1-1e-6 {
		t.Error("patches normalised one by one have another mean")
	}
	var seen []float32
	pooled(poolFunc(func(tokens []float32) []float32 { seen = tokens; return make([]float32, d) }))
	if !slices.Equal(seen, im.Tokens[d:3*d]) {
		t.Errorf("a pool that attends is given %d values, not the two patches covered by half", len(seen))
	}
}

type poolFunc func(tokens []float32) []float32

func (f poolFunc) Size() int                         { return len(f(nil)) }
func (f poolFunc) Vector(tokens []float32) []float32 { return f(tokens) }

// TestCombined is the weighted sum, and nothing else.
func TestCombined(t *testing.T) {
	s := load(t, small)
	m := box(t, 70, 10, 110, 50)
	want := make([]float32, s.model.Size())
	for method, weight := range small.Weights {
		for i, v := range vectors(t, s, method, m)[0] {
			want[i] += weight * v
		}
	}
	if got := vectors(t, s, Combined, m)[0]; cosine(got, vit.Normalise(want)) < 1-1e-6 {
		t.Error("the combination is another")
	}
}

// TestMaps: MaskInversion's vector is seen where its mask is, better than the whole picture's; Dice says so.
func TestMaps(t *testing.T) {
	s := load(t, Options{Size: 160})
	p, err := s.Look(scene(), []*mask.Mask{box(t, 70, 10, 110, 50), box(t, 0, 60, 30, 80)})
	if err != nil {
		t.Fatal(err)
	}
	dice := func(method Method) []float64 {
		v, err := p.Vectors(context.Background(), method)
		if err != nil {
			t.Fatal(err)
		}
		fields, dice, err := p.Maps(context.Background(), v)
		if err != nil {
			t.Fatal(err)
		}
		if f := fields[1]; f.Rows != 10 || f.Columns != 10 || len(f.Values) != 100 {
			t.Fatalf("a map of %d x %d", f.Rows, f.Columns)
		}
		return dice
	}
	whole, inverted := dice(Whole), dice(MaskInversion)
	for i := range whole {
		if !(inverted[i] > whole[i] && inverted[i] <= 1 && whole[i] >= 0) {
			t.Errorf("region %d: Dice %.3f, of the whole picture's vector %.3f", i, inverted[i], whole[i])
		}
	}
}

func TestOverlap(t *testing.T) {
	m := &mask.Mask{Width: 2, Height: 2, Bits: []bool{true, false, true, false}}
	for want, heat := range map[float64][]float32{
		1: {1, 0, 1, 0}, (2*1 + 1) / (2 + 2 + 1.0): {0.5, 0.5, 0.5, 0.5}, 1 / 5.0: {0, 1, 0, 1}, 1 / 3.0: {0, 0, 0, 0},
	} {
		if got, err := overlap(heat, 2, m); err != nil || math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %g, want %g (%v)", heat, got, want, err)
		}
	}
}

func TestWrong(t *testing.T) {
	s := load(t, small)
	empty, err := mask.New(120, 80)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Look(scene(), []*mask.Mask{box(t, 0, 0, 9, 9), empty})
	if !errors.Is(err, mask.ErrEmpty) || !strings.Contains(err.Error(), "region 1") {
		t.Errorf("an empty mask: %v", err)
	}
	other, err := mask.Box(80, 120, 0, 0, 9, 9)
	if err != nil {
		t.Fatal(err)
	}
	var mismatch *mask.MismatchError
	if _, err := s.Look(scene(), []*mask.Mask{other}); !errors.As(err, &mismatch) {
		t.Errorf("a mask of another picture: %v", err)
	}
	if _, err := s.Look(scene(), nil); err == nil {
		t.Error("no mask is taken")
	}
	for name, o := range map[string]Options{
		"size 8": {Size: 8}, "size 5000": {Size: 5000}, "negative": {Weights: Weights{Patches: -1}},
		"itself": {Weights: Weights{Combined: 1}}, "unknown": {Weights: Weights{"guess": 1}}, "layer": {Layers: []int{12}},
	} {
		if _, err := New(context.Background(), s.model, o); err == nil {
			t.Errorf("%s: %+v was taken", name, o)
		}
	}
	if _, err := ParseMethod("guess"); err == nil || !strings.Contains(err.Error(), "mask-inversion, whole") {
		t.Errorf("an unknown method: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p, err := s.Look(scene(), []*mask.Mask{box(t, 0, 0, 9, 9)})
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range Methods() {
		if _, err := p.Vectors(ctx, method); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", method, err)
		}
	}
}

// TestScale: what was fitted for a method, else the model's own; of a classifier its vectors' length.
func TestScale(t *testing.T) {
	m := &vision.Model{Scale: 30, Regions: vit.Regions{Scales: map[string]float32{"patches": 12}}}
	if a, b := Scale(m, Patches), Scale(m, Whole); a != 12 || b != 30 {
		t.Errorf("scales %g and %g", a, b)
	}
	norm := &nn.LayerNorm{Gain: []float32{2, 1}, Bias: []float32{0, 2}}
	m = &vision.Model{Tower: &vit.Tower{Pool: &vit.TokenPool{Norm: norm}}, Classes: []string{"a"}, Scale: 1}
	if got := Scale(m, Patches); got != 3 {
		t.Errorf("a classifier's vectors have length %g, want 3", got)
	}
}
