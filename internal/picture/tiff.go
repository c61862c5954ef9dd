package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"slices"

	"golang.org/x/image/tiff"
)

// Tags of a TIFF directory.
const (
	tagWidth       = 0x0100
	tagHeight      = 0x0101
	tagCompression = 0x0103
	tagPhotometric = 0x0106
	tagPlanar      = 0x011C
	tagInkSet      = 0x014C
	tagExtra       = 0x0152
)

// decodeTIFF reads the first page.
func decodeTIFF(data []byte, limit int) (*Image, int, error) {
	dir, err := readDirectory(data)
	if err != nil {
		return nil, 0, err
	}
	width, _ := dir.number(tagWidth)
	height, _ := dir.number(tagHeight)
	if err := checkSize(width, height, limit); err != nil {
		return nil, 0, err
	}
	if planar, _ := dir.number(tagPlanar); planar == 2 {
		return nil, 0, &UnsupportedError{"tiff", "one plane for each colour"}
	}
	file := data
	photometric, _ := dir.number(tagPhotometric)
	if photometric == 5 {
		if set, ok := dir.number(tagInkSet); ok && set != 1 {
			return nil, 0, &UnsupportedError{"tiff", "inks other than cyan, magenta, yellow, black"}
		}
		file = dir.asAlpha()
	}
	img, err := guarded(func() (image.Image, error) { return tiff.Decode(bytes.NewReader(file)) })
	if err != nil {
		return nil, 0, err
	}
	var im *Image
	if p, ok := img.(*image.Paletted); ok {
		im = painted(p, p.Palette)
	} else if photometric == 5 {
		im = printed(img)
	} else if im, err = flatten(img); err != nil {
		return nil, 0, err
	}
	// TIFF 6.0 (section 11): in fax data with black as zero, white runs are black. x/image/tiff
	// leaves them white.
	compression, _ := dir.number(tagCompression)
	if photometric == 1 && (compression == 3 || compression == 4) {
		for i, v := range im.Pix {
			im.Pix[i] = 255 - v
		}
	}
	if pages := dir.pages(); pages > 1 {
		im.note("the first of %d pages", pages)
	}
	return im, dir.orientation(), nil
}

// asAlpha returns the file with a directory that calls the four inks of its first picture red,
// green, blue and alpha. x/image/tiff knows no inks; so it reads them all the same.
func (d *directory) asAlpha() []byte {
	entries := slices.DeleteFunc(slices.Clone(d.entries), func(e entry) bool {
		tag := d.order.Uint16(e)
		return tag == tagPhotometric || tag == tagExtra
	})
	for _, short := range [][2]uint16{{tagPhotometric, 2}, {tagExtra, 2}} {
		e := make(entry, entryBytes)
		d.order.PutUint16(e, short[0])
		d.order.PutUint16(e[2:], 3) // the type of 16 bits
		d.order.PutUint32(e[4:], 1)
		d.order.PutUint16(e[8:], short[1])
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		return int(d.order.Uint16(a)) - int(d.order.Uint16(b))
	})
	file := slices.Clone(d.data)
	d.order.PutUint32(file[4:], uint32(len(file)))
	order := d.order.(binary.AppendByteOrder)
	file = order.AppendUint16(file, uint16(len(entries)))
	for _, e := range entries {
		file = append(file, e...)
	}
	return order.AppendUint32(file, 0)
}

// printed returns the colours of inks that were read as red, green, blue and alpha.
func printed(img image.Image) *Image {
	out := newImage(img.Bounds().Dx(), img.Bounds().Dy())
	for y := range out.Height {
		for x := range out.Width {
			rgb := out.Pix[3*(y*out.Width+x):]
			switch m := img.(type) {
			case *image.NRGBA:
				p := m.Pix[m.PixOffset(x, y):]
				inks(rgb, p[0], p[1], p[2], p[3])
			case *image.NRGBA64:
				p := m.Pix[m.PixOffset(x, y):]
				inks(rgb, p[0], p[2], p[4], p[6])
			}
		}
	}
	return out
}
