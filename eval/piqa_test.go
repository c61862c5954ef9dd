package eval

import (
	"strings"
	"testing"
)

func piqaCase() (*Dataset, map[int]PIQAContext, map[string]PIQAQuestion) {
	d := &Dataset{
		Paragraphs: []Paragraph{{Text: "a b"}, {Text: "c d"}, {Text: "unused"}},
		Questions: []Question{
			{ID: "x", Paragraph: 0, Answers: []string{"The Rhine"}},
			{ID: "y", Paragraph: 1, Answers: []string{"Aare"}},
			{ID: "z", Paragraph: 1, Answers: []string{"nowhere"}},
		},
	}
	contexts := map[int]PIQAContext{
		0: {Phrases: []string{"Elbe", "Rhine"}, Vectors: [][]float32{{0, 1}, {1, 0}}},
		1: {Phrases: []string{"Rhine", "Aare", "Rhone"}, Vectors: [][]float32{{0.2, 0}, {0.1, 0.3}, {-1, -1}}},
	}
	return d, contexts, map[string]PIQAQuestion{"x": {Vector: []float32{1, 0.5}}, "y": {Vector: []float32{1, 1}}, "z": {Vector: []float32{1, 0}}}
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

// TestPIQASparse: the inner product of sparse vectors counts beside that of dense ones, which alone find another answer.
func TestPIQASparse(t *testing.T) {
	d, contexts, questions := piqaCase()
	c := contexts[1]
	c.Words, c.Sparse = []string{"flows", "north"}, [][]float32{{0, 0.5}, {0.1, 0}, {1, 0}}
	contexts[1] = c
	d.Questions[2].Answers = []string{"Rhone"}
	questions["z"] = PIQAQuestion{Vector: []float32{1, 0}, Words: map[string]float64{"flows": 2, "unknown": 9}}
	r, err := RunPIQA(d, contexts, questions, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, alone := r.Metrics["exact"], r.Baselines["dense_alone"]["exact"]; got < 99 || alone > 67 {
		t.Errorf("%.1f with words, %.1f without", got, alone)
	}
}

func TestPIQARefuses(t *testing.T) {
	for want, spoil := range map[string]func(map[int]PIQAContext, map[string]PIQAQuestion){
		"paragraph was not encoded": func(c map[int]PIQAContext, _ map[string]PIQAQuestion) { delete(c, 1) },
		"z was not encoded":         func(_ map[int]PIQAContext, q map[string]PIQAQuestion) { delete(q, "z") },
		"coordinates":               func(_ map[int]PIQAContext, q map[string]PIQAQuestion) { q["y"] = PIQAQuestion{Vector: []float32{1}} },
		"2 phrases have 1 sparse": func(c map[int]PIQAContext, _ map[string]PIQAQuestion) {
			c[0] = PIQAContext{Phrases: c[0].Phrases, Vectors: c[0].Vectors, Sparse: [][]float32{{}}}
		},
		"meets 1 words": func(c map[int]PIQAContext, _ map[string]PIQAQuestion) {
			c[0] = PIQAContext{Phrases: c[0].Phrases, Vectors: c[0].Vectors, Words: []string{"a"}, Sparse: [][]float32{{1, 2}, {1, 2}}}
		},
		"phrases have": func(c map[int]PIQAContext, _ map[string]PIQAQuestion) { c[0] = PIQAContext{Phrases: []string{"a"}} },
	} {
		d, contexts, questions := piqaCase()
		spoil(contexts, questions)
		if _, err := RunPIQA(d, contexts, questions, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that says %q", err, want)
		}
	}
}
