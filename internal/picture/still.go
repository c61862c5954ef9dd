package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
)

const (
	pngMagic = "\x89PNG\r\n\x1A\n"
	pngEnd   = "\x00\x00\x00\x00IEND\xAE\x42\x60\x82"
)

// pngFile is what the chunks of a PNG say about it.
type pngFile struct {
	width, height uint32
	frames        uint32 // of an animation; 0 if there is none
	inAnimation   bool   // the still image is the animation's first frame
	turn          int    // EXIF orientation
	end           int    // where the last whole chunk ends
	whole         bool   // the end chunk was found
}

// decodePNG reads a PNG. One that lacks only its end chunk is read, as Pillow and browsers do.
func decodePNG(data []byte, limit int) (*Image, int, error) {
	f, err := readPNG(data)
	if err != nil {
		return nil, 0, err
	}
	if err := checkSize(f.width, f.height, limit); err != nil {
		return nil, 0, err
	}
	r := io.MultiReader(bytes.NewReader(data[:f.end]), bytes.NewReader([]byte(pngEnd)))
	img, err := guarded(func() (image.Image, error) { return png.Decode(r) })
	if err != nil && !f.whole {
		return nil, 0, ErrTruncated
	}
	if err != nil {
		return nil, 0, err
	}
	var im *Image
	if p, ok := img.(*image.Paletted); ok {
		im = painted(p, p.Palette)
	} else if im, err = flatten(img); err != nil {
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
		length := int(binary.BigEndian.Uint32(data[f.end:]))
		kind, rest := string(data[f.end+4:f.end+8]), data[f.end+8:]
		if len(rest) < length+4 {
			break
		}
		body := rest[:length]
		switch {
		case kind == "IHDR" && length >= 8:
			f.width, f.height = binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
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
		f.end += 12 + length
	}
	if f.end == len(pngMagic) {
		return f, ErrTruncated
	}
	return f, nil
}

// painted looks up the colours of a picture that has a palette, whose alpha is ignored.
func painted(p *image.Paletted, palette color.Palette) *Image {
	var rgb [256][3]uint8
	for i, c := range palette {
		switch c := c.(type) {
		case color.NRGBA:
			rgb[i] = [3]uint8{c.R, c.G, c.B}
		case color.RGBA:
			rgb[i] = [3]uint8{c.R, c.G, c.B}
		case color.RGBA64:
			rgb[i] = [3]uint8{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8)}
		}
	}
	out := newImage(p.Rect.Dx(), p.Rect.Dy())
	for y := range out.Height {
		for x, index := range p.Pix[y*p.Stride:][:out.Width] {
			copy(out.Pix[3*(y*out.Width+x):], rgb[index][:])
		}
	}
	return out
}

func decodeBMP(data []byte, limit int) (*Image, int, error) {
	size, err := bmp.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, 0, err
	}
	if err := checkSize(uint32(size.Width), uint32(size.Height), limit); err != nil {
		return nil, 0, err
	}
	img, err := guarded(func() (image.Image, error) { return bmp.Decode(bytes.NewReader(data)) })
	if err != nil {
		return nil, 0, err
	}
	if p, ok := img.(*image.Paletted); ok {
		return painted(p, p.Palette), 1, nil
	}
	im, err := flatten(img)
	return im, 1, err
}

func (im *Image) note(format string, args ...any) {
	im.Notes = append(im.Notes, fmt.Sprintf(format, args...))
}
