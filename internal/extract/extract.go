// Package extract turns the bytes of one file into text with its headings, pages and blocks.
//
// The type of a file is found from its content; the name only breaks ties (a .txt that holds a PDF
// is a PDF, but only the name tells Markdown from plain text). Every format has one file. Input is
// foreign: sizes, depths, pages and time are limited by [Limits], and what cannot be read is a
// [*Refusal] that says why in words for a person.
package extract

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Span is a half-open range of bytes of Content.Text.
type Span struct{ Start, End int }

// Mark names a place in Content.Text: a heading (Level from 1) or the start of a page (Level 0).
type Mark struct {
	At    int
	Label string
	Level int
}

// Content is what was read from one file.
type Content struct {
	Format   string // "txt", "md", "html", "xml", "pdf", "docx", "epub", "csv", "jsonl"
	Title    string // from metadata or the first heading; may be empty
	Text     string // valid UTF-8; for txt and md in UTF-8 the file itself, byte for byte
	Pages    []Mark // in order; only for formats with pages
	Headings []Mark // in order
	Blocks   []Span // in order, not overlapping, none empty
}

// Limits bounds what one file may cost. A zero field means the default named beside it.
type Limits struct {
	TextBytesMax     int64         // extracted text; 128 MiB
	ExpandedBytesMax int64         // bytes unpacked from a compressed file; 128 MiB
	EntriesMax       int           // files inside a compressed file; 20,000
	DepthMax         int           // nesting of XML elements; 512
	PagesMax         int           // pages of a PDF; 10,000
	Duration         time.Duration // time for one file, once its reader is there; 60 s

	// CacheDir is a folder where the compiled PDF reader is kept, which saves two seconds in the
	// next process; "" keeps it in memory. The first PDF of a process decides.
	CacheDir string
}

// WithDefaults returns l with every zero field replaced by its default.
func (l Limits) WithDefaults() Limits {
	if l.TextBytesMax == 0 {
		l.TextBytesMax = 128 << 20
	}
	if l.ExpandedBytesMax == 0 {
		l.ExpandedBytesMax = 128 << 20
	}
	if l.EntriesMax == 0 {
		l.EntriesMax = 20_000
	}
	if l.DepthMax == 0 {
		l.DepthMax = 512
	}
	if l.PagesMax == 0 {
		l.PagesMax = 10_000
	}
	if l.Duration == 0 {
		l.Duration = time.Minute
	}
	return l
}

// blocksMax is the most blocks one file may have. Real files of the largest size have fewer; a file
// made of millions of one-letter paragraphs would cost far more memory than its size.
const blocksMax = 8 << 20

var errBlocks = refuse("more than %d paragraphs or lines", blocksMax)

// Refusal says why a file is not read. Reason is a phrase for a person: "encrypted PDF". A passing one may be another
// time: the machine was busy, not the file at fault.
type Refusal struct {
	Reason  string
	Passing bool
}

// Error returns the reason.
func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, args...)}
}

// refuseTooLong is the refusal of text that outgrows limit.
func refuseTooLong(limit int64) error {
	return refuse("expands to more than %s of text", ByteSize(limit))
}

// ByteSize writes n as a person would: "64 MiB", "2 KiB", "17 bytes".
func ByteSize(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// Parse reads data, a file called name, within limits. The error is a [*Refusal] when the file is
// at fault, or ctx's when the caller gave up.
func Parse(ctx context.Context, name string, data []byte, limits Limits) (*Content, error) {
	limits = limits.WithDefaults()
	content, err := parse(ctx, name, data, limits)
	if err == nil {
		return content, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		reason := fmt.Sprintf("takes longer than %s to read; index again to try once more", limits.Duration)
		return nil, &Refusal{Reason: reason, Passing: true}
	}
	return nil, err
}

func parse(ctx context.Context, name string, data []byte, limits Limits) (*Content, error) {
	kind, text, err := sniff(name, data)
	if err != nil {
		return nil, err
	}
	var content *Content
	if kind == "pdf" { // its clock starts when its engine is there
		content, err = parsePDF(ctx, data, limits)
	} else {
		timed, cancel := context.WithTimeout(ctx, limits.Duration)
		defer cancel()
		content, err = parseAs(timed, kind, data, text, limits)
	}
	if err != nil {
		return nil, err
	}
	if len(content.Blocks) > blocksMax {
		return nil, errBlocks
	}
	if len(content.Blocks) == 0 {
		return nil, refuse("no text in this %s file", content.Format)
	}
	records := kind == "jsonl" || kind == "csv" // whose headings are of single records
	if content.Title == "" && len(content.Headings) > 0 && !records {
		content.Title = content.Headings[0].Label
	}
	return content, nil
}

// parseAs reads a file of any kind but PDF: from its bytes where it is compressed, else from its text.
func parseAs(ctx context.Context, kind string, data []byte, text string, limits Limits) (*Content, error) {
	switch kind {
	case "docx":
		return parseDOCX(ctx, data, limits)
	case "epub":
		return parseEPUB(ctx, data, limits)
	case "html":
		return parseHTML(ctx, text, limits)
	case "xml":
		return parseXML(ctx, text, limits)
	case "csv":
		return parseCSV(ctx, text, limits)
	case "jsonl":
		return parseJSONL(ctx, text, limits)
	case "md":
		return parseMarkdown(ctx, text, limits)
	default:
		return parseText(ctx, text, limits)
	}
}
