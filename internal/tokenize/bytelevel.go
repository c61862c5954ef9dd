package tokenize

import (
	"unicode"
	"unicode/utf8"
)

// byteNames returns the characters by which byte-level vocabularies write bytes (GPT-2, Radford
// et al. 2019): printable ones are themselves, the others follow from U+0100 on.
func byteNames() (names [256]rune) {
	next := rune(0x100)
	for b := range rune(256) {
		switch {
		case b >= '!' && b <= '~', b >= 0xA1 && b <= 0xAC, b >= 0xAE:
			names[b] = b
		default:
			names[b] = next
			next++
		}
	}
	return names
}

// kind is a character class of the byte-level pattern.
type kind uint8

const (
	other kind = iota
	space
	letter
	number
)

func kindOf(r rune) kind {
	if r < utf8.RuneSelf {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
			return letter
		case r >= '0' && r <= '9':
			return number
		case r == ' ', r >= '\t' && r <= '\r':
			return space
		}
		return other
	}
	switch {
	case unicode.Is(letters, r):
		return letter
	case unicode.IsSpace(r):
		return space
	case unicode.Is(numbers, r):
		return number
	}
	return other
}

// kindAt classifies the character at s[i] and gives its length; a byte that is no UTF-8 is other.
func kindAt(s string, i int) (kind, int) {
	if s[i] < utf8.RuneSelf {
		return kindOf(rune(s[i])), 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	if r == utf8.RuneError && size == 1 {
		return other, 1
	}
	return kindOf(r), size
}

// nextWord returns the end of the word of s that begins at i < len(s), by GPT-2's pattern
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// written out, because Go's expressions cannot look ahead.
func nextWord(s string, i int) int {
	if s[i] == '\'' {
		if n := contraction(s[i+1:]); n > 0 {
			return i + 1 + n
		}
	}
	k, size := kindAt(s, i)
	if k != space {
		return runEnd(s, i+size, k)
	}
	if s[i] == ' ' && i+1 < len(s) {
		if k, size := kindAt(s, i+1); k != space {
			return runEnd(s, i+1+size, k)
		}
	}
	// White space: all of it at the end of the text, else all but the last character, which
	// goes with what follows if it is a blank and alone otherwise.
	end, last := i+size, i
	for end < len(s) {
		k, size := kindAt(s, end)
		if k != space {
			break
		}
		last = end
		end += size
	}
	if end == len(s) || last == i {
		return end
	}
	return last
}

// runEnd returns the end of the characters of kind k from s[i] on.
func runEnd(s string, i int, k kind) int {
	for i < len(s) {
		next, size := kindAt(s, i)
		if next != k {
			break
		}
		i += size
	}
	return i
}

// contraction returns the length of the English ending at the start of s, after an apostrophe.
func contraction(s string) int {
	if s == "" {
		return 0
	}
	switch s[0] {
	case 's', 't', 'm', 'd':
		return 1
	}
	if len(s) >= 2 {
		switch s[:2] {
		case "re", "ve", "ll":
			return 2
		}
	}
	return 0
}

// runeBounds widens s[start:end] to whole characters.
func runeBounds(s string, start, end int) (int, int) {
	from := start
	for from > 0 && start-from < utf8.UTFMax-1 && !utf8.RuneStart(s[from]) {
		from--
	}
	if _, size := utf8.DecodeRuneInString(s[from:]); from+size > start {
		start = from
	}
	last := end - 1
	for last > 0 && end-1-last < utf8.UTFMax-1 && !utf8.RuneStart(s[last]) {
		last--
	}
	if _, size := utf8.DecodeRuneInString(s[last:]); last+size > end {
		end = last + size
	}
	return start, end
}
