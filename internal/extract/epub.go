package extract

import (
	"context"
	"encoding/xml"
	"errors"
	"net/url"
	"path"
	"strings"
)

// parseEPUB reads a book: its chapters in reading order, each as a web page. A chapter without a
// heading of its own gets the title that the table of contents gives it.
func parseEPUB(ctx context.Context, data []byte, limits Limits) (*Content, error) {
	a, err := openArchive(ctx, data, limits)
	if err != nil {
		return nil, err
	}
	book, err := a.openBook()
	if err != nil {
		return nil, damaged("epub", err)
	}
	b := newBuilder(limits)
	for _, chapter := range book.spine {
		if book.encrypted[chapter] {
			return nil, refuse("epub protected by DRM")
		}
		source, err := a.read(chapter)
		if errors.Is(err, errNoEntry) {
			continue
		}
		if err != nil {
			return nil, damaged("epub", err)
		}
		if err := a.chapter(b, source, book.titles[chapter]); err != nil {
			return nil, err
		}
	}
	return b.content("epub", book.title)
}

// chapter appends one chapter, under title if it has no heading of its own.
func (a *archive) chapter(b *builder, source, title string) error {
	if title != "" && !hasHeading(source) {
		b.heading(1)
		b.write(title)
		b.headingEnd()
	}
	_, err := readHTML(a.ctx, source, b, false)
	b.headingEnd()
	b.rows = b.rows[:0]
	return err
}

// hasHeading tells whether a page holds a heading.
func hasHeading(source string) bool {
	for at := 0; ; {
		n := strings.Index(source[at:], "<h")
		if n < 0 || at+n+2 >= len(source) {
			return false
		}
		at += n + 2
		if source[at] >= '1' && source[at] <= '6' {
			return true
		}
	}
}

// book is what the package file of an epub says.
type book struct {
	title     string
	spine     []string          // names of the chapters' files, in reading order
	titles    map[string]string // chapter titles from the table of contents
	encrypted map[string]bool
}

func (a *archive) openBook() (*book, error) {
	container, err := a.read("META-INF/container.xml")
	if err != nil {
		return nil, err
	}
	root := ""
	err = a.walkXML(container, func(token xml.Token) error {
		e, ok := token.(xml.StartElement)
		if ok && e.Name.Local == "rootfile" && root == "" {
			root = path.Clean(attribute(e, "full-path"))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	source, err := a.read(root)
	if errors.Is(err, errNoEntry) {
		err = errors.New("its package file is missing")
	}
	if err != nil {
		return nil, err
	}
	b := &book{titles: make(map[string]string), encrypted: make(map[string]bool)}
	if b.title, err = a.elementText(source, "title"); err != nil {
		return nil, err
	}
	contents, err := a.readPackage(b, source, path.Dir(root))
	if err != nil {
		return nil, err
	}
	if err := a.readEncryption(b); err != nil {
		return nil, err
	}
	return b, a.readContents(b, contents)
}

// readPackage reads the manifest and the spine. It returns the name of the table of contents.
func (a *archive) readPackage(b *book, source, folder string) (contents string, err error) {
	files := make(map[string]string)
	err = a.walkXML(source, func(token xml.Token) error {
		e, ok := token.(xml.StartElement)
		if !ok {
			return nil
		}
		switch e.Name.Local {
		case "item":
			name := inside(folder, attribute(e, "href"))
			files[attribute(e, "id")] = name
			isNCX := attribute(e, "media-type") == "application/x-dtbncx+xml"
			if strings.Contains(attribute(e, "properties"), "nav") || isNCX && contents == "" {
				contents = name
			}
		case "itemref":
			name := files[attribute(e, "idref")]
			if name != "" && len(b.spine) < a.limits.EntriesMax {
				b.spine = append(b.spine, name)
			}
		}
		return nil
	})
	if err == nil && len(b.spine) == 0 {
		err = errors.New("no chapters")
	}
	return contents, err
}

// inside resolves a reference of a file in folder to the name of a file in the archive.
func inside(folder, href string) string {
	href, _, _ = strings.Cut(href, "#")
	if plain, err := url.PathUnescape(href); err == nil {
		href = plain
	}
	return path.Join(folder, href)
}

// readContents reads chapter titles from the table of contents: an NCX file, or a page with links.
func (a *archive) readContents(b *book, name string) error {
	source, err := a.read(name)
	if err != nil {
		if errors.Is(err, errNoEntry) {
			err = nil
		}
		return err
	}
	folder, label, target := path.Dir(name), "", ""
	inLabel, inLink := false, false
	return a.walkXML(source, func(token xml.Token) error {
		switch token := token.(type) {
		case xml.StartElement:
			switch token.Name.Local {
			case "navLabel":
				inLabel, label = true, ""
			case "content":
				b.setTitle(inside(folder, attribute(token, "src")), label)
			case "a":
				inLink, label, target = true, "", inside(folder, attribute(token, "href"))
			}
		case xml.EndElement:
			switch token.Name.Local {
			case "navLabel":
				inLabel = false
			case "a":
				inLink = false
				b.setTitle(target, label)
			}
		case xml.CharData:
			if (inLabel || inLink) && len(label) < headingBytesMax {
				label += string(token)
			}
		}
		return nil
	})
}

// setTitle keeps the first title of a chapter: later ones are of its sections.
func (b *book) setTitle(chapter, title string) {
	if title = collapse(title); title != "" && b.titles[chapter] == "" {
		b.titles[chapter] = title
	}
}

// readEncryption notes which files are encrypted.
func (a *archive) readEncryption(b *book) error {
	source, err := a.read("META-INF/encryption.xml")
	if err != nil {
		if errors.Is(err, errNoEntry) {
			err = nil
		}
		return err
	}
	return a.walkXML(source, func(token xml.Token) error {
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "CipherReference" {
			b.encrypted[inside("", attribute(e, "URI"))] = true
		}
		return nil
	})
}
