package efficientqa

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestFitCalibration finds the calibration that samples were drawn from, and its probabilities are as
// often right as they say.
func TestFitCalibration(t *testing.T) {
	truth := Calibration{Bias: -2, Share: 0.6, Score: 3}
	random := rand.New(rand.NewPCG(1, 1))
	samples := make([]Sample, 20000)
	for i := range samples {
		s := &samples[i]
		s.Share, s.Score = random.Float64(), random.Float64()
		s.Right = random.Float64() < truth.Probability(s.Share, s.Score)
	}
	got := FitCalibration(samples)
	for name, d := range map[string]float64{
		"bias": got.Bias - truth.Bias, "share": got.Share - truth.Share, "score": got.Score - truth.Score,
	} {
		if math.Abs(d) > 0.2 {
			t.Errorf("%s is off by %g: %+v", name, d, got)
		}
	}
	claimed, right := 0.0, 0.0
	for _, s := range samples {
		if p := got.Probability(s.Share, s.Score); p > 0.6 && p < 0.8 {
			claimed += p
			if s.Right {
				right++
			}
		}
	}
	if math.Abs(claimed-right) > 0.05*claimed {
		t.Errorf("%g were claimed, %g were right", claimed, right)
	}
}

// TestFitCalibrationOfOneKind stays finite where every answer was right, or there are no samples.
func TestFitCalibrationOfOneKind(t *testing.T) {
	always := FitCalibration([]Sample{{0.5, 0.5, true}, {0.9, 0.7, true}, {0.2, 0.1, true}})
	if p := always.Probability(0.5, 0.5); !(p > 0.9 && p <= 1) {
		t.Errorf("probability %g of what was always right", p)
	}
	if got := FitCalibration(nil); got != (Calibration{}) {
		t.Errorf("%+v from nothing", got)
	}
}
