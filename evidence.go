package evident

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Answer is what the documents say to a question.
type Answer struct {
	Question  string             `json:"question"`
	Engine    string             `json:"engine"`  // the method that answered: "mix"
	Answers   []Candidate        `json:"answers"` // most probable first; empty after abstaining
	Abstained bool               `json:"abstained"`
	Reason    string             `json:"reason,omitempty"`  // why it abstained
	Nearest   []Hit              `json:"nearest,omitempty"` // after abstaining: what to read instead
	TookMS    map[string]float64 `json:"took_ms"`           // by stage, and "total"
}

// Candidate is one distinct answer.
type Candidate struct {
	Text     string     `json:"text"`
	Score    float64    `json:"score"` // probability that the answer is right, calibrated
	Evidence Evidence   `json:"evidence"`
	Also     []Evidence `json:"also,omitempty"` // further places that say the same
	Why      Why        `json:"why"`
}

// Evidence is a quotation and where it stands.
type Evidence struct {
	Source Source    `json:"source"`
	Text   Quotation `json:"text"`
}

// Source is the document a quotation is taken from.
type Source struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // of the stored text that offsets count in
	Title  string `json:"title,omitempty"`
	Stale  bool   `json:"stale,omitempty"` // the file changed since it was indexed
}

// Quotation is a run of the stored text. Spans are half-open: stored[Byte[0]:Byte[1]] == Exact.
type Quotation struct {
	Exact   string `json:"exact"`
	Prefix  string `json:"prefix"` // the sentence before it, shortened
	Suffix  string `json:"suffix"` // the sentence after it, shortened
	Byte    [2]int `json:"byte"`
	Rune    [2]int `json:"rune"`
	Page    int    `json:"page,omitempty"` // from 1; 0 when the format has no pages
	Heading string `json:"heading,omitempty"`
}

// Why explains a number by the numbers it was made of.
type Why struct {
	Label   string  `json:"label"`
	Value   float64 `json:"value"`
	Details []Why   `json:"details,omitempty"`
}

// Hit is a passage that matches a query.
type Hit struct {
	Path    string     `json:"path"`
	Score   float64    `json:"score"`
	Passage HitPassage `json:"passage"`
	Why     *Why       `json:"why,omitempty"`
}

// HitPassage is the text of a hit and where it stands in the stored text.
type HitPassage struct {
	Byte    [2]int `json:"byte"`
	Text    string `json:"text"`
	Page    int    `json:"page,omitempty"`
	Heading string `json:"heading,omitempty"`
}

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
