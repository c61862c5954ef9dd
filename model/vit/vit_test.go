package vit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"evident/internal/picture"
	"evident/model/vit"
	"evident/nn"
)

// small is a tower of two blocks with random weights: width 14, patches of 3, a grid of 2 x 5, a class token
// and a register.
func small(pool func(norm *nn.LayerNorm) vit.Pool) *vit.Tower {
	rng := rand.New(rand.NewPCG(1, 1))
	values := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64()) / 4
		}
		return x
	}
	const d, wide, patch = 14, 23, 3
	linear := func(in, out int) *nn.Linear { return nn.NewLinear(values(in*out), values(out), in, out, nn.FP32) }
	norm := func() *nn.LayerNorm { return &nn.LayerNorm{Gain: values(d), Bias: values(d), Epsilon: 1e-5} }
	p := vit.Parts{
		Width: d, Patch: patch, Patches: values(d * 3 * patch * patch), First: values(2 * d), Grid: [2]int{2, 5},
		Positions: values(10 * d), PreNorm: norm(), Pool: pool(norm()),
	}
	for range 2 {
		p.Blocks = append(p.Blocks, nn.EncoderLayer{
			Heads: 2, PreNorm: true, Activation: nn.QuickGELU, QKV: linear(d, 3*d), Out: linear(d, d), Up: linear(d, wide),
			Down: linear(wide, d), AttentionNorm: norm(), FeedForwardNorm: norm(),
		})
	}
	return vit.New(p)
}

func poolOf(of vit.Pooling) func(norm *nn.LayerNorm) vit.Pool {
	return func(norm *nn.LayerNorm) vit.Pool { return &vit.TokenPool{Of: of, Norm: norm, Prefix: 2} }
}

func noise(n int) []float32 {
	rng := rand.New(rand.NewPCG(2, 2))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// TestPools: what each pooling reads, from the tokens that the tower returns.
func TestPools(t *testing.T) {
	const d = 14
	pixels := noise(3 * 6 * 15)
	for _, of := range []vit.Pooling{vit.Class, vit.Mean, vit.ClassAndMean, vit.Patches, vit.NormPatches} {
		tower := small(poolOf(of))
		im, err := tower.Encode(context.Background(), pixels, 6, 15)
		if err != nil {
			t.Fatal(err)
		}
		if im.Height != 2 || im.Width != 5 || len(im.Tokens) != 12*d || tower.Tokens(6, 15) != 12 {
			t.Fatalf("a grid of %d x %d and %d values of tokens", im.Height, im.Width, len(im.Tokens))
		}
		norm := tower.Pool.(*vit.TokenPool).Norm
		read := func(token []float32) []float32 {
			token = slices.Clone(token)
			norm.Forward(token, 1)
			return token
		}
		var want []float32
		switch of {
		case vit.Class:
			want = read(im.Tokens[:d])
		case vit.Mean:
			want = read(vit.MeanToken(im.Tokens, d))
		case vit.Patches:
			want = read(vit.MeanToken(im.Tokens[2*d:], d))
		case vit.NormPatches:
			var normed []float32
			for token := range slices.Chunk(im.Tokens[2*d:], d) {
				normed = append(normed, read(token)...)
			}
			want = vit.MeanToken(normed, d)
		case vit.ClassAndMean:
			want = vit.Normalise(read(im.Tokens[:d]))
			for i, v := range vit.Normalise(read(vit.MeanToken(im.Tokens, d))) {
				want[i] += v
			}
		}
		for i := range want {
			if diff := im.Vector[i] - want[i]; diff > 1e-6 || diff < -1e-6 {
				t.Errorf("%s: value %d is %g, want %g", of, i, im.Vector[i], want[i])
				break
			}
		}
		if !slices.Equal(im.Embedding, vit.Normalise(slices.Clone(im.Vector))) {
			t.Errorf("%s: the embedding is not the vector at length 1", of)
		}
	}
	if _, err := vit.ParsePooling("max"); err == nil {
		t.Error("there is a pooling max")
	}
}

// TestSizes: a tower takes any number of whole patches, and says which size it cannot cut.
func TestSizes(t *testing.T) {
	tower := small(poolOf(vit.Class))
	for _, size := range [][2]int{{0, 6}, {6, 2}, {7, 6}, {6, 7}, {-3, 3}} {
		_, err := tower.Encode(context.Background(), nil, size[0], size[1])
		var wrong *vit.SizeError
		if !errors.As(err, &wrong) || wrong.Patch != 3 {
			t.Errorf("%v: %v, want a SizeError", size, err)
		}
	}
	for _, size := range [][2]int{{3, 3}, {3, 33}, {30, 6}} {
		im, err := tower.Encode(context.Background(), noise(3*size[0]*size[1]), size[0], size[1])
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(im.Vector, func(v float32) bool { return v != v }) {
			t.Errorf("%v: the vector has NaN", size)
		}
	}
}

// TestRest: pixels beyond the last whole patch are not seen.
func TestRest(t *testing.T) {
	m := &vit.Model{Tower: small(poolOf(vit.Mean))}
	pixels := noise(3 * 8 * 17)
	var seen []float32
	for channel := range 3 {
		for y := range 6 {
			seen = append(seen, pixels[(channel*8+y)*17:][:15]...)
		}
	}
	got, err := m.EncodeImage(context.Background(), pixels, 8, 17)
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.EncodeImage(context.Background(), seen, 6, 15)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Vector, want.Vector) {
		t.Error("the rest of a patch changes the vector")
	}
	var wrong *vit.SizeError
	if _, err := m.EncodeImage(context.Background(), pixels[:3*2*17], 2, 17); !errors.As(err, &wrong) {
		t.Errorf("less than a patch: %v", err)
	}
}

