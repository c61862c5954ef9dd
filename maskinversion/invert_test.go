package maskinversion

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"

	"evident/internal/goldentest"
	"evident/internal/mask"
	"evident/internal/visiontest"
	"evident/model/vision"
	"evident/model/vit"
	"evident/nn"
)

// small loads a small model of package model/vision and prepares its image.
func small(t *testing.T, folder string, s Setup, change func(*vision.Model)) *Image {
	t.Helper()
	a := goldentest.Open(t, "../model/"+folder)
	m, err := vision.LoadWith(os.DirFS(a.Folder), vision.Options{Precision: nn.FP32})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(m)
	}
	v, err := New(context.Background(), m, s)
	if err != nil {
		t.Fatal(err)
	}
	pixels, shape := a.Floats(t, "in_image_wide")
	im, err := v.Prepare(context.Background(), pixels, shape[2], shape[3])
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// builtIn prepares a picture for the built-in model.
func builtIn(t *testing.T, s Setup) *Image {
	t.Helper()
	g := visiontest.Open(t, "../model/vision/testdata")
	v, err := New(context.Background(), visiontest.Load(t, nn.Auto), s)
	if err != nil {
		t.Fatal(err)
	}
	size := [2]int{64, 96}
	im, err := v.Prepare(context.Background(), g.Pixels(t, size), size[0], size[1])
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// boxes returns so many masks of one size, each another.
func boxes(t *testing.T, count, width, height int) (all []Mask) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	for range count {
		x, y := r.Float64()*float64(width-3), r.Float64()*float64(height-3)
		m, err := mask.Box(width, height, x, y, x+3+r.Float64()*float64(width)/2, y+3+r.Float64()*float64(height)/2)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Binary(m))
	}
	return all
}

func inverted(t *testing.T, im *Image, masks []Mask, o Options) []Region {
	t.Helper()
	regions, err := im.Invert(context.Background(), masks, o)
	if err != nil {
		t.Fatal(err)
	}
	return regions
}

// TestGradient compares the gradient of the whole loss, from the vector through the map, the pixels and the mask, with
// central differences, by every form and for every kind of pool.
func TestGradient(t *testing.T) {
	for name, c := range map[string]struct {
		folder string
		setup  Setup
	}{
		"layer scale": {"vision/testdata/clip-open", Setup{Layers: []int{0, 2}}},
		"patch mean":  {"vision/testdata/clip-custom", Setup{Layers: []int{1, 2}}},
		"registers":   {"vision/testdata/timm-mean", Setup{Layers: []int{0, 1}}},
		"siglip":      {"siglip/testdata/open", Setup{Layers: []int{1, 2}}},
		"coca":        {"clip/testdata/coca", Setup{}},
	} {
		t.Run(name, func(t *testing.T) {
			c.setup.Precision = nn.FP32
			im := small(t, c.folder, c.setup, nil)
			o, err := im.inverter.settled(Options{Alpha: 0.3}, im.start)
			if err != nil {
				t.Fatal(err)
			}
			states, err := im.states(boxes(t, 2, 37, 23), o)
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 2))
			for _, form := range []Form{Direct, Factor, Tensor} {
				if err := im.setUp(context.Background(), form); err != nil {
					t.Fatal(err)
				}
				runs := im.begin(im.layerWays(form))
				for _, s := range states {
					for i := range s.vector {
						s.vector[i] += 0.2 * r.NormFloat64() * length(im.start) / math.Sqrt(float64(len(s.vector)))
					}
				}
				compareSlopes(t, im, runs, states, o, form)
			}
		})
	}
}

// compareSlopes compares gradients with the losses a little to both sides.
func compareSlopes(t *testing.T, im *Image, runs []run, states []*state, o Options, form Form) {
	t.Helper()
	ctx, size := context.Background(), len(im.start)
	rho, err := im.look(ctx, runs, states, o)
	if err != nil {
		t.Fatal(err)
	}
	gradients, err := im.back(ctx, runs, rho, states, o)
	if err != nil {
		t.Fatal(err)
	}
	loss := func(s *state) float64 {
		if _, err := im.look(ctx, runs, []*state{s}, o); err != nil {
			t.Fatal(err)
		}
		return s.losses[len(s.losses)-1]
	}
	for k, s := range states {
		error2, norm2 := 0.0, 0.0
		h := 2e-4 * length(im.start)
		for i := range size {
			at := s.vector[i]
			s.vector[i] = at + h
			up := loss(s)
			s.vector[i] = at - h
			slope := (up - loss(s)) / (2 * h)
			s.vector[i] = at
			error2 += (slope - gradients[k*size+i]) * (slope - gradients[k*size+i])
			norm2 += slope * slope
		}
		relative := math.Sqrt(error2 / norm2)
		t.Logf("%s, mask %d: the gradient's relative error is %.2g", form, k, relative)
		if !(relative < 5e-3) {
			t.Errorf("%s, mask %d: the gradient's relative error is %g", form, k, relative)
		}
	}
}

