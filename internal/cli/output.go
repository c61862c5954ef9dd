package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"evident"
)

// output shows results: text for people or JSON for programs, from the same values.
type output struct {
	Streams
	json  bool
	quiet bool
	color bool
}

// printJSON writes a value as one JSON document.
func (o *output) printJSON(value any) error {
	encoder := json.NewEncoder(o.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printJSONLine writes a value as one line, for results that come one after the other.
func (o *output) printJSONLine(value any) error {
	encoder := json.NewEncoder(o.Out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// note writes a line to stderr that is neither result nor error.
func (o *output) note(format string, args ...any) {
	if !o.quiet && !o.json {
		fmt.Fprintf(o.Err, format+"\n", args...)
	}
}

// Widths of the text layout, in columns.
const (
	lineWidth    = 71
	contextWidth = 60 // of the words on either side of a quotation
	passageWidth = 240
)

// style returns text in an SGR style when colour is on.
func (o *output) style(code, text string) string {
	if !o.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (o *output) bold(text string) string  { return o.style("1", text) }
func (o *output) faint(text string) string { return o.style("2", text) }

// answer writes an answer: each candidate with its quotation and place, or why there is none and
// the nearest passages.
func (o *output) answer(a *evident.Answer, explain bool) {
	if a.Abstained {
		fmt.Fprintln(o.Out, o.bold("no answer found"))
		fmt.Fprintf(o.Out, "  %s\n", a.Reason)
		if len(a.Nearest) > 0 {
			fmt.Fprintln(o.Out, "nearest passages:")
			o.hits(a.Nearest, false)
		}
		return
	}
	for i, c := range a.Answers {
		if i > 0 {
			fmt.Fprintln(o.Out)
		}
		o.candidate(&c)
		if explain {
			o.why(&c.Why, 1)
		}
	}
}

func (o *output) candidate(c *evident.Candidate) {
	text := oneLine(c.Text)
	score := fmt.Sprintf("%.2f", c.Score)
	gap := max(2, lineWidth-utf8.RuneCountInString(text)-len(score))
	fmt.Fprintf(o.Out, "%s%s%s\n", o.bold(text), strings.Repeat(" ", gap), score)
	t := &c.Evidence.Text
	fmt.Fprintf(o.Out, "  “%s[%s]%s”\n",
		before(t.Prefix, contextWidth), o.bold(oneLine(t.Exact)), after(t.Suffix, contextWidth))
	o.place(&c.Evidence)
	for i := range c.Also {
		if i == alsoMax {
			fmt.Fprintln(o.Out, o.faint(fmt.Sprintf("  and %d more places", len(c.Also)-i)))
			break
		}
		o.place(&c.Also[i])
	}
}

// alsoMax is how many further places of an answer are shown.
const alsoMax = 2

func (o *output) place(e *evident.Evidence) {
	stale := ""
	if e.Source.Stale {
		stale = "  changed since it was indexed"
	}
	by := ""
	if len(e.By) > 0 {
		by = "  by " + strings.Join(e.By, ", ")
	}
	line := where(e.Source.Path, e.Text.Page, e.Text.Byte) + by + stale
	fmt.Fprintln(o.Out, "  "+o.faint(line))
}

func where(path string, page int, bytes [2]int) string {
	if page > 0 {
		return fmt.Sprintf("%s  page %d  bytes %d–%d", path, page, bytes[0], bytes[1])
	}
	return fmt.Sprintf("%s  bytes %d–%d", path, bytes[0], bytes[1])
}

// hits writes passages, each with its place.
func (o *output) hits(hits []evident.Hit, scores bool) {
	for i, h := range hits {
		if i > 0 {
			fmt.Fprintln(o.Out)
		}
		score := ""
		if scores {
			score = fmt.Sprintf("  score %.2f", h.Score)
		}
		fmt.Fprintf(o.Out, "  “%s”\n", after(h.Passage.Text, passageWidth))
		fmt.Fprintln(o.Out, "  "+o.faint(where(h.Path, h.Passage.Page, h.Passage.Byte)+score))
		if h.Why != nil {
			o.why(h.Why, 1)
		}
	}
}

// whyDepthMax ends the tree at the terms of BM25, a line each; JSON has what they are made of.
const whyDepthMax = 5

// why writes a tree of labelled numbers.
func (o *output) why(w *evident.Why, depth int) {
	fmt.Fprintf(o.Out, "%s%9.4f  %s\n", strings.Repeat("  ", depth), w.Value, w.Label)
	if depth == whyDepthMax {
		return
	}
	for i := range w.Details {
		o.why(&w.Details[i], depth+1)
	}
}

// oneLine makes text fit for one line: control characters and runs of blanks become one blank, so
// that a document cannot steer the terminal.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return r <= ' ' || r >= 0x7f && r <= 0xa0 || r == 0x2028 || r == 0x2029 || isBidi(r)
	}), " ")
}

// isBidi says whether a rune turns the direction of the text around it.
func isBidi(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }

// before returns the end of text, at most width runes of whole words, ready to stand before a
// quotation.
func before(text string, width int) string {
	line := []rune(oneLine(text))
	space := ""
	if text != "" && strings.TrimRight(text, " \t\r\n") != text {
		space = " "
	}
	if len(line) <= width {
		return string(line) + space
	}
	rest := string(line[len(line)-width:])
	if _, words, ok := strings.Cut(rest, " "); ok {
		rest = words
	}
	return "… " + rest + space
}

// after returns the beginning of text, at most width runes of whole words.
func after(text string, width int) string {
	line := []rune(oneLine(text))
	space := ""
	if text != "" && strings.TrimLeft(text, " \t\r\n") != text {
		space = " "
	}
	if len(line) <= width {
		return space + string(line)
	}
	rest := string(line[:width])
	if i := strings.LastIndexByte(rest, ' '); i > 0 {
		rest = rest[:i]
	}
	return space + rest + " …"
}
