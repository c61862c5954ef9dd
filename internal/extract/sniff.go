package extract

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
)

// magic pairs the first bytes of a format with what a person should be told about it.
type magic struct {
	at     int
	prefix string
	reason string
}

const (
	reasonImage   = "image, not a document"
	reasonArchive = "archive, not a document"
	reasonMedia   = "audio or video, not a document"
	reasonBinary  = "binary, not a document"
	reasonFont    = "font, not a document"
)

// magics lists formats that are recognised and not read. All are binary, so that no text is
// refused.
var magics = []magic{
	{0, "\xFF\xD8\xFF", reasonImage},
	{0, "\x89PNG\r\n\x1A\n", reasonImage},
	{0, "GIF87a", reasonImage},
	{0, "GIF89a", reasonImage},
	{8, "WEBP", reasonImage},
	{0, "II*\x00", reasonImage},
	{0, "MM\x00*", reasonImage},
	{4, "ftypheic", reasonImage},
	{4, "ftypmif1", reasonImage},
	{4, "ftypavif", reasonImage},
	{0, "\xFF\x0A", reasonImage},
	{0, "\x00\x00\x00\x0CJXL ", reasonImage},
	{0, "\x00\x00\x01\x00", reasonImage},
	{0, "8BPS", reasonImage},
	{4, "ftyp", reasonMedia},
	{0, "ID3", reasonMedia},
	{0, "OggS", reasonMedia},
	{0, "fLaC", reasonMedia},
	{8, "WAVE", reasonMedia},
	{8, "AVI ", reasonMedia},
	{0, "\x1A\x45\xDF\xA3", reasonMedia},
	{0, "\x1F\x8B", "compressed with gzip, not a document"},
	{0, "BZh", "compressed with bzip2, not a document"},
	{0, "\xFD7zXZ\x00", "compressed with xz, not a document"},
	{0, "\x28\xB5\x2F\xFD", "compressed with zstd, not a document"},
	{0, "7z\xBC\xAF\x27\x1C", reasonArchive},
	{0, "Rar!\x1A\x07", reasonArchive},
	{257, "ustar", reasonArchive},
	{0, "!<arch>\n", reasonArchive},
	{0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "old or encrypted Office file (save it as .docx)"},
	{0, "\x7FELF", reasonBinary},
	{0, "MZ\x90\x00", reasonBinary},
	{0, "\xCA\xFE\xBA\xBE", reasonBinary},
	{0, "\xCF\xFA\xED\xFE", reasonBinary},
	{0, "\x00asm", reasonBinary},
	{0, "SQLite format 3\x00", "database, not a document"},
	{0, "\x00\x01\x00\x00\x00", reasonFont},
	{0, "OTTO\x00", reasonFont},
	{0, "wOFF", reasonFont},
	{0, "wOF2", reasonFont},
}

// sniff finds the format of data. For text formats it also returns the text in UTF-8.
func sniff(name string, data []byte) (kind, text string, err error) {
	if len(data) == 0 {
		return "", "", refuse("empty")
	}
	if isPDF(data) {
		return "pdf", "", nil
	}
	if bytes.HasPrefix(data, []byte("PK\x03\x04")) {
		kind, err = sniffZip(data)
		return kind, "", err
	}
	if bytes.HasPrefix(data, []byte("PK\x05\x06")) {
		return "", "", refuse(reasonArchive)
	}
	if bytes.HasPrefix(data, []byte("BM")) && len(data) > 14 && bytes.Count(data[:14], []byte{0}) > 3 {
		return "", "", refuse(reasonImage)
	}
	for _, m := range magics {
		if len(data) > m.at && bytes.HasPrefix(data[m.at:], []byte(m.prefix)) && !isPlain(data) {
			return "", "", refuse("%s", m.reason)
		}
	}
	text, err = decode(data)
	if err != nil {
		return "", "", err
	}
	kind, err = sniffText(name, text)
	return kind, text, err
}

