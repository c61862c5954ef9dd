package extract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// parseHTML reads the visible text of a web page. It works on the stream of tags, not on a tree, so
// depth costs nothing and broken pages read as far as they make sense.
func parseHTML(ctx context.Context, source string, limits Limits) (*Content, error) {
	b := newBuilder(limits)
	title, err := readHTML(ctx, source, b, false)
	if err != nil {
		return nil, err
	}
	return b.content("html", title)
}

// parseXML reads XML that is not a web page: all its text, each element a block of its own.
func parseXML(ctx context.Context, source string, limits Limits) (*Content, error) {
	b := newBuilder(limits)
	title, err := readHTML(ctx, source, b, true)
	if err != nil {
		return nil, err
	}
	return b.content("xml", title)
}

// htmlTokenBytesMax is the longest tag or stretch of text without tags. A tag costs many times its
// length in memory.
const htmlTokenBytesMax = 16 << 20

// readHTML appends the visible text of source to b and returns the page's title. With isXML every
// unknown element is a block.
func readHTML(ctx context.Context, source string, b *builder, isXML bool) (string, error) {
	source = strings.TrimPrefix(source, "\uFEFF")
	r := &htmlReader{b: b, tokens: html.NewTokenizer(strings.NewReader(source)), isXML: isXML}
	r.tokens.AllowCDATA(isXML)
	r.tokens.SetMaxBuf(htmlTokenBytesMax)
	for i := 0; ; i++ {
		if err := every(ctx, i); err != nil {
			return "", err
		}
		if b.err != nil {
			return "", b.err
		}
		switch r.tokens.Next() {
		case html.ErrorToken:
			if err := r.tokens.Err(); !errors.Is(err, io.EOF) {
				return "", refuse("a tag or text longer than %s", ByteSize(htmlTokenBytesMax))
			}
			r.preEnd()
			b.end(2)
			return r.title, nil
		case html.TextToken:
			r.text(r.tokens.Text())
		case html.StartTagToken:
			r.start(false)
		case html.SelfClosingTagToken:
			r.start(true)
		case html.EndTagToken:
			r.end()
		case html.CommentToken:
			r.comment(r.tokens.Text())
		}
	}
}

// htmlReader follows the tags of one page.
type htmlReader struct {
	b      *builder
	tokens *html.Tokenizer
	isXML  bool

	title   string
	inTitle bool

	hidden      string // the element whose content is dropped; "" when text is visible
	hiddenDepth int    // how many elements of that name are open inside it

	pre     bool
	preText bytes.Buffer

	rowOpen []bool // for each open table: is a row open?
}

// dropped names the elements whose content no reader of the page sees, or that steer the page.
var dropped = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Template: true, atom.Noscript: true, atom.Nav: true,
	atom.Svg: true, atom.Iframe: true, atom.Object: true, atom.Canvas: true, atom.Audio: true,
	atom.Video: true, atom.Select: true, atom.Button: true, atom.Textarea: true, atom.Datalist: true,
	atom.Noframes: true, atom.Noembed: true, atom.Map: true,
}

// gaps gives the newlines that part a block element from its neighbours. Elements not listed are
// inline.
var gaps = map[atom.Atom]int{
	atom.P: 2, atom.Div: 2, atom.Section: 2, atom.Article: 2, atom.Main: 2, atom.Header: 2,
	atom.Footer: 2, atom.Aside: 2, atom.Address: 2, atom.Blockquote: 2, atom.Figure: 2,
	atom.Figcaption: 2, atom.Form: 2, atom.Fieldset: 2, atom.Legend: 2, atom.Details: 2,
	atom.Summary: 2, atom.Dialog: 2, atom.Center: 2, atom.Hr: 2, atom.Body: 2, atom.Html: 2,
	atom.Head: 2, atom.Hgroup: 2, atom.Search: 2, atom.Menu: 2, atom.Dir: 2,
	atom.Ul: 2, atom.Ol: 2, atom.Dl: 2, atom.Table: 2, atom.Caption: 2,
	atom.Li: 1, atom.Dt: 1, atom.Dd: 1, atom.Option: 1, atom.Optgroup: 1,
	atom.Thead: 1, atom.Tbody: 1, atom.Tfoot: 1,
}

// impliedEnd names elements that end where the next block begins, even without an end tag.
var impliedEnd = map[string]bool{
	"p": true, "li": true, "dt": true, "dd": true, "tr": true,
	"td": true, "th": true, "option": true,
}

func (r *htmlReader) text(s []byte) {
	switch {
	case r.hidden != "":
	case r.inTitle:
		if r.title == "" {
			r.title = clip(string(s), 4*headingBytesMax)
		}
	case r.pre:
		if r.b.full(r.preText.Len() + len(s)) {
			return
		}
		r.preText.Write(s)
	default:
		r.b.write(strings.ToValidUTF8(string(s), "\uFFFD"))
	}
}

// comment reads the title that pages made for a templating site carry in a JSON comment on top, as
// those of the Go project do: <!--{ "Title": "…" }-->.
func (r *htmlReader) comment(s []byte) {
	if r.title != "" || len(r.b.text) > 0 || len(s) > 4096 || !bytes.HasPrefix(s, []byte("{")) {
		return
	}
	var metadata struct{ Title string }
	if json.Unmarshal(s, &metadata) == nil {
		r.title = metadata.Title
	}
}

