package extract

import (
	"context"
	"encoding/xml"
	"errors"
	"path"
	"strconv"
	"strings"
)

// parseDOCX reads a Word document: paragraphs, headings by their styles, tables; footnotes and
// endnotes come last. Deleted text, fields' instructions, comments, headers, footers and the table
// of contents are left out.
func parseDOCX(ctx context.Context, data []byte, limits Limits) (*Content, error) {
	a, err := openArchive(ctx, data, limits)
	if err != nil {
		return nil, err
	}
	main, err := a.mainPart()
	if err != nil {
		return nil, damaged("docx", err)
	}
	folder := path.Dir(main)
	d := &docxReader{b: newBuilder(limits)}
	if d.styles, err = a.docxStyles(path.Join(folder, "styles.xml")); err != nil {
		return nil, damaged("docx", err)
	}
	parts := []string{main, path.Join(folder, "footnotes.xml"), path.Join(folder, "endnotes.xml")}
	for i, part := range parts {
		source, err := a.read(part)
		if errors.Is(err, errNoEntry) && i > 0 {
			continue
		}
		if err == nil {
			err = a.walkXML(source, d.token)
		}
		if err != nil {
			return nil, damaged("docx", err)
		}
		d.b.end(2)
	}
	title, err := a.docxTitle()
	if err != nil {
		return nil, damaged("docx", err)
	}
	return d.b.content("docx", title)
}

// mainPart returns the name of the part that holds the text, as the package's relations have it.
func (a *archive) mainPart() (string, error) {
	const usual = "word/document.xml"
	source, err := a.read("_rels/.rels")
	if errors.Is(err, errNoEntry) {
		return usual, nil
	}
	if err != nil {
		return "", err
	}
	main := usual
	err = a.walkXML(source, func(token xml.Token) error {
		e, ok := token.(xml.StartElement)
		if ok && e.Name.Local == "Relationship" &&
			strings.HasSuffix(attribute(e, "Type"), "/officeDocument") {
			main = path.Clean(strings.TrimPrefix(attribute(e, "Target"), "/"))
		}
		return nil
	})
	return main, err
}

// docxTitle returns the title among the document's properties.
func (a *archive) docxTitle() (string, error) {
	source, err := a.read("docProps/core.xml")
	if err != nil {
		if errors.Is(err, errNoEntry) {
			err = nil
		}
		return "", err
	}
	return a.elementText(source, "title")
}

// elementText returns the text of the first element with that local name.
func (a *archive) elementText(source, local string) (string, error) {
	text, inside := "", false
	err := a.walkXML(source, func(token xml.Token) error {
		switch token := token.(type) {
		case xml.StartElement:
			inside = token.Name.Local == local && text == ""
		case xml.EndElement:
			inside = false
		case xml.CharData:
			if inside {
				text += clip(string(token), 4*headingBytesMax)
			}
		}
		return nil
	})
	return text, err
}

// docxStyle is what a paragraph style means for the text.
type docxStyle struct {
	level    int // heading level; 0 for text
	contents bool
	basedOn  string
}

const headingLevelMax = 9

// docxStyles reads the paragraph styles. Names are the built-in English ones in every language; an
// outline level makes any style a heading.
func (a *archive) docxStyles(part string) (map[string]docxStyle, error) {
	styles := make(map[string]docxStyle)
	source, err := a.read(part)
	if err != nil {
		if errors.Is(err, errNoEntry) {
			err = nil
		}
		return styles, err
	}
	id, style := "", docxStyle{}
	err = a.walkXML(source, func(token xml.Token) error {
		switch token := token.(type) {
		case xml.StartElement:
			value := attribute(token, "val")
			switch token.Name.Local {
			case "style":
				id, style = attribute(token, "styleId"), docxStyle{}
			case "name":
				name := strings.ToLower(value)
				style.contents = strings.HasPrefix(name, "toc ")
				if name == "title" {
					style.level = 1
				} else if n, ok := strings.CutPrefix(name, "heading "); ok {
					style.level = headingNumber(n)
				}
			case "basedOn":
				style.basedOn = value
			case "outlineLvl":
				if n, err := strconv.Atoi(value); err == nil && n >= 0 && n < headingLevelMax {
					style.level = n + 1
				}
			}
		case xml.EndElement:
			if token.Name.Local == "style" && id != "" {
				styles[id] = style
			}
		}
		return nil
	})
	return styles, err
}

