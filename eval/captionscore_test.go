package eval

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

// TestCaptionScores compares with pycocoevalcap (tools/ref/captionscores.py).
func TestCaptionScores(t *testing.T) {
	data, err := os.ReadFile("testdata/captions.json")
	if err != nil {
		t.Fatal(err)
	}
	var sets map[string]struct {
		Items []struct {
			Caption    string
			References []string
		}
		BLEU      []float64
		CIDEr     float64
		CIDErEach []float64 `json:"cider_each"`
	}
	if err := json.Unmarshal(data, &sets); err != nil {
		t.Fatal(err)
	}
	const limit = 1e-8 // theirs adds 1e-9 to what it divides by
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			var total bleuCounts
			var references [][][]string
			for _, item := range set.Items {
				var words [][]string
				for _, r := range item.References {
					words = append(words, captionWords(r))
				}
				references = append(references, words)
				counts := countBLEU(captionWords(item.Caption), words)
				total.add(&counts)
			}
			for n, got := range total.scores() {
				if total.matched[n] == 0 { // theirs has 1e-15 of a match then
					set.BLEU[n] = 0
				}
				if math.Abs(got-set.BLEU[n]) > limit {
					t.Errorf("BLEU-%d is %.10f, want %.10f", n+1, got, set.BLEU[n])
				}
			}
			c, sum := newCIDEr(references), 0.0
			for i, item := range set.Items {
				got := c.score(captionWords(item.Caption), references[i])
				sum += got / float64(len(set.Items))
				if math.Abs(got-set.CIDErEach[i]) > limit {
					t.Errorf("CIDEr of %d is %.10f, want %.10f", i, got, set.CIDErEach[i])
				}
			}
			if math.Abs(sum-set.CIDEr) > limit {
				t.Errorf("CIDEr is %.10f, want %.10f", sum, set.CIDEr)
			}
		})
	}
}

func TestCaptionWords(t *testing.T) {
	got := captionWords(`A man's "t-shirt", 2 dogs; over - there .`)
	if want := []string{"a", "man's", "t-shirt", "2", "dogs", "over", "there"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestNoWords: a caption without words scores nothing, and does not divide by it.
func TestNoWords(t *testing.T) {
	references := [][]string{{"a", "dog"}}
	counts := countBLEU(nil, references)
	for n, score := range counts.scores() {
		if score != 0 {
			t.Errorf("BLEU-%d is %g", n+1, score)
		}
	}
	if score := newCIDEr([][][]string{references, {{"a", "cat"}}}).score(nil, references); score != 0 {
		t.Errorf("CIDEr is %g", score)
	}
}
