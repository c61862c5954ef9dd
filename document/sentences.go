package document

import (
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/sentences"
)

// splitter cuts blocks into sentences: Unicode's default rules (UAX #29) first, then our own for
// what they cannot know: abbreviations, initials, numbered items, quotations and reference marks.
type splitter struct {
	scratch []byte
}

// marksMax is the longest run without a letter or digit, in bytes, that is looked at for sentences.
// Runs are cut there: no sentence has more, and the rules take time with the square of such a run.
const marksMax = 256

// split calls emit with each sentence of text[block], outer white space removed, in order.
func (s *splitter) split(text string, block ByteSpan, emit func(ByteSpan)) {
	source := append(s.scratch[:0], text[block.Start:block.End]...)
	s.scratch = source
	start, run := 0, 0
	for i, c := range source {
		if isAlphanumeric(c) {
			run = 0
			continue
		}
		if c == '\n' || c == '\r' || c == '\t' {
			source[i] = ' ' // inside a block a line break is a space; UAX #29 would end the sentence
		}
		run++
		if run < marksMax || i+1 < len(source) && !utf8.RuneStart(source[i+1]) {
			continue
		}
		if run = i + 1 - afterLetter(source, i+1-run, i+1); run >= marksMax {
			splitPiece(source[start:i+1], block.Start+start, emit)
			start, run = i+1, 0
		}
	}
	splitPiece(source[start:], block.Start+start, emit)
}

// afterLetter returns where the last letter or number of source[start:end] ends, or start.
func afterLetter(source []byte, start, end int) int {
	for end > start {
		r, size := utf8.DecodeLastRune(source[start:end])
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return end
		}
		end -= size
	}
	return start
}

// splitPiece calls emit with the sentences of source, which stands at base in the text.
func splitPiece(source []byte, base int, emit func(ByteSpan)) {
	if !hasTerminator(source) {
		emitTrimmed(source, 0, len(source), base, emit)
		return
	}
	start := 0
	iterator := sentences.FromBytes(source)
	for iterator.Next() {
		end := iterator.End()
		if end <= start {
			continue
		}
		if end < len(source) {
			if after := afterReference(source, end); after > 0 {
				end = after
			} else if joins(source[start:end], source[end:]) {
				continue
			}
		}
		emitTrimmed(source, start, end, base, emit)
		start = end
	}
	emitTrimmed(source, start, len(source), base, emit)
}

