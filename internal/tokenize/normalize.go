package tokenize

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// place is the bytes of the original text that a normalised byte stands for.
type place struct{ start, end int }

// word gathers one normalised word with the origin of each of its bytes.
type word struct {
	text   []byte
	places []place
	runes  int

	// A starter and the combining characters after it, decomposed but not yet in canonical order.
	segment []decomposed
	origins []place
}

// decomposed is a character of a canonical decomposition.
type decomposed struct {
	r     rune
	class uint8 // canonical combining class
	added bool  // not the first of its decomposition
	from  place // of the character that was decomposed
}

// appendNormalised tokenises the words of text from byte i to the next white space by BERT's
// normalisation: clean, space ideographs, decompose (NFD) and strip accents, fold case. It
// returns the place where it stopped.
func (w *WordPiece) appendNormalised(dst []Token, text string, i int, b *word) ([]Token, int) {
	b.text, b.places, b.runes = b.text[:0], b.places[:0], 0
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		at := place{i, i + size}
		i += size
		if !w.opts.KeepControls && unicode.Is(removed, r) {
			continue
		}
		if unicode.IsSpace(r) {
			break
		}
		if !w.opts.JoinCJK && ideograph(r) {
			dst = w.endSegment(dst, b)
			dst = w.endWord(dst, b)
			dst = w.decompose(dst, r, at, b)
			dst = w.endSegment(dst, b)
			dst = w.endWord(dst, b)
			continue
		}
		dst = w.decompose(dst, r, at, b)
	}
	dst = w.endSegment(dst, b)
	return w.endWord(dst, b), i
}

// decompose adds the canonical decomposition of r to the segment, if accents are to go, or else
// r itself to the word.
func (w *WordPiece) decompose(dst []Token, r rune, at place, b *word) []Token {
	if !*w.opts.StripAccents {
		return w.addFolded(dst, r, at, b)
	}
	if r < 0xC0 {
		return w.addDecomposed(dst, decomposed{r: r, from: at}, b)
	}
	if lead, vowel, tail, ok := jamo(r); ok {
		dst = w.addDecomposed(dst, decomposed{r: lead, from: at}, b)
		dst = w.addDecomposed(dst, decomposed{r: vowel, from: at, added: true}, b)
		if tail != 0 {
			dst = w.addDecomposed(dst, decomposed{r: tail, from: at, added: true}, b)
		}
		return dst
	}
	var buf [utf8.UTFMax]byte
	properties := norm.NFD.Properties(buf[:utf8.EncodeRune(buf[:], r)])
	parts := properties.Decomposition()
	if parts == nil || undecomposed(r) {
		return w.addDecomposed(dst, decomposed{r: r, class: properties.CCC(), from: at}, b)
	}
	for added := false; len(parts) > 0; added = true {
		part, size := utf8.DecodeRune(parts)
		class := norm.NFD.Properties(parts).CCC()
		dst = w.addDecomposed(dst, decomposed{part, class, added, at}, b)
		parts = parts[size:]
	}
	return dst
}

func (w *WordPiece) addDecomposed(dst []Token, d decomposed, b *word) []Token {
	if d.class == 0 {
		dst = w.endSegment(dst, b)
	}
	b.segment = append(b.segment, d)
	return dst
}

// endSegment puts the gathered characters into canonical order and passes on those that are no
// accents. As in the reference, origins are dealt out after reordering: the n-th character that
// began a decomposition gets the n-th origin, and what a decomposition added shares its
// predecessor's.
func (w *WordPiece) endSegment(dst []Token, b *word) []Token {
	if len(b.segment) == 0 {
		return dst
	}
	if len(b.segment) > 2 || len(b.segment) == 2 && b.segment[0].class != 0 {
		b.origins = b.origins[:0]
		for _, d := range b.segment {
			if !d.added {
				b.origins = append(b.origins, d.from)
			}
		}
		slices.SortStableFunc(b.segment, func(x, y decomposed) int {
			return int(x.class) - int(y.class)
		})
		next, last := 0, b.segment[0].from
		for i := range b.segment {
			if d := &b.segment[i]; !d.added && next < len(b.origins) {
				last = b.origins[next]
				next++
			}
			b.segment[i].from = last
		}
	}
	for _, d := range b.segment {
		if d.r < 0x300 || !unicode.Is(marks, d.r) {
			dst = w.addFolded(dst, d.r, d.from, b)
		}
	}
	b.segment = b.segment[:0]
	return dst
}

// addFolded adds a character to the word, or ends the word with it, after folding its case.
func (w *WordPiece) addFolded(dst []Token, r rune, at place, b *word) []Token {
	if !w.opts.KeepCase {
		if r == 'İ' { // the one letter whose lower case is two characters
			b.add('i', at)
			b.add('\u0307', at)
			return dst
		}
		r = lower(r)
	}
	switch {
	case unicode.IsSpace(r):
		return w.endWord(dst, b)
	case unicode.Is(punctuation, r):
		dst = w.endWord(dst, b)
		b.add(r, at)
		return w.endWord(dst, b)
	}
	b.add(r, at)
	return dst
}

func (b *word) add(r rune, at place) {
	before := len(b.text)
	b.text = utf8.AppendRune(b.text, r)
	for range len(b.text) - before {
		b.places = append(b.places, at)
	}
	b.runes++
}

func (w *WordPiece) endWord(dst []Token, b *word) []Token {
	dst = w.appendPieces(dst, b.text, b.runes, 0, b.places)
	b.text, b.places, b.runes = b.text[:0], b.places[:0], 0
	return dst
}

func lower(r rune) rune {
	if low, ok := lowered[r]; r > unicode.MaxLatin1 && ok {
		return low
	}
	return unicode.ToLower(r)
}

// ideograph reports whether BERT makes r a word of its own. The fifth block begins 256 later in
// the reference than in Unicode; models were trained with that.
func ideograph(r rune) bool {
	return r >= 0x3400 && (r <= 0x4DBF ||
		r >= 0x4E00 && r <= 0x9FFF ||
		r >= 0xF900 && r <= 0xFAFF ||
		r >= 0x20000 && r <= 0x2A6DF ||
		r >= 0x2A700 && r <= 0x2B81F ||
		r >= 0x2B920 && r <= 0x2CEAF ||
		r >= 0x2F800 && r <= 0x2FA1F)
}

// undecomposed reports whether r got its decomposition in Unicode 13 or later, which the
// reference does not know; 16 and 17 come with newer versions of Go.
func undecomposed(r rune) bool {
	return r >= 0x105C9 && (r == 0x105C9 || r == 0x105E4 || r == 0x11938 ||
		r >= 0x11380 && r <= 0x113FF || r >= 0x16100 && r <= 0x16DFF)
}

// jamo splits a Hangul syllable (Unicode 3.12); tail is 0 when there is none.
func jamo(r rune) (lead, vowel, tail rune, ok bool) {
	const vowels, tails = 21, 28
	if r < 0xAC00 || r > 0xD7A3 {
		return 0, 0, 0, false
	}
	s := r - 0xAC00
	lead, vowel = 0x1100+s/(vowels*tails), 0x1161+s/tails%vowels
	if t := s % tails; t != 0 {
		tail = 0x11A7 + t
	}
	return lead, vowel, tail, true
}
