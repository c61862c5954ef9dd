package mask

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"
)

// golden is a mask as pycocotools has it (tools/ref/mask.py).
type golden struct {
	Size       [2]int
	Compressed string
	Plain      []int
	Area       int
}

func (g *golden) rle() *RLE { return &RLE{g.Size[0], g.Size[1], g.Plain} }

type goldenFile struct {
	Polygons []struct {
		golden
		Polygons [][]float64
	}
	Masks []golden
	Pairs struct {
		Size [2]int
		All  []struct {
			A, B, Union string
			IoU         float64
		}
	}
	Resized struct {
		Size [2]int
		All  []struct {
			golden
			From string
		}
	}
}

func openGolden(t *testing.T) *goldenFile {
	t.Helper()
	data, err := os.ReadFile("testdata/pycocotools.json")
	if err != nil {
		t.Fatal(err)
	}
	g := new(goldenFile)
	if err := json.Unmarshal(data, g); err != nil {
		t.Fatal(err)
	}
	if len(g.Polygons) < 60 || len(g.Masks) < 9 || len(g.Pairs.All) < 16 || len(g.Resized.All) < 5 {
		t.Fatal("the golden file is not complete")
	}
	return g
}

// read expands compressed counts.
func read(t *testing.T, size [2]int, compressed string) *Mask {
	t.Helper()
	data, err := json.Marshal(map[string]any{"size": size, "counts": compressed})
	if err != nil {
		t.Fatal(err)
	}
	r := new(RLE)
	if err := json.Unmarshal(data, r); err != nil {
		t.Fatal(err)
	}
	m, err := r.Mask()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRunLengths: both forms are read and written as pycocotools does.
func TestRunLengths(t *testing.T) {
	g := openGolden(t)
	all := slices.Clone(g.Masks)
	for _, p := range g.Polygons {
		all = append(all, p.golden)
	}
	for i, want := range all {
		m := read(t, want.Size, want.Compressed)
		r := m.RLE()
		if !slices.Equal(r.Counts, want.Plain) {
			t.Errorf("mask %d: the compressed form gives the runs %v, want %v", i, r.Counts, want.Plain)
		}
		if got := want.rle().Compressed(); got != want.Compressed {
			t.Errorf("mask %d: compressed to %q, want %q", i, got, want.Compressed)
		}
		if m.Area() != want.Area || r.Area() != want.Area {
			t.Errorf("mask %d: areas %d and %d, want %d", i, m.Area(), r.Area(), want.Area)
		}
		if m.Empty() != (want.Area == 0) || m.Full() != (want.Area == want.Size[0]*want.Size[1]) {
			t.Errorf("mask %d: empty %v and full %v with area %d", i, m.Empty(), m.Full(), want.Area)
		}
		data, err := json.Marshal(want.rle())
		if err != nil {
			t.Fatal(err)
		}
		back := new(RLE)
		if err := json.Unmarshal(data, back); err != nil || !slices.Equal(back.Counts, want.Plain) {
			t.Errorf("mask %d: read back as %v (%v)", i, back.Counts, err)
		}
	}
}

// TestPolygonRule: polygons cover pycocotools' pixels, the empty ones say so.
func TestPolygonRule(t *testing.T) {
	empty := 0
	for i, c := range openGolden(t).Polygons {
		m, err := Polygon(c.Size[1], c.Size[0], c.Polygons...)
		if c.Area == 0 {
			empty++
			if !errors.Is(err, ErrEmpty) {
				t.Errorf("polygon %d without a pixel: %v", i, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("polygon %d: %v", i, err)
			continue
		}
		if got := m.RLE().Counts; !slices.Equal(got, c.Plain) {
			t.Errorf("polygon %d %v in %v: runs %v, want %v", i, c.Polygons, c.Size, got, c.Plain)
		}
	}
	t.Logf("%d of the polygons have no pixel", empty)
}

func TestUnionAndIoU(t *testing.T) {
	pairs := openGolden(t).Pairs
	for i, p := range pairs.All {
		a, b := read(t, pairs.Size, p.A), read(t, pairs.Size, p.B)
		iou, err := IoU(a, b)
		if err != nil || math.Abs(iou-p.IoU) > 1e-12 {
			t.Errorf("pair %d: IoU %g (%v), want %g", i, iou, err, p.IoU)
		}
		both, err := Union(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if got := both.RLE().Compressed(); got != p.Union {
			t.Errorf("pair %d: union %q, want %q", i, got, p.Union)
		}
	}
}

// TestResize: other sizes are Pillow's NEAREST.
func TestResize(t *testing.T) {
	resized := openGolden(t).Resized
	for _, c := range resized.All {
		from := read(t, resized.Size, c.From)
		m, err := from.Resize(c.Size[1], c.Size[0])
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(m.RLE().Counts, c.Plain) {
			t.Errorf("%v to %v differs from Pillow", resized.Size, c.Size)
		}
		cells, err := from.Coverage(c.Size[1], c.Size[0])
		if err != nil {
			t.Fatal(err)
		}
		mean := 0.0
		for _, v := range cells {
			if v < 0 || v > 1 {
				t.Fatalf("a cell is covered %g times", v)
			}
			mean += float64(v) / float64(len(cells))
		}
		if want := float64(from.Area()) / float64(len(from.Bits)); math.Abs(mean-want) > 1e-5 {
			t.Errorf("%v: mean coverage %g, want %g", c.Size, mean, want)
		}
	}
}
