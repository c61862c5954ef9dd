package picture

import (
	"bytes"
	"encoding/binary"
)

// headBytes is how much of a file tells its format.
const headBytes = 32

// format is one kind of image file. decode returns the picture as stored and the EXIF
// orientation, 1 to 8, by which it has yet to be turned; a nil decode recognises only.
type format struct {
	name   string
	is     func(head []byte) bool
	decode func(data []byte, limit int) (*Image, int, error)
}

// formats returns the kinds of image files that are told apart, those that can be read first.
func formats() []format {
	return []format{
		{"jpeg", starts("\xFF\xD8\xFF"), decodeJPEG},
		{"png", starts(pngMagic), decodePNG},
		{"gif", func(h []byte) bool { return starts("GIF87a")(h) || starts("GIF89a")(h) }, decodeGIF},
		{"webp", func(h []byte) bool { return starts("RIFF")(h) && at(8, "WEBP")(h) }, decodeWebP},
		{"tiff", func(h []byte) bool { return starts("II*\x00")(h) || starts("MM\x00*")(h) }, decodeTIFF},
		{"bmp", isBMP, decodeBMP},
		{"bigtiff", func(h []byte) bool { return starts("II+\x00")(h) || starts("MM\x00+")(h) }, nil},
		{"heic", func(h []byte) bool { return at(4, "ftyphei")(h) || at(4, "ftypmif1")(h) }, nil},
		{"avif", at(4, "ftypavi"), nil},
		{"jpeg xl", func(h []byte) bool { return starts("\xFF\x0A")(h) || at(4, "JXL \r\n")(h) }, nil},
		{"jpeg 2000", at(4, "jP  \r\n"), nil},
		{"photoshop", starts("8BPS"), nil},
	}
}

// IsImage says whether a file that begins with head is of a format that [Decode] reads.
// 32 bytes are enough; with fewer, BMP may not be recognised.
func IsImage(head []byte) bool {
	kind, err := sniff(head)
	return err == nil && kind.decode != nil
}

// sniff finds the format of a file by its first bytes.
func sniff(head []byte) (format, error) {
	for _, f := range formats() {
		if !f.is(head) {
			continue
		}
		if f.decode == nil {
			return f, &UnsupportedError{Format: f.name}
		}
		return f, nil
	}
	return format{}, ErrNotImage
}

func starts(magic string) func([]byte) bool { return at(0, magic) }

func at(offset int, magic string) func([]byte) bool {
	return func(head []byte) bool {
		return len(head) >= offset && bytes.HasPrefix(head[offset:], []byte(magic))
	}
}

// isBMP asks for more than the two letters that a text may begin with: a header of a size that
// some BMP has, and the two bytes that are 1 in each.
func isBMP(head []byte) bool {
	if !starts("BM")(head) || len(head) < 28 {
		return false
	}
	switch binary.LittleEndian.Uint32(head[14:]) {
	case 12:
		return binary.LittleEndian.Uint16(head[22:]) == 1
	case 16, 40, 52, 56, 64, 108, 124:
		return binary.LittleEndian.Uint16(head[26:]) == 1
	}
	return false
}
