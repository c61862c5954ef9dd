package nn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"evident/internal/kernel"
)

// BenchmarkProduct times the products of encoders on one thread as a layer runs them, from float32 rows to
// float32 rows: for bf16 and int8 that includes the rounding of x. The fraction is that of what the
// very core reaches with nothing but multiply-adds, so it means the same on every machine. Processor
// time, the least of all rounds; the products and the peak take turns.
func BenchmarkProduct(b *testing.B) {
	for tier := kernel.Generic + 1; tier <= kernel.Best(); tier++ {
		restore, err := kernel.Force(tier)
		if err != nil {
			b.Logf("tier %s: %v", tier, err)
			continue
		}
		for _, measured := range kernel.Measure() {
			if measured.Peak == 0 {
				continue
			}
			for _, shape := range []struct{ m, k, n int }{
				{197, 768, 3072}, {197, 768, 768}, {197, 3072, 768}, {785, 768, 3072}, {256, 384, 1536},
			} {
				name := fmt.Sprintf("%s/%s/%dx%dx%d", tier, measured.Precision, shape.m, shape.k, shape.n)
				b.Run(name, func(b *testing.B) {
					benchmarkProduct(b, measured.Precision, shape.m, shape.k, shape.n)
				})
			}
		}
		restore()
	}
}

func benchmarkProduct(b *testing.B, precision string, m, k, n int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	kind := map[string]Precision{"fp32": FP32, "bf16": BF16, "int8": Int8}[precision]
	r := rand.New(rand.NewPCG(1, 1))
	l := NewLinear(random(r, k*n, 1), random(r, n, 1), k, n, kind)
	w := newWorkspace(context.Background(), l.set, 1)
	defer w.release()
	var in, out buffer
	x, y := in.matrix(m, k, false), out.matrix(m, n, false)
	copy(x.f32, random(r, len(x.f32), 1))
	flop, least, peak := 2*float64(m)*float64(k)*float64(n), math.Inf(1), 0.0
	const enough = 1_000_000_000 // operations between looks at the clock, which may err by some microseconds
	times := int(max(1, enough/flop))
	for round := 0; b.Loop(); round++ {
		if round%16 == 0 {
			peak = max(peak, peakOf(precision))
		}
		start := clock(b)
		for range times {
			l.multiply(w, output{matrix: y}, w.narrowed(x, m, k, kind), m)
		}
		least = min(least, float64(clock(b)-start)/float64(times))
	}
	speed := flop / least
	b.ReportMetric(speed, "GFLOPS-best")
	b.ReportMetric(speed/peak, "fraction-of-peak")
}

// peakOf is the ceiling of a core in GFLOPS.
func peakOf(precision string) float64 {
	for _, m := range kernel.Measure() {
		if m.Precision == precision {
			return m.Peak
		}
	}
	return math.NaN()
}
