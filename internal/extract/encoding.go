package extract

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// decode returns data as UTF-8. Data that is UTF-8 already is returned as it is, byte order mark
// included, so that offsets stay offsets in the file. Otherwise, in this order: a byte order mark,
// UTF-16 told by its zero bytes, the encoding that HTML or XML declares, UTF-8 with a few damaged
// sequences (replaced by U+FFFD), windows-1252.
func decode(data []byte) (string, error) {
	if bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		return decodeUTF16(data, unicode.LittleEndian, unicode.UseBOM)
	}
	if order, ok := sniffUTF16(data); ok {
		return decodeUTF16(data, order, unicode.IgnoreBOM)
	}
	if isBinary(data) {
		return "", refuse(reasonBinary)
	}
	if utf8.Valid(data) {
		return string(data), nil
	}
	if text, ok := decodeDeclared(data); ok {
		return text, nil
	}
	if mostlyUTF8(data) {
		return strings.ToValidUTF8(string(data), "\uFFFD"), nil
	}
	text, err := charmap.Windows1252.NewDecoder().Bytes(data)
	if err != nil {
		return "", refuse("unknown text encoding")
	}
	return string(text), nil
}

func decodeUTF16(data []byte, order unicode.Endianness, bom unicode.BOMPolicy) (string, error) {
	text, err := unicode.UTF16(order, bom).NewDecoder().Bytes(data)
	if err != nil || bytes.IndexByte(text, 0) >= 0 {
		return "", refuse(reasonBinary)
	}
	return string(text), nil
}

// sniffUTF16 recognises UTF-16 without a mark: text in it has a zero in most of its high bytes and
// none in its low bytes. (Text without any ASCII is not recognised; no such file names its
// encoding.)
func sniffUTF16(data []byte) (unicode.Endianness, bool) {
	head := data[:min(len(data), 4096)&^1]
	if len(head) < 8 || len(data)%2 != 0 {
		return unicode.LittleEndian, false
	}
	var zeros [2]int
	for i, c := range head {
		if c == 0 {
			zeros[i&1]++
		}
	}
	half := len(head) / 2
	switch {
	case zeros[0] == 0 && zeros[1]*10 >= half*4:
		return unicode.LittleEndian, true
	case zeros[1] == 0 && zeros[0]*10 >= half*4:
		return unicode.BigEndian, true
	}
	return unicode.LittleEndian, false
}

// isBinary tells whether data is no text in any encoding of one byte or UTF-8: it holds a zero, or
// more than one control character in two hundred bytes. The first and last 32 KiB are looked at.
func isBinary(data []byte) bool {
	const window = 32 << 10
	head, tail := data[:min(len(data), window)], data[max(0, len(data)-window):]
	for _, part := range [][]byte{head, tail} {
		controls := 0
		for _, c := range part {
			if c == 0 {
				return true
			}
			if c < ' ' && (c < '\b' || c > '\r') && c != 0x1B || c == 0x7F {
				controls++
			}
		}
		if controls*200 > len(part) && controls > 1 {
			return true
		}
	}
	return false
}

// decodeDeclared decodes by the encoding that an HTML or XML file names in its first 1024 bytes.
func decodeDeclared(data []byte) (string, bool) {
	head := strings.ToLower(string(data[:min(len(data), 1024)]))
	label := ""
	for _, key := range []string{"charset=", "encoding="} {
		i := strings.Index(head, key)
		if i < 0 || strings.LastIndexByte(head[:i], '<') < 0 {
			continue
		}
		label = strings.TrimLeft(head[i+len(key):], `"' `)
		if end := strings.IndexAny(label, "\"' ;/>?\r\n"); end >= 0 {
			label = label[:end]
		}
		break
	}
	if label == "" {
		return "", false
	}
	encoding, name := charset.Lookup(label)
	if encoding == nil || name == "utf-8" {
		return "", false
	}
	text, err := encoding.NewDecoder().Bytes(data)
	if err != nil || !utf8.Valid(text) {
		return "", false
	}
	return string(text), true
}

// mostlyUTF8 tells whether data is UTF-8 with damage rather than another encoding: it has at least
// ten whole multi-byte sequences for each broken byte.
func mostlyUTF8(data []byte) bool {
	whole, broken := 0, 0
	for i := 0; i < len(data); {
		if data[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			broken++
		} else {
			whole++
		}
		i += n
	}
	return whole >= 10*broken
}
