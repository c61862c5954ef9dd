package efficientqa

import (
	"math"
	"strings"
	"testing"
)

const bridge = "The old bridge was built in 1871. Marta Lindqvist designed the new bridge, which opened in 1904."

func span(t *testing.T, text, phrase string) (start, end int) {
	t.Helper()
	start = strings.Index(text, phrase)
	if start < 0 {
		t.Fatalf("%q does not hold %q", text, phrase)
	}
	return start, start + len(phrase)
}

// TestNearbyWeight: a word's weight falls with its distance in words and at the end of the sentence, the nearest place
// counts, and a word within the phrase counts against it.
func TestNearbyWeight(t *testing.T) {
	n := NewNearby(bridge)
	fall := func(words float64) float64 { return math.Exp(-words / nearReach) }
	for _, test := range []struct {
		term, phrase string
		want         float64
	}{
		{"built", "1871", fall(2)},
		{"design", "1904", fall(7)},
		{"design", "1871", otherFades * fall(3)},
		{"bridg", "1904", fall(4)},
		{"bridg", "new bridge", otherFades*fall(9) - withinHurt},
		{"lindqvist", "Marta Lindqvist", -withinHurt},
		{"tunnel", "1904", 0},
	} {
		start, end := span(t, bridge, test.phrase)
		if got := n.Weight(test.term, start, end); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%s near %q: %g, want %g", test.term, test.phrase, got, test.want)
		}
	}
}

// TestNearbyScore: the words of a question tell two years of a passage apart.
func TestNearbyScore(t *testing.T) {
	f, err := ReadFrequencies(strings.NewReader("100\nbridg 10\nopen 20\nbuilt 30\n"))
	if err != nil {
		t.Fatal(err)
	}
	n := NewNearby(bridge)
	score := func(question, phrase string) float64 {
		start, end := span(t, bridge, phrase)
		all, some := n.Score(f.Question(question), start, end), NearbyTo(bridge, f.Question(question)).Score(f.Question(question), start, end)
		if all != some {
			t.Errorf("%s near %q: %g from all words, %g from the question's", question, phrase, all, some)
		}
		return all
	}
	for question, years := range map[string][2]string{
		"When was the old bridge built?": {"1871", "1904"}, "When did the new bridge open?": {"1904", "1871"},
	} {
		if right, wrong := score(question, years[0]), score(question, years[1]); right <= wrong {
			t.Errorf("%s %s scores %g, %s %g", question, years[0], right, years[1], wrong)
		}
	}
	if got := NewNearby("").Score(f.Question("a bridge"), 0, 0); got != 0 {
		t.Errorf("nothing is near: %g", got)
	}
	weights := f.Question("Who is the bridge of the rarest?")
	if want := math.Log(100.0 / 11); len(weights) != 2 || weights[0].Term != "bridg" ||
		math.Abs(weights[0].Weight-want) > 1e-12 {
		t.Errorf("weights %v, want %g for the bridge and one for what is rare", weights, want)
	}
}

func TestReadFrequenciesRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "missing", "many\n": "line 1", "10\nbridg\n": "line 2", "10\nbridg -1\n": "line 2", "0\n": "line 1",
	} {
		if _, err := ReadFrequencies(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says %q", text, err, want)
		}
	}
}
