package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math"
	"slices"
	"strings"
	"testing"
)

// drawn reads a mask from a drawing: # is inside.
func drawn(rows ...string) *Mask {
	m := &Mask{Width: len(rows[0]), Height: len(rows)}
	for _, row := range rows {
		for _, c := range row {
			m.Bits = append(m.Bits, c == '#')
		}
	}
	return m
}

func (m *Mask) String() string {
	var b strings.Builder
	for i, in := range m.Bits {
		if i%m.Width == 0 {
			b.WriteByte('\n')
		}
		b.WriteByte(".#"[map[bool]int{true: 1}[in]])
	}
	return b.String()
}

func same(t *testing.T, name string, got, want *Mask) {
	t.Helper()
	if got.Width != want.Width || got.Height != want.Height || !slices.Equal(got.Bits, want.Bits) {
		t.Errorf("%s: got %v\nwant %v", name, got, want)
	}
}

func TestShapes(t *testing.T) {
	box, err := Box(5, 4, 0.6, 1, 3.5, 9)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "box", box, drawn(".....", ".##..", ".##..", ".##.."))
	circle, err := Circle(5, 5, 2.5, 2.5, 1.5)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "circle", circle, drawn(".....", ".###.", ".###.", ".###.", "....."))
	points, err := Points(5, 3, [][2]float64{{0.2, 0.9}, {4, 2}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "points", points, drawn("#....", ".....", "....#"))
	if b := points.Bounds(); b != image.Rect(0, 0, 5, 3) {
		t.Errorf("bounds %v", b)
	}
	edge, err := Circle(4, 2, -1, 1, 2) // its middle lies outside
	if err != nil {
		t.Fatal(err)
	}
	same(t, "circle over the edge", edge, drawn("#...", "#..."))
}

// TestNothingThere: a region without a pixel is an error that names it.
func TestNothingThere(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, f := range map[string]func() (*Mask, error){
		"the box (9, 9)":      func() (*Mask, error) { return Box(5, 4, 9, 9, 12, 12) },
		"the box (0.6, 0)":    func() (*Mask, error) { return Box(5, 4, 0.6, 0, 0.9, 4) }, // between centres
		"the point (7, 1)":    func() (*Mask, error) { return Circle(5, 4, 7, 1, 1) },
		"the point (-3, 2)":   func() (*Mask, error) { return Points(5, 4, [][2]float64{{1, 1}, {-3, 2}}, 1) },
		"the point (NaN, 1)":  func() (*Mask, error) { return Circle(5, 4, nan, 1, 1) },
		"the point (+Inf, 1)": func() (*Mask, error) { return Circle(5, 4, inf, 1, 1) },
		"no points":           func() (*Mask, error) { return Points(5, 4, nil, 1) },
		"the polygon":         func() (*Mask, error) { return Polygon(5, 4, []float64{20, 20, 30, 20, 30, 30}) },
	} {
		if m, err := f(); !errors.Is(err, ErrEmpty) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: mask %v, error %v", name, m, err)
		}
	}
	for name, f := range map[string]func() (*Mask, error){
		"no area":              func() (*Mask, error) { return Box(5, 4, 3, 1, 2, 3) },
		"has no area":          func() (*Mask, error) { return Box(5, 4, nan, 1, 2, 3) },
		"the radius is -1":     func() (*Mask, error) { return Circle(5, 4, 1, 1, -1) },
		"the radius is NaN":    func() (*Mask, error) { return Circle(5, 4, 1, 1, nan) },
		"three corners":        func() (*Mask, error) { return Polygon(5, 4, []float64{1, 1, 2, 2}) },
		"5 coordinates":        func() (*Mask, error) { return Polygon(5, 4, []float64{1, 1, 2, 2, 3}) },
		"too far outside":      func() (*Mask, error) { return Polygon(5, 4, []float64{0, 0, 1e12, 0, 0, 9}) },
		"too large":            func() (*Mask, error) { return New(1<<40, 1<<40) },
		"no pixels":            func() (*Mask, error) { return New(5, -1) },
		"corner 1 at (NaN, 0)": func() (*Mask, error) { return Polygon(5, 4, []float64{0, 0, nan, 0, 0, 9}) },
	} {
		if m, err := f(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: mask %v, error %v", name, m, err)
		}
	}
}

