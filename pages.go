package evident

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"

	"evident/api"
	"evident/document"
	"evident/internal/extract"
)

// PageMarks are the boxes on a page's image that hold the bytes of a span.
type PageMarks = api.PageMarks

// PageOptions tunes [Index.PageImage] and [Index.PageMarks].
type PageOptions struct {
	Width    int    // of the image, in pixels; 0 means 1200
	CacheDir string // as of [AddOptions]
}

// Errors of pages.
var (
	// ErrNoPage says that a document has no such page, or that its format has no pages to look at.
	ErrNoPage = api.ErrNoPage
	// ErrStale says that a file has changed since it was indexed: what was read no longer stands where
	// it stood.
	ErrStale = api.ErrStale
)

// PageImage draws a page, counted from 1, of a PDF of the index.
func (x *Index) PageImage(ctx context.Context, path string, page int, o PageOptions) (image.Image, error) {
	if o.Width == 0 {
		o.Width = 1200
	}
	_, data, err := x.pageOf(ctx, path, page)
	if err != nil {
		return nil, err
	}
	im, err := extract.DrawPDFPage(ctx, data, page-1, o.Width, extract.Limits{CacheDir: o.CacheDir}.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("draw page %d of %s: %w", page, path, err)
	}
	return im, nil
}

// PageMarks says where on a page, counted from 1, the bytes [start, end) of the stored text stand.
// Without boxes the span is not on this page.
func (x *Index) PageMarks(
	ctx context.Context, path string, page int, span document.ByteSpan, o PageOptions,
) (*PageMarks, error) {
	d, data, err := x.pageOf(ctx, path, page)
	if err != nil {
		return nil, err
	}
	from, to := d.Pages[page-1].At, len(d.Text)
	if page < len(d.Pages) {
		to = d.Pages[page].At
	}
	marks := &PageMarks{Page: page, Boxes: []api.PageBox{}}
	start, end := max(span.Start, from), min(span.End, to)
	if start >= end {
		return marks, nil
	}
	inside := extract.Span{Start: start - from, End: end - from}
	limits := extract.Limits{CacheDir: o.CacheDir}.WithDefaults()
	boxes, err := extract.PDFBoxes(ctx, data, page-1, d.Text[from:to], inside, limits)
	if err != nil {
		return nil, fmt.Errorf("mark page %d of %s: %w", page, path, err)
	}
	for _, b := range boxes {
		marks.Boxes = append(marks.Boxes, api.PageBox{
			X: b.Left, Y: b.Top, Width: b.Right - b.Left, Height: b.Bottom - b.Top,
		})
	}
	return marks, nil
}

// pageOf returns a PDF of the index that has the page, and its bytes.
func (x *Index) pageOf(ctx context.Context, path string, page int) (*shownDocument, []byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	v, err := x.view(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer v.snapshot.Release()
	full, err := v.resolve(path)
	if err != nil {
		return nil, nil, err
	}
	d, err := v.document(full)
	if err != nil {
		return nil, nil, err
	}
	if d.Format != "pdf" || page < 1 || page > len(d.Pages) {
		return nil, nil, fmt.Errorf("page %d of %s: %w", page, path, ErrNoPage)
	}
	if d.source.Stale {
		return nil, nil, fmt.Errorf("page %d of %s: %w", page, path, ErrStale)
	}
	info, err := os.Stat(full)
	if err == nil && info.Size() > document.FileBytesMaxDefault {
		err = errors.New("the file is too large to be drawn")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("page %d of %s: %w", page, path, err)
	}
	data, err := os.ReadFile(full)
	if err != nil {
		return nil, nil, fmt.Errorf("page %d of %s: %w", page, path, err)
	}
	return d, data, nil
}
