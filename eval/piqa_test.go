package eval

import (
	"strings"
	"testing"
)

func piqaCase() (*Dataset, map[int]PIQAContext, map[string][]float32) {
	d := &Dataset{
		Paragraphs: []Paragraph{{Text: "a b"}, {Text: "c d"}, {Text: "unused"}},
		Questions: []Question{
			{ID: "x", Paragraph: 0, Answers: []string{"The Rhine"}},
			{ID: "y", Paragraph: 1, Answers: []string{"Aare"}},
			{ID: "z", Paragraph: 1, Answers: []string{"nowhere"}},
		},
	}
	contexts := map[int]PIQAContext{
		0: {[]string{"Elbe", "Rhine"}, [][]float32{{0, 1}, {1, 0}}},
		1: {[]string{"Rhine", "Aare", "Rhone"}, [][]float32{{0.2, 0}, {0.1, 0.3}, {-1, -1}}},
	}
	return d, contexts, map[string][]float32{"x": {1, 0.5}, "y": {1, 1}, "z": {1, 0}}
}

// TestPIQA: the best phrase of the question's own paragraph is its answer, also where another
// paragraph has a better one.
func TestPIQA(t *testing.T) {
	d, contexts, questions := piqaCase()
	r, err := RunPIQA(d, contexts, questions, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"exact": 200.0 / 3, "f1": 200.0 / 3, "candidate_recall": 200.0 / 3, "vectors_per_paragraph": 2.5,
	} {
		if got := r.Metrics[name]; got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	if r.N != 3 || r.Baselines["first_candidate"]["exact"] != 0 {
		t.Errorf("%d questions, baseline %v", r.N, r.Baselines)
	}
	if texts := PIQAParagraphs(d); len(texts) != 2 || texts[1] != "c d" {
		t.Errorf("paragraphs %v", texts)
	}
}

func TestPIQARefuses(t *testing.T) {
	for want, spoil := range map[string]func(map[int]PIQAContext, map[string][]float32){
		"paragraph was not encoded": func(c map[int]PIQAContext, _ map[string][]float32) { delete(c, 1) },
		"z was not encoded":         func(_ map[int]PIQAContext, q map[string][]float32) { delete(q, "z") },
		"coordinates":               func(_ map[int]PIQAContext, q map[string][]float32) { q["y"] = q["y"][:1] },
		"phrases have":              func(c map[int]PIQAContext, _ map[string][]float32) { c[0] = PIQAContext{Phrases: []string{"a"}} },
	} {
		d, contexts, questions := piqaCase()
		spoil(contexts, questions)
		if _, err := RunPIQA(d, contexts, questions, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that says %q", err, want)
		}
	}
}