// hasTerminator tells whether source may end a sentence before its end.
func hasTerminator(source []byte) bool {
	for _, c := range source {
		if c == '.' || c == '!' || c == '?' || c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

func emitTrimmed(source []byte, start, end, base int, emit func(ByteSpan)) {
	for start < end && source[start] == ' ' {
		start++
	}
	for end > start && source[end-1] == ' ' {
		end--
	}
	if start < end {
		emit(ByteSpan{base + start, base + end})
	}
}

// afterReference handles "…ended.[12] The next": UAX #29 breaks inside the bracket. It returns
// where the next sentence starts, or 0 when source[:end] does not end in such a mark.
func afterReference(source []byte, end int) int {
	if end < 2 || source[end-1] != '[' || !isTerminator(source[end-2]) {
		return 0
	}
	i := end - 1
	for i < len(source) && source[i] == '[' {
		shut := i + 1
		for shut < len(source) && shut-i < 16 && source[shut] != ']' {
			shut++
		}
		if shut >= len(source) || source[shut] != ']' {
			return 0
		}
		i = shut + 1
	}
	if i >= len(source) || source[i] != ' ' {
		return 0
	}
	for i < len(source) && source[i] == ' ' {
		i++
	}
	if r, _ := utf8.DecodeRune(source[i:]); unicode.IsLower(r) {
		return 0
	}
	return i
}

func isTerminator(c byte) bool { return c == '.' || c == '!' || c == '?' }

// joins tells whether the boundary between left and right, which UAX #29 proposes, is none.
func joins(left, right []byte) bool {
	trimmed := left
	for len(trimmed) > 0 && trimmed[len(trimmed)-1] == ' ' {
		trimmed = trimmed[:len(trimmed)-1]
	}
	if len(trimmed) == 0 {
		return true
	}
	if last := trimmed[len(trimmed)-1]; last < 0x80 && len(trimmed) == len(left) {
		return true // no space: "example.com", ".[", "?)"
	}
	next, _ := utf8.DecodeRune(right)
	if unicode.IsLower(next) {
		return true
	}
	stem := trimmed
	for len(stem) > 0 && (stem[len(stem)-1] == ')' || stem[len(stem)-1] == '"' ||
		stem[len(stem)-1] == '\'' || stem[len(stem)-1] == ']') {
		stem = stem[:len(stem)-1]
	}
	if len(stem) == 0 || stem[len(stem)-1] != '.' || len(stem) != len(trimmed) {
		return false
	}
	stem = stem[:len(stem)-1]
	word := lastWord(stem)
	if len(word) == 0 {
		return false
	}
	return abbreviates(word, right, next, len(word) == len(stem))
}

// lastWord returns the letters, digits and inner full stops that end s.
func lastWord(s []byte) []byte {
	i := len(s)
	for i > 0 && len(s)-i < 24 {
		c := s[i-1]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '.' || c >= 0x80 {
			i--
			continue
		}
		break
	}
	return s[i:]
}

// abbreviates tells whether the full stop after word marks an abbreviation and the sentence goes on
// with right, whose first rune is next. first is true when word is all the sentence so far.
func abbreviates(word, right []byte, next rune, first bool) bool {
	digits, dots := 0, 0
	for _, c := range word {
		if c >= '0' && c <= '9' {
			digits++
		} else if c == '.' {
			dots++
		}
	}
	if digits > 0 {
		return first && digits+dots == len(word) // "12. The item", "3.1. A section"
	}
	if dots == len(word) {
		return false // an ellipsis
	}
	kind := abbreviations[string(word)]
	if kind == 0 && len(word) == 1 && word[0] >= 'A' && word[0] <= 'Z' {
		kind = sometimes // an initial
	}
	if kind == 0 && dots > 0 && dots*2+1 >= len(word) {
		kind = sometimes // U.S, a.m, Ph.D has more letters and is listed
	}
	switch kind {
	case always:
		return true
	case beforeNumber:
		return next >= '0' && next <= '9'
	case sometimes:
		return !startsSentence(right)
	}
	return false
}

// startsSentence tells whether s begins with a word that, capitalised, nearly always opens a
// sentence.
func startsSentence(s []byte) bool {
	i := 0
	for i < len(s) && i < 12 && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z') {
		i++
	}
	return starters[string(s[:i])]
}

// The ways an abbreviation meets what follows.
const (
	always       = 1 + iota // never ends a sentence: "Dr."
	sometimes               // ends one only when a sentence starter follows: "U.S."
	beforeNumber            // does not end one when a number follows: "No. 5"
)

var abbreviations = map[string]int{
	"Dr": always, "Mr": always, "Mrs": always, "Ms": always, "Prof": always, "Rev": always,
	"Hon": always, "Gen": always, "Col": always, "Capt": always, "Lt": always, "Sgt": always,
	"Maj": always, "Cmdr": always, "Adm": always, "Gov": always, "Sen": always, "Rep": always,
	"St": always, "Mt": always, "Ft": always, "Fr": always, "Sr": sometimes, "Jr": sometimes,
	"e.g": always, "i.e": always, "E.g": always, "I.e": always, "cf": always, "Cf": always,
	"eg": always, "ie": always, "vs": always, "viz": always, "approx": always, "ca": always,
	"al": sometimes, "etc": sometimes, "resp": always, "incl": always, "esp": always,
	"Inc": sometimes, "Ltd": sometimes, "Co": sometimes, "Corp": sometimes, "Bros": sometimes,
	"Ph.D": sometimes, "Dept": sometimes, "Univ": sometimes, "Assn": sometimes, "Ave": sometimes,
	"Blvd": sometimes, "Rd": sometimes, "Jan": sometimes, "Feb": sometimes, "Mar": beforeNumber,
	"Apr": sometimes, "Jun": sometimes, "Jul": sometimes, "Aug": sometimes, "Sep": sometimes,
	"Sept": sometimes, "Oct": sometimes, "Nov": sometimes, "Dec": sometimes,
	"No": beforeNumber, "no": beforeNumber, "Nos": beforeNumber, "Fig": beforeNumber,
	"fig": beforeNumber, "Figs": beforeNumber, "Eq": beforeNumber, "Eqs": beforeNumber,
	"Sec": beforeNumber, "sec": beforeNumber, "Ch": beforeNumber, "ch": beforeNumber,
	"Vol": beforeNumber, "vol": beforeNumber, "p": beforeNumber, "pp": beforeNumber,
	"Art": beforeNumber, "art": beforeNumber, "Tab": beforeNumber, "Nr": beforeNumber,
	"ed": sometimes, "eds": sometimes, "trans": sometimes, "op": always, "ibid": sometimes,
}

var starters = map[string]bool{
	"The": true, "This": true, "That": true, "These": true, "Those": true, "It": true, "Its": true,
	"He": true, "She": true, "They": true, "We": true, "You": true, "His": true, "Her": true,
	"Their": true, "Our": true, "In": true, "On": true, "At": true, "An": true, "As": true,
	"And": true, "But": true, "Or": true, "If": true, "When": true, "While": true, "Where": true,
	"After": true, "Before": true, "By": true, "For": true, "From": true, "However": true,
	"There": true, "Then": true, "To": true, "With": true, "Since": true, "So": true, "Some": true,
	"Many": true, "Most": true, "What": true, "Who": true, "Why": true, "How": true, "During": true,
	"Although": true, "Because": true, "Also": true, "Both": true, "Each": true, "No": true,
	"Not": true, "One": true, "Two": true, "Under": true, "Until": true, "Is": true, "A": true,
}
