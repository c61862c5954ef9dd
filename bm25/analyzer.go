package bm25

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/words"
	"github.com/kljensen/snowball/english"
	"golang.org/x/text/unicode/norm"
)

// wordBytesMax is the length at which a word is cut, as in Lucene; longer ones are never typed.
const wordBytesMax = 255

// Analyzer turns a text into the terms it is found by. The zero value gives lower-cased words.
//
// A word is a word of Unicode Standard Annex #29, cut further at every character that is neither
// letter, digit nor combining mark, so that "os.path" and "France's" are found by their parts.
// Case is folded, compatibility forms are unified ("ﬁ" is "fi") and accents are dropped ("é" is
// "e"), because questions are typed without them.
type Analyzer struct {
	Stem      bool // reduce English words to their stem (Snowball "english", Porter2)
	StopWords bool // leave out English function words and question words
}

// DefaultAnalyzer is the analyser of new indexes: stems, stop words kept. Of those compared in
// docs/results.md it has the paragraph that answers a question among the best 20 most often.
func DefaultAnalyzer() Analyzer { return Analyzer{Stem: true} }

// Name says which analyser this is; segments carry it so that index and question always agree.
func (a Analyzer) Name() string {
	name := "words"
	if a.StopWords {
		name += "+stop"
	}
	if a.Stem {
		name += "+stem"
	}
	return name
}

// AnalyzerNamed returns the analyser with the given [Analyzer.Name].
func AnalyzerNamed(name string) (Analyzer, error) {
	for _, a := range []Analyzer{{}, {Stem: true}, {StopWords: true}, {Stem: true, StopWords: true}} {
		if a.Name() == name {
			return a, nil
		}
	}
	return Analyzer{}, fmt.Errorf("bm25: unknown analyser %q", name)
}

// Terms returns the terms of text in order, with repetitions.
func (a Analyzer) Terms(text string) []string {
	var terms []string
	eachWord(text, func(_ int, word []byte) {
		if term := a.term(string(word)); term != "" {
			terms = append(terms, term)
		}
	})
	return terms
}

// Place is a word of a text.
type Place struct {
	Term  string // empty for a stop word, and for a word that was not looked for
	Start int    // byte; words of a run of letters that are not ASCII share the run's
}

// Places returns the words of text in order, stop words too.
func (a Analyzer) Places(text string) []Place {
	var places []Place
	eachWord(text, func(start int, word []byte) {
		places = append(places, Place{a.term(string(word)), start})
	})
	return places
}

// PlacesOf returns what [Analyzer.Places] does, but the terms of those words alone that have one of the given terms.
// Most words are told apart by their first letters, which is a tenth of the work of stemming them.
func (a Analyzer) PlacesOf(text string, terms []string) []Place {
	var begins [256]bool // by the first byte of a term
	for _, term := range terms {
		if term != "" {
			begins[term[0]] = true
		}
	}
	var places []Place
	eachWord(text, func(start int, word []byte) {
		place := Place{Start: start}
		if begins[word[0]] && slices.ContainsFunc(terms, func(term string) bool { return mayBecome(word, term) }) {
			if term := a.term(string(word)); slices.Contains(terms, term) {
				place.Term = term
			}
		}
		places = append(places, place)
	})
	return places
}

// mayBecome says whether a word's first two letters allow a term. The stemmer changes endings: beyond the first vowel and
// what follows it, but for y, which becomes i in short words too ("dying" and "die").
func mayBecome(word []byte, term string) bool {
	for i := range min(2, len(word), len(term)) {
		if word[i] != term[i] && (word[i] != 'y' && word[i] != 'i' || term[i] != 'y' && term[i] != 'i') {
			return false
		}
	}
	return term != ""
}

// term maps a folded word to its term; the empty term stands for a stop word.
func (a Analyzer) term(word string) string {
	if a.StopWords && stopWords[word] {
		return ""
	}
	if !a.Stem || !isEnglish(word) {
		return word
	}
	return english.Stem(word, true)
}

// isEnglish reports whether word consists of the letters a to z, the only ones the stemmer knows.
func isEnglish(word string) bool {
	for i := range len(word) {
		if word[i] < 'a' || word[i] > 'z' {
			return false
		}
	}
	return true
}

// lowerASCII maps letters and digits to their lower case and every other ASCII byte to zero.
// Bytes above ASCII map to 1: they belong to a word, but it needs the slow path.
var lowerASCII = func() (table [256]byte) {
	for c := range table {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			table[c] = byte(c)
		case c >= 'A' && c <= 'Z':
			table[c] = byte(c) + 'a' - 'A'
		case c >= utf8.RuneSelf:
			table[c] = 1
		}
	}
	return table
}()

// eachWord calls yield with every folded word of text and the byte where its run of word characters begins. The slice
// is valid only during the call.
func eachWord(text string, yield func(start int, word []byte)) {
	var space [wordBytesMax]byte
	for i := 0; i < len(text); {
		if lowerASCII[text[i]] == 0 {
			i++
			continue
		}
		start, n, ascii := i, 0, true
		for ; i < len(text); i++ {
			c := lowerASCII[text[i]]
			if c == 0 {
				break
			}
			if c == 1 {
				ascii = false
			} else if n < wordBytesMax {
				space[n] = c
				n++
			}
		}
		if ascii {
			yield(start, space[:n])
		} else {
			eachUnicodeWord(text[start:i], func(word []byte) { yield(start, word) })
		}
	}
}

// eachUnicodeWord does the work of eachWord for a run of text that is not plain ASCII.
func eachUnicodeWord(text string, yield func(word []byte)) {
	segments := words.FromString(foldRunes(text))
	var word []byte
	flush := func() {
		if len(word) > 0 {
			yield(word[:min(len(word), wordBytesMax)])
			word = word[:0]
		}
	}
	for segments.Next() {
		for _, r := range segments.Value() {
			switch {
			case unicode.IsLetter(r) || unicode.IsNumber(r) || len(word) > 0 && unicode.IsMark(r):
				word = utf8.AppendRune(word, r)
			default:
				flush()
			}
		}
		flush()
	}
}

// foldRunes decomposes text for compatibility, drops accents and folds case.
func foldRunes(text string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(text) {
		if r >= 0x300 && r <= 0x36f { // Combining Diacritical Marks
			continue
		}
		b.WriteRune(unicode.ToLower(unicode.ToUpper(r))) // by way of upper case: final sigma, long s
	}
	return b.String()
}

// stopWords are English words that say how a question is put rather than what it is about.
var stopWords = func() map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(`
		a an the this that these those
		i me my mine we us our ours you your yours he him his she her hers it its they them their
		theirs myself ourselves yourself himself herself itself themselves
		who whom whose what which when where why how
		am is are was were be been being do does did done doing have has had having
		can could will would shall should may might must
		of at by for with about against between into through during before after above below to
		from in out on off over under up down as upon within without toward towards
		and or but if because until while than then so nor not no
		there here also just only very too such own same some any each both all more most other
		s t d ll m re ve don`) {
		set[word] = true
	}
	return set
}()
