package picture

import (
	"bytes"
	"math"
	"path/filepath"
	"testing"
)

// sharedFiles are the pictures of the preprocessing goldens. Where they are resized before they are
// made RGB, as open_clip and LePreprocess do, transparency and palettes give other values, which
// we do not imitate.
var sharedFiles = []struct {
	name, file string
	rgb        bool // resizing first and converting first are the same
}{
	{"a_rgb", "a_rgb.png", true},
	{"b_photo", "b_photo.jpg", true},
	{"c_rgba", "c_rgba.png", false},
	{"d_gray", "d_gray.png", true},
	{"e_palette", "e_palette.png", false},
}

// decodedByPillow returns the picture that Pillow decoded, so that resizing is judged alone.
func decodedByPillow(t *testing.T, name string) *Image {
	a := shared(t, name+"_decoded_rgb_u8")
	return &Image{Width: a.shape[1], Height: a.shape[0], Pix: a.bytes}
}

func TestSharedDecoding(t *testing.T) {
	for _, f := range sharedFiles {
		t.Run(f.name, func(t *testing.T) {
			im, err := Decode(bytes.NewReader(sharedFile(t, f.file)), Options{})
			if err != nil {
				t.Fatal(err)
			}
			tolerance := 0
			if im.Format == "jpeg" {
				tolerance = 3
			}
			worst, mean := compare(t, im, shared(t, f.name+"_decoded_rgb_u8"), tolerance)
			t.Logf("%s: off by at most %d, in the mean %.4f", filepath.Base(f.file), worst, mean)
		})
	}
}

func TestSharedResizing(t *testing.T) {
	for _, f := range sharedFiles {
		t.Run(f.name, func(t *testing.T) {
			got := decodedByPillow(t, f.name).Resize(64, 64, Bicubic)
			compare(t, got, shared(t, f.name+"_resized64sq_u8"), 0)
		})
	}
	photo := decodedByPillow(t, "b_photo")
	compare(t, photo.Resize(112, 112, Bicubic), shared(t, "b_photo_legrad112_u8"), 0)
	want := shared(t, "b_photo_clip224_u8") // [3, height, width]
	got := Recipe{Size: [2]int{224, 224}, Mode: ShortestCrop}.Fit(photo)
	for i, v := range want.bytes {
		if c, at := i/(224*224), i%(224*224); got.Pix[3*at+c] != v {
			t.Fatalf("channel %d of pixel %d is %d, want %d", c, at, got.Pix[3*at+c], v)
		}
	}
}

func TestSharedRecipes(t *testing.T) {
	clip := Recipe{Size: [2]int{64, 64}, Mean: CLIPMean, Std: CLIPStd}
	crop, floor, siglip := clip, clip, clip
	crop.Mode, floor.Mode = ShortestCrop, ShortestCropFloor
	siglip.Mean, siglip.Std = HalfMean, HalfMean
	for _, f := range sharedFiles {
		for _, c := range []struct {
			golden string
			recipe Recipe
			always bool // the golden converts to RGB first
		}{
			{"clip64", crop, false},
			{"hfclip64", floor, true},
			{"legrad64", clip, false},
			{"legrad64_rgbfirst", clip, true},
			{"hfsiglip64", siglip, true},
		} {
			if !f.rgb && !c.always {
				continue
			}
			t.Run(f.name+"_"+c.golden, func(t *testing.T) {
				want := shared(t, f.name+"_"+c.golden)
				compareFloats(t, c.recipe.Apply(decodedByPillow(t, f.name)), want.floats, 1e-6)
			})
		}
	}
}

// compareFloats demands absolute differences of at most tolerance, and names the worst index.
func compareFloats(t *testing.T, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d values, want %d", len(got), len(want))
	}
	worst, at := 0.0, 0
	for i := range got {
		if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= tolerance) {
		t.Errorf("value %d is %g, want %g: %g apart, %g allowed", at, got[at], want[at], worst, tolerance)
	}
}
