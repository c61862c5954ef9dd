// Package document turns files into stored text and passages whose byte offsets point back into it.
package document

// ByteSpan is a half-open range of bytes of a document's stored text: Text[Start:End] is the
// quotation.
type ByteSpan struct {
	Start, End int
}

// Len returns the number of bytes.
func (s ByteSpan) Len() int { return s.End - s.Start }

// Document is one file, read: its stored text and the places its pages and headings begin.
// For plain text in UTF-8 the stored text is the file, byte for byte.
type Document struct {
	Path   string // as the user named it, cleaned
	Format string // "txt", "md", "html", "pdf", "docx", "epub", "csv", "jsonl"; "image/png", … of pictures
	Title  string // from the file's metadata or first heading; may be empty
	SHA256 string // of Text, hex
	Text   string // valid UTF-8

	Pages    []Mark     // where each page begins, in order; empty when the format has none
	Headings []Mark     // where each section's heading begins, in order
	Blocks   []ByteSpan // paragraphs, list items, cells, records: sentences never cross them

	Picture *Picture // of a picture, which has no text; nil for all else
}

// Picture is what is kept of a picture: not its pixels, but what it is found by.
type Picture struct {
	Width, Height int       // in pixels, upright
	Model         string    // that made the vector; vectors of one model compare
	Vector        []float32 // [E] of length 1
}

// PictureFormat begins the Format of every picture: "image/jpeg".
const PictureFormat = "image/"

// Mark names a place in the text.
type Mark struct {
	At    int    // byte offset into Text
	Label string // heading text, or page label ("1" when the file gives none)
	Level int    // heading level from 1; 0 for pages
}

// Passage is a run of whole sentences, about 100 words, the unit that is indexed and read.
type Passage struct {
	Span    ByteSpan
	Heading string // nearest heading above, or the document's title
	Page    int    // page number from 1; 0 when the format has none
}