// TestPicture: a picture is prepared as the recipe says, width first.
func TestPicture(t *testing.T) {
	m := &vit.Model{Tower: small(poolOf(vit.Mean)), Recipe: picture.Recipe{
		Size: [2]int{15, 6}, Mode: picture.ShortestCrop, Mean: picture.HalfMean, Std: picture.HalfMean,
	}}
	im := &picture.Image{Width: 41, Height: 29, Pix: make([]uint8, 41*29*3)}
	for i := range im.Pix {
		im.Pix[i] = uint8(i * 7)
	}
	got, err := m.EncodePicture(context.Background(), im)
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Encode(context.Background(), m.Recipe.Apply(im), 6, 15)
	if err != nil {
		t.Fatal(err)
	}
	if got.Height != 2 || got.Width != 5 || !slices.Equal(got.Vector, want.Vector) {
		t.Errorf("a grid of %d x %d, or another vector", got.Height, got.Width)
	}
}

// TestThreads: one thread and several give the same bits.
func TestThreads(t *testing.T) {
	tower, pixels := small(poolOf(vit.ClassAndMean)), noise(3*120*90)
	var first []float32
	for _, threads := range []int{1, 2, 5} {
		before := runtime.GOMAXPROCS(threads)
		im, err := tower.Encode(context.Background(), pixels, 120, 90)
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = im.Vector
		}
		if !slices.Equal(im.Vector, first) {
			t.Errorf("%d threads: another vector", threads)
		}
	}
}

// TestLogit: of a classifier what its head says, of other models the scaled cosine.
func TestLogit(t *testing.T) {
	im := &vit.Image{Vector: []float32{3, 4}, Embedding: []float32{0.6, 0.8}}
	text := &vit.Text{Vector: []float32{2, 0}, Embedding: []float32{1, 0}, Bias: 0.5}
	if got := (&vit.Model{Scale: 10, Bias: -1}).Logit(im, text); got != 5 {
		t.Errorf("10 x 0.6 - 1 is %g", got)
	}
	if got := (&vit.Model{Classes: []string{"a"}, Scale: 10}).Logit(im, text); got != 6.5 {
		t.Errorf("3 x 2 + 0.5 is %g", got)
	}
}
