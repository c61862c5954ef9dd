package mix

import (
	"strings"
	"unicode/utf8"

	"evident/internal/tokenize"
)

// An encoder sees words, not lines: in a list without punctuation
//
//	int32  the set of all signed 32-bit integers
//	int64  the set of all signed 64-bit integers
//
// it cannot tell which name belongs to which line. So the reader is shown a full stop where a line
// ends on purpose and no sentence does. The stop has no bytes and is never part of a quotation's
// ends.

// withStops returns the tokens of text with a stop, of no width, at every end of line that
// [deliberate] finds, unless punctuation stands there.
func withStops(text string, tokens []tokenize.Token, stop tokenize.Token) []tokenize.Token {
	ends := deliberate(text)
	if len(ends) == 0 {
		return tokens
	}
	out := make([]tokenize.Token, 0, len(tokens)+len(ends))
	for i, t := range tokens {
		passed := 0
		for passed < len(ends) && ends[passed] < t.Start {
			passed++
		}
		ends = ends[passed:]
		if passed > 0 && i > 0 {
			before := tokens[i-1]
			if !strings.ContainsAny(text[before.Start:before.End], ".!?:;,") {
				out = append(out, tokenize.Token{ID: stop.ID, Start: before.End, End: before.End})
			}
		}
		out = append(out, t)
	}
	return out
}

// deliberate returns the offsets of line ends that are not the wrapping of running text: those
// before an empty line, and those where the next line's first word would still have fitted.
func deliberate(text string) []int {
	var ends []int
	var paragraph []line
	start := 0
	for content := range strings.Lines(text) {
		l := line{text: strings.TrimSpace(content), end: start + len(strings.TrimRight(content, "\r\n"))}
		start += len(content)
		if l.text != "" {
			paragraph = append(paragraph, l)
			continue
		}
		ends = appendDeliberate(ends, paragraph)
		if len(paragraph) > 0 {
			ends = append(ends, paragraph[len(paragraph)-1].end)
		}
		paragraph = paragraph[:0]
	}
	return appendDeliberate(ends, paragraph)
}

// line is a line without the white space around it.
type line struct {
	text string
	end  int // offset of its end
}

// appendDeliberate looks at the line ends within a paragraph. Running text is as wide as its
// longest line, but a line of one or two long words, an address say, sets no width.
func appendDeliberate(ends []int, paragraph []line) []int {
	width := 0
	for _, l := range paragraph {
		if strings.Count(l.text, " ") > 1 {
			width = max(width, utf8.RuneCountInString(l.text))
		}
	}
	for i := 0; i+1 < len(paragraph); i++ {
		word, _, _ := strings.Cut(paragraph[i+1].text, " ")
		if utf8.RuneCountInString(paragraph[i].text)+1+utf8.RuneCountInString(word) <= width {
			ends = append(ends, paragraph[i].end)
		}
	}
	return ends
}
