package extract

import (
	"bytes"
	"context"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// markdownNestingMax is the deepest nesting of quotes and lists on one line that is parsed as
// Markdown. Deeper text is read as plain text: nobody wrote it to be read.
const markdownNestingMax = 64

// markdownNodesMax is about the largest tree that is built; longer files are read as plain text.
const markdownNodesMax = 1 << 20

// parseMarkdown reads Markdown. Text is the file, markup and all, so that offsets are offsets in
// the file; headings and blocks are found by goldmark. Inline markup is not parsed: only its
// boundaries would matter, and its grammar has slow corners.
func parseMarkdown(ctx context.Context, source string, limits Limits) (*Content, error) {
	if int64(len(source)) > limits.TextBytesMax {
		return nil, refuseTooLong(limits.TextBytesMax)
	}
	content := &Content{Format: "md", Text: source}
	body := frontMatter(content)
	if deepest, nodes := markdownCost(source[body:]); deepest > markdownNestingMax ||
		nodes > markdownNodesMax {
		content.Blocks = textBlocks(content.Blocks, source[body:], body)
		return content, nil
	}
	blocks := parser.NewParser(parser.WithBlockParsers(parser.DefaultBlockParsers()...))
	raw := []byte(source)
	root := blocks.Parse(text.NewReader(raw[body:]))
	w := &markdownWalk{source: source, base: body, content: content}
	count := 0
	err := ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering || node.Type() != ast.TypeBlock {
			return ast.WalkContinue, nil
		}
		count++
		if err := every(ctx, count); err != nil {
			return ast.WalkStop, err
		}
		return w.block(node), nil
	})
	if err != nil {
		return nil, err
	}
	return content, nil
}

type markdownWalk struct {
	source  string
	base    int // offset of the parsed part
	content *Content
	comment bool // inside a comment that spans lines
}

func (w *markdownWalk) block(node ast.Node) ast.WalkStatus {
	lines := node.Lines()
	if lines == nil || lines.Len() == 0 {
		return ast.WalkContinue
	}
	spans := make([]Span, 0, lines.Len())
	for i := range lines.Len() {
		segment := lines.At(i)
		if span := w.trim(segment.Start, segment.Stop); span.Start < span.End {
			spans = append(spans, span)
		}
	}
	if len(spans) == 0 {
		return ast.WalkSkipChildren
	}
	whole := Span{spans[0].Start, spans[len(spans)-1].End}
	switch node := node.(type) {
	case *ast.Heading:
		w.add(whole)
		label := plainInline(w.source[whole.Start:whole.End])
		w.content.Headings = append(w.content.Headings,
			Mark{At: whole.Start, Label: clip(label, headingBytesMax), Level: node.Level})
	case *ast.CodeBlock, *ast.FencedCodeBlock:
		w.add(spans...)
	case *ast.HTMLBlock:
		w.comment = false // the line that ends a comment is not among the lines
		for _, span := range spans {
			if w.visible(w.source[span.Start:span.End]) {
				w.add(span)
			}
		}
	default:
		w.paragraph(spans)
	}
	return ast.WalkSkipChildren
}

// paragraph adds a paragraph, or the rows of a table: a paragraph whose second line rules off the
// first.
func (w *markdownWalk) paragraph(spans []Span) {
	for len(spans) > 0 && isReference(w.source[spans[0].Start:spans[0].End]) {
		spans = spans[1:]
	}
	if len(spans) == 0 {
		return
	}
	whole := Span{spans[0].Start, spans[len(spans)-1].End}
	if len(spans) < 2 || !isTableRule(w.source[spans[1].Start:spans[1].End]) {
		w.add(whole)
		return
	}
	w.add(spans[0])
	w.add(spans[2:]...)
}

func (w *markdownWalk) add(spans ...Span) {
	w.content.Blocks = append(w.content.Blocks, spans...)
}

// trim returns the span of the parsed part in the text, without outer white space.
func (w *markdownWalk) trim(start, end int) Span {
	start, end = start+w.base, end+w.base
	for start < end && (isBlank(w.source[start]) || w.source[start] == '\n') {
		start++
	}
	for end > start && (isBlank(w.source[end-1]) || w.source[end-1] == '\n') {
		end--
	}
	if start < end && w.source[start] >= utf8.RuneSelf &&
		strings.TrimSpace(w.source[start:end]) == "" {
		return Span{start, start} // nothing but spaces beyond ASCII
	}
	return Span{start, end}
}

