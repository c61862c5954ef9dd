package extract

import (
	"context"
	"image"
	"image/draw"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
)

// Box is a rectangle on a page, as shares of its width and height from the upper left corner.
type Box struct{ Left, Top, Right, Bottom float64 }

// DrawPDFPage draws a page, counted from 0, so that it is at most width pixels wide and twice as high.
// A page that the document does not have, or a document that cannot be read, is a [*Refusal].
func DrawPDFPage(ctx context.Context, data []byte, page, width int, limits Limits) (*image.RGBA, error) {
	var drawn *image.RGBA
	err := usePDF(ctx, data, limits, func(i pdfium.Pdfium, d references.FPDF_DOCUMENT) error {
		if err := hasPage(i, d, page); err != nil {
			return err
		}
		rendered, err := i.RenderPageInPixels(&requests.RenderPageInPixels{
			Page:  requests.Page{ByIndex: &requests.PageByIndex{Document: d, Index: page}},
			Width: width, Height: 2 * width, RenderForm: true, Document: &d,
		})
		if err != nil {
			return err
		}
		defer rendered.Cleanup()
		from := rendered.Result.RenderedImage // in the engine's memory
		drawn = image.NewRGBA(image.Rect(0, 0, from.Bounds().Dx(), from.Bounds().Dy()))
		draw.Draw(drawn, drawn.Rect, image.White, image.Point{}, draw.Src)
		draw.Draw(drawn, drawn.Rect, from, from.Bounds().Min, draw.Over)
		return nil
	})
	return drawn, err
}

func hasPage(i pdfium.Pdfium, d references.FPDF_DOCUMENT, page int) error {
	count, err := i.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: d})
	if err != nil {
		return err
	}
	if page < 0 || page >= count.PageCount {
		return refuse("it has no page %d, only %d pages", page+1, count.PageCount)
	}
	return nil
}

// PDFBoxes says where on a page, counted from 0, the bytes span of the page's stored text stand: one
// box a line. The stored text is laid onto the page's characters as a whole, so that a word which
// occurs twice is found where it stands and nowhere else. A text that is not that of the page has no
// boxes.
func PDFBoxes(
	ctx context.Context, data []byte, page int, stored string, span Span, limits Limits,
) ([]Box, error) {
	var boxes []Box
	err := usePDF(ctx, data, limits, func(i pdfium.Pdfium, d references.FPDF_DOCUMENT) error {
		if err := hasPage(i, d, page); err != nil {
			return err
		}
		loaded, err := i.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: d, Index: page})
		if err != nil {
			return refuse("damaged PDF: page %d cannot be read", page+1)
		}
		defer i.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: loaded.Page})
		text, err := i.FPDFText_LoadPage(&requests.FPDFText_LoadPage{
			Page: requests.Page{ByReference: &loaded.Page},
		})
		if err != nil {
			return err
		}
		defer i.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: text.TextPage})
		p := &pageBoxes{instance: i, page: loaded.Page, text: text.TextPage}
		boxes, err = p.find(stored, span)
		return err
	})
	return boxes, err
}

// pageBoxes finds characters on one page.
type pageBoxes struct {
	instance pdfium.Pdfium
	page     references.FPDF_PAGE
	text     references.FPDF_TEXTPAGE
}

func (p *pageBoxes) find(stored string, span Span) ([]Box, error) {
	count, err := p.instance.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: p.text})
	if err != nil {
		return nil, err
	}
	var shown []inked
	for at := range count.Count {
		got, err := p.instance.FPDFText_GetUnicode(&requests.FPDFText_GetUnicode{TextPage: p.text, Index: at})
		if err != nil {
			return nil, err
		}
		for _, r := range ligatures.Replace(string(rune(got.Unicode))) {
			if isInk(r) {
				shown = append(shown, inked{r, at})
			}
		}
	}
	first, last, ok := laid(shown, stored, span)
	if !ok {
		return nil, nil
	}
	var lines []Box
	for at := first; at <= last; at++ {
		box, ok, err := p.box(at)
		if err != nil {
			return nil, err
		}
		if ok {
			lines = appendBox(lines, box)
		}
	}
	return lines, nil
}

// inked is a character that leaves ink, and its number among the page's characters, or its byte in a
// text.
type inked struct {
	r  rune
	at int
}

// isInk says whether a character is the same in the stored text and on the page: blanks and hyphens
// at line ends are not.
func isInk(r rune) bool {
	return !unicode.IsSpace(r) && !unicode.IsControl(r) && !isHyphenMark(r) &&
		r != '-' && r != '\u2010' && r != utf8.RuneError && r != 0
}

// laid lays a page's stored text onto the characters that the page shows and returns the first and
// last character of the span.
func laid(shown []inked, stored string, span Span) (first, last int, ok bool) {
	var want []inked
	for at, r := range stored {
		if isInk(r) {
			want = append(want, inked{r, at})
		}
	}
	from := -1
	page, text := runesOf(shown), runesOf(want)
	if at := strings.Index(page, text); at >= 0 && len(want) > 0 {
		from = utf8.RuneCountInString(page[:at])
	}
	if from < 0 {
		return 0, 0, false
	}
	for i, w := range want {
		if w.at >= span.Start && w.at < span.End {
			if !ok {
				first = shown[from+i].at
			}
			last, ok = shown[from+i].at, true
		}
	}
	return first, last, ok
}

func runesOf(text []inked) string {
	var b strings.Builder
	for _, c := range text {
		b.WriteRune(c.r)
	}
	return b.String()
}

// pageUnits is how finely places on a page are told apart.
const pageUnits = 1 << 20

// box returns where a character stands. One without ink has no place.
func (p *pageBoxes) box(at int) (Box, bool, error) {
	c, err := p.instance.FPDFText_GetCharBox(&requests.FPDFText_GetCharBox{TextPage: p.text, Index: at})
	if err != nil || c.Right <= c.Left || c.Top <= c.Bottom {
		return Box{}, false, nil //nolint:nilerr // a character that was made up at a line's end has none
	}
	corner := func(x, y float64) (float64, float64, error) {
		got, err := p.instance.FPDF_PageToDevice(&requests.FPDF_PageToDevice{
			Page:  requests.Page{ByReference: &p.page},
			SizeX: pageUnits, SizeY: pageUnits, PageX: x, PageY: y,
		})
		if err != nil {
			return 0, 0, err
		}
		return float64(got.DeviceX) / pageUnits, float64(got.DeviceY) / pageUnits, nil
	}
	x0, y0, err := corner(c.Left, c.Top)
	if err != nil {
		return Box{}, false, err
	}
	x1, y1, err := corner(c.Right, c.Bottom)
	if err != nil {
		return Box{}, false, err
	}
	return Box{min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)}, true, nil
}

// appendBox widens the last box by one of the same line, or begins a new line.
func appendBox(lines []Box, b Box) []Box {
	if n := len(lines); n > 0 {
		l := &lines[n-1]
		overlap := min(l.Bottom, b.Bottom) - max(l.Top, b.Top)
		if overlap > 0.3*min(l.Bottom-l.Top, b.Bottom-b.Top) && b.Left >= l.Left-0.01 {
			*l = Box{min(l.Left, b.Left), min(l.Top, b.Top), max(l.Right, b.Right), max(l.Bottom, b.Bottom)}
			return lines
		}
	}
	return append(lines, b)
}
