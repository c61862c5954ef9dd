package mix

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// shelf is a retriever with fixed passages.
type shelf struct {
	passages []Passage
	err      error
}

func (s shelf) Retrieve(_ context.Context, _ string, k int) ([]Passage, error) {
	return s.passages[:min(k, len(s.passages))], s.err
}

func (s shelf) Explain(string, int) Explanation { return Explanation{Label: "shelf", Value: 1} }

func TestPipeline(t *testing.T) {
	full := shelf{passages: []Passage{{ID: 7, Text: someTexts[0], Score: 3}, {ID: 9, Text: someTexts[2], Score: 1}}}
	blank := shelf{passages: []Passage{{ID: 7, Text: " \n", Score: 3}}}
	cases := []struct {
		name      string
		retriever Retriever
		options   Options
		reason    string // of abstaining; empty when it answers
	}{
		{"answers", full, Options{Threshold: -1}, ""},
		{"below the threshold", full, Options{Threshold: 1}, "below the threshold 1.00"},
		{"nothing found", shelf{}, Options{Threshold: -1}, "no passage shares a word"},
		{"no words to quote", blank, Options{Threshold: -1}, "no words to quote"},
	}
	reader := smallReader(t)
	for _, c := range cases {
		p := &Pipeline{Retriever: c.retriever, Reader: reader}
		result, err := p.Answer(context.Background(), question, c.options)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if result.Abstained != (c.reason != "") || !strings.Contains(result.Reason, c.reason) {
			t.Errorf("%s: abstained %v because %q, want %q", c.name, result.Abstained, result.Reason, c.reason)
		}
		for _, a := range result.Answers {
			if !holdsLabel(a.Why, "shelf") {
				t.Errorf("%s: the explanation of %q does not reach the retriever", c.name, a.Text)
			}
		}
	}
}

func holdsLabel(e Explanation, label string) bool {
	if e.Label == label {
		return true
	}
	for _, d := range e.Details {
		if holdsLabel(d, label) {
			return true
		}
	}
	return false
}

func TestPipelineReturnsTheRetrieversError(t *testing.T) {
	failed := errors.New("disk on fire")
	p := &Pipeline{Retriever: shelf{err: failed}, Reader: smallReader(t)}
	if _, err := p.Answer(context.Background(), question, Options{}); !errors.Is(err, failed) {
		t.Errorf("got %v, want the retriever's error", err)
	}
}

// TestPassagesBound: no more passages are read than asked for.
func TestPassagesBound(t *testing.T) {
	full := shelf{passages: []Passage{{ID: 1, Text: "one"}, {ID: 2, Text: "two"}, {ID: 3, Text: "three"}}}
	p := &Pipeline{Retriever: full, Reader: smallReader(t)}
	result, err := p.Answer(context.Background(), question, Options{Passages: 2, Threshold: -1})
	if err != nil || len(result.Passages) != 2 {
		t.Errorf("read %d passages (%v), want 2", len(result.Passages), err)
	}
}

// TestPartialResults: reading in parts gives the result of reading at once, and tells on the way what it knows.
func TestPartialResults(t *testing.T) {
	var all shelf
	for i := range 13 {
		all.passages = append(all.passages, Passage{ID: i, Text: someTexts[i%len(someTexts)], Score: float32(20 - i)})
	}
	p := &Pipeline{Retriever: all, Reader: smallReader(t)}
	o := Options{Threshold: -1, Answers: 5}
	whole, err := p.Answer(t.Context(), question, o)
	if err != nil {
		t.Fatal(err)
	}
	var read []int
	o.Partial = func(r *Result) {
		read = append(read, len(r.Passages))
		for _, a := range r.Answers {
			for _, place := range a.Places {
				if place.Passage >= len(r.Passages) {
					t.Errorf("%q is found in passage %d of %d", a.Text, place.Passage, len(r.Passages))
				}
			}
		}
	}
	parts, err := p.Answer(t.Context(), question, o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(read, []int{5, 10}) {
		t.Errorf("told after %v passages", read)
	}
	if !reflect.DeepEqual(whole.Answers, parts.Answers) {
		t.Errorf("at once %+v, in parts %+v", whole.Answers, parts.Answers)
	}
}