func (r *htmlReader) start(selfClosing bool) {
	name, hasAttr := r.tokens.TagName()
	tag := atom.Lookup(name)
	if r.hidden != "" {
		if string(name) == r.hidden && !selfClosing {
			if !impliedEnd[r.hidden] {
				r.hiddenDepth++
				return
			}
			r.hidden = ""
		} else if impliedEnd[r.hidden] && gaps[tag] > 0 {
			r.hidden = ""
		} else {
			return
		}
	}
	void := selfClosing && r.isXML || voidElement[tag]
	if !void && (dropped[tag] && !r.isXML || hasAttr && r.isHidden()) {
		r.hidden, r.hiddenDepth = string(name), 1
		if gaps[tag] > 0 {
			r.b.end(gaps[tag])
		}
		if !selfClosing || tag != atom.Svg && tag != atom.Script {
			return
		}
		r.hidden = ""
		return
	}
	r.open(tag)
}

var voidElement = map[atom.Atom]bool{
	atom.Br: true, atom.Hr: true, atom.Img: true, atom.Input: true,
	atom.Meta: true, atom.Link: true, atom.Wbr: true, atom.Col: true, atom.Area: true,
	atom.Base: true, atom.Embed: true, atom.Source: true, atom.Track: true, atom.Param: true,
}

// isHidden reads the attributes of the tag for what takes it out of sight.
func (r *htmlReader) isHidden() bool {
	for more := true; more; {
		var key, value []byte
		key, value, more = r.tokens.TagAttr()
		switch string(key) {
		case "hidden":
			return string(value) != "until-found"
		case "aria-hidden":
			return string(value) == "true"
		case "role":
			return string(value) == "navigation"
		case "style":
			style := strings.ReplaceAll(strings.ToLower(clip(string(value), 1024)), " ", "")
			if strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") {
				return true
			}
		}
	}
	return false
}

func (r *htmlReader) open(tag atom.Atom) {
	if r.pre {
		if tag == atom.Br {
			r.preText.WriteByte('\n')
		}
		if gaps[tag] == 0 && headingLevel(tag) == 0 && tag != atom.Pre && tag != atom.Tr {
			return
		}
		r.preEnd()
	}
	if level := headingLevel(tag); level > 0 {
		r.b.heading(level)
		return
	}
	switch tag {
	case atom.Title:
		if r.isXML {
			r.b.heading(2)
			return
		}
		r.inTitle = true
	case atom.Br:
		r.b.lineBreak()
	case atom.Pre, atom.Listing, atom.Plaintext, atom.Xmp:
		r.b.headingEnd()
		r.pre = true
	case atom.Table:
		r.b.end(2)
		if len(r.rowOpen) < 1024 {
			r.rowOpen = append(r.rowOpen, false)
		}
	case atom.Tr:
		r.rowEnd()
		r.b.rowStart()
		if n := len(r.rowOpen); n > 0 {
			r.rowOpen[n-1] = true
		}
	case atom.Td, atom.Th:
		r.b.cellStart()
	default:
		r.boundary(tag)
	}
}

func (r *htmlReader) boundary(tag atom.Atom) {
	if gap := gaps[tag]; gap > 0 {
		r.b.end(gap)
	} else if r.isXML && (tag == 0 || !inlineElement[tag]) {
		r.b.end(1)
	}
}

// inlineElement names the inline elements that may stand in XML of another kind (DocBook, TEI,
// RSS).
var inlineElement = map[atom.Atom]bool{
	atom.A: true, atom.B: true, atom.I: true, atom.Em: true,
	atom.Strong: true, atom.Code: true, atom.Span: true, atom.Sup: true, atom.Sub: true, atom.U: true,
}

func (r *htmlReader) end() {
	name, _ := r.tokens.TagName()
	if r.hidden != "" {
		if string(name) == r.hidden {
			r.hiddenDepth--
			if r.hiddenDepth <= 0 {
				r.hidden = ""
			}
		}
		return
	}
	tag := atom.Lookup(name)
	if level := headingLevel(tag); level > 0 {
		r.b.headingEnd()
		return
	}
	switch tag {
	case atom.Title:
		r.inTitle = false
		if r.isXML {
			r.b.headingEnd()
		}
	case atom.Pre, atom.Listing, atom.Xmp:
		r.preEnd()
	case atom.Tr:
		r.rowEnd()
	case atom.Td, atom.Th:
		r.b.end(1)
	case atom.Table:
		r.rowEnd()
		if n := len(r.rowOpen); n > 0 {
			r.rowOpen = r.rowOpen[:n-1]
		}
		r.b.end(2)
	default:
		if !r.pre {
			r.boundary(tag)
		}
	}
}

func (r *htmlReader) rowEnd() {
	if n := len(r.rowOpen); n > 0 && r.rowOpen[n-1] {
		r.b.rowEnd()
		r.rowOpen[n-1] = false
	}
}

func (r *htmlReader) preEnd() {
	if !r.pre {
		return
	}
	r.pre = false
	s := strings.ToValidUTF8(r.preText.String(), "\uFFFD")
	s = strings.ReplaceAll(s, "\u00A0", " ")
	r.preText.Reset()
	r.b.verbatim(strings.TrimLeft(strings.TrimPrefix(s, "\r"), "\n"))
}

// headingLevel returns 1 to 6 for h1 to h6, else 0.
func headingLevel(tag atom.Atom) int {
	if s := tag.String(); len(s) == 2 && s[0] == 'h' && s[1] >= '1' && s[1] <= '6' {
		level, _ := strconv.Atoi(s[1:])
		return level
	}
	return 0
}
