package picture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image/png"
	"slices"

	"golang.org/x/image/bmp"
)

const (
	pngMagic = "\x89PNG\r\n\x1A\n"
	pngEnd   = "\x00\x00\x00\x00IEND\xAE\x42\x60\x82"
)

// pngFile is what the chunks of a PNG say about it.
type pngFile struct {
	frames      uint32 // of an animation; 0 if there is none
	inAnimation bool   // the still image is the animation's first frame
	turn        int    // EXIF orientation
	end         int    // where the last whole chunk ends
	whole       bool   // the end chunk was found
}

// decodePNG reads a PNG. One that lacks only its end chunk is read, as Pillow and browsers do.
func decodePNG(data []byte, limit int) (*Image, int, error) {
	f, err := readPNG(data)
	if err != nil {
		return nil, 0, err
	}
	file := slices.Concat(data[:f.end], []byte(pngEnd))
	img, err := decoded(file, limit, png.DecodeConfig, png.Decode)
	var large *TooLargeError
	if err != nil && !f.whole && !errors.As(err, &large) {
		return nil, 0, ErrTruncated
	}
	if err != nil {
		return nil, 0, err
	}
	im, err := flatten(img)
	if err != nil {
		return nil, 0, err
	}
	if f.frames > 1 && f.inAnimation {
		im.note("animated: the first of %d frames", f.frames)
	} else if f.frames > 1 {
		im.note("animated: the still image that stands for its %d frames", f.frames)
	}
	return im, f.turn, nil
}

// readPNG walks over the chunks: 4 bytes length, 4 type, the data, 4 checksum.
func readPNG(data []byte) (pngFile, error) {
	f := pngFile{turn: 1, end: len(pngMagic)}
	pixels := false
	for !f.whole && len(data)-f.end >= 12 {
		length := binary.BigEndian.Uint32(data[f.end:])
		kind, rest := string(data[f.end+4:f.end+8]), data[f.end+8:]
		if uint64(len(rest)) < uint64(length)+4 {
			break
		}
		body := rest[:length]
		switch {
		case kind == "acTL" && length >= 4:
			f.frames = binary.BigEndian.Uint32(body)
		case kind == "fcTL" && !pixels:
			f.inAnimation = true
		case kind == "IDAT":
			pixels = true
		case kind == "eXIf":
			f.turn = orientation(body)
		case kind == "IEND":
			f.whole = true
		}
		f.end += 12 + int(length)
	}
	if f.end == len(pngMagic) {
		return f, ErrTruncated
	}
	return f, nil
}

// decodeBMP reads a BMP, which has neither EXIF nor several pictures.
func decodeBMP(data []byte, limit int) (*Image, int, error) {
	img, err := decoded(data, limit, bmp.DecodeConfig, bmp.Decode)
	if err != nil {
		return nil, 0, err
	}
	im, err := flatten(img)
	return im, 1, err
}

func (im *Image) note(format string, args ...any) {
	im.Notes = append(im.Notes, fmt.Sprintf(format, args...))
}
