package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/klippa-app/go-pdfium"
	pdfiumerrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// pdfMemoryPages is the most memory, in pages of 64 KiB, that PDFium may take for one file: 768
// MiB.
const pdfMemoryPages = 768 << 20 >> 16

// pdfEndBytes is how near its end a PDF must have its end mark.
const pdfEndBytes = 4096

// parsePDF reads a PDF with PDFium, which runs in a WebAssembly sandbox without files or network.
func parsePDF(ctx context.Context, data []byte, limits Limits) (*Content, error) {
	if !bytes.Contains(data[max(0, len(data)-pdfEndBytes):], []byte("%%EOF")) {
		return nil, refuse("truncated PDF (it has no end mark)")
	}
	var content *Content
	err := usePDF(ctx, data, limits, func(i pdfium.Pdfium, d references.FPDF_DOCUMENT) (err error) {
		p := &pdfReader{instance: i, document: d, limits: limits}
		if err := p.pages(ctx); err != nil {
			return err
		}
		content, err = newPDFLayout(limits).content(p.read, p.title())
		return err
	})
	return content, err
}

// usePDF opens a PDF in an engine of its own and hands it to use, which then has the time of limits: starting the
// engine is not the document's fault. A refusal is; after any other error the engine is in doubt, and the next file gets
// a fresh one.
func usePDF(
	ctx context.Context, data []byte, limits Limits,
	use func(pdfium.Pdfium, references.FPDF_DOCUMENT) error,
) error {
	e, err := waitForEngine(ctx, limits.CacheDir)
	if err != nil {
		return err
	}
	ctx, done := context.WithTimeout(ctx, limits.Duration)
	defer done()
	stop := context.AfterFunc(ctx, e.cancel) // ends a call that hangs
	err = e.open(ctx, data, use)
	alive := stop()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	var refusal *Refusal
	if alive && (err == nil || errors.As(err, &refusal)) {
		returnEngine(e)
	} else {
		e.close() // it trapped or was ended
	}
	if err != nil {
		return damaged("PDF", err)
	}
	return nil
}

// engine is a PDFium of its own, used by one file at a time.
type engine struct {
	pool   pdfium.Pool
	cancel context.CancelFunc
}

func (e *engine) close() {
	e.cancel()
	_ = e.pool.Close() // nothing is left to lose
}

// engines keeps what files share: PDFium compiled once, and idle engines. It is started by the
// first PDF, because compiling takes two seconds.
var engines struct {
	sync.Mutex
	cache wazero.CompilationCache
	idle  []*engine
}

// enginesIdleMax bounds the engines kept for later files.
const enginesIdleMax = 4

// waitForEngine returns an engine once there is one, or when ctx ends its error; the engine that was being started then
// serves a later file.
func waitForEngine(ctx context.Context, cacheDir string) (*engine, error) {
	type started struct {
		engine *engine
		err    error
	}
	ready := make(chan started, 1)
	go func() {
		e, err := borrowEngine(cacheDir)
		ready <- started{e, err}
	}()
	select {
	case s := <-ready:
		return s.engine, s.err
	case <-ctx.Done():
		go func() {
			if s := <-ready; s.err == nil {
				returnEngine(s.engine)
			}
		}()
		return nil, ctx.Err()
	}
}

func borrowEngine(cacheDir string) (*engine, error) {
	engines.Lock()
	defer engines.Unlock()
	if n := len(engines.idle); n > 0 {
		e := engines.idle[n-1]
		engines.idle = engines.idle[:n-1]
		return e, nil
	}
	if engines.cache == nil {
		engines.cache = newCompilationCache(cacheDir)
	}
	ctx, cancel := context.WithCancel(context.Background())
	features := api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling
	pool, err := webassembly.Init(webassembly.Config{
		Context: ctx, MaxIdle: 1, MaxTotal: 1,
		FSConfig: wazero.NewFSConfig(), // no files
		Stdout:   io.Discard, Stderr: io.Discard,
		RuntimeConfig: wazero.NewRuntimeConfig().
			WithCoreFeatures(features).
			WithMemoryLimitPages(pdfMemoryPages).
			WithCloseOnContextDone(true).
			WithCompilationCache(engines.cache),
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start PDFium: %w", err)
	}
	return &engine{pool: pool, cancel: cancel}, nil
}

// newCompilationCache keeps compiled code in dir, so that the next process starts at once, or in
// memory when there is no such folder.
func newCompilationCache(dir string) wazero.CompilationCache {
	if dir != "" {
		if cache, err := wazero.NewCompilationCacheWithDir(dir); err == nil {
			return cache
		}
	}
	return wazero.NewCompilationCache()
}

func returnEngine(e *engine) {
	engines.Lock()
	if len(engines.idle) < enginesIdleMax {
		engines.idle = append(engines.idle, e)
		e = nil
	}
	engines.Unlock()
	if e != nil {
		e.close()
	}
}

// open opens one document in an instance of its own.
func (e *engine) open(
	ctx context.Context, data []byte, use func(pdfium.Pdfium, references.FPDF_DOCUMENT) error,
) error {
	instance, err := e.pool.GetInstanceWithContext(ctx)
	if err != nil {
		return err
	}
	defer instance.Close()
	document, err := instance.OpenDocument(&requests.OpenDocument{File: &data})
	switch {
	case errors.Is(err, pdfiumerrors.ErrPassword), errors.Is(err, pdfiumerrors.ErrSecurity):
		return refuse("encrypted PDF")
	case errors.Is(err, pdfiumerrors.ErrFormat), errors.Is(err, pdfiumerrors.ErrFile):
		return refuse("damaged or truncated PDF")
	case err != nil:
		return err
	}
	return use(instance, document.Document)
}

// pdfReader takes the lines of text out of one document.
type pdfReader struct {
	instance pdfium.Pdfium
	document references.FPDF_DOCUMENT
	limits   Limits
	read     []pdfPage
	bytes    int64
}

// pdfPage is one page: its label and its lines in reading order.
type pdfPage struct {
	label string
	lines []pdfLine
}

// pdfLine is a line of text and where it stands, in points from the lower left corner.
type pdfLine struct {
	text        string
	left, right float64 // origins of its first and last characters
	top, bottom float64 // their base lines: equal unless a hyphen ran on into the next line
	size        float64 // of the type of its first character
}

// nonTitles are what programs put where nobody gave a title.
var nonTitles = map[string]bool{"untitled": true, "(anonymous)": true, "unspecified": true}

func (p *pdfReader) title() string {
	meta, err := p.instance.FPDF_GetMetaText(&requests.FPDF_GetMetaText{
		Document: p.document, Tag: "Title",
	})
	if err != nil || nonTitles[strings.ToLower(strings.TrimSpace(meta.Value))] {
		return ""
	}
	return strings.TrimPrefix(meta.Value, "Microsoft Word - ")
}

func (p *pdfReader) pages(ctx context.Context) error {
	count, err := p.instance.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: p.document})
	if err != nil {
		return err
	}
	if count.PageCount > p.limits.PagesMax {
		return refuse("more than %d pages", p.limits.PagesMax)
	}
	for i := range count.PageCount {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.page(i); err != nil {
			return err
		}
	}
	return nil
}