// TestSameBits: a mask has the same vector alone and among a hundred, on one thread and on several, early stop and all.
func TestSameBits(t *testing.T) {
	im := builtIn(t, Setup{})
	masks := boxes(t, 100, 50, 70)
	for _, o := range []Options{{Steps: 3}, {Steps: 6, Flat: 1e-2}, {Steps: 3, Form: Factor}, {Steps: 2, Form: Tensor}} {
		var want []Region
		for _, threads := range []int{1, 2, 5} {
			func() {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
				got := inverted(t, builtIn(t, Setup{}), masks, o)
				for i := range want {
					if !slices.Equal(got[i].Vector, want[i].Vector) || got[i].Dice != want[i].Dice {
						t.Fatalf("%+v, mask %d: %d threads give other bits than one", o, i, threads)
					}
				}
				want = got
			}()
		}
		for _, i := range []int{0, 41, 99} {
			alone := inverted(t, im, masks[i:i+1], o)[0]
			if !slices.Equal(alone.Vector, want[i].Vector) || !slices.Equal(alone.Map, want[i].Map) || alone.Steps != want[i].Steps {
				t.Errorf("%+v: mask %d has other bits alone than in company", o, i)
			}
		}
	}
}

// TestForms: all forms give one vector, but for rounding.
func TestForms(t *testing.T) {
	im := builtIn(t, Setup{Precision: nn.FP32})
	masks := boxes(t, 5, 96, 64)
	want := inverted(t, im, masks, Options{Form: Direct})
	for _, form := range []Form{Factor, Tensor} {
		for i, got := range inverted(t, im, masks, Options{Form: form}) {
			worst := 0.0
			for j, v := range got.Embedding {
				worst = max(worst, math.Abs(float64(v-want[i].Embedding[j])))
			}
			t.Logf("%s, mask %d: largest difference %.2g", form, i, worst)
			if !(worst <= 1e-5) {
				t.Errorf("%s, mask %d: the embedding differs by %g", form, i, worst)
			}
		}
	}
}

// TestFlatStart: where the image's vector is the mean that LeGrad reads, the loss is flat at the start, and no map is
// there to follow; a start that is moved a little finds the mask.
func TestFlatStart(t *testing.T) {
	mean := func(m *vision.Model) {
		pool := *m.Pool.(*vit.TokenPool)
		pool.Of = vit.Mean
		m.Pool = &pool
	}
	im := small(t, "vision/testdata/clip-open", Setup{Precision: nn.FP32}, mean)
	masks := boxes(t, 6, 55, 20)
	full, err := mask.Box(55, 20, 0, 0, 55, 20)
	if err != nil {
		t.Fatal(err)
	}
	masks = append(masks, Binary(full))
	fixed, free := inverted(t, im, masks, Options{Nudge: -1, Steps: 1}), inverted(t, im, masks, Options{Steps: 30, Stride: 0.2})
	for i, r := range free {
		if !r.Nudged || fixed[i].Nudged {
			t.Errorf("mask %d: moved first: %v, and though that is forbidden: %v", i, r.Nudged, fixed[i].Nudged)
		}
		if largest, there := slices.Max(fixed[i].Map), slices.Max(r.Map); largest > 1e-3*there {
			t.Errorf("mask %d: the map at the flat start reaches %g, later %g", i, largest, there)
		}
		if gain := r.Loss[0] - r.Loss[len(r.Loss)-1]; !(gain > 0.01) {
			t.Errorf("mask %d: the loss falls from %g to %g only", i, r.Loss[0], r.Loss[len(r.Loss)-1])
		}
	}
	if im := small(t, "vision/testdata/clip-open", Setup{Layers: []int{1, 2}}, mean); im.flat {
		t.Error("with two layers the start is taken for flat")
	}
	if im := builtIn(t, Setup{}); im.flat {
		t.Error("the built-in model's start is taken for flat")
	}
}

