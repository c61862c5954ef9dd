package efficientqa

import (
	"math"
	"os"
	"strings"
	"testing"

	"evident/nn"
)

func TestMatch(t *testing.T) {
	phrases := []Phrase{
		{Vector: []float32{1, 0}, Prior: 0.1}, {Vector: []float32{0.6, 0.8}, Prior: 0}, {Vector: []float32{0, 1}, Prior: 0.3},
	}
	for want, question := range [][]float32{{1, 0}, {0.8, 0.6}, {-1, 0.5}} {
		if got := Match(question, phrases); got != want {
			t.Errorf("question %v: phrase %d, want %d", question, got, want)
		}
	}
	if got := Match([]float32{1, 0}, nil); got != -1 {
		t.Errorf("no phrases: %d, want -1", got)
	}
	if got := Score([]float32{0.5, 2}, phrases[1]); math.Abs(got-1.9) > 1e-6 {
		t.Errorf("score %g, want 1.9", got)
	}
}

// TestRank: phrases of one text add up, and two of them can outweigh a better one of another text.
func TestRank(t *testing.T) {
	e := load(t, os.DirFS("testdata/shared"), LoadOptions{Precision: nn.FP32})
	found := []Found{
		{Text: "Rhine", Score: 0.9}, {Text: "Danube", Score: 1}, {Text: "rhine", Score: 0.95}, {Text: "Elbe", Score: 0.2},
	}
	answers := e.Rank(found, strings.ToLower)
	if len(answers) != 3 || answers[0].Text != "rhine" || len(answers[0].Places) != 2 || answers[0].Places[0] != 2 {
		t.Fatalf("answers %+v", answers)
	}
	sum, weights := 0.0, 0.0
	for _, f := range found {
		weights += math.Exp(7.5 * f.Score)
	}
	for _, a := range answers {
		sum += a.Share
		if math.Abs(a.Probability-a.Share) > 1e-12 {
			t.Errorf("%s: probability %g is not the share %g, and nothing was calibrated", a.Text, a.Probability, a.Share)
		}
	}
	want := (math.Exp(7.5*0.9) + math.Exp(7.5*0.95)) / weights
	if math.Abs(sum-1) > 1e-12 || math.Abs(answers[0].Share-want) > 1e-12 {
		t.Errorf("shares sum to %g, the first is %g, want %g", sum, answers[0].Share, want)
	}
	if e.Rank(nil, strings.ToLower) != nil {
		t.Error("answers from nothing")
	}
}

// TestCalibration: the parts shown under a probability are the parts it is made of.
func TestCalibration(t *testing.T) {
	e := load(t, os.DirFS("testdata/shared"), LoadOptions{Precision: nn.FP32})
	e.Settings.Calibration = Calibration{Bias: -1, Share: 0.5, Score: 2}
	a := e.Rank([]Found{{Text: "x", Score: 0.4}, {Text: "y", Score: 0.1}}, strings.ToLower)[0]
	sum := 0.0
	for _, d := range a.Why.Details {
		sum += d.Value
	}
	share := 1 / (1 + math.Exp(-7.5*0.3))
	want := -1 + 0.5*math.Log(share/(1-share)) + 2*0.4
	if math.Abs(sum-want) > 1e-9 || math.Abs(a.Probability-1/(1+math.Exp(-sum))) > 1e-12 || a.Why.Value != a.Probability {
		t.Errorf("parts add up to %g, want %g; probability %g", sum, want, a.Probability)
	}
}

// TestWords: what a passage shares with the question, and what stands near, can turn the order of vectors, and is shown.
func TestWords(t *testing.T) {
	e := load(t, os.DirFS("testdata/shared"), LoadOptions{Precision: nn.FP32})
	e.Settings.Words, e.Settings.Nearby = 0.1, 0.01
	a := e.Rank([]Found{
		{Text: "x", Score: 0.4, Lag: -1}, {Text: "y", Score: 0.2, Lag: -0.5, Nearby: 17},
	}, strings.ToLower)
	if a[0].Text != "y" || len(a) != 2 {
		t.Fatalf("first is %+v", a[0])
	}
	score := a[0].Why.Details[2]
	sum := 0.0
	for _, d := range score.Details {
		sum += d.Value
	}
	if len(score.Details) != 3 || math.Abs(sum-(0.2-0.05+0.17)) > 1e-12 {
		t.Errorf("parts of the score: %+v", score)
	}
}

// TestLags: a passage beyond those that were looked at scores at most what the last of them does.
func TestLags(t *testing.T) {
	for _, test := range []struct {
		whole bool
		want  []float64
	}{{false, []float64{0, -3, -3}}, {true, []float64{0, -3, -9}}} {
		l := NewLags[string](test.whole)
		if got := l.Of("none"); got != 0 {
			t.Errorf("lag %g where no passage shares a word", got)
		}
		l.Add("a", 9)
		l.Add("b", 6)
		for i, passage := range []string{"a", "b", "c"} {
			if got := l.Of(passage); got != test.want[i] {
				t.Errorf("whole %v: lag of %s is %g, want %g", test.whole, passage, got, test.want[i])
			}
		}
	}
}
