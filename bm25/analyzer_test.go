package bm25

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTerms(t *testing.T) {
	stem, stop := Analyzer{Stem: true}, Analyzer{StopWords: true}
	for _, c := range []struct {
		name     string
		analyzer Analyzer
		text     string
		want     string // joined by |
	}{
		{"empty", Analyzer{}, "", ""},
		{"only signs", Analyzer{}, " .,-!? \n", ""},
		{"case and signs", Analyzer{}, "The C++ map[string]int, v1.2!", "the|c|map|string|int|v1|2"},
		{"possessive", Analyzer{}, "France's Notre-Dame", "france|s|notre|dame"},
		{"curly apostrophe", Analyzer{}, "France’s", "france|s"},
		{"path and underscore", Analyzer{}, "os.path foo_bar", "os|path|foo|bar"},
		{"accents", Analyzer{}, "Beyoncé Zürich ÉCOLE", "beyonce|zurich|ecole"},
		{"combining accent", Analyzer{}, "Beyonce\u0301", "beyonce"},
		{"final sigma", Analyzer{}, "ΟΔΟΣ οδος", "οδοσ|οδοσ"},
		{"ligature, full width", Analyzer{}, "ﬁnd ＡＢＣ１", "find|abc1"},
		{"cyrillic", Analyzer{}, "Война и Мир", "воина|и|мир"},
		{"chinese", Analyzer{}, "東京tower", "東|京|tower"},
		{"devanagari keeps its signs", Analyzer{}, "हिन्दी", "हिन्दी"},
		{"emoji", Analyzer{}, "a😀b", "a|b"},
		{"broken UTF-8", Analyzer{}, "a\xffb\xc3", "a|b"},
		{"numbers", Analyzer{}, "1,000.5 ½", "1|000|5|1|2"},
		{"stemmed", stem, "Running runners quickly 1990s Zürichs", "run|runner|quick|1990s|zurich"},
		{"stop words", stop, "What is the name of it?", "name"},
		{"both", Analyzer{true, true}, "Who was running?", "run"},
		{"long word is cut", Analyzer{}, strings.Repeat("x", 300), strings.Repeat("x", 255)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(c.analyzer.Terms(c.text), "|"); got != c.want {
				t.Errorf("%q gives %q, want %q", c.text, got, c.want)
			}
		})
	}
}

// The fast path for ASCII and the Unicode path agree where both apply.
func TestPathsAgree(t *testing.T) {
	for c := range utf8.RuneSelf {
		for _, text := range []string{string(rune(c)), "Ab" + string(rune(c)) + "9z"} {
			var fast, slow []string
			eachWord(text, func(_ int, word []byte) { fast = append(fast, string(word)) })
			eachUnicodeWord(text, func(word []byte) { slow = append(slow, string(word)) })
			if !slices.Equal(fast, slow) {
				t.Errorf("%q: %q by the fast path, %q by the other", text, fast, slow)
			}
		}
	}
}

func TestAnalyzerNames(t *testing.T) {
	for _, a := range []Analyzer{{}, {Stem: true}, {StopWords: true}, {true, true}} {
		if got, err := AnalyzerNamed(a.Name()); err != nil || got != a {
			t.Errorf("%q gives %v, %v", a.Name(), got, err)
		}
	}
	if _, err := AnalyzerNamed("words+"); err == nil {
		t.Error("an unknown name is accepted")
	}
}

func FuzzTerms(f *testing.F) {
	f.Add("The C++ map[string]int, Zürich’s ﬁnd \xff हिन्दी")
	f.Fuzz(func(t *testing.T, text string) {
		for _, a := range []Analyzer{{}, {true, true}} {
			for _, term := range a.Terms(text) {
				if term == "" || len(term) > wordBytesMax {
					t.Errorf("term %q", term)
				}
			}
			b := NewBuilder(a)
			b.Add(text)
			if n := len(a.Terms(text)); int(b.lengths[0]) != n {
				t.Errorf("%d terms, the builder counts %d", n, b.lengths[0])
			}
		}
	})
}

// TestMayBecome: no stem is refused by its word's first letters; of every beginning of up to two letters with every
// ending that the stemmer knows, and of the words it treats as exceptions.
func TestMayBecome(t *testing.T) {
	check := func(word string) {
		if term := (Analyzer{Stem: true}).term(word); term != "" && !mayBecome([]byte(word), term) {
			t.Errorf("%s has the term %s, which is taken for impossible", word, term)
		}
	}
	endings := strings.Fields("s ss sses ies ied us ed eed ing eedly edly ingly y tional enci anci abli entli izer ization " +
		"ational ation ator alism aliti alli fulness ousli ousness iveness iviti biliti bli ogi fulli lessli li alize icate " +
		"iciti ical ful ness ative al ance ence er ic able ible ant ement ment ent ism ate iti ous ive ize ion e l " +
		"ating bling izing tting ying ies's")
	var begin func(prefix string)
	begin = func(prefix string) {
		check(prefix)
		for _, ending := range endings {
			check(prefix + ending)
		}
		if len(prefix) < 2 {
			for c := 'a'; c <= 'z'; c++ {
				begin(prefix + string(c))
			}
		}
	}
	begin("")
	for _, word := range strings.Fields("skis skies dying lying tying idly gently ugly early only singly sky news howe atlas cosmos " +
		"bias andes inning outing canning herring earring proceed exceed succeed generate communist arsenal") {
		check(word)
	}
}

func TestPlacesOf(t *testing.T) {
	text := "The dying king's bridges, designed in 1904; Ærø's ferries ferried the King. 東京"
	for _, a := range []Analyzer{{}, {Stem: true}, {Stem: true, StopWords: true}} {
		terms := []string{"die", "king", "bridg", "ferri", "", "1904", "the", "京", "dyed"}
		want := a.Places(text)
		for i, p := range want {
			if !slices.Contains(terms, p.Term) {
				want[i].Term = ""
			}
		}
		if got := a.PlacesOf(text, terms); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", a.Name(), got, want)
		}
		if got := a.PlacesOf(text, nil); len(got) != len(want) || got[2].Term != "" {
			t.Errorf("%s, no terms: %v", a.Name(), got)
		}
	}
}
