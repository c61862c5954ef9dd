package evident

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"evident/api"
)

// The types of answers are those that also travel between server and client; package api says what
// their fields mean.
type (
	// Answer is what the documents say to a question.
	Answer = api.Answer
	// Candidate is one distinct answer.
	Candidate = api.Candidate
	// Evidence is a quotation and where it stands.
	Evidence = api.Evidence
	// Source is the document a quotation is taken from.
	Source = api.Source
	// Quotation is a run of the stored text. Spans are half-open: stored[Byte[0]:Byte[1]] == Exact.
	Quotation = api.Quotation
	// Why explains a number by the numbers it was made of.
	Why = api.Why
	// Hit is a passage that matches a query.
	Hit = api.Hit
	// HitPassage is the text of a hit and where it stands in the stored text.
	HitPassage = api.HitPassage
	// DocumentHeading is a heading and where it begins in the stored text.
	DocumentHeading = api.DocumentHeading
	// ImageHit is a picture that was found.
	ImageHit = api.ImageHit
	// HitImage is what is known of it.
	HitImage = api.HitImage
	// Skipped is a file that could not be read, and why.
	Skipped = api.Skipped
)

// contextBytesMax bounds prefix and suffix of a quotation.
const contextBytesMax = 160

// quote cuts the bytes [start, end) out of text with the rest of their sentence on either side.
func quote(text string, start, end int) Quotation {
	return Quotation{
		Exact:  text[start:end],
		Prefix: tail(text[:start]),
		Suffix: head(text[end:]),
		Byte:   [2]int{start, end},
		Rune: [2]int{
			utf8.RuneCountInString(text[:start]),
			utf8.RuneCountInString(text[:start]) + utf8.RuneCountInString(text[start:end]),
		},
	}
}

// tail returns the end of text back to where its last sentence or paragraph began, shortened at a
// blank to contextBytesMax.
func tail(text string) string {
	if i := strings.LastIndex(text, "\n\n"); i >= 0 {
		text = text[i+2:]
	}
	for i := len(text) - 2; i >= 0; i-- {
		if endsSentence(text[i]) && isSpace(text[i+1]) {
			text = text[i+2:]
			break
		}
	}
	if len(text) > contextBytesMax {
		text = text[len(text)-contextBytesMax:]
		if i := strings.IndexFunc(text, unicode.IsSpace); i >= 0 {
			text = text[i:]
		}
	}
	return strings.TrimLeftFunc(validTail(text), unicode.IsSpace)
}

// head returns the beginning of text up to where its sentence or paragraph ends, shortened at a
// blank to contextBytesMax.
func head(text string) string {
	if i := strings.Index(text, "\n\n"); i >= 0 {
		text = text[:i]
	}
	for i := 0; i+1 < len(text); i++ {
		if endsSentence(text[i]) && isSpace(text[i+1]) {
			text = text[:i+1]
			break
		}
	}
	if len(text) > contextBytesMax {
		text = text[:contextBytesMax]
		if i := strings.LastIndexFunc(text, unicode.IsSpace); i >= 0 {
			text = text[:i]
		}
	}
	for len(text) > 0 && !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return strings.TrimRightFunc(text, unicode.IsSpace)
}

// validTail drops the bytes of a rune that was cut in two.
func validTail(text string) string {
	for len(text) > 0 && !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return text
}

func endsSentence(b byte) bool { return b == '.' || b == '?' || b == '!' }

func isSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }
