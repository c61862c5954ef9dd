package eval

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"evident/internal/mask"
)

// speaker says "a cat" of vectors on axis 0 and so on; by the way "mute" nothing.
type speaker struct {
	*outliner
	whole []bool // of what it was asked for captions
}

var speech = []string{"a cat", "two men at a table", "a brown dog", "a bird flies"}

func (s *speaker) Ways() []string { return []string{"talkative", "mute"} }

func (s *speaker) Captions(_ context.Context, vectors [][]float32, whole bool) ([][]string, error) {
	s.whole = append(s.whole, whole)
	captions := [][]string{make([]string, len(vectors)), make([]string, len(vectors))}
	for i, v := range vectors {
		for axis, x := range v[:len(speech)] {
			if x == 1 {
				captions[0][i] = speech[axis]
			}
		}
	}
	return captions, nil
}

func newSpeaker(methods ...string) *speaker {
	axes := map[string]int{"": 7, "bird": 3, "cat": 0, "dining table": 1, "dog": 2}
	for axis, text := range speech {
		axes[text] = axis
	}
	return &speaker{outliner: &outliner{
		methods: methods, axes: axes,
		of: func(m *mask.Mask) int { return map[int]int{0: 0, 2: 2, 3: 2}[m.Bounds().Min.X] },
	}}
}

// TestCaptionRegions: a caption is right when it names the class of its own thing; by every method and way.
func TestCaptionRegions(t *testing.T) {
	set := writeSet(t, "mine", masked(3)...)
	s := newSpeaker("right", "wrong")
	r, err := RunCaptioning(context.Background(), set, s, PhotoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.N != 9 || r.Metrics["named"] != 100 || r.Metrics["similarity"] != 100 || r.Settings["photos"] != "3" {
		t.Errorf("%d things, %v, %v", r.N, r.Metrics, r.Settings)
	}
	for name, want := range map[string]float64{"right, mute": 0, "wrong": 0, "wrong, mute": 0} {
		if got, ok := r.Baselines[name]["named"]; !ok || got != want {
			t.Errorf("%s: named %g, want %g: %v", name, got, want, r.Baselines)
		}
	}
	// Each photo has a cat and two dogs, in this order; each thing gets what was said of the next photo's cat.
	if got := r.Baselines[others]["named"]; fmt.Sprintf("%.1f", got) != "33.3" {
		t.Errorf("captions of another photo name %g", got)
	}
	for _, whole := range s.whole {
		if whole {
			t.Error("regions were captioned as whole pictures")
		}
	}
}

// TestCaptionPictures: captions are compared with those by people.
func TestCaptionPictures(t *testing.T) {
	set := writeSet(t, "mine",
		`"captions": ["a cat", "a black cat on a chair"]`, `"captions": ["three women eat lunch"]`, `"labels": ["no caption"]`)
	s := newSpeaker("right")
	r, err := RunCaptioning(context.Background(), set, s, PhotoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// "a cat" of the first photo is one of its captions; "two men at a table" of the second shares no word with its own.
	for metric, want := range map[string]string{"bleu_1": "28.6", "bleu_3": "0.0", "similarity": "100.0"} {
		if got := fmt.Sprintf("%.1f", r.Metrics[metric]); got != want {
			t.Errorf("%s is %s, want %s", metric, got, want)
		}
	}
	if r.N != 2 || r.Unit != "photos" || r.Metrics["cider"] <= 0 || r.Baselines["whole, mute"]["cider"] != 0 {
		t.Errorf("%d %s, %v, %v", r.N, r.Unit, r.Metrics, r.Baselines)
	}
	// Of "two men at a table" the first photo's captions have "a" alone.
	if got := r.Baselines[others]["bleu_2"]; got != 0 || r.Baselines[others]["bleu_1"] == 0 {
		t.Errorf("captions of another photo: %v", r.Baselines[others])
	}
	if i := r.Intervals["bleu_1"]; i[0] > r.Metrics["bleu_1"] || i[1] < r.Metrics["bleu_1"] || i[0] == i[1] {
		t.Errorf("BLEU-1 is %g, its interval %v", r.Metrics["bleu_1"], i)
	}
	if len(s.whole) != 1 || !s.whole[0] {
		t.Errorf("asked for whole pictures: %v", s.whole)
	}
	var table strings.Builder
	if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "whole, mute") {
		t.Errorf("%v\n%s", err, table.String())
	}
}

func TestCaptioningRefuses(t *testing.T) {
	bare := writeSet(t, "bare", `"labels": ["cat"]`)
	if _, err := RunCaptioning(context.Background(), bare, newSpeaker("right"), PhotoOptions{}); err == nil {
		t.Error("a set without captions and outlines is judged")
	}
	if _, err := RunCaptioning(context.Background(), bare, newSpeaker("right", others), PhotoOptions{}); err == nil {
		t.Error("a method is called as the baseline is")
	}
}
