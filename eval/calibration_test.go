package eval

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestBinsByHand(t *testing.T) {
	outcomes := []Outcome{{0.05, false}, {0.15, true}, {0.15, false}, {0.95, true}, {1, true}}
	wide := EqualWidthBins(outcomes, 10)
	if wide[0].Count != 1 || wide[1].Count != 2 || wide[9].Count != 2 || len(wide) != 10 {
		t.Fatalf("counts of equal width: %+v", wide)
	}
	// (1·0.05 + 2·|0.5-0.15| + 2·|1-0.975|) / 5
	if got, want := ExpectedCalibrationError(wide), 0.16; math.Abs(got-want) > 1e-12 {
		t.Errorf("equal width: %v, want %v", got, want)
	}
	mass := EqualMassBins(outcomes, 2)
	if len(mass) != 2 || mass[0].Count != 2 || mass[1].Count != 3 {
		t.Fatalf("counts of equal mass: %+v", mass)
	}
	// groups {0.05, 0.15 true} and {0.15 false, 0.95, 1}
	want := (2*math.Abs(0.5-0.1) + 3*math.Abs(2.0/3-0.7)) / 5
	if got := ExpectedCalibrationError(mass); math.Abs(got-want) > 1e-12 {
		t.Errorf("equal mass: %v, want %v", got, want)
	}
}

func TestBinsOfNothing(t *testing.T) {
	if got := ExpectedCalibrationError(EqualWidthBins(nil, 7)); got != 0 {
		t.Errorf("equal width: %v", got)
	}
	if got := EqualMassBins(nil, 7); len(got) != 0 {
		t.Errorf("equal mass: %v", got)
	}
	if got := EqualMassBins([]Outcome{{0.3, true}, {0.2, true}}, 7); len(got) != 2 {
		t.Errorf("equal mass of two: %v", got)
	}
}

func TestHonestProbabilitiesHaveNoError(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 13))
	honest, boastful := make([]Outcome, 30011), make([]Outcome, 30011)
	for i := range honest {
		p := rng.Float64()
		honest[i] = Outcome{p, rng.Float64() < p}
		boastful[i] = Outcome{math.Sqrt(p), honest[i].Correct}
	}
	if got := ExpectedCalibrationError(EqualWidthBins(honest, 10)); got > 0.015 {
		t.Errorf("honest: %v", got)
	}
	// The mean of √p - p over 0..1 is 1/6.
	got := ExpectedCalibrationError(EqualMassBins(boastful, 10))
	if math.Abs(got-1.0/6) > 0.015 {
		t.Errorf("boastful: %v, want 1/6", got)
	}
}

func TestBootstrapInterval(t *testing.T) {
	values := make([]float64, 1009)
	for i := range values {
		if i%4 == 0 {
			values[i] = 1
		}
	}
	got := BootstrapInterval(values, 1000, 5)
	if got != BootstrapInterval(values, 1000, 5) {
		t.Error("the same seed gave two intervals")
	}
	half := 1.96 * math.Sqrt(0.25*0.75/1009) // normal approximation
	if math.Abs(got[0]-(0.25-half)) > 0.006 || math.Abs(got[1]-(0.25+half)) > 0.006 {
		t.Errorf("interval %v, want about 0.25 ± %.3f", got, half)
	}
	if got := BootstrapInterval(nil, 1000, 5); got != (Interval{}) {
		t.Errorf("of nothing: %v", got)
	}
}

func TestQuantileAndRecall(t *testing.T) {
	values := []float64{4, 1, 3, 2}
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4, 2: 4, -1: 1} {
		if got := Quantile(values, q); got != want {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if values[0] != 4 {
		t.Error("Quantile sorted its argument")
	}
	ranks := []int{1, 0, 5, 6, 100}
	for k, want := range map[int]float64{1: 0.2, 5: 0.4, 20: 0.6, 100: 0.8} {
		if got := RecallAt(ranks, k); got != want {
			t.Errorf("RecallAt(%d) = %v, want %v", k, got, want)
		}
	}
	if Quantile(nil, 0.5) != 0 || RecallAt(nil, 1) != 0 {
		t.Error("of nothing: not 0")
	}
}

func TestReliabilityPlotIsWellFormed(t *testing.T) {
	outcomes := []Outcome{{0.1, false}, {0.7, true}, {0.72, false}, {0.99, true}}
	var b bytes.Buffer
	plot := &ReliabilityPlot{Title: "mix <default> & more", Bins: EqualWidthBins(outcomes, 10)}
	if err := plot.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	svg := b.String()
	decoder := xml.NewDecoder(&b)
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	if got := strings.Count(svg, `<rect class="bar"`); got != 3 {
		t.Errorf("%d bars for 3 filled bins", got)
	}
	for _, want := range []string{
		"mix &lt;default&gt; &amp; more", "n = 4", "claimed 0.71, true 0.50 (2)",
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("the plot lacks %q", want)
		}
	}
}
