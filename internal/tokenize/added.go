package tokenize

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is an entry of a tokenizer.json that is looked for in text before the model cuts it.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// addedTokens finds added tokens in text, at each place the longest.
type addedTokens struct {
	byFirst map[byte][]addedToken // the longest first
	text    bool                  // special tokens spelled out in a text are text
}

// newAddedTokens finds tokens by their content as spell writes it.
func newAddedTokens(list []addedToken, text bool, spell func(string) string) *addedTokens {
	a := &addedTokens{byFirst: map[byte][]addedToken{}, text: text}
	for _, token := range list {
		if token.Content = spell(token.Content); token.Content != "" {
			a.byFirst[token.Content[0]] = append(a.byFirst[token.Content[0]], token)
		}
	}
	for _, tokens := range a.byFirst {
		slices.SortStableFunc(tokens, func(x, y addedToken) int { return cmp.Compare(len(y.Content), len(x.Content)) })
	}
	return a
}

// cut appends the parts of a stretch: added tokens, and what lies between them.
func (a *addedTokens) cut(dst []stretch, s stretch) []stretch {
	begin := 0
	pass := func(to int) {
		if to > begin {
			dst = append(dst, stretch{text: s.text[begin:to], first: s.first && begin == 0})
		}
	}
	for at := 0; at < len(s.text); {
		token, ok := a.at(s.text, at)
		if !ok {
			at++
			continue
		}
		from, to := at, at+len(token.Content)
		at = to
		if token.Special && a.text || token.SingleWord && !standsAlone(s.text, from, to) {
			continue
		}
		if token.LStrip {
			from = max(len(strings.TrimRightFunc(s.text[:from], unicode.IsSpace)), begin)
		}
		if token.RStrip {
			to = len(s.text) - len(strings.TrimLeftFunc(s.text[to:], unicode.IsSpace))
		}
		pass(from)
		dst = append(dst, stretch{id: token.ID, added: true})
		begin = to
	}
	pass(len(s.text))
	return dst
}

// at returns the longest added token at a place of text.
func (a *addedTokens) at(text string, at int) (addedToken, bool) {
	for _, token := range a.byFirst[text[at]] {
		if strings.HasPrefix(text[at:], token.Content) {
			return token, true
		}
	}
	return addedToken{}, false
}

// standsAlone reports whether no word goes on before or behind text[from:to].
func standsAlone(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	behind, _ := utf8.DecodeRuneInString(text[to:])
	return (from == 0 || !wordRune(before)) && (to == len(text) || !wordRune(behind))
}

// wordRune reports whether r is of \w (Unicode technical standard 18).
func wordRune(r rune) bool {
	return unicode.In(r, unicode.Letter, unicode.Mark, unicode.Nd, unicode.Nl, unicode.Pc,
		unicode.Other_Alphabetic, unicode.Join_Control)
}