// TestFlatStop: a mask whose loss does not fall any more stops where it would have been after so many steps.
func TestFlatStop(t *testing.T) {
	im := builtIn(t, Setup{})
	masks := boxes(t, 9, 96, 64)
	whole := inverted(t, im, masks, Options{Steps: 12})
	stopped := 0
	for i, r := range inverted(t, im, masks, Options{Steps: 12, Flat: 0.01}) {
		if whole[i].Steps != 12 || r.Steps <= flatSteps || !slices.Equal(r.Loss, whole[i].Loss[:r.Steps]) {
			t.Errorf("mask %d: %d steps with losses %v, without a stop %v", i, r.Steps, r.Loss, whole[i].Loss)
		}
		if r.Steps == 12 {
			continue
		}
		stopped++
		if before := inverted(t, im, masks[i:i+1], Options{Steps: r.Steps - 1})[0]; !slices.Equal(before.Vector, r.Vector) {
			t.Errorf("mask %d stopped after %d steps elsewhere", i, r.Steps)
		}
		if fell := r.Loss[r.Steps-1-flatSteps] - r.Loss[r.Steps-1]; fell >= 0.01 {
			t.Errorf("mask %d stopped though its loss fell by %g", i, fell)
		}
	}
	if stopped == 0 {
		t.Error("no mask stopped")
	}
}

// TestMasks: what is no mask is refused, and which one it is is said; a mask of the whole image is none of these.
func TestMasks(t *testing.T) {
	im := small(t, "vision/testdata/clip-open", Setup{}, nil)
	good := boxes(t, 1, 20, 20)[0]
	one := func(v float32) Mask { return Mask{2, 1, []float32{0.5, v}} }
	for name, c := range map[string]struct {
		mask  Mask
		empty bool
	}{
		"empty": {Mask{3, 2, make([]float32, 6)}, true}, "no size": {Mask{}, false},
		"other size": {Mask{3, 3, make([]float32, 6)}, false}, "negative size": {Mask{-2, -3, make([]float32, 6)}, false},
		"huge": {Mask{math.MaxInt / 2, 4, make([]float32, 4)}, false},
		"NaN":  {one(float32(math.NaN())), false}, "above 1": {one(1.5), false}, "below 0": {one(-0.1), false},
	} {
		_, err := im.Invert(context.Background(), []Mask{good, c.mask}, Options{})
		var which *MaskError
		if !errors.As(err, &which) || which.Index != 1 || errors.Is(err, ErrEmpty) != c.empty {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := Mask{5, 4, slices.Repeat([]float32{1}, 20)}
	r := inverted(t, im, []Mask{full, good}, Options{Steps: 20})
	if first, last := r[0].Loss[0], r[0].Loss[19]; !(last < first) {
		t.Errorf("the whole image: the loss goes from %g to %g", first, last)
	}
	if regions, err := im.Invert(context.Background(), nil, Options{}); err != nil || len(regions) != 0 {
		t.Errorf("no masks: %v, %v", regions, err)
	}
}

// TestOptions: settings that mean nothing are errors.
func TestOptions(t *testing.T) {
	im := small(t, "vision/testdata/clip-open", Setup{}, nil)
	masks := boxes(t, 1, 20, 20)
	for name, o := range map[string]Options{
		"steps": {Steps: -1}, "rate": {Rate: -1}, "both": {Rate: 1, Stride: 1}, "NaN": {Alpha: math.NaN()},
		"infinite": {Decay: math.Inf(1)}, "form": {Form: "other"}, "batch": {Batch: -2},
	} {
		if _, err := im.Invert(context.Background(), masks, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var memory *MemoryError
	_, err := im.Invert(context.Background(), masks, Options{Form: Tensor, MemoryMax: 1000})
	if !errors.As(err, &memory) || memory.Need <= 1000 {
		t.Errorf("a tensor in 1000 bytes: %v", err)
	}
	if _, err := New(context.Background(), im.inverter.model, Setup{Layers: []int{3}}); err == nil {
		t.Error("layer 3 of 3 is taken")
	}
}

// TestProgress: each step is told of, and a context that ends in one ends the inversion.
func TestProgress(t *testing.T) {
	im := builtIn(t, Setup{})
	masks := boxes(t, 3, 96, 64)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var told []Progress
	o := Options{Steps: 5, Progress: func(p Progress) { told = append(told, p) }}
	regions, err := im.Invert(ctx, masks, o)
	if err != nil || len(told) != 5 || told[4].Running != 0 || told[3].Running != 3 || told[1].Loss[2] != regions[2].Loss[1] {
		t.Fatalf("%v, told %+v", err, told)
	}
	o.Progress = func(p Progress) {
		if p.Step == 2 {
			cancel()
		}
	}
	if _, err := im.Invert(ctx, masks, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := im.inverter.Prepare(ctx, make([]float32, 3*32*32), 32, 32); !errors.Is(err, context.Canceled) {
		t.Errorf("preparing with an ended context: %v", err)
	}
}
