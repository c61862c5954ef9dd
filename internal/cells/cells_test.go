package cells

import (
	"math"
	"slices"
	"testing"
)

func TestSpread(t *testing.T) {
	cells := []float32{0, 3, 6, 10, 13, 16} // 2 rows of 3
	if got := Spread(cells, 2, 3, 2, 3); !slices.Equal(got, cells) {
		t.Errorf("at its own size: %v", got)
	}
	// Twice the size: pixels lie a quarter of a cell from the centres; edges are constant.
	got := Spread(cells, 2, 3, 4, 6)
	want := []float32{0, 0.75, 2.25, 3.75, 5.25, 6}
	for x, v := range want {
		for y, down := range []float32{0, 2.5, 7.5, 10} {
			if d := got[y*6+x] - (v + down); math.Abs(float64(d)) > 1e-5 {
				t.Errorf("pixel %d,%d is %g, want %g", x, y, got[y*6+x], v+down)
			}
		}
	}
	for _, size := range [][2]int{{1, 1}, {1, 7}, {501, 2}} {
		for i, v := range Spread(cells, 2, 3, size[1], size[0]) {
			if v < 0 || v > 16 || v != v {
				t.Fatalf("%v: value %d is %g", size, i, v)
			}
		}
	}
}

func TestMinMax(t *testing.T) {
	for _, c := range []struct{ in, want []float32 }{
		{[]float32{1, 3, 5}, []float32{0, 0.5, 1}}, {[]float32{7, 7, 7}, []float32{0, 0, 0}}, {nil, nil},
	} {
		if got := MinMax(slices.Clone(c.in)); !slices.Equal(got, c.want) {
			t.Errorf("%v becomes %v, want %v", c.in, got, c.want)
		}
	}
}
