package kernel

import (
	"math"
	"time"
)

// Measurement is the speed of one core in one precision.
type Measurement struct {
	Precision string  // "fp32", "bf16" or "int8"
	GFLOPS    float64 // of a matrix product of an encoder's size; integer operations for int8
	Peak      float64 // GFLOPS of a loop of nothing but multiply-adds; 0 for plain Go
	Fraction  float64 // GFLOPS / Peak; 0 for plain Go
}

// The product that Measure times: 112 tokens through a layer of 384 × 384.
const measureRows, measureK, measurePanels = 112, 384, 384 / Columns

// Measure times the active tier on one core. It takes less than 200 ms; each figure is the best
// of many short runs, so that other work on the machine disturbs it little.
func Measure() []Measurement {
	s := Active()
	var all []Measurement
	for _, precision := range s.precisions() {
		m := Measurement{Precision: precision, Peak: s.measurePeak(precision)}
		m.GFLOPS = s.measureProduct(precision)
		if m.Peak > 0 {
			m.Fraction = m.GFLOPS / m.Peak
		}
		all = append(all, m)
	}
	return all
}

// precisions names what this CPU multiplies itself.
func (s *Set) precisions() []string {
	all := []string{"fp32"}
	if s.HasBF16() {
		all = append(all, "bf16")
	}
	if s.HasInt8() {
		all = append(all, "int8")
	}
	return all
}

// fastest returns the shortest of the runs of f that fit into the budget, one at least.
func fastest(budget time.Duration, f func()) time.Duration {
	best := time.Duration(math.MaxInt64)
	for start := time.Now(); ; {
		before := time.Now()
		f()
		best = min(best, time.Since(before))
		if time.Since(start) >= budget {
			return max(best, 1)
		}
	}
}

func (s *Set) measurePeak(precision string) float64 {
	for _, p := range s.peaks {
		if p.precision == precision {
			const rounds = 20_000
			took := fastest(30*time.Millisecond, func() { p.run(rounds) })
			return float64(rounds*p.flops) / float64(took)
		}
	}
	return 0
}

// measureProduct returns the GFLOPS of the whole product, in row blocks as the layers run it.
func (s *Set) measureProduct(precision string) float64 {
	took := fastest(40*time.Millisecond, s.product(precision))
	return 2 * measureRows * measureK * measurePanels * Columns / float64(took)
}

// product returns a function that computes the whole product once.
func (s *Set) product(precision string) func() {
	switch precision {
	case "bf16":
		tile := func(c []float32, ldc int, a []uint16, lda int, b []uint16, rows int) {
			s.TileBF16(c, ldc, a, lda, b, nil, rows, measureK/2, 1)
		}
		return wholeProduct(s.tileRows, 32, tile)
	case "int8":
		tile := func(c []int32, ldc int, a []uint8, lda int, b []int8, rows int) {
			s.TileInt8(c, ldc, a, lda, b, nil, rows, measureK/Quad, 1)
		}
		return wholeProduct(s.tileRows, 64, tile)
	}
	tile := func(c []float32, ldc int, a []float32, lda int, b []float32, rows int) {
		s.TileF32(c, ldc, a, lda, b, nil, rows, measureK, 1)
	}
	return wholeProduct(s.tileRows, 16, tile)
}

// wholeProduct returns a function that runs tile on every panel and block of rows. The rows of a are
// padding values longer than they need to be, a cache line, as the layers have them.
func wholeProduct[C, A, B any](
	tileRows, padding int, tile func(c []C, ldc int, a []A, lda int, b []B, rows int),
) func() {
	lda, ldc := measureK+padding, measurePanels*Columns
	a, b := make([]A, measureRows*lda), make([]B, measurePanels*measureK*Columns)
	c := make([]C, measureRows*ldc)
	return func() {
		for p := range measurePanels {
			for row := 0; row < measureRows; row += tileRows {
				rows := min(tileRows, measureRows-row)
				tile(c[row*ldc+p*Columns:], ldc, a[row*lda:], lda, b[p*measureK*Columns:], rows)
			}
		}
	}
}
