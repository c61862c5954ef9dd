package extract

import (
	"context"
	"strings"
	"unicode/utf8"
)

// parseText reads plain text. Text is the file; blocks are its paragraphs, or its lines where lines
// are meant (lists, tables, code).
func parseText(_ context.Context, text string, limits Limits) (*Content, error) {
	if int64(len(text)) > limits.TextBytesMax {
		return nil, refuseTooLong(limits.TextBytesMax)
	}
	return &Content{Format: "txt", Text: text, Blocks: textBlocks(nil, text, 0)}, nil
}

// paragraphLinesMax bounds the lines that are looked at together.
const paragraphLinesMax = 4096

// line is one line of a paragraph, without its line break and outer white space.
type line struct {
	start, end int
	indent     int
}

// textBlocks appends the blocks of preformatted text s, which begins at offset base of the stored
// text. Paragraphs are parted by blank lines. In a paragraph of prose a line break is a space,
// unless the line ended early on purpose; elsewhere each line is a block.
func textBlocks(blocks []Span, s string, base int) []Span {
	var buffer [64]line
	paragraph := buffer[:0]
	at := 0
	if strings.HasPrefix(s, "\uFEFF") {
		at = len("\uFEFF")
	}
	for at < len(s) {
		end, next := lineEnd(s, at)
		start := at
		for start < end && isBlank(s[start]) {
			start++
		}
		indent := start - at
		for end > start && isBlank(s[end-1]) {
			end--
		}
		if start < end && s[start] >= utf8.RuneSelf && strings.TrimSpace(s[start:end]) == "" {
			start = end // nothing but spaces beyond ASCII
		}
		if start == end || len(paragraph) == paragraphLinesMax {
			blocks = paragraphBlocks(blocks, s, base, paragraph)
			paragraph = paragraph[:0]
		}
		if len(blocks) > blocksMax {
			return blocks // the caller refuses the file
		}
		if start < end {
			paragraph = append(paragraph, line{start, end, indent})
		}
		at = next
	}
	return paragraphBlocks(blocks, s, base, paragraph)
}

// lineEnd returns where the line that starts at i ends, and where the next one starts. Lines end at
// "\n", "\r\n" or "\r".
func lineEnd(s string, i int) (end, next int) {
	n := strings.IndexAny(s[i:], "\r\n")
	if n < 0 {
		return len(s), len(s)
	}
	end = i + n
	if s[end] == '\r' && end+1 < len(s) && s[end+1] == '\n' {
		return end, end + 2
	}
	return end, end + 1
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\f' || c == '\v' || c == '\r' }

// wrapWidthMax is the longest line that an editor or mailer wraps at: longer lines end on purpose.
const wrapWidthMax = 160

func paragraphBlocks(blocks []Span, s string, base int, lines []line) []Span {
	if len(lines) == 0 {
		return blocks
	}
	width := 0
	for _, l := range lines {
		width = max(width, l.indent+l.end-l.start)
	}
	joined := width <= wrapWidthMax && isProse(s, lines)
	start := lines[0].start
	for i, l := range lines {
		last := i+1 == len(lines)
		if last || !joined || endsOnPurpose(s, l, lines[i+1], width) {
			blocks = append(blocks, Span{base + start, base + l.end})
			if !last {
				start = lines[i+1].start
			}
		}
	}
	return blocks
}

// isProse tells whether the lines of a paragraph read on from one to the next: they hold letters
// and the marks of prose, several words each, and no columns.
func isProse(s string, lines []line) bool {
	if len(lines) < 2 {
		return true
	}
	letters, odd, words := 0, 0, 0
	for i, l := range lines {
		run := 0
		for _, c := range []byte(s[l.start:l.end]) {
			switch {
			case c == ' ':
				run++
				if run == 1 {
					words++
				}
				if run == 3 {
					return false
				}
				continue
			case c == '\t':
				return false
			case c|0x20 >= 'a' && c|0x20 <= 'z', c >= 0x80:
				letters++
			case strings.IndexByte(".,'\"-()?!:0123456789", c) < 0:
				odd++
			}
			run = 0
		}
		if c := s[l.end-1]; i+1 < len(lines) && (c == '{' || c == ';' || c == '}' || c == '=') {
			odd += 4
		}
		words++
	}
	return letters >= 12*odd && words >= 5*(len(lines)-1)
}

// endsOnPurpose tells whether the break after l was meant: the first word of the next line would
// have fitted, or the next line is an item of a list or set in further.
func endsOnPurpose(s string, l, next line, width int) bool {
	text := s[next.start:next.end]
	if isItem(text) {
		return true
	}
	word := strings.IndexByte(text, ' ')
	if word < 0 {
		word = len(text)
	}
	r, _ := utf8.DecodeRuneInString(text)
	lower := r >= 'a' && r <= 'z'
	slack := 1
	if lower {
		slack = width/4 + 1 // a lower-case start is a sentence going on, unless the line was very short
	}
	return l.indent+(l.end-l.start)+word+slack < width
}

// isItem tells whether text starts as an item of a list does: "- ", "* ", "• ", "12. ", "(a) ".
func isItem(text string) bool {
	if strings.HasPrefix(text, "- ") || strings.HasPrefix(text, "* ") ||
		strings.HasPrefix(text, "+ ") || strings.HasPrefix(text, "• ") {
		return true
	}
	i := 0
	for i < len(text) && i < 4 && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	if i > 0 && i+1 < len(text) && (text[i] == '.' || text[i] == ')') && text[i+1] == ' ' {
		return true
	}
	return len(text) > 4 && text[0] == '(' && text[2] == ')' && text[3] == ' '
}
