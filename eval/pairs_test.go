package eval

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEnlarge compares with a sum of tents, one a cell; beyond the outermost centres the nearest cell goes on.
func TestEnlarge(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for _, size := range [][2]int{{1, 1}, {2, 3}, {14, 14}, {28, 17}, {MapSide, 5}, {300, 224}} {
		h := Heatmap{size[0], size[1], make([]float32, size[0]*size[1])}
		for i := range h.Values {
			h.Values[i] = float32(r.NormFloat64())
		}
		tent := func(i, n, cell int) float64 {
			at := min(max((float64(i)+0.5)*float64(n)/MapSide-0.5, 0), float64(n-1))
			return max(0, 1-math.Abs(at-float64(cell)))
		}
		want := make([]float64, MapSide*MapSide)
		for i := range want {
			for y := range size[0] {
				if down := tent(i/MapSide, size[0], y); down > 0 {
					for x := range size[1] {
						want[i] += down * tent(i%MapSide, size[1], x) * float64(h.Values[y*size[1]+x])
					}
				}
			}
		}
		low, high := slices.Min(want), slices.Max(want)
		for i, v := range h.enlarge() {
			w := 0.0
			if high > low {
				w = (want[i] - low) / (high - low)
			}
			if !(math.Abs(float64(v)-w) < 1e-5) {
				t.Fatalf("%v: pixel %d is %g, want %g", size, i, v, w)
			}
		}
	}
}

// TestJudge counts every threshold's pixels one by one.
func TestJudge(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	heat, inside := make([]float32, MapSide*MapSide), make([]bool, MapSide*MapSide)
	for i := range heat {
		inside[i] = r.Float64() < 0.2
		heat[i] = float32(min(1, max(0, 0.3*r.NormFloat64()+0.4)))
		if inside[i] {
			heat[i] = min(1, heat[i]+0.1)
		}
		if i%7 == 0 {
			heat[i] = float32(float64(i%51) * 0.02) // on a threshold
		}
	}
	heat[991], inside[991] = 1.01, true
	got := judge(3, heat, inside)
	for at := range thresholds {
		var count [2][2]float64 // by inside and above
		for i, v := range heat {
			side, above := 0, 0
			if inside[i] {
				side = 1
			}
			if float64(v) >= 0.02*float64(at) {
				above = 1
			}
			count[side][above]++
		}
		object := count[1][1] / (count[1][1] + count[1][0] + count[0][1])
		ground := count[0][0] / (count[0][0] + count[1][0] + count[0][1])
		right := (count[1][1] + count[0][0]) / float64(len(heat))
		if math.Abs(got.iou[at]-(object+ground)/2) > 1e-12 || math.Abs(got.accuracy[at]-right) > 1e-12 {
			t.Errorf("threshold %g: IoU %g and accuracy %g, want %g and %g",
				0.02*float64(at), got.iou[at], got.accuracy[at], (object+ground)/2, right)
		}
	}
	var scores []float64
	var truth []bool
	for i, v := range heat {
		if i/MapSide%2 == 0 && i%2 == 0 {
			scores, truth = append(scores, float64(v)), append(truth, inside[i])
		}
	}
	if want := AveragePrecision(scores, truth); got.precision != want {
		t.Errorf("average precision %g, want %g", got.precision, want)
	}
	if got.photo != 3 || got.pointing != 1 {
		t.Errorf("photo %d, pointing %g", got.photo, got.pointing)
	}
	inside[991] = false
	if p := judge(0, heat, inside); p.pointing != 0 {
		t.Errorf("a peak outside points with %g", p.pointing)
	}
	half := make([]bool, len(heat))
	for i := range len(half) / 4 {
		half[i] = true
	}
	if p := judge(0, make([]float32, len(heat)), half); p.pointing != 0.25 {
		t.Errorf("a flat map points with %g, want the share of the photo inside", p.pointing)
	}
}

func TestAveragePrecision(t *testing.T) {
	for _, c := range []struct {
		scores   []float64
		positive []bool
		want     float64
	}{
		{[]float64{3, 2, 1}, []bool{true, false, true}, (1 + 2.0/3) / 2},
		{[]float64{1, 2, 3}, []bool{true, false, false}, 1.0 / 3},
		{[]float64{1, 1, 1}, []bool{false, true, false}, 1.0 / 2}, // the earlier first
		{[]float64{1, 2}, []bool{false, false}, 0},
		{nil, nil, 0},
	} {
		if got := AveragePrecision(c.scores, c.positive); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v %v: %g, want %g", c.scores, c.positive, got, c.want)
		}
	}
}

// TestClusterInterval: groups of one are a plain bootstrap, and a group of copies counts as one draw.
func TestClusterInterval(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	var values, copies []float64
	var alone, together []int
	for i := range 40 {
		v := r.Float64()
		values, alone = append(values, v), append(alone, i)
		for range 5 {
			copies, together = append(copies, v), append(together, i)
		}
	}
	plain, single := BootstrapInterval(values, 500, 9), ClusterInterval(values, alone, 500, 9)
	grouped := ClusterInterval(copies, together, 500, 9)
	for i := range plain {
		if math.Abs(plain[i]-single[i]) > 1e-12 || math.Abs(plain[i]-grouped[i]) > 1e-12 {
			t.Errorf("end %d: plain %g, in groups of one %g, in groups of copies %g", i, plain[i], single[i], grouped[i])
		}
	}
	if i := ClusterInterval(nil, nil, 100, 1); i != (Interval{}) {
		t.Errorf("of nothing: %v", i)
	}
}

func TestBestThreshold(t *testing.T) {
	pairs := make([]pair, 2)
	pairs[0].iou[7], pairs[1].iou[7], pairs[1].iou[9] = 0.5, 0.4, 0.8
	if got := bestThreshold(pairs); got != 7 {
		t.Errorf("the best threshold is %d, want 7", got)
	}
	pairs[0].photo, pairs[1].photo = 0, 1
	cut := crossed(pairs)
	if a, b := cut(&pairs[0]), cut(&pairs[1]); a != 9 || b != 7 {
		t.Errorf("crosswise %d and %d, want each the other's best, 9 and 7", a, b)
	}
}
