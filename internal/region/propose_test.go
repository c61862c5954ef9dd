package region

import (
	"context"
	"math"
	"slices"
	"testing"

	"evident/internal/mask"
	"evident/internal/picture"
)

// TestGrow: of patches that form two blocks the blocks stand longest, and every merger is what Ward's criterion says.
func TestGrow(t *testing.T) {
	const h, w = 4, 5
	var features [][]float64
	for i := range h * w {
		f := []float64{0, float64(i%3) / 100} // a little noise
		if x := i % w; x >= 3 {
			f[0] = 1
		}
		features = append(features, f)
	}
	tree := grow(features, h, w)
	if len(tree.nodes) != 2*h*w-1 {
		t.Fatalf("%d regions, want %d", len(tree.nodes), 2*h*w-1)
	}
	last := tree.nodes[len(tree.nodes)-1]
	if last.size != h*w || !math.IsInf(last.died, 1) {
		t.Errorf("the last region has %d patches and ends at %g", last.size, last.died)
	}
	for i := h * w; i < len(tree.nodes); i++ {
		n := tree.nodes[i]
		if n.size != tree.nodes[n.first].size+tree.nodes[n.next].size {
			t.Errorf("region %d: %d patches", i, n.size)
		}
	}
	// The last merger joins the blocks: squared distance of their means times n·m/(n+m), 1 · 12·8/20.
	if math.Abs(last.born-4.8) > 0.01 {
		t.Errorf("the blocks are joined at %g", last.born)
	}
	chosen := tree.choose(2)
	if len(chosen) != 2 {
		t.Fatalf("%d regions are chosen", len(chosen))
	}
	for _, c := range chosen {
		right := c.inside[w-1]
		for i, in := range c.inside {
			if in != (i%w >= 3 == right) {
				t.Errorf("a chosen region is no block: %v", c.inside)
				break
			}
		}
	}
	if again := grow(features, h, w).choose(2); !slices.Equal(again[0].inside, chosen[0].inside) {
		t.Error("the same patches give other regions")
	}
}

// TestChooseApart: no two regions that are chosen are nearly the same.
func TestChooseApart(t *testing.T) {
	var features [][]float64
	for i := range 64 {
		features = append(features, []float64{math.Sin(float64(i * i)), math.Cos(float64(3 * i)), float64(i / 20)})
	}
	chosen := grow(features, 8, 8).choose(30)
	if len(chosen) < 3 {
		t.Fatalf("%d regions", len(chosen))
	}
	for i := range chosen {
		for j := range i {
			if overlap := iou(&chosen[i], &chosen[j]); overlap > 0.7 {
				t.Errorf("regions %d and %d overlap by %g", i, j, overlap)
			}
		}
		if chosen[i].size < 3 || chosen[i].size > 57 {
			t.Errorf("a region of %d patches of 64", chosen[i].size)
		}
	}
}

// TestPropose: a plain disc on a plain ground is found.
func TestPropose(t *testing.T) {
	s := load(t, Options{Size: 224})
	im := &picture.Image{Width: 150, Height: 100}
	disc, err := mask.Circle(150, 100, 100, 45, 28)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range disc.Bits {
		c := []uint8{70, 140, 60}
		if in {
			c = []uint8{220, 30, 40}
		}
		im.Pix = append(im.Pix, c...)
	}
	masks, err := s.Propose(context.Background(), im, ProposeOptions{Count: 8})
	if err != nil {
		t.Fatal(err)
	}
	best := 0.0
	for _, m := range masks {
		if m.Width != 150 || m.Height != 100 || m.Empty() {
			t.Fatalf("a mask of %d x %d with %d pixels", m.Width, m.Height, m.Area())
		}
		overlap, err := mask.IoU(m, disc)
		if err != nil {
			t.Fatal(err)
		}
		best = max(best, overlap)
	}
	t.Logf("%d regions, the best overlaps the disc by %.2f", len(masks), best)
	if len(masks) > 8 || best < 0.6 {
		t.Errorf("%d regions, the best overlaps the disc by %.2f", len(masks), best)
	}
}