func encode(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestPNG: every kind of mask file means the same mask, and what is written is read.
func TestPNG(t *testing.T) {
	want := drawn("#..", ".##")
	area := image.Rect(0, 0, 3, 2)
	gray := func(low, high uint8) image.Image {
		p := image.NewGray(area)
		for i, in := range want.Bits {
			p.Pix[i] = map[bool]uint8{true: high, false: low}[in]
		}
		return p
	}
	palette := color.Palette{}
	for i := range 256 {
		palette = append(palette, color.RGBA{uint8(i), uint8(7 * i), 3, 255})
	}
	indexed := image.NewPaletted(area, palette)
	indexed.Pix = []uint8{3, 0, 0, 255, 7, 3}
	cut := image.NewNRGBA(area)
	red, deep := image.NewRGBA(area), image.NewGray16(area)
	for i, in := range want.Bits {
		x, y := i%3, i/3
		cut.SetNRGBA(x, y, color.NRGBA{9, 9, 9, map[bool]uint8{true: 128, false: 127}[in]})
		red.SetRGBA(x, y, color.RGBA{map[bool]uint8{true: 200, false: 100}[in], 0, 0, 255})
		deep.SetGray16(x, y, color.Gray16{map[bool]uint16{true: 1}[in]})
	}
	for name, c := range map[string]struct {
		picture image.Image
		opts    PNGOptions
		want    *Mask
	}{
		"0 and 1": {gray(0, 1), PNGOptions{}, want}, "0 and 255": {gray(0, 255), PNGOptions{}, want},
		"greys": {gray(127, 128), PNGOptions{}, want}, "alpha": {cut, PNGOptions{}, want},
		"colour": {red, PNGOptions{}, want}, "16 bits of 0 and 1": {deep, PNGOptions{}, want},
		"palette": {indexed, PNGOptions{}, want}, "empty": {gray(0, 0), PNGOptions{}, drawn("...", "...")},
		"one index": {indexed, PNGOptions{Index: 3}, drawn("#..", "..#")},
		"contour":   {indexed, PNGOptions{Index: 255}, drawn("...", "#..")},
	} {
		got, err := ReadPNG(encode(t, c.picture), c.opts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		same(t, name, got, c.want)
	}
	var written bytes.Buffer
	if err := want.WritePNG(&written); err != nil {
		t.Fatal(err)
	}
	got, err := ReadPNG(written.Bytes(), PNGOptions{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "written and read", got, want)
	if _, err := ReadPNG(encode(t, indexed), PNGOptions{Index: 4}); !errors.Is(err, ErrEmpty) {
		t.Errorf("an index without a pixel: %v", err)
	}
	if _, err := ReadPNG(encode(t, gray(0, 1)), PNGOptions{Index: 1}); err == nil {
		t.Error("an index of a picture without palette is accepted")
	}
	if _, err := ReadPNG([]byte("not a picture"), PNGOptions{}); err == nil {
		t.Error("text is read as a PNG")
	}
}

// TestPNGTooLarge: the size is looked at before anything is decoded.
func TestPNGTooLarge(t *testing.T) {
	data := encode(t, image.NewGray(image.Rect(0, 0, 1, 1)))
	const kind, sides, end = 12, 16, 29 // of the header: its name, width and height, checksum
	copy(data[sides:], []byte{0, 1, 0, 0, 0, 1, 0, 0})
	binary.BigEndian.PutUint32(data[end:], crc32.ChecksumIEEE(data[kind:end]))
	var size *SizeError
	if _, err := ReadPNG(data, PNGOptions{}); !errors.As(err, &size) || size.Width != 1<<16 {
		t.Errorf("a PNG of four thousand megapixels: %v", err)
	}
}

func TestJSON(t *testing.T) {
	row := drawn("##..", "##..")
	for name, text := range map[string]string{
		"box":          `{"name": "a", "box": [0, 0, 2, 2]}`,
		"COCO's box":   `[{"class": "a", "bbox": [0, 0, 2, 2]}]`,
		"polygon":      `{"masks": [{"name": "a", "polygon": [0, 0, 2, 0, 2, 2, 0, 2]}]}`,
		"two polygons": `{"category": "a", "polygons": [[0, 0, 1, 0, 1, 2, 0, 2], [1, 0, 2, 0, 2, 2, 1, 2]]}`,
		"run lengths":  `{"name": "a", "rle": {"size": [2, 4], "counts": [0, 4, 4]}}`,
		"bare":         `{"name": "a", "size": [2, 4], "counts": "044"}`,
		"annotations": `{"annotations": [{"name": "a", "segmentation": {"size": [2, 4], "counts": [0, 4, 4]},
			"bbox": [3, 3, 1, 1]}]}`,
		"segmentation":  `{"name": "a", "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}`,
		"circle":        `{"name": "a", "circle": [1, 1, 1]}`,
		"points":        `{"name": "a", "points": [[0, 0], [1, 0], [0, 1], [1, 1]], "radius": 0}`,
		"another size":  `{"name": "a", "rle": {"size": [4, 8], "counts": [0, 16, 16]}}`,
		"name and more": `{"name": "a", "class": "b", "box": [0, 0, 2, 2]}`,
	} {
		got, err := ReadJSON([]byte(text), 4, 2)
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %d masks, %v", name, len(got), err)
			continue
		}
		same(t, name, got[0].Mask, row)
		if got[0].Name != "a" {
			t.Errorf("%s: its name is %q", name, got[0].Name)
		}
	}
	several, err := ReadJSON([]byte(`[{"name": "a", "box": [0, 0, 1, 1]}, {"name": "b", "circle": [3, 1, 1]}]`), 4, 2)
	if err != nil || len(several) != 2 || several[1].Name != "b" {
		t.Errorf("two masks: %v, %v", several, err)
	}
}

func TestWrongJSON(t *testing.T) {
	for text, want := range map[string]string{
		``:              "unexpected end",
		`{}`:            "want one of",
		`[]`:            "empty",
		`{"masks": []}`: "empty",
		`[{"box": [0, 0, 2, 2]}, {"box": [9, 9, 10, 10]}]`: "mask 1: the box",
		`{"box": [0, 0, 2]}`:                                                  "of four numbers",
		`{"rle": {"size": [2, 4], "counts": [8]}}`:                            "no pixel of it",
		`{"rle": {"size": [2, 4], "counts": [3, 4]}}`:                         "7 pixels",
		`{"rle": {"size": [2, 4], "counts": [0, 9]}}`:                         "does not fit",
		`{"rle": {"size": [2, 4], "counts": [-1, 9]}}`:                        "does not fit",
		`{"rle": {"size": [2], "counts": [8]}}`:                               "[height, width]",
		`{"rle": {"size": [2, 4]}}`:                                           "neither a list nor a string",
		`{"rle": {"size": [2, 4], "counts": "P"}}`:                            "end inside a number",
		`{"rle": {"size": [2, 4], "counts": "0 8"}}`:                          "is no digit",
		`{"rle": {"size": [1000000, 1000000], "counts": [0, 1000000000000]}}`: "too large",
		`{"segmentation": 7}`:                                                 "neither polygons nor run lengths",
	} {
		if got, err := ReadJSON([]byte(text), 4, 2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want an error with %q", text, got, err, want)
		}
	}
	if _, err := ReadJSON([]byte(`{"box": [0, 0, 1, 1]}`), 0, 4); err == nil {
		t.Error("an image without pixels is accepted")
	}
	many := "[" + strings.Repeat(`{"box":[0,0,9,9]},`, 20) + `{"box":[0,0,9,9]}]`
	if _, err := ReadJSON([]byte(many), 10_000, 1000); err == nil {
		t.Error("210 million pixels of masks are accepted")
	}
	a, b := drawn("#"), drawn("#.")
	var mismatch *MismatchError
	if _, err := IoU(a, b); !errors.As(err, &mismatch) {
		t.Errorf("IoU of two sizes: %v", err)
	}
	if _, err := Union(a, b); !errors.As(err, &mismatch) {
		t.Errorf("union of two sizes: %v", err)
	}
	if _, err := Union(); err == nil {
		t.Error("the union of nothing has a size")
	}
	if iou, err := IoU(drawn("."), drawn(".")); iou != 0 || err != nil {
		t.Errorf("IoU of two empty masks: %g, %v", iou, err)
	}
}

// TestFit: a pixel is inside where half of it is, and a thin mask is not lost.
func TestFit(t *testing.T) {
	for name, c := range map[string]struct {
		from          *Mask
		width, height int
		want          *Mask
	}{
		"the same":      {drawn("#.", ".#"), 2, 2, drawn("#.", ".#")},
		"half":          {drawn("##..", "#..."), 2, 1, drawn("#.")},
		"twice":         {drawn("#."), 4, 2, drawn("##..", "##..")},
		"a thin line":   {drawn("...#....", "...#...."), 2, 1, drawn("#.")},
		"nothing there": {drawn("....", "...."), 2, 1, drawn("..")},
		"not whole":     {drawn("##.", "##.", "..."), 2, 2, drawn("#.", "..")},
	} {
		got, err := c.from.Fit(c.width, c.height)
		if err != nil {
			t.Fatal(err)
		}
		same(t, name, got, c.want)
	}
	if _, err := drawn("#").Fit(0, 3); err == nil {
		t.Error("a mask of no width was made")
	}
}

// TestParts: parts touch at sides, not corners; the largest comes first, of equals the higher one.
func TestParts(t *testing.T) {
	m := drawn("##..#", "..#..", "#.###", "#...#")
	want := []*Mask{
		drawn(".....", "..#..", "..###", "....#"), drawn("##...", ".....", ".....", "....."),
		drawn(".....", ".....", "#....", "#...."), drawn("....#", ".....", ".....", "....."),
	}
	parts := m.Parts(1)
	if len(parts) != len(want) {
		t.Fatalf("%d parts, want %d", len(parts), len(want))
	}
	for i := range want {
		same(t, "part", parts[i], want[i])
	}
	if all, err := Union(parts...); err != nil || !slices.Equal(all.Bits, m.Bits) {
		t.Errorf("the parts together are not the mask: %v", err)
	}
	if n := len(m.Parts(2)); n != 3 {
		t.Errorf("%d parts of two pixels or more, want 3", n)
	}
	if n := len(drawn("...").Parts(1)); n != 0 {
		t.Errorf("nothing has %d parts", n)
	}
}

// TestWriteJSON: what is written is read, names and pixels.
func TestWriteJSON(t *testing.T) {
	want := []Region{{"a \"dog\"", drawn("#..", ".##")}, {"", drawn("..#", "...")}}
	var b bytes.Buffer
	if err := WriteJSON(&b, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadJSON(b.Bytes(), 3, 2)
	if err != nil || len(got) != 2 || got[0].Name != want[0].Name || got[1].Name != "" {
		t.Fatalf("%s is read as %v: %v", b.String(), got, err)
	}
	for i := range want {
		same(t, "written and read", got[i].Mask, want[i].Mask)
	}
}

// TestPaletteIndices: the objects of a palette, without background and contours.
func TestPaletteIndices(t *testing.T) {
	palette := color.Palette{}
	for i := range 256 {
		palette = append(palette, color.RGBA{uint8(i), uint8(7 * i), 3, 255})
	}
	indexed := image.NewPaletted(image.Rect(0, 0, 3, 2), palette)
	indexed.Pix = []uint8{3, 0, 0, 255, 7, 3}
	if got, err := PaletteIndices(encode(t, indexed)); err != nil || !slices.Equal(got, []int{3, 7}) {
		t.Errorf("indices %v, %v", got, err)
	}
	if got, err := PaletteIndices(encode(t, image.NewGray(indexed.Rect))); err != nil || len(got) != 0 {
		t.Errorf("of a grey picture: %v, %v", got, err)
	}
	if _, err := PaletteIndices([]byte("text")); err == nil {
		t.Error("text has a palette")
	}
}

// FuzzJSON: whatever a file claims, masks have the image's size and at least a pixel, and survive both forms.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`{"rle": {"size": [1000000, 1000000], "counts": "oooooooooo0"}}`, `{"size": [2, 3], "counts": "06"}`,
		`{"size": [3, 2], "counts": [1, 2, 3]}`, `[{"polygon": [0, 0, 65536, 65536, -65536, 3e4]}]`,
		`{"points": [[1e300, 1], [0, 0]], "radius": 1e300}`, `{"box": [-1e300, -1e300, 1e300, 1e300]}`,
		`{"circle": [3, 3, 1e18]}`, `{"segmentation": [[0,0,9,0,9,9]]}`, `{"rle": {"size": [0, 0], "counts": ""}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		regions, err := ReadJSON(data, 17, 13)
		if err != nil {
			return
		}
		for _, r := range regions {
			if r.Width != 17 || r.Height != 13 || len(r.Bits) != 17*13 || r.Empty() {
				t.Fatalf("a mask of %d x %d with %d pixels, %d inside", r.Width, r.Height, len(r.Bits), r.Area())
			}
			text, err := json.Marshal(r.RLE())
			if err != nil {
				t.Fatal(err)
			}
			back := new(RLE)
			if err := json.Unmarshal(text, back); err != nil {
				t.Fatal(err)
			}
			if again, err := back.Mask(); err != nil || !slices.Equal(again.Bits, r.Bits) {
				t.Fatalf("the mask does not survive its run lengths: %v", err)
			}
		}
	})
}

// FuzzPNG: no file makes the reader fail other than by an error.
func FuzzPNG(f *testing.F) {
	var b bytes.Buffer
	if err := drawn("#.#", "..#").WritePNG(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), 0)
	f.Add([]byte("\x89PNG\r\n\x1a\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, index int) {
		m, err := ReadPNG(data, PNGOptions{Index: index})
		if err == nil && len(m.Bits) != m.Width*m.Height {
			t.Fatalf("%d bits for %d x %d", len(m.Bits), m.Width, m.Height)
		}
	})
}
