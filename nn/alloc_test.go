//go:build !race

package nn

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"testing"
)

// TestEncoderAllocates: a warm encoder asks for next to no memory. (Under the race detector
// sync.Pool forgets on purpose.)
func TestEncoderAllocates(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const rows, runs, limit = 300, 10, 16 << 10
	s := shape{2, 4, 32, 512}
	r := rand.New(rand.NewPCG(1, 1))
	for _, precision := range []Precision{FP32, BF16} {
		e := build(s, randomWeights(r, s), GELU, precision)
		x := random(r, rows*s.width(), 1)
		forward := func() {
			if err := e.Forward(context.Background(), x, Sequences{0, 100, rows}); err != nil {
				t.Fatal(err)
			}
		}
		least := uint64(math.MaxUint64) // a worker that joins late warms up late
		for range runs {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			forward()
			runtime.ReadMemStats(&after)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		if least > limit {
			t.Errorf("precision %d: %d bytes a call, limit %d", precision, least, limit)
		}
	}
}
