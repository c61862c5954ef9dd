package picture

import (
	"bytes"
	"encoding/binary"
)

// orientationTag is the entry of an EXIF or TIFF directory that says how to turn the picture.
const orientationTag = 0x0112

// orientation returns the orientation, 1 to 8, that EXIF data states, and 1 where it states none
// or is damaged: a picture is never refused for its EXIF.
func orientation(exif []byte) int {
	exif = bytes.TrimPrefix(exif, []byte("Exif\x00\x00"))
	dir, err := readDirectory(exif)
	if err != nil {
		return 1
	}
	return dir.orientation()
}

// entry is one line of a TIFF directory: 2 bytes tag, 2 type, 4 count, 4 value or offset.
type entry []byte

// entryBytes is the length of an entry.
const entryBytes = 12

// directory is the first image directory of TIFF-structured data.
type directory struct {
	order   binary.ByteOrder
	data    []byte
	entries []entry
}

// readDirectory reads the first directory of data. Of one that the data cuts off it returns the
// entries there are, and ErrTruncated.
func readDirectory(data []byte) (*directory, error) {
	if len(data) < 8 {
		return nil, ErrTruncated
	}
	d := &directory{data: data}
	switch string(data[:4]) {
	case "II*\x00":
		d.order = binary.LittleEndian
	case "MM\x00*":
		d.order = binary.BigEndian
	default:
		return nil, ErrNotImage
	}
	start := uint64(d.order.Uint32(data[4:]))
	if start+2 > uint64(len(data)) {
		return d, ErrTruncated
	}
	rest := data[start+2:]
	for range d.order.Uint16(data[start:]) {
		if len(rest) < entryBytes {
			return d, ErrTruncated
		}
		d.entries = append(d.entries, entry(rest[:entryBytes]))
		rest = rest[entryBytes:]
	}
	return d, nil
}

// pages counts the directories, each of which names the next. A circle ends the count.
func (d *directory) pages() int {
	seen := map[uint32]bool{}
	at := d.order.Uint32(d.data[4:])
	for at != 0 && !seen[at] && uint64(at)+2 <= uint64(len(d.data)) {
		seen[at] = true
		after := uint64(at) + 2 + entryBytes*uint64(d.order.Uint16(d.data[at:]))
		if after+4 > uint64(len(d.data)) {
			break
		}
		at = d.order.Uint32(d.data[after:])
	}
	return len(seen)
}

// number returns the first value of a tag that holds whole numbers, and whether there is one.
func (d *directory) number(tag uint16) (uint32, bool) {
	for _, e := range d.entries {
		if d.order.Uint16(e) != tag || d.order.Uint32(e[4:]) == 0 {
			continue
		}
		value := e[8:]
		switch kind, count := d.order.Uint16(e[2:]), d.order.Uint32(e[4:]); {
		case kind == 1:
			return uint32(value[0]), true
		case kind == 3 && count <= 2:
			return uint32(d.order.Uint16(value)), true
		case kind == 3: // three or more do not fit: the value is where they are
			if offset := d.order.Uint32(value); uint64(offset)+2 <= uint64(len(d.data)) {
				return uint32(d.order.Uint16(d.data[offset:])), true
			}
		case kind == 4 && count == 1:
			return d.order.Uint32(value), true
		}
	}
	return 0, false
}

func (d *directory) orientation() int {
	if v, _ := d.number(orientationTag); v >= 1 && v <= 8 {
		return int(v)
	}
	return 1
}

// upright undoes an EXIF orientation, 1 to 8: it returns the picture as its taker saw it.
func (im *Image) upright(orientation int) *Image {
	w, h := im.Width, im.Height
	out := &Image{Width: w, Height: h, Format: im.Format, Notes: im.Notes}
	// Pixel (x, y) of the result is pixel first + x·right + y·down of the source.
	var first, right, down int
	switch orientation {
	case 2: // mirrored
		first, right, down = w-1, -1, w
	case 3: // turned by 180°
		first, right, down = w*h-1, -1, -w
	case 4: // upside down
		first, right, down = w*(h-1), 1, -w
	case 5: // mirrored along the falling diagonal
		first, right, down = 0, w, 1
	case 6: // to be turned clockwise
		first, right, down = w*(h-1), -w, 1
	case 7: // mirrored along the rising diagonal
		first, right, down = w*h-1, -w, -1
	case 8: // to be turned counterclockwise
		first, right, down = w-1, w, -1
	default:
		return im
	}
	if orientation >= 5 {
		out.Width, out.Height = h, w
	}
	out.Pix = make([]uint8, len(im.Pix))
	turn(out, im.Pix, first, right, down)
	return out
}

// turn fills out with the pixels first + x·right + y·down of pix. It goes by tiles, in which
// neither side's cache lines are lost before they are used up.
func turn(out *Image, pix []uint8, first, right, down int) {
	const tile = 64
	for top := 0; top < out.Height; top += tile {
		for left := 0; left < out.Width; left += tile {
			for y := top; y < min(top+tile, out.Height); y++ {
				from := 3 * (first + left*right + y*down)
				to := 3 * (y*out.Width + left)
				for range min(tile, out.Width-left) {
					out.Pix[to], out.Pix[to+1], out.Pix[to+2] = pix[from], pix[from+1], pix[from+2]
					from, to = from+3*right, to+3
				}
			}
		}
	}
}
