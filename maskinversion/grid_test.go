package maskinversion

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"evident/internal/cells"
)

// TestDice compares the overlap and its slope, which work on cells, with pixels: the map resized to the mask as it is
// defined, and central differences of it.
func TestDice(t *testing.T) {
	const rows, columns, patch = 3, 5, 4
	r := rand.New(rand.NewPCG(3, 1))
	for _, scale := range []scaling{pixelsFirst, cellsFirst} {
		for _, size := range [][2]int{{12, 20}, {7, 31}, {50, 3}, {1, 1}, {24, 40}} {
			t.Run(fmt.Sprint(scale, size), func(t *testing.T) {
				g := newGrid(rows, columns, patch, scale)
				m := Mask{Width: size[1], Height: size[0], Values: make([]float32, size[0]*size[1])}
				for i := range m.Values {
					m.Values[i] = float32(r.IntN(3)) / 2
				}
				m.Values[0] = 1
				target, err := newTarget(g, m)
				if err != nil {
					t.Fatal(err)
				}
				values := make([]float32, rows*columns)
				for i := range values { // differences that float32 holds exactly
					values[i] = float32(r.IntN(1<<12)) / (1 << 12)
				}
				compareDice(t, target, m, values, scale)
			})
		}
	}
}

func compareDice(t *testing.T, target *target, m Mask, values []float32, scale scaling) {
	t.Helper()
	slope, unused := make([]float64, len(values)), make([]float64, len(values))
	got, want := target.dice(values, slope), byPixels(values, m, scale)
	if math.Abs(got-want) > 1e-6 {
		t.Errorf("the overlap is %g, by pixels %g", got, want)
	}
	const h = 1.0 / (1 << 13)
	for i, v := range values {
		values[i] = v + h
		up := target.dice(values, unused)
		values[i] = v - h
		difference := -(up - target.dice(values, unused)) / (2 * h)
		values[i] = v
		if math.Abs(difference-slope[i]) > 2e-3*(1+math.Abs(slope[i])) {
			t.Errorf("cell %d: slope %g, by differences %g", i, slope[i], difference)
		}
	}
}

// byPixels is the overlap as it is defined.
func byPixels(values []float32, m Mask, scale scaling) float64 {
	const rows, columns, patch = 3, 5, 4
	x := slices.Clone(values)
	if scale == cellsFirst {
		cells.MinMax(x)
	}
	x = cells.Spread(x, rows, columns, rows*patch, columns*patch)
	if scale == pixelsFirst {
		cells.MinMax(x)
	}
	x = cells.Spread(x, rows*patch, columns*patch, m.Height, m.Width)
	sum, area, shared := 0.0, 0.0, 0.0
	for i, v := range x {
		sum += float64(v)
		area += float64(m.Values[i])
		shared += float64(v) * float64(m.Values[i])
	}
	return (2*shared + 1) / (sum + area + 1)
}

// TestDiceFlat: a map without height is zeros and moves nothing.
func TestDiceFlat(t *testing.T) {
	target, err := newTarget(newGrid(2, 2, 3, pixelsFirst), Mask{2, 1, []float32{1, 0}})
	if err != nil {
		t.Fatal(err)
	}
	slope := []float64{9, 9, 9, 9}
	if got := target.dice([]float32{7, 7, 7, 7}, slope); got != 0.5 || slices.Max(slope) != 0 || slices.Min(slope) != 0 {
		t.Errorf("a flat map: overlap %g, slope %v", got, slope)
	}
}

// TestAdam compares steps with torch's AdamW of the same numbers.
func TestAdam(t *testing.T) {
	x := []float64{1, -2, 3}
	a := newAdam(0.1, 0.01, 3)
	for step := range 3 {
		a.move(x, []float64{0.5, -1e-8, float64(step) - 1})
	}
	// torch 2.9.1, float64: p = tensor([1., -2., 3.]); AdamW([p], lr=0.1, weight_decay=0.01), gradients as above
	want := []float64{0.6973029049940026, -1.844155948, 3.1491611433037425}
	for i, v := range x {
		if math.Abs(v-want[i]) > 1e-12 {
			t.Errorf("value %d is %.15g, want %.15g", i, v, want[i])
		}
	}
}
