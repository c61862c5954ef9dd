package heatmap

import (
	"image/color"
	"math"
	"slices"
	"testing"

	"evident/internal/picture"
)

func TestSummarise(t *testing.T) {
	const w, h = 30, 20
	m := make([]float32, w*h)
	for y := 15; y < 20; y++ {
		for x := 24; x < 30; x++ {
			m[y*w+x] = 2
		}
	}
	m[17*w+27] = 3
	s := Summarise(m, w)
	if s.Peak != [2]int{27, 17} || s.Min != 0 || s.Max != 3 || s.Place != "lower right" {
		t.Errorf("got %+v", s)
	}
	// The weight is 29 pixels of 2 and one of 3: 61. Half of it: the pixel of 3 and 13.75 of the others.
	if want := 14.75 / (w * h); math.Abs(s.Half-want) > 0.5/(w*h) {
		t.Errorf("half of the weight lies in %g, want %g", s.Half, want)
	}
	if got, want := s.Words(-1), "strongest in the lower right; half of the weight lies in 2.5 % of the picture"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := s.Words(0.05); got[:6] != "hardly" {
		t.Errorf("of what is not there: %q", got)
	}
	zeros := Summarise(make([]float32, 6), 3)
	if got := zeros.Words(0.9); zeros.Half != 0 || got != "nowhere in the picture" {
		t.Errorf("of a map of zeros: %+v, %q", zeros, got)
	}
	even := Summarise([]float32{1, 1, 1, 1}, 2)
	if math.Abs(even.Half-0.5) > 1e-6 {
		t.Errorf("of a flat map half the weight lies in %g", even.Half)
	}
}

func TestPresence(t *testing.T) {
	everyday := make([]float64, 20)
	for i := range everyday {
		everyday[i] = float64(i) / 100
	}
	if p := Presence(0.18, 40, everyday); math.Abs(p-0.5) > 1e-9 {
		t.Errorf("at the level of the second of twenty it is %g", p)
	}
	if here, not := Presence(0.3, 40, everyday), Presence(0.05, 40, everyday); here < 0.95 || not > 0.05 {
		t.Errorf("above %g, below %g", here, not)
	}
}

func TestScale(t *testing.T) {
	maps := [][]float32{{0, 1, 4}, {2, 1, 0}, {0, 0, 0}}
	Scale(maps, []float64{1, 0.5, 1})
	want := [][]float32{{0, 0.25, 1}, {0.25, 0.125, 0}, {0, 0, 0}}
	for i := range maps {
		if !slices.Equal(maps[i], want[i]) {
			t.Errorf("map %d: %v, want %v", i, maps[i], want[i])
		}
	}
}

// Even steps must look even: the lightness (CIELAB's, not that the palette was made with) climbs
// steadily, so the palette also works in grey.
func TestEvenPalette(t *testing.T) {
	last := -1.0
	for i, c := range Even {
		l := lightness(c)
		if i > 0 && (l-last < 0.05 || l-last > 0.9) {
			t.Errorf("step %d climbs by %.2f of lightness", i, l-last)
		}
		last = l
	}
	if first := lightness(Even[0]); first > 15 || last < 90 {
		t.Errorf("from lightness %.0f to %.0f", first, last)
	}
}

// lightness is L* of CIELAB.
func lightness(c color.RGBA) float64 {
	decode := func(v uint8) float64 {
		x := float64(v) / 255
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	y := 0.2126*decode(c.R) + 0.7152*decode(c.G) + 0.0722*decode(c.B)
	if y <= 216.0/24389 {
		return y * 24389 / 27
	}
	return 116*math.Cbrt(y) - 16
}

func TestDraw(t *testing.T) {
	im := &picture.Image{Width: 44, Height: 33, Pix: make([]uint8, 3*44*33)}
	for i := range im.Pix {
		im.Pix[i] = uint8(i * 7)
	}
	heat := Field{3, 4, []float32{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}}.At(44, 33)
	for _, layout := range []Layout{Overlay, Contour, Heat} {
		bare := Draw(im, []Tile{{"a dog", "", heat}}, Options{Layout: layout, Bare: true})
		if bare.Rect.Dx() != 44 || bare.Rect.Dy() != 33 {
			t.Errorf("%s: bare, it has %v", layout, bare.Rect)
		}
		full := Draw(im, []Tile{{"a dog", "similarity", heat}, {"a cat", "similarity\nwords", heat}}, Options{Layout: layout})
		if full.Rect.Dx() < 44 || full.Rect.Dy() < 33+titleRows+scaleRows {
			t.Errorf("%s: with titles, it has %v", layout, full.Rect)
		}
	}
	hot := Draw(im, []Tile{{"", "", heat}}, Options{Layout: Heat, Bare: true})
	if got := hot.RGBAAt(16, 16); got != Even[255] {
		t.Errorf("the hottest pixel is %v, want %v", got, Even[255])
	}
	if got := hot.RGBAAt(43, 32); got != Even[0] {
		t.Errorf("a cold pixel is %v, want %v", got, Even[0])
	}
	side := Draw(im, []Tile{{"", "", heat}}, Options{Layout: Side, Bare: true})
	if got := side.RGBAAt(0, 0); got.R != im.Pix[0] || got.G != im.Pix[1] || got.B != im.Pix[2] {
		t.Errorf("beside the map the picture changed: %v", got)
	}
	lines := Draw(im, []Tile{{"", "", heat}}, Options{Layout: Contour, Bare: true})
	if lines.RGBAAt(43, 0).R != im.Pix[3*43] {
		t.Error("contours changed a pixel far from any line")
	}
	if slices.Equal(lines.Pix, rgba(im).Pix) {
		t.Error("contours drew nothing")
	}
}
