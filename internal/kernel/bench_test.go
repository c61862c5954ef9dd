package kernel

import (
	"fmt"
	"testing"
	"time"
)

// everyTierBenchmark runs a benchmark on each tier that this CPU has.
func everyTierBenchmark(b *testing.B, run func(b *testing.B, s *Set)) {
	for tier := range Tier(len(tierNames)) {
		if Available(tier) == nil {
			b.Run(tier.String(), func(b *testing.B) { run(b, Of(tier)) })
		}
	}
}

// BenchmarkTile multiplies [112, 384] by [384, 384] on one core. Its fraction is of what the very
// core reaches with nothing but multiply-adds, so it means the same on every machine.
func BenchmarkTile(b *testing.B) {
	const flop = 2 * measureRows * measureK * measurePanels * Columns
	everyTierBenchmark(b, func(b *testing.B, s *Set) {
		for _, precision := range s.precisions() {
			run := s.product(precision)
			b.Run(precision, func(b *testing.B) {
				best := time.Hour
				for b.Loop() {
					start := time.Now()
					run()
					best = min(best, time.Since(start))
				}
				b.ReportMetric(flop*float64(b.N)/float64(b.Elapsed()), "GFLOPS")
				b.ReportMetric(flop/float64(best), "GFLOPS-best")
				if peak := s.measurePeak(precision); peak > 0 {
					b.ReportMetric(flop/float64(best)/peak, "fraction-of-peak")
				}
			})
		}
	})
}

// BenchmarkPeak reports the ceiling of one core.
func BenchmarkPeak(b *testing.B) {
	everyTierBenchmark(b, func(b *testing.B, s *Set) {
		for _, p := range s.peaks {
			b.Run(p.precision, func(b *testing.B) {
				const rounds = 20_000
				best := time.Hour
				for b.Loop() {
					start := time.Now()
					p.run(rounds)
					best = min(best, time.Since(start))
				}
				b.ReportMetric(rounds*float64(p.flops)/float64(best), "GFLOPS-best")
			})
		}
	})
}

// BenchmarkVector runs the vector functions on rows that stay in the first level cache.
func BenchmarkVector(b *testing.B) {
	const rows, n = 14, 256
	everyTierBenchmark(b, func(b *testing.B, s *Set) {
		x, gain, bias := make([]float32, rows*n), make([]float32, n), make([]float32, n)
		narrow := make([]uint16, rows*n)
		functions := []struct {
			name string
			run  func()
		}{
			{"Softmax", func() { s.Softmax(x, rows, n, n, 1) }},
			{"LayerNorm", func() { s.LayerNorm(x, n, x, n, gain, bias, rows, 1e-12) }},
			{"GELU", func() { s.Activate(GELU, x, rows*n/Columns, Columns) }},
			{"GELUTanh", func() { s.Activate(GELUTanh, x, rows*n/Columns, Columns) }},
			{"ToBF16", func() { s.ToBF16(narrow, n, x, n, rows, n) }},
		}
		for _, f := range functions {
			b.Run(f.name, func(b *testing.B) {
				for b.Loop() {
					f.run()
				}
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(rows*n), "ns/value")
				b.SetBytes(4 * rows * n)
			})
		}
	})
}

// BenchmarkSmall multiplies a few rows, as a short question does.
func BenchmarkSmall(b *testing.B) {
	everyTierBenchmark(b, func(b *testing.B, s *Set) {
		const k, panels = 384, 12
		w := make([]float32, panels*k*Columns)
		for _, rows := range []int{1, 4, s.TileRows()} {
			a, c := make([]float32, rows*k), make([]float32, rows*panels*Columns)
			b.Run(fmt.Sprintf("rows-%d", rows), func(b *testing.B) {
				for b.Loop() {
					s.TileF32(c, panels*Columns, a, k, w, nil, rows, k, panels)
				}
				flop := 2 * float64(rows) * k * panels * Columns
				b.ReportMetric(flop*float64(b.N)/float64(b.Elapsed()), "GFLOPS")
			})
		}
	})
}