func (p *pdfReader) page(i int) error {
	page, err := p.instance.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: p.document, Index: i})
	if err != nil {
		return refuse("damaged PDF: page %d cannot be read", i+1)
	}
	defer p.instance.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: page.Page})
	text, err := p.instance.FPDFText_LoadPage(&requests.FPDFText_LoadPage{
		Page: requests.Page{ByReference: &page.Page},
	})
	if err != nil {
		return err
	}
	handle := text.TextPage
	defer p.instance.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: handle})
	count, err := p.instance.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: handle})
	if err != nil {
		return err
	}
	lines, err := p.lines(handle, count.Count)
	if err != nil {
		return err
	}
	label := strconv.Itoa(i + 1)
	got, err := p.instance.FPDF_GetPageLabel(&requests.FPDF_GetPageLabel{
		Document: p.document, Page: i,
	})
	if err == nil && collapse(got.Label) != "" {
		label = collapse(got.Label)
	}
	p.read = append(p.read, pdfPage{label: label, lines: lines})
	return nil
}

// lines returns the lines of a page with count characters.
func (p *pdfReader) lines(page references.FPDF_TEXTPAGE, count int) ([]pdfLine, error) {
	if count <= 0 {
		return nil, nil
	}
	if p.bytes += int64(count); p.bytes > p.limits.TextBytesMax {
		return nil, refuseTooLong(p.limits.TextBytesMax)
	}
	got, err := p.instance.FPDFText_GetText(&requests.FPDFText_GetText{
		TextPage: page, StartIndex: 0, Count: count,
	})
	if err != nil {
		return nil, err
	}
	var lines []pdfLine
	at := 0 // in characters of the page's text
	for text := range strings.SplitSeq(strings.ToValidUTF8(got.Text, ""), "\n") {
		length := len([]rune(text))
		first := len([]rune(text)) - len([]rune(strings.TrimLeft(text, " \r\x00")))
		last := len([]rune(strings.TrimRight(text, " \r\x00"))) - 1
		if first <= last {
			line, err := p.place(page, at+first, at+last)
			if err != nil {
				return nil, err
			}
			line.text = text
			lines = append(lines, line)
		}
		at += length + 1
	}
	return lines, nil
}

// place finds where the characters first and last of the page's text stand.
func (p *pdfReader) place(page references.FPDF_TEXTPAGE, first, last int) (pdfLine, error) {
	var line pdfLine
	for i, at := range []int{first, last} {
		index, err := p.instance.FPDFText_GetCharIndexFromTextIndex(
			&requests.FPDFText_GetCharIndexFromTextIndex{TextPage: page, NTextIndex: at})
		if err != nil {
			return line, err
		}
		origin, err := p.instance.FPDFText_GetCharOrigin(
			&requests.FPDFText_GetCharOrigin{TextPage: page, Index: index.CharIndex})
		if err != nil {
			continue // no such character: the line has no place, only text
		}
		if i == 1 {
			line.right, line.bottom = origin.X, origin.Y
			continue
		}
		line.left, line.top = origin.X, origin.Y
		size, err := p.instance.FPDFText_GetFontSize(
			&requests.FPDFText_GetFontSize{TextPage: page, Index: index.CharIndex})
		if err == nil {
			line.size = size.FontSize * p.scale(page, index.CharIndex)
		}
	}
	return line, nil
}

// scale returns by how much the text matrix enlarges a character: many files set type of size 1 and
// scale it.
func (p *pdfReader) scale(page references.FPDF_TEXTPAGE, index int) float64 {
	got, err := p.instance.FPDFText_GetMatrix(
		&requests.FPDFText_GetMatrix{TextPage: page, Index: index})
	if err != nil {
		return 1
	}
	s := math.Hypot(float64(got.Matrix.C), float64(got.Matrix.D))
	if s <= 0 || math.IsNaN(s) || math.IsInf(s, 0) {
		return 1
	}
	return s
}
