package extract

import (
	"bytes"
	"context"
	"strings"
	"unicode/utf8"
)

// builder collects the text of formats whose text is not the file itself. White space is collapsed,
// blocks are separated by one newline (lines, list items, rows) or two (paragraphs).
//
// After the limit is passed the builder drops what it is given; err says so.
type builder struct {
	text     []byte
	blocks   []Span
	headings []Mark
	pages    []Mark

	start   int  // where the open block starts; -1 when none is open
	space   bool // a space is due before the next word
	newline bool // a line break is due before the next word, inside the block
	gap     int  // newlines due before the next block
	level   int  // heading level of the open block, 0 for plain text

	rows []row // open table rows, innermost last
	max  int64
	err  error
}

// row is a table row being read: where it began, so that short cells can be put on one line.
type row struct {
	block  int   // index of its first block
	length int   // len(text) before it
	gap    int   // the gap before it
	cells  []int // index of the first block of each cell
	layout bool  // holds headings or a table: not a row of data
}

// rowBytesMax is the longest row, in bytes, that is put on one line. A longer "row" is layout:
// prose set in a table.
const rowBytesMax = 600

func newBuilder(limits Limits) *builder {
	return &builder{start: -1, max: limits.TextBytesMax}
}

// open begins a block at the end of the text, if none is open.
func (b *builder) open() {
	if b.start >= 0 {
		return
	}
	if len(b.text) > 0 {
		for range max(b.gap, 1) {
			b.text = append(b.text, '\n')
		}
	}
	b.start, b.gap, b.space, b.newline = len(b.text), 0, false, false
}

// end closes the open block; at least gap newlines will part it from the next.
func (b *builder) end(gap int) {
	b.gap = max(b.gap, gap)
	b.space, b.newline = false, false
	if b.start < 0 {
		return
	}
	if len(bytes.TrimSpace(b.text[b.start:])) > 0 {
		span := Span{b.start, len(b.text)}
		b.blocks = append(b.blocks, span)
		if b.level > 0 {
			label := collapse(string(b.text[span.Start:span.End]))
			b.headings = append(b.headings, Mark{At: span.Start, Label: label, Level: b.level})
			b.level = 0 // a heading that is never closed must not swallow the page
			if n := len(b.rows); n > 0 {
				b.rows[n-1].layout = true
			}
		}
	}
	b.start = -1
}

// heading closes the open block and makes the next one a heading of that level.
func (b *builder) heading(level int) {
	b.end(2)
	b.level = level
}

// headingEnd closes a heading.
func (b *builder) headingEnd() {
	b.end(2)
	b.level = 0
}

// page closes the open block and marks the start of a page.
func (b *builder) page(label string) {
	b.end(2)
	at := len(b.text)
	if at > 0 {
		at += max(b.gap, 1)
	}
	b.pages = append(b.pages, Mark{At: at, Label: label})
}

// write appends text to the open block, white space collapsed to single spaces.
func (b *builder) write(s string) {
	if b.full(len(s)) {
		return
	}
	if strings.Contains(s, softHyphen) {
		s = strings.ReplaceAll(s, softHyphen, "")
	}
	for len(s) > 0 {
		n := spaceLen(s)
		if n > 0 {
			b.space = b.space || b.start >= 0
			s = s[n:]
			continue
		}
		end := wordLen(s)
		b.open()
		switch {
		case b.newline:
			b.text = append(b.text, '\n')
		case b.space:
			b.text = append(b.text, ' ')
		}
		b.space, b.newline = false, false
		b.text = append(b.text, s[:end]...)
		s = s[end:]
	}
}

// lineBreak breaks the line inside the block; two in a row end the block.
func (b *builder) lineBreak() {
	if b.newline {
		b.end(2)
		return
	}
	b.newline = b.start >= 0
}

// verbatim appends preformatted text as blocks of its own, its line breaks and indents kept.
func (b *builder) verbatim(s string) {
	b.end(2)
	for len(s) > 0 && (s[len(s)-1] == '\n' || s[len(s)-1] == '\r' || s[len(s)-1] == ' ') {
		s = s[:len(s)-1]
	}
	if len(s) == 0 || b.full(len(s)) {
		return
	}
	b.open()
	at := len(b.text)
	b.text = append(b.text, s...)
	b.start = -1
	b.blocks = textBlocks(b.blocks, s, at)
	b.gap = 2
	if n := len(b.rows); n > 0 {
		b.rows[n-1].layout = true
	}
}

