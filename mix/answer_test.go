package mix

import (
	"math"
	"strings"
	"testing"

	"evident/document"
)

var identity = Calibration{Share: 1} // probability = share, within the edge of logit

func place(passage, start, end int, score float64) Place {
	return Place{Passage: passage, Bytes: document.ByteSpan{Start: start, End: end}, Score: score}
}

func TestMergeJoinsEqualTexts(t *testing.T) {
	passages := []Passage{{Text: "In 1931 Lise Maurer came."}, {Text: "lise maurer, in 1931"}}
	answers := merge([]Place{
		place(0, 8, 19, 2), // Lise Maurer
		place(0, 3, 7, 1.5),
		place(0, 3, 19, 1.2), // overlaps a better one: the same finding
		place(1, 0, 11, 1),   // lise maurer
	}, passages, identity)
	if len(answers) != 2 {
		t.Fatalf("got %d answers, want 2: %+v", len(answers), answers)
	}
	if a := answers[0]; a.Text != "Lise Maurer" || len(a.Places) != 2 || a.Places[1].Passage != 1 {
		t.Errorf("first answer is %q with places %v", a.Text, a.Places)
	}
	total := math.Exp(0) + math.Exp(-0.5) + math.Exp(-0.8) + math.Exp(-1)
	if want := (1 + math.Exp(-1)) / total; math.Abs(answers[0].Share-want) > 1e-12 {
		t.Errorf("share is %v, want %v: the places of one answer add up", answers[0].Share, want)
	}
	if p := answers[0].Probability; math.Abs(p-answers[0].Share) > 1e-12 {
		t.Errorf("probability is %v, want the share %v under the identity", p, answers[0].Share)
	}
}

// TestMergeRanksByProbability: two weaker places of one text beat one stronger place of another.
func TestMergeRanksByProbability(t *testing.T) {
	passages := []Passage{{Text: "red blue"}, {Text: "blue"}}
	answers := merge([]Place{place(0, 0, 3, 1), place(0, 4, 8, 0.9), place(1, 0, 4, 0.9)}, passages, identity)
	if answers[0].Text != "blue" {
		t.Errorf("first answer is %q, want blue: %+v", answers[0].Text, answers)
	}
}

func TestMergeOfNothing(t *testing.T) {
	if got := merge(nil, nil, identity); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func TestKey(t *testing.T) {
	cases := map[string]string{
		"The Rhine":   "rhine",
		"the":         "the",
		"“Rhine.”":    "rhine",
		"A  new\nday": "new day",
		"...":         "...",
		"é1":          "é1",
	}
	for in, want := range cases {
		if got := Key(in); got != want {
			t.Errorf("Key(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestCandidatesNormaliseAcrossPassages: adding a passage lowers every span's log-probability
// across passages and leaves the one within its own passage alone.
func TestCandidatesNormaliseAcrossPassages(t *testing.T) {
	one := reading([]float32{1, 2, 0}, []float32{0, 1, 3})
	two := reading([]float32{2, 2}, []float32{2, 2})
	two.Passage = 1
	passages := []Passage{{Text: "a b c", Score: 4}, {Text: "d e", Score: 2}}
	alone := candidates([]Reading{one}, passages[:1], Fusion{}, 3, 9)
	both := candidates([]Reading{one, two}, passages, Fusion{}, 3, 9)
	if len(both) != 6 {
		t.Fatalf("got %d places, want 6", len(both))
	}
	for _, a := range alone {
		for _, b := range both {
			if b.Passage != 0 || b.Bytes != a.Bytes {
				continue
			}
			if b.Features.Span >= a.Features.Span {
				t.Errorf("span %v: %v with a second passage, %v alone", a.Bytes, b.Features.Span, a.Features.Span)
			}
			if b.Features.Local != a.Features.Local {
				t.Errorf("span %v: within its passage %v became %v", a.Bytes, a.Features.Local, b.Features.Local)
			}
		}
	}
	sum := 0.0
	for _, p := range candidates([]Reading{one, two}, passages, Fusion{}, 100, 9) {
		sum += math.Exp(p.Features.Span)
		if want := math.Log(float64(passages[p.Passage].Score) / 4); p.Features.BM25 != want {
			t.Errorf("bm25 feature of passage %d is %v, want %v", p.Passage, p.Features.BM25, want)
		}
	}
	if sum > 1 {
		t.Errorf("span probabilities sum to %v, above 1", sum)
	}
}

// TestExplanationAddsUp: the parts shown under a number are the parts it is made of.
func TestExplanationAddsUp(t *testing.T) {
	s := Setting{
		Fusion:      Fusion{Local: 0.5, Relevance: 0.25, Answerable: -0.5, BM25: 2},
		Calibration: Calibration{Bias: 0.1, Share: 0.7, Local: 0.2, Relevance: -0.3, Answerable: 0.4, Sure: -0.5},
	}
	p := place(0, 0, 1, 0)
	p.Features = Features{Span: -2, Local: -1, Relevance: 3, Answerable: 1.5, BM25: -0.7}
	p.Score = s.Fusion.Score(p.Features)
	a := Answer{Text: "x", Share: 0.6, Places: []Place{p}}
	a.Probability = s.Calibration.Probability(a.Share, p.Features)
	why := explain(a, s, nil)
	sum := 0.0
	for _, d := range why.Details {
		if !strings.HasPrefix(d.Label, "share of all") {
			sum += d.Value
			continue
		}
		parts := 0.0
		for _, part := range d.Details[0].Details {
			parts += part.Value
		}
		if parts != p.Score {
			t.Errorf("the parts of the score add up to %v, the score is %v", parts, p.Score)
		}
	}
	if got := 1 / (1 + math.Exp(-sum)); got != why.Value {
		t.Errorf("the parts give probability %v, the tree says %v", got, why.Value)
	}
}
