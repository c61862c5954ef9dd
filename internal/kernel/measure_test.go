package kernel

import (
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		restore, err := Force(s.Tier())
		if err != nil {
			t.Fatal(err)
		}
		defer restore()
		start := time.Now()
		for _, m := range Measure() {
			t.Logf("%s %s: %.1f GFLOPS, peak %.1f, fraction %.2f",
				s.Tier(), m.Precision, m.GFLOPS, m.Peak, m.Fraction)
			if m.GFLOPS <= 0 || m.Fraction < 0 {
				t.Errorf("%+v", m)
			}
			if (m.Peak > 0) != (s.Tier() > Generic) {
				t.Errorf("%s: peak %g", s.Tier(), m.Peak)
			}
		}
		t.Logf("took %v", time.Since(start))
	})
}

// TestPeak: each precision that a tier multiplies has one loop that measures its peak, and it
// returns.
func TestPeak(t *testing.T) {
	everyTier(t, func(t *testing.T, s *Set) {
		for _, precision := range s.precisions() {
			count := 0
			for _, p := range s.peaks {
				if p.precision == precision {
					p.run(3)
					count++
				}
			}
			if count > 1 || count == 0 && s.tileF32 != nil {
				t.Errorf("%d peaks of %s", count, precision)
			}
		}
	})
}