// full tells whether n more bytes, or the blocks so far, pass a limit, and remembers it.
func (b *builder) full(n int) bool {
	if b.err == nil && int64(len(b.text))+int64(n) > b.max {
		b.err = refuseTooLong(b.max)
	}
	if b.err == nil && len(b.blocks) > blocksMax {
		b.err = errBlocks
	}
	return b.err != nil
}

func (b *builder) rowStart() {
	b.end(1)
	if n := len(b.rows); n > 0 {
		b.rows[n-1].layout = true
	}
	if len(b.rows) < 64 {
		b.rows = append(b.rows, row{block: len(b.blocks), length: len(b.text), gap: max(b.gap, 1)})
	}
}

func (b *builder) cellStart() {
	b.end(1)
	if n := len(b.rows); n > 0 {
		b.rows[n-1].cells = append(b.rows[n-1].cells, len(b.blocks))
	}
}

// rowEnd closes a table row. A short row of data becomes one block, its cells parted by tabs.
func (b *builder) rowEnd() {
	b.end(1)
	n := len(b.rows)
	if n == 0 {
		return
	}
	r := b.rows[n-1]
	b.rows = b.rows[:n-1]
	blocks := b.blocks[r.block:]
	if r.layout || len(blocks) < 2 || len(b.text)-r.length > rowBytesMax {
		return
	}
	line := make([]byte, 0, len(b.text)-r.length)
	cell := 0
	for i, span := range blocks {
		part := byte(' ')
		for cell < len(r.cells) && r.cells[cell] <= r.block+i {
			part, cell = '\t', cell+1
		}
		if i > 0 {
			line = append(line, part)
		}
		line = append(line, b.text[span.Start:span.End]...)
	}
	start := blocks[0].Start
	b.text = append(b.text[:start], line...)
	b.blocks = append(b.blocks[:r.block], Span{start, len(b.text)})
}

// content returns what was collected.
func (b *builder) content(format, title string) (*Content, error) {
	b.end(0)
	if b.err != nil {
		return nil, b.err
	}
	for i := range b.pages {
		b.pages[i].At = min(b.pages[i].At, len(b.text))
	}
	return &Content{
		Format: format, Title: collapse(title), Text: string(b.text),
		Pages: b.pages, Headings: b.headings, Blocks: b.blocks,
	}, nil
}

// headingBytesMax bounds the label of a heading: some files set whole pages as one.
const headingBytesMax = 300

// softHyphen marks where a word may be broken; inside a line it is not visible.
const softHyphen = "\u00AD"

// clip cuts s to at most n bytes, at a rune boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// collapse makes one line of s.
func collapse(s string) string {
	b := builder{start: -1, max: 1 << 20}
	b.write(clip(s, 4*headingBytesMax))
	return clip(string(b.text), headingBytesMax)
}

// spaceLen returns how many bytes of white space s starts with, no-break spaces and NUL included.
func spaceLen(s string) int {
	i := 0
	for i < len(s) {
		switch c := s[i]; {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v' || c == 0:
			i++
		case c == 0xC2 && i+1 < len(s) && s[i+1] == 0xA0: // no-break space
			i += 2
		case c == 0xE2 && i+2 < len(s) && s[i+1] == 0x80 && (s[i+2] <= 0x8A || s[i+2] == 0xAF ||
			s[i+2] == 0xA8 || s[i+2] == 0xA9): // en quad to hair space, narrow no-break, separators
			i += 3
		case c == 0xE3 && i+2 < len(s) && s[i+1] == 0x80 && s[i+2] == 0x80: // ideographic space
			i += 3
		default:
			return i
		}
	}
	return i
}

// wordLen returns how many bytes of s come before its first white space.
func wordLen(s string) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c > ' ' && c < 0x80:
		case c == ' ' || c >= '\t' && c <= '\r' || c == 0:
			return i
		case c == 0xC2 || c == 0xE2 || c == 0xE3:
			if spaceLen(s[i:]) > 0 {
				return i
			}
		}
	}
	return len(s)
}

// every checks ctx once in a while: cheap enough for a loop over tokens.
func every(ctx context.Context, i int) error {
	if i&0x3FF == 0 {
		return ctx.Err()
	}
	return nil
}
