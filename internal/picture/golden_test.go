package picture

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goldens returns the arrays of testdata/goldens.npz, written by tools/ref/picture.py.
func goldens(t testing.TB) map[string]array {
	t.Helper()
	z, err := zip.OpenReader(filepath.Join("testdata", "goldens.npz"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	all := map[string]array{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(f.Name, ".npy")] = parseNPY(t, readAll(t, r))
	}
	return all
}

// named returns the goldens whose names begin with prefix, by the rest of their names. There must
// be as many as are known to be: a test over none would pass.
func named(t *testing.T, all map[string]array, prefix string, count int) map[string]array {
	t.Helper()
	found := map[string]array{}
	for name, a := range all {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			found[rest] = a
		}
	}
	if len(found) != count {
		t.Fatalf("there are %d goldens %q, want %d", len(found), prefix, count)
	}
	return found
}

// picture returns an array as a picture.
func (a array) picture() *Image {
	return &Image{Width: a.shape[1], Height: a.shape[0], Pix: a.bytes}
}

// TestDecode compares every kind of file with Pillow. All but JPEG are equal. image/jpeg rounds
// its inverse cosine transform otherwise than libjpeg, by 1 in some samples, and conversion to RGB
// makes up to 3 of that; JPEGs whose blocks are flat are equal, so upsampling and colours are.
func TestDecode(t *testing.T) {
	for name, want := range named(t, goldens(t), "decode/", 104) {
		t.Run(name, func(t *testing.T) {
			im, err := Open(filepath.Join("testdata", name), Options{})
			if err != nil {
				t.Fatal(err)
			}
			extension := strings.Replace(filepath.Ext(name), "jpg", "jpeg", 1)
			if "."+im.Format != extension {
				t.Errorf("format is %q", im.Format)
			}
			tolerance := 0
			if im.Format == "jpeg" && !strings.HasPrefix(name, "flat-") {
				tolerance = 3
			}
			worst, mean := compare(t, im, want, tolerance)
			if mean > 0.3 {
				t.Errorf("off by %.3f in the mean", mean)
			}
			if tolerance > 0 {
				t.Logf("%s: off by at most %d, %.3f in the mean", name, worst, mean)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	for name, want := range map[string]string{
		"animated.gif":           "animated: the first of 3 frames",
		"animated.webp":          "animated: the first of 3 frames",
		"animated-lossless.webp": "animated: the first of 3 frames",
		"animated.png":           "animated: the first of 3 frames",
		"still-animated.png":     "animated: the still image that stands for its 2 frames",
		"pages.tiff":             "the first of 3 pages",
		"plain.gif":              "",
		"rgb.png":                "",
		"rgba.tiff":              "",
		"lossless.webp":          "",
		"420.jpg":                "",
	} {
		im, err := Open(filepath.Join("testdata", name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(im.Notes, "; "); got != want {
			t.Errorf("%s: notes are %q, want %q", name, got, want)
		}
	}
}

func TestUpright(t *testing.T) {
	all := goldens(t)
	for name, want := range named(t, all, "turn/", 9) {
		var orientation int
		if _, err := fmt.Sscan(name, &orientation); err != nil {
			continue // the source
		}
		t.Run(name, func(t *testing.T) {
			compare(t, all["turn/source"].picture().upright(orientation), want, 0)
		})
	}
}

func TestUprightLarge(t *testing.T) {
	// Larger than a tile, and no multiple of it: turning back gives the picture.
	back := []int{0, 1, 2, 3, 4, 5, 8, 7, 6}
	im := newImage(131, 67)
	for i := range im.Pix {
		im.Pix[i] = uint8(i * i >> 7)
	}
	for o := 1; o <= 8; o++ {
		there := im.upright(o)
		if o >= 5 && (there.Width != 67 || there.Height != 131) {
			t.Errorf("orientation %d makes %d × %d pixels", o, there.Width, there.Height)
		}
		if again := there.upright(back[o]); !bytes.Equal(again.Pix, im.Pix) || again.Width != im.Width {
			t.Errorf("orientation %d is not undone by %d", o, back[o])
		}
	}
}

func TestResize(t *testing.T) {
	filters := map[string]Filter{
		"bicubic": Bicubic, "bilinear": Bilinear, "lanczos": Lanczos,
		"hamming": Hamming, "box": Box, "nearest": Nearest,
	}
	all := goldens(t)
	for name, want := range named(t, all, "resize/", 78) {
		t.Run(name, func(t *testing.T) {
			parts := strings.Split(name, "/")
			filter, ok := filters[parts[2]]
			if !ok {
				t.Fatal("no such filter")
			}
			source := all["source/"+parts[0]].picture()
			compare(t, source.Resize(want.shape[1], want.shape[0], filter), want, 0)
			// A part of the result is computed as the whole is.
			whole := want.picture()
			x, y := whole.Width/3, whole.Height/4
			wanted := image.Rect(x, y, whole.Width, whole.Height)
			part := source.resizePart(whole.Width, whole.Height, wanted, filter)
			if !bytes.Equal(part.Pix, whole.Crop(x, y, whole.Width, whole.Height).Pix) {
				t.Error("a part of the result differs from the whole")
			}
		})
	}
}

func TestRecipes(t *testing.T) {
	recipes := map[string]Recipe{
		"crop":   {Mode: ShortestCrop, Mean: CLIPMean, Std: CLIPStd},
		"larger": {Mode: ShortestCrop, Mean: CLIPMean, Std: CLIPStd},
		"squash": {Mode: Squash, Mean: CLIPMean, Std: CLIPStd},
		"floor":  {Mode: ShortestCropFloor, Mean: CLIPMean, Std: CLIPStd},
		"half":   {Mode: Squash, Mean: HalfMean, Std: HalfMean},
	}
	all := goldens(t)
	for name, want := range named(t, all, "recipe/", 15) {
		t.Run(name, func(t *testing.T) {
			parts := strings.Split(name, "/")
			r, ok := recipes[parts[0]]
			if !ok {
				t.Fatal("no such recipe")
			}
			r.Size = [2]int{want.shape[2], want.shape[1]}
			if parts[0] == "larger" {
				r.Shortest = want.shape[1] + 4
			}
			compareFloats(t, r.Apply(all["source/"+parts[1]].picture()), want.floats, 1e-6)
		})
	}
}

// TestStrip fits a strip whose whole would take 9 GB when its shorter side is 224.
func TestStrip(t *testing.T) {
	strip := newImage(1, 60000)
	for i := range strip.Pix {
		strip.Pix[i] = 200
	}
	got := Recipe{Size: [2]int{224, 224}, Mode: ShortestCrop}.Fit(strip)
	if got.Width != 224 || got.Height != 224 || got.Pix[0] != 200 || got.Pix[len(got.Pix)-1] != 200 {
		t.Errorf("got %d × %d pixels, the first %v", got.Width, got.Height, got.Pix[:3])
	}
}

func TestRecipeOtherAspect(t *testing.T) {
	// open_clip's ResizeKeepRatio for 20 × 10 of 41 × 29: 41/20 is the smaller ratio, so 20 × 14.
	wide := Recipe{Size: [2]int{20, 10}, Mode: ShortestCrop}
	if size := wide.resized(newImage(41, 29)); size.X != 20 || size.Y != 14 {
		t.Errorf("resized to %v, want 20 × 14", size)
	}
	if got := wide.Fit(newImage(41, 29)); got.Width != 20 || got.Height != 10 {
		t.Errorf("fitted to %d × %d", got.Width, got.Height)
	}
}

func TestCrop(t *testing.T) {
	im := &Image{Width: 2, Height: 2, Pix: []uint8{1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4}, Format: "png"}
	for _, c := range []struct {
		name           string
		x0, y0, x1, y1 int
		want           []uint8 // one value a pixel
	}{
		{"inside", 1, 0, 2, 2, []uint8{2, 4}},
		{"all", 0, 0, 2, 2, []uint8{1, 2, 3, 4}},
		{"around", -1, -1, 3, 1, []uint8{0, 0, 0, 0, 0, 1, 2, 0}},
		{"beside", 5, 0, 6, 2, []uint8{0, 0}},
		{"below", 0, 7, 2, 8, []uint8{0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := im.Crop(c.x0, c.y0, c.x1, c.y1)
			if got.Format != "png" || got.Width != c.x1-c.x0 || got.Height != c.y1-c.y0 {
				t.Fatalf("got %+v", got)
			}
			for i, v := range c.want {
				if got.Pix[3*i] != v || got.Pix[3*i+2] != v {
					t.Errorf("pixel %d is %v, want %d", i, got.Pix[3*i:3*i+3], v)
				}
			}
		})
	}
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