func headingNumber(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > headingLevelMax {
		return 0
	}
	return n
}

// docxReader follows the tokens of a part.
type docxReader struct {
	b      *builder
	styles map[string]docxStyle

	skip      int  // depth inside an element that is left out
	inText    bool // inside w:t
	inPara    bool // inside w:pPr, so that its marks concern the paragraph
	paragraph docxStyle
	begun     bool // the paragraph's style has been applied
}

// docxDropped names elements whose text is not part of the document as it reads: moved away, kept
// for old programs, or a note's own number.
var docxDropped = map[string]bool{
	"moveFrom": true, "del": true, "Fallback": true,
	"instrText": true, "delText": true, "footnoteRef": true, "annotationRef": true,
}

func (d *docxReader) token(token xml.Token) error {
	switch token := token.(type) {
	case xml.StartElement:
		if d.skip > 0 || docxDropped[token.Name.Local] {
			d.skip++
			return nil
		}
		d.start(token)
	case xml.EndElement:
		if d.skip > 0 {
			d.skip--
			return nil
		}
		d.end(token.Name.Local)
	case xml.CharData:
		if d.inText && d.skip == 0 && !d.paragraph.contents {
			d.begin()
			d.b.write(string(token))
		}
	}
	return d.b.err
}

func (d *docxReader) start(e xml.StartElement) {
	switch e.Name.Local {
	case "p":
		d.paragraphEnd()
	case "pPr":
		d.inPara = true
	case "pStyle":
		d.paragraph = d.style(attribute(e, "val"))
	case "outlineLvl":
		if n, err := strconv.Atoi(attribute(e, "val")); d.inPara && err == nil && n >= 0 &&
			n < headingLevelMax {
			d.paragraph.level = n + 1
		}
	case "t":
		d.inText = true
	case "tab":
		if !d.inPara {
			d.b.write(" ")
		}
	case "br", "cr":
		d.b.lineBreak()
	case "noBreakHyphen":
		d.begin()
		d.b.write("-")
	case "tr":
		d.b.rowStart()
	case "tc":
		d.b.cellStart()
	}
}

func (d *docxReader) end(local string) {
	switch local {
	case "p":
		d.paragraphEnd()
	case "pPr":
		d.inPara = false
	case "t":
		d.inText = false
	case "tr":
		d.b.rowEnd()
	case "tbl":
		d.b.end(2)
	}
}

func (d *docxReader) paragraphEnd() {
	gap := 2
	if len(d.b.rows) > 0 {
		gap = 1
	}
	d.b.end(gap)
	d.b.level = 0
	d.paragraph, d.begun = docxStyle{}, false
}

// begin applies the paragraph's style before its first text.
func (d *docxReader) begin() {
	if !d.begun {
		d.begun = true
		if d.paragraph.level > 0 {
			d.b.heading(d.paragraph.level)
		}
	}
}

// style returns the style called id, its level inherited where it has none.
func (d *docxReader) style(id string) docxStyle {
	style, ok := d.styles[id]
	if !ok { // no styles part: the usual ids
		if n, found := strings.CutPrefix(id, "Heading"); found {
			style.level = headingNumber(n)
		}
		return style
	}
	for range headingLevelMax {
		if style.level > 0 || style.basedOn == "" {
			break
		}
		above := d.styles[style.basedOn]
		style.level, style.basedOn = above.level, above.basedOn
	}
	return style
}
