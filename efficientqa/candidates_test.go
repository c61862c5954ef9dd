package efficientqa

import (
	"math"
	"slices"
	"testing"

	"evident/document"
)

func TestSpread(t *testing.T) {
	c := func(start, end int, logP float32) Candidate {
		return Candidate{document.ByteSpan{Start: start, End: end}, logP}
	}
	from := []Candidate{
		c(0, 10, -1.0),
		c(4, 10, -1.1), // 6 of 10 in common with the first
		c(0, 20, -1.3), // 10 of 20 with the first, 6 of 20 with the second
		c(30, 34, -1.5),
		c(34, 40, -1.6), // touches the one before
	}
	for _, test := range []struct {
		name    string
		k       int
		penalty float64
		want    []int
	}{
		{"no penalty", 5, 0, []int{0, 1, 2, 3, 4}},
		{"some", 5, 0.8, []int{0, 3, 1, 4, 2}}, // −1.58 before −1.6, then −1.3 − 0.4 − 0.24
		{"much", 3, 2, []int{0, 3, 4}},
		{"fewer", 1, 0.8, []int{0}},
		{"none", 0, 0.8, nil},
	} {
		var got []int
		for _, taken := range spread(from, test.k, test.penalty) {
			got = append(got, slices.Index(from, taken))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: took %v, want %v", test.name, got, test.want)
		}
	}
	if got := spread([]Candidate(nil), 3, 0.8); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
	if got := overlap(from[1].Bytes, from[2].Bytes); math.Abs(got-0.3) > 1e-12 {
		t.Errorf("overlap %g, want 0.3", got)
	}
}

// TestMerge: the windows of a long passage give one list, without doubles, in which overlap counts as in one
// window.
func TestMerge(t *testing.T) {
	text := "the Elbe and the river Elbe, in 1905"
	p := func(start, end int, logP float32) Phrase {
		return Phrase{Candidate: Candidate{document.ByteSpan{Start: start, End: end}, logP}}
	}
	phrases := []Phrase{
		p(4, 8, -2), p(17, 27, -0.9), // Elbe; river Elbe
		p(23, 27, -1), p(32, 36, -1.2), p(23, 27, -1), // Elbe; 1905; Elbe
	}
	var got []int
	for _, q := range merge(phrases, text, 3, 0.8) {
		got = append(got, q.Bytes.Start)
	}
	if want := []int{17, 32, 23}; !slices.Equal(got, want) {
		t.Errorf("merged %v, want %v", got, want)
	}
}
