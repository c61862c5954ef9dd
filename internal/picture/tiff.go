package picture

import (
	"encoding/binary"
	"image"
	"slices"

	"golang.org/x/image/tiff"
)

// Tags of a TIFF directory.
const (
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
	img, err := decoded(file, limit, tiff.DecodeConfig, tiff.Decode)
	if err != nil {
		return nil, 0, err
	}
	toRGB := flatten
	if photometric == 5 {
		toRGB = printed
	}
	im, err := toRGB(img)
	if err != nil {
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
func printed(img image.Image) (*Image, error) {
	var pix []uint8
	size := 1 // bytes of a value, the upper first
	switch m := img.(type) {
	case *image.NRGBA:
		pix = m.Pix
	case *image.NRGBA64:
		pix, size = m.Pix, 2
	default:
		return nil, &UnsupportedError{"tiff", "other than four inks"}
	}
	out := newImage(img.Bounds().Dx(), img.Bounds().Dy())
	for i := range out.Width * out.Height {
		p := pix[4*size*i:][:4*size]
		inks(out.Pix[3*i:], p[0], p[size], p[2*size], p[3*size])
	}
	return out, nil
}