// isPDF tells whether data is a PDF. Readers allow rubbish before the header within the first 1024
// bytes; it counts only when the trailer of a PDF follows, so that prose about PDFs stays prose.
func isPDF(data []byte) bool {
	head := data[:min(len(data), 1024)]
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF")), " \t\r\n\x00")
	if bytes.HasPrefix(trimmed, []byte("%PDF-")) {
		return true
	}
	tail := data[max(0, len(data)-1024):]
	return bytes.Contains(head, []byte("%PDF-")) && bytes.Contains(tail, []byte("%%EOF")) &&
		bytes.Contains(tail, []byte("startxref"))
}

// isPlain tells whether the head of data is made of printable ASCII only: then a "magic" number is
// just how the text begins ("ID3 tags are …").
func isPlain(data []byte) bool {
	for _, c := range data[:min(len(data), 512)] {
		if c >= 0x7F || c < ' ' && (c < '\t' || c > '\r') {
			return false
		}
	}
	return true
}

// sniffText finds which kind of text this is. Content decides where it is sure; then the name.
func sniffText(name, text string) (string, error) {
	head := strings.TrimLeft(strings.TrimPrefix(text, "\uFEFF"), " \t\r\n")
	if head == "" {
		return "", refuse("only white space")
	}
	if strings.HasPrefix(head, `{\rtf`) {
		return "", refuse("RTF (save it as .docx)")
	}
	if strings.HasPrefix(head, "%!PS") {
		return "", refuse("PostScript (convert it to PDF)")
	}
	extension := strings.ToLower(filepath.Ext(name))
	if root := markupRoot(head); root != "" {
		switch {
		case root == "svg":
			return "", refuse(reasonImage)
		case root == "html":
			return "html", nil
		case root == "xml" && !strings.HasPrefix(extension, ".md"):
			return "xml", nil
		}
	}
	switch extension {
	case ".html", ".htm", ".xhtml", ".xht", ".shtml":
		if strings.Contains(text, "<") && strings.Contains(text, ">") {
			return "html", nil
		}
	case ".csv", ".tsv", ".tab":
		if delimiter(text) != 0 {
			return "csv", nil
		}
	case ".json":
		if json.Valid([]byte(strings.TrimPrefix(text, "\uFEFF"))) {
			return "jsonl", nil
		}
	case ".md", ".markdown", ".mdown", ".mkd", ".mdx":
		return "md", nil
	}
	if isJSONLines(head) {
		return "jsonl", nil
	}
	return "txt", nil
}

// markupRoot tells which markup text starts with: "html", "svg", "xml", or "" for none. Comments,
// the XML declaration and processing instructions before the first element are skipped.
func markupRoot(s string) string {
	declared := false
	for range 64 {
		s = strings.TrimLeft(s, " \t\r\n")
		end := ""
		switch {
		case strings.HasPrefix(s, "<!--"):
			end = "-->"
		case strings.HasPrefix(s, "<?"):
			declared = declared || strings.HasPrefix(s, "<?xml ")
			end = "?>"
		}
		if end == "" {
			break
		}
		i := strings.Index(s, end)
		if i < 0 {
			return ""
		}
		s = s[i+len(end):]
	}
	head := strings.ToLower(clip(s, 64))
	switch {
	case hasTag(head, "<!doctype html"), hasTag(head, "<html"), hasTag(head, "<head"),
		hasTag(head, "<body"):
		return "html"
	case hasTag(head, "<svg"), hasTag(head, "<!doctype svg"):
		return "svg"
	case declared && strings.HasPrefix(head, "<"):
		return "xml"
	}
	return ""
}

// hasTag tells whether s starts with tag and the name ends there.
func hasTag(s, tag string) bool {
	if !strings.HasPrefix(s, tag) {
		return false
	}
	return len(s) == len(tag) || strings.IndexByte(" \t\r\n/>", s[len(tag)]) >= 0
}
