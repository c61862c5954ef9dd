package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/gif"
	"slices"
)

// gifFile is what the blocks of a GIF say about its first frame.
type gifFile struct {
	width, height int        // of the logical screen
	palette       [768]uint8 // red, green, blue
	frame         [9]uint8   // the first frame's descriptor: left, top, width, height, flags
	pixels        []byte     // the first frame's compressed pixels
	background    uint8      // index of the screen's colour outside the frame
	frames        int
}

// decodeGIF reads the first frame and lays it on the logical screen. As in Pillow, the screen
// grows to hold the frame, and beside the frame it has the transparent index's colour or else
// that of index 0.
func decodeGIF(data []byte, limit int) (*Image, int, error) {
	f, err := readGIF(data)
	if err != nil {
		return nil, 0, err
	}
	le := binary.LittleEndian
	left, top := int(le.Uint16(f.frame[:])), int(le.Uint16(f.frame[2:]))
	f.width = max(f.width, left+int(le.Uint16(f.frame[4:])))
	f.height = max(f.height, top+int(le.Uint16(f.frame[6:])))
	if err := checkSize(image.Config{Width: f.width, Height: f.height}, limit); err != nil {
		return nil, 0, err
	}
	file := f.firstFrame()
	img, err := guarded(func() (image.Image, error) { return gif.Decode(bytes.NewReader(file)) })
	if err != nil {
		return nil, 0, err
	}
	p := img.(*image.Paletted)
	im := newImage(f.width, f.height)
	for i := 0; i < len(im.Pix); i += 3 {
		copy(im.Pix[i:], f.palette[3*int(f.background):][:3])
	}
	for y := range p.Rect.Dy() {
		for x, index := range p.Pix[y*p.Stride:][:p.Rect.Dx()] {
			copy(im.Pix[3*((top+y)*im.Width+left+x):], f.palette[3*int(index):][:3])
		}
	}
	if f.frames > 1 {
		im.note("animated: the first of %d frames", f.frames)
	}
	return im, 1, nil
}

// readGIF walks over the blocks. What follows the first frame only counts.
func readGIF(data []byte) (gifFile, error) {
	var f gifFile
	if len(data) < 13 {
		return f, ErrTruncated
	}
	f.width = int(binary.LittleEndian.Uint16(data[6:]))
	f.height = int(binary.LittleEndian.Uint16(data[8:]))
	for i := range f.palette {
		f.palette[i] = uint8(i / 3) // greys, for a GIF without colours
	}
	data = data[13+f.readPalette(data[10], data[13:]):]
	transparent := -1
	for len(data) > 0 && data[0] != ';' {
		kind := data[0]
		data = data[1:]
		var ok bool
		switch kind {
		case '!':
			if len(data) >= 6 && data[0] == 0xF9 && data[1] >= 4 && data[2]&1 != 0 {
				transparent = int(data[5])
			}
			data = data[min(1, len(data)):]
			data, ok = skipBlocks(data)
		case ',':
			data, ok = f.readFrame(data, transparent)
		default:
			continue // stray bytes between blocks are passed over, as Pillow does
		}
		if !ok {
			break
		}
	}
	if f.frames == 0 {
		return f, ErrTruncated
	}
	return f, nil
}

// readPalette takes over the colour table that flags announce at the start of data, or what
// there is of it, and returns its length.
func (f *gifFile) readPalette(flags uint8, data []byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return copy(f.palette[:3<<(flags&7+1)], data)
}

// readFrame reads the descriptor and pixels of a frame at the start of data, and returns the
// rest and whether the frame was whole.
func (f *gifFile) readFrame(data []byte, transparent int) (rest []byte, ok bool) {
	if len(data) < 9 {
		return nil, false
	}
	descriptor, table := data[:9], 0
	data = data[9:]
	if flags := descriptor[8]; flags&0x80 != 0 {
		table = min(3<<(flags&7+1), len(data))
	}
	pixels := data[table:]
	if len(pixels) == 0 {
		return nil, false
	}
	rest, ok = skipBlocks(pixels[1:])
	if !ok {
		return nil, false
	}
	if f.frames == 0 {
		f.frame = [9]uint8(descriptor)
		f.readPalette(descriptor[8], data)
		f.pixels = pixels[:len(pixels)-len(rest)]
		f.background = uint8(max(transparent, 0))
	}
	f.frames++
	return rest, true
}

// skipBlocks passes over sub-blocks, each a length and that many bytes, up to the empty one, and
// returns what follows and whether the empty one was found.
func skipBlocks(data []byte) (rest []byte, ok bool) {
	for len(data) > 0 {
		n := int(data[0])
		if n == 0 {
			return data[1:], true
		}
		data = data[min(1+n, len(data)):]
	}
	return nil, false
}

// firstFrame returns a GIF of the first frame alone, with a palette of 256 colours, which
// image/gif reads whatever the file around it was like.
func (f *gifFile) firstFrame() []byte {
	size := f.frame[4:8]
	head := slices.Concat([]byte("GIF89a"), size, []byte{0xF7, 0, 0}, f.palette[:])
	flags := f.frame[8] &^ 0x87 // no palette of its own
	frame := slices.Concat([]byte{',', 0, 0, 0, 0}, size, []byte{flags}, f.pixels)
	return slices.Concat(head, frame, []byte{';'})
}
