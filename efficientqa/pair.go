package efficientqa

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"evident/document"
	"evident/internal/tokenize"
)

// The pair form reads a candidate as the paper does, [CLS] answer [SEP] context. The context is a window of sentences: a
// pass over each candidate is what indexing costs, and what lies further away says little of it.

// sentences returns where the sentences of a text begin, and its length: after a full stop, question or exclamation mark,
// closing quotes and brackets, and white space, where a capital, a digit, or what opens a quotation or bracket follows. It is
// the rule by which the pair form is trained (training/efficientqa/passages.py), so it is not that of [Nearby].
func sentences(text string) []int {
	cuts := []int{0}
	for at := 0; at < len(text); {
		mark := strings.IndexAny(text[at:], ".!?")
		if mark < 0 {
			break
		}
		at += mark + 1
		rest := strings.TrimLeft(text[at:], `"')]`)
		next := strings.TrimLeftFunc(rest, unicode.IsSpace)
		if len(next) < len(rest) && beginsSentence(next) {
			at = len(text) - len(next)
			cuts = append(cuts, at)
		}
	}
	return append(cuts, len(text))
}

func beginsSentence(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '"' || r == '“' || r == '('
}

// surroundings is the context of a candidate in the pair form: its sentence, or sentences, the one before and the one after.
// It takes what [sentences] returns.
func surroundings(cuts []int, candidate document.ByteSpan) document.ByteSpan {
	first := sort.SearchInts(cuts, candidate.Start+1) - 1 // the last one that begins no later
	last := sort.SearchInts(cuts, candidate.End)          // the first one that begins no earlier than the candidate ends
	return document.ByteSpan{Start: cuts[max(0, first-1)], End: cuts[min(len(cuts)-1, last+1)]}
}

// tokensWithin returns the tokens that lie within a span.
func tokensWithin(tokens []tokenize.Token, span document.ByteSpan) []tokenize.Token {
	first := sort.Search(len(tokens), func(i int) bool { return tokens[i].Start >= span.Start })
	end := sort.Search(len(tokens), func(i int) bool { return tokens[i].End > span.End })
	return tokens[first:max(first, end)]
}
