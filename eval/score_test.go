package eval

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// The wanted values were computed with the normalize_answer function of the official script.
func TestNormalise(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"empty":                     {"", ""},
		"case":                      {"Hong KONG", "hong kong"},
		"articles":                  {"the cat and a dog on an  elm", "cat and dog on elm"},
		"only an article":           {"The", ""},
		"article inside a word":     {"theatre anthem", "theatre anthem"},
		"article behind a hyphen":   {"the-cat", "thecat"},
		"article before a dash":     {"a—b", "—b"},
		"punctuation joins":         {"U.S.A.", "usa"},
		"underscore goes":           {"_a_b_", "ab"},
		"currency and math signs":   {"$12 + £3^2 = `x`~|", "12 £32 x"},
		"other punctuation stays":   {"“Élan” … naïve", "“élan” … naïve"},
		"curly quote ends a word":   {"“the” end", "“ ” end"},
		"combining mark ends it":    {"a\u0301b", "\u0301b"},
		"digit continues a word":    {"a1 1a ² a²", "a1 1a ² a²"},
		"final sigma":               {"ΟΔΟΣ", "οδος"},
		"dotted capital":            {"İstanbul", "i\u0307stanbul"},
		"no-break and ideographic":  {"a\u00a0b\u3000c", "b c"},
		"the ASCII separators":      {"x\x1cy\x1fz", "x y z"},
		"tab and newline":           {" x\t\ny ", "x y"},
		"zero width is no blank":    {"x\u200by", "x\u200by"},
		"han":                       {"東京 the 大学", "東京 大学"},
		"article in a longer run":   {"東a", "東a"},
		"control character is kept": {"x\x00y", "x\x00y"},
		"DEL is kept":               {"x\x7fy", "x\x7fy"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Normalise(c.in); got != c.want {
				t.Errorf("Normalise(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestF1AndExactMatch(t *testing.T) {
	for name, c := range map[string]struct {
		answer   string
		accepted []string
		exact    bool
		f1       float64
	}{
		"same":                  {"the Aare", []string{"Aare"}, true, 1},
		"best of several":       {"Lise Maurer", []string{"Maurer", "Lise Maurer"}, true, 1},
		"part":                  {"Maurer", []string{"Lise Maurer"}, false, 2.0 / 3},
		"multiplicity":          {"b b b", []string{"b b x"}, false, 4.0 / 6},
		"nothing shared":        {"x", []string{"y"}, false, 0},
		"empty answer":          {"", []string{"y"}, false, 0},
		"both empty once clean": {"the", []string{"an"}, true, 0},
		"no answer, said so":    {"", nil, true, 1},
		"no answer, said words": {"x", nil, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ExactMatch(c.answer, c.accepted); got != c.exact {
				t.Errorf("ExactMatch = %v, want %v", got, c.exact)
			}
			if got := F1(c.answer, c.accepted); math.Abs(got-c.f1) > 1e-12 {
				t.Errorf("F1 = %v, want %v", got, c.f1)
			}
		})
	}
}

func TestScoreFollowsSQuAD2(t *testing.T) {
	d, err := OpenSQuAD("testdata/small.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Questions) != 5 || len(d.Paragraphs) != 2 || !d.HasUnanswerable() {
		t.Fatalf("read %d questions, %d paragraphs", len(d.Questions), len(d.Paragraphs))
	}
	// q1 right, q2 half right, q3 rightly not answered, q4 missing, q5 answered though it must not be.
	scores := Score(d, map[string]string{"q1": "Maurer", "q2": "in 1931", "q3": "", "q5": "Hooke"})
	want := map[string]float64{
		"exact": 50, "f1": 100 * (1 + 2.0/3 + 1) / 4, "has_answer_exact": 50,
		"has_answer_f1": 100 * (1 + 2.0/3) / 2, "no_answer_exact": 50, "no_answer_f1": 50, "missing": 1,
	}
	got := scores.Metrics()
	if len(got) != len(want) {
		t.Errorf("metrics %v, want %v", got, want)
	}
	for name, w := range want {
		if math.Abs(got[name]-w) > 1e-9 {
			t.Errorf("%s = %v, want %v", name, got[name], w)
		}
	}
}

// Published predictions must get their published scores.
func TestPublishedScores(t *testing.T) {
	golden, data := "../../shared/golden/squad", "../../shared/data/qa/squad-1.1-dev.json.gz"
	if _, err := os.Stat(golden); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is absent: published predictions are not compared", golden)
	}
	d, err := OpenSQuAD(data)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][2]float64{
		"predictions-bert-ensemble.json.gz":       {86.21, 92.20},
		"predictions-logistic-regression.json.gz": {40.14, 50.98},
	} {
		predictions, err := OpenPredictions(filepath.Join(golden, file))
		if err != nil {
			t.Fatal(err)
		}
		report := ScorePredictions(d, predictions, Options{})
		got := [2]float64{report.Metrics["exact"], report.Metrics["f1"]}
		for i := range got {
			if math.Round(got[i]*100)/100 != want[i] {
				t.Errorf("%s: %.4f, want %.2f", file, got, want)
			}
		}
		if report.N != 10570 {
			t.Errorf("%s: %d questions", file, report.N)
		}
		if i := report.Intervals["f1"]; i[0] >= got[1] || i[1] <= got[1] || i[1]-i[0] > 2 {
			t.Errorf("%s: interval %v does not enclose %v closely", file, i, got[1])
		}
	}
}