// visible tells whether a line of raw HTML shows any text.
func (w *markdownWalk) visible(s string) bool {
	for len(s) > 0 {
		if w.comment {
			i := strings.Index(s, "-->")
			if i < 0 {
				return false
			}
			w.comment, s = false, s[i+3:]
			continue
		}
		if strings.HasPrefix(s, "<!--") {
			w.comment, s = true, s[4:]
			continue
		}
		if s[0] == '<' {
			i := strings.IndexByte(s, '>')
			if i < 0 {
				return false
			}
			s = s[i+1:]
			continue
		}
		if !isBlank(s[0]) {
			return true
		}
		s = s[1:]
	}
	return false
}

// isTableRule recognises the second line of a table: "|---|:--:|".
func isTableRule(s string) bool {
	dash, bar := false, false
	for _, c := range []byte(s) {
		switch c {
		case '-':
			dash = true
		case '|':
			bar = true
		case ':', ' ', '\t':
		default:
			return false
		}
	}
	return dash && bar
}

// frontMatter reads a YAML or TOML header for its title and adds its lines as blocks. It returns
// where the body starts.
func frontMatter(content *Content) int {
	s := content.Text
	start := 0
	if strings.HasPrefix(s, "\uFEFF") {
		start = len("\uFEFF")
	}
	end, next := lineEnd(s, start)
	fence := strings.TrimRight(s[start:end], " \t")
	if fence != "---" && fence != "+++" {
		return start
	}
	var blocks []Span
	title := ""
	for at, lines := next, 0; at < len(s) && lines < 200; lines++ {
		end, next = lineEnd(s, at)
		text := strings.TrimSpace(s[at:end])
		if text == fence || fence == "---" && text == "..." {
			content.Title, content.Blocks = title, blocks
			return next
		}
		if text == "" && lines == 0 {
			return start // a rule, then a body
		}
		if value, ok := titleValue(text); ok && title == "" {
			title = value
		}
		if text != "" {
			blocks = append(blocks, Span{at, end})
		}
		at = next
	}
	return start
}

// titleValue reads `title: "A title"` or `title = "A title"`.
func titleValue(s string) (string, bool) {
	key, value, ok := strings.Cut(s, ":")
	if k, v, okEquals := strings.Cut(s, "="); okEquals && (!ok || len(k) < len(key)) {
		key, value, ok = k, v, true
	}
	if !ok || !strings.EqualFold(strings.TrimSpace(key), "title") {
		return "", false
	}
	return clip(strings.Trim(strings.TrimSpace(value), `"'`), headingBytesMax), true
}

// plainInline removes the inline markup a heading usually has: code, emphasis, links, ids.
func plainInline(s string) string {
	if i := strings.Index(s, " {#"); i > 0 && strings.HasSuffix(s, "}") {
		s = s[:i]
	}
	var b bytes.Buffer
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '`' || c == '*' || c == '[':
		case c == '<':
			if n := strings.IndexByte(s[i:], '>'); n > 0 {
				i += n
				continue
			}
			b.WriteByte(c)
		case c == ']':
			if i+1 < len(s) && s[i+1] == '(' {
				if n := strings.IndexByte(s[i:], ')'); n > 0 {
					i += n
				}
			}
		default:
			b.WriteByte(c)
		}
	}
	return collapse(b.String())
}

// markdownCost returns the most quote and list markers that one line begins with, and an upper
// bound of the nodes that parsing makes.
func markdownCost(s string) (deepest, nodes int) {
	for at := 0; at < len(s); {
		end, next := lineEnd(s, at)
		n := lineMarkers(s[at:end])
		deepest = max(deepest, n)
		nodes += 1 + 2*n
		at = next
	}
	return deepest, nodes
}

// lineMarkers returns how deep the quotes and lists may be that a line begins in: its markers, and
// two columns of indent for each list around it. Rules ("-----", "* * *") are none.
func lineMarkers(s string) int {
	n, indent, first, same := 0, 0, byte(0), true
	i := 0
loop:
	for ; i < len(s); i++ {
		switch c := s[i]; c {
		case '>', '-', '*', '+', '.', ')':
			if n == 0 {
				first = c
			}
			same = same && c == first
			n++
		case ' ', '\t':
			if n == 0 {
				indent++
			}
		case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		default:
			break loop
		}
	}
	if n == 0 || i == len(s) && same && (first == '-' || first == '*') && n >= 3 {
		return 0
	}
	return n + indent/2
}

// isReference recognises the definition of a link, which no reader of the page sees.
func isReference(s string) bool {
	if len(s) < 4 || s[0] != '[' {
		return false
	}
	i := strings.Index(s, "]:")
	return i > 1 && !strings.Contains(s[:i], "[^") && strings.IndexByte(s[1:i], ']') < 0
}
