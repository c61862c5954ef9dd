package mask

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
)

// PNGOptions says how pixels become a mask. The zero value finds out.
type PNGOptions struct {
	Index int // of a palette image: the object with this index alone; 0 means every object
}

// void is the palette index for "no object, and not background either": the contours of PASCAL VOC's masks.
const void = 255

// ReadPNG reads a mask from a PNG file. What is inside is found out from its kind:
//
//   - a palette: every index but 0, the background, and 255, VOC's contours; or one index alone;
//   - transparency: where it is at least half opaque;
//   - greys and colours: where the brightest channel reaches half of the range, or, when no pixel is brighter
//     than 1, as in masks of 0 and 1, where it is 1.
//
// The size is checked before anything is decoded. An empty or full mask is returned as it is.
func ReadPNG(data []byte, opts PNGOptions) (*Mask, error) {
	config, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read mask: %w", err)
	}
	if err := checkSize(config.Width, config.Height); err != nil {
		return nil, fmt.Errorf("read mask: %w", err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read mask: %w", err)
	}
	if paletted, ok := picture.(*image.Paletted); ok {
		return fromPalette(paletted, opts.Index)
	}
	if opts.Index != 0 {
		return nil, fmt.Errorf("read mask: object %d is asked for, but the PNG has no palette", opts.Index)
	}
	if see, ok := picture.(interface{ Opaque() bool }); ok && !see.Opaque() {
		return fromPixels(picture, func(c color.NRGBA64) uint16 { return c.A }, 1<<15)
	}
	bright := func(c color.NRGBA64) uint16 { return max(c.R, c.G, c.B) }
	return fromPixels(picture, bright, threshold(picture, bright))
}

// threshold is the least brightness that is inside.
func threshold(picture image.Image, bright func(color.NRGBA64) uint16) uint16 {
	one := uint16(0x101) // a byte of 1 as 16 bits
	switch picture.(type) {
	case *image.Gray16, *image.RGBA64, *image.NRGBA64:
		one = 1
	}
	brightest := uint16(0)
	eachPixel(picture, func(_ int, c color.NRGBA64) { brightest = max(brightest, bright(c)) })
	if brightest <= one {
		return one
	}
	return 1 << 15
}

func eachPixel(picture image.Image, f func(i int, c color.NRGBA64)) {
	b, i := picture.Bounds(), 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			f(i, color.NRGBA64Model.Convert(picture.At(x, y)).(color.NRGBA64))
			i++
		}
	}
}

func fromPixels(picture image.Image, value func(color.NRGBA64) uint16, least uint16) (*Mask, error) {
	m, err := New(picture.Bounds().Dx(), picture.Bounds().Dy())
	if err != nil {
		return nil, err
	}
	eachPixel(picture, func(i int, c color.NRGBA64) { m.Bits[i] = value(c) >= least })
	return m, nil
}

func fromPalette(picture *image.Paletted, index int) (*Mask, error) {
	if index < 0 || index > 255 {
		return nil, fmt.Errorf("read mask: a palette has no index %d", index)
	}
	m, err := New(picture.Rect.Dx(), picture.Rect.Dy())
	if err != nil {
		return nil, err
	}
	for y := range m.Height {
		for x, v := range picture.Pix[y*picture.Stride:][:m.Width] {
			m.Bits[y*m.Width+x] = index == 0 && v != 0 && v != void || index != 0 && int(v) == index
		}
	}
	if index != 0 && m.Empty() {
		return nil, fmt.Errorf("read mask: palette index %d: %w", index, ErrEmpty)
	}
	return m, nil
}

// PaletteIndices returns the objects of a palette PNG: the indices that occur, in order, but for 0, the
// background, and 255, VOC's contours. A PNG without a palette has none. The size is checked before
// anything is decoded.
func PaletteIndices(data []byte) ([]int, error) {
	if config, err := png.DecodeConfig(bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("read mask: %w", err)
	} else if err := checkSize(config.Width, config.Height); err != nil {
		return nil, fmt.Errorf("read mask: %w", err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read mask: %w", err)
	}
	paletted, ok := picture.(*image.Paletted)
	if !ok {
		return nil, nil
	}
	var seen [256]bool
	for y := range paletted.Rect.Dy() {
		for _, v := range paletted.Pix[y*paletted.Stride:][:paletted.Rect.Dx()] {
			seen[v] = true
		}
	}
	var indices []int
	for i := 1; i < void; i++ {
		if seen[i] {
			indices = append(indices, i)
		}
	}
	return indices, nil
}

// WritePNG writes the mask as an 8-bit grey PNG of 0 and 255.
func (m *Mask) WritePNG(w io.Writer) error {
	if len(m.Bits) == 0 {
		return errors.New("write mask: it has no pixels")
	}
	picture := image.NewGray(image.Rect(0, 0, m.Width, m.Height))
	for i, in := range m.Bits {
		if in {
			picture.Pix[i] = 255
		}
	}
	if err := png.Encode(w, picture); err != nil {
		return fmt.Errorf("write mask: %w", err)
	}
	return nil
}
