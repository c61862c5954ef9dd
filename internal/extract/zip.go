package extract

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"strings"
)

// sniffZip tells which document a zip file is.
func sniffZip(data []byte) (string, error) {
	a, err := openArchive(context.Background(), data, Limits{}.WithDefaults())
	if err != nil {
		return "", err
	}
	switch {
	case a.files["META-INF/container.xml"] != nil:
		return "epub", nil
	case a.has("word/document"):
		return "docx", nil
	case a.has("xl/workbook"):
		return "", refuse("spreadsheet (save it as .csv)")
	case a.has("ppt/presentation"):
		return "", refuse("presentation (save it as .pdf)")
	case a.files["content.xml"] != nil && a.files["mimetype"] != nil:
		return "", refuse("OpenDocument file (save it as .docx or .pdf)")
	}
	return "", refuse(reasonArchive)
}

// archive is an open zip file and what may still be unpacked from it.
type archive struct {
	ctx    context.Context
	files  map[string]*zip.File
	limits Limits
	budget int64
}

// openArchive opens a zip file. Files packed inside files are never opened, so nesting costs
// nothing.
func openArchive(ctx context.Context, data []byte, limits Limits) (*archive, error) {
	if n := bytes.Count(data, []byte("PK\x01\x02")); n > limits.EntriesMax {
		return nil, refuse("holds more than %d files", limits.EntriesMax)
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, refuse("damaged or truncated zip file")
	}
	a := &archive{
		ctx: ctx, files: make(map[string]*zip.File, len(r.File)), limits: limits,
		budget: limits.ExpandedBytesMax,
	}
	for _, file := range r.File {
		if name := path.Clean(strings.ReplaceAll(file.Name, `\`, "/")); a.files[name] == nil {
			a.files[name] = file
		}
	}
	return a, nil
}

// has tells whether some file's name starts with prefix.
func (a *archive) has(prefix string) bool {
	for name := range a.files {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

var errNoEntry = errors.New("no such file inside")

// read unpacks the named file as UTF-8 text, within what is left of the budget.
func (a *archive) read(name string) (string, error) {
	file := a.files[name]
	if file == nil {
		return "", errNoEntry
	}
	if file.Flags&1 != 0 {
		return "", refuse("encrypted zip file")
	}
	r, err := file.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	// The size the file claims is not believed: the buffer grows with what is there.
	var data bytes.Buffer
	for {
		if err := a.ctx.Err(); err != nil {
			return "", err
		}
		n, err := io.CopyN(&data, r, min(a.budget+1, 1<<20))
		a.budget -= n
		if a.budget < 0 {
			return "", refuse("expands to more than %s", ByteSize(a.limits.ExpandedBytesMax))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return decode(data.Bytes())
}

// walkXML calls visit with every token of source and the depth it is at. Entities that the document
// defines are not expanded, and elements nested too deep are an error.
func (a *archive) walkXML(source string, visit func(token xml.Token) error) error {
	input := &tokenInput{s: strings.TrimPrefix(source, "\uFEFF")}
	decoder := xml.NewDecoder(input)
	decoder.Strict = false
	decoder.Entity = xml.HTMLEntity
	decoder.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	depth := 0
	for i := 0; ; i++ {
		if err := every(a.ctx, i); err != nil {
			return err
		}
		input.taken = 0
		token, err := decoder.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch token.(type) {
		case xml.StartElement:
			if depth++; depth > a.limits.DepthMax {
				return refuse("XML nested deeper than %d elements", a.limits.DepthMax)
			}
		case xml.EndElement:
			depth--
		}
		if err := visit(token); err != nil {
			return err
		}
	}
}

// xmlTokenBytesMax is the longest tag or text: a tag costs many times its length in memory.
const xmlTokenBytesMax = 4 << 20

// tokenInput feeds a decoder and stops it in a token that is too long.
type tokenInput struct {
	s     string
	at    int
	taken int // bytes of this token
}

// ReadByte returns the next byte.
func (t *tokenInput) ReadByte() (byte, error) {
	if t.at == len(t.s) {
		return 0, io.EOF
	}
	if t.taken++; t.taken > xmlTokenBytesMax {
		return 0, refuse("XML with a tag or text longer than %s", ByteSize(xmlTokenBytesMax))
	}
	t.at++
	return t.s[t.at-1], nil
}

// Read makes tokenInput an io.Reader; the decoder reads by bytes.
func (t *tokenInput) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := t.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}

// attribute returns the value of the attribute with that local name.
func attribute(e xml.StartElement, local string) string {
	for _, a := range e.Attr {
		if a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}
