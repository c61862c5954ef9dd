package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"slices"
)

// jpegFile is what the segments before the first scan say.
type jpegFile struct {
	size        image.Config // width and height
	components  []component
	progressive bool
	jfif        bool
	adobe       int    // colour transform of the Adobe segment; -1 if there is none
	turn        int    // EXIF orientation
	tables      []byte // the segments that the decoder needs, without those about colour
	scans       []byte // from the first scan on
}

// component is one colour of a JPEG.
type component struct {
	id   uint8
	h, v int // samples across and down, as a share of the largest of all components
}

// scansMax bounds the scans of a JPEG, each of which may pass over all pixels and take but a few
// bytes of the file. Ordinary files have up to 10.
const scansMax = 500

// decodeJPEG reads a JPEG. One that lacks only its end marker is read; one whose pixels end
// early is ErrTruncated.
func decodeJPEG(data []byte, limit int) (*Image, int, error) {
	f, err := readJPEG(data)
	if err != nil {
		return nil, 0, err
	}
	if err := checkSize(f.size, limit); err != nil {
		return nil, 0, err
	}
	if n := countScans(f.scans); n > scansMax {
		return nil, 0, &UnsupportedError{"jpeg", fmt.Sprintf("%d scans", n)}
	}
	scans := &endless{rest: f.scans, lenient: !f.progressive}
	img, err := guarded(func() (image.Image, error) {
		return jpeg.Decode(io.MultiReader(bytes.NewReader(f.head()), scans))
	})
	if err != nil && scans.ended {
		return nil, 0, ErrTruncated
	}
	if err != nil {
		return nil, 0, err
	}
	var im *Image
	switch m := img.(type) {
	case *image.Gray:
		im, err = flatten(m)
	case *image.YCbCr:
		im = f.colours(f.planes(m))
	case *image.CMYK:
		im = f.colours(f.inkPlanes(m))
	default:
		err = fmt.Errorf("the decoder returned %T, which is not expected", img)
	}
	return im, f.turn, err
}

// readJPEG walks over the segments up to the first scan: a byte FF, the kind, 2 bytes length
// with themselves counted, and the data.
func readJPEG(data []byte) (*jpegFile, error) {
	f := &jpegFile{adobe: -1, turn: 1}
	hasEXIF := false
	for i := 2; ; {
		for i < len(data) && (data[i] != 0xFF || i+1 < len(data) && data[i+1] == 0xFF) {
			i++ // stray bytes before a segment and fill bytes
		}
		if i+4 > len(data) {
			return nil, ErrTruncated
		}
		kind := data[i+1]
		if kind <= 0x01 || kind >= 0xD0 && kind <= 0xD8 {
			i += 2 // markers without data
			continue
		}
		if kind == 0xD9 {
			return nil, fmt.Errorf("it has no pixels")
		}
		length := int(binary.BigEndian.Uint16(data[i+2:]))
		if kind == 0xDA {
			f.scans = data[i:]
			break
		}
		if length < 2 || i+2+length > len(data) {
			return nil, ErrTruncated
		}
		segment, body := data[i:i+2+length], data[i+4:i+2+length]
		i += 2 + length
		switch {
		case kind == 0xE0:
			f.jfif = f.jfif || bytes.HasPrefix(body, []byte("JFIF\x00"))
		case kind == 0xE1 && !hasEXIF && bytes.HasPrefix(body, []byte("Exif\x00\x00")):
			f.turn, hasEXIF = orientation(body), true
		case kind == 0xEE && len(body) >= 12 && bytes.HasPrefix(body, []byte("Adobe")):
			f.adobe = int(body[11])
		case kind >= 0xE0 && kind <= 0xEF || kind == 0xFE: // other metadata, comments
		case kind >= 0xC0 && kind <= 0xCF && kind != 0xC4 && kind != 0xC8 && kind != 0xCC:
			if err := f.readFrame(kind, body); err != nil {
				return nil, err
			}
			fallthrough
		default:
			f.tables = append(f.tables, segment...)
		}
	}
	if f.components == nil {
		return nil, fmt.Errorf("its size is missing")
	}
	return f, nil
}

// countScans counts the scans up to the end marker: a phone may store a film after it.
func countScans(data []byte) int {
	scans := 0
	for {
		i := bytes.IndexByte(data, 0xFF)
		if i < 0 || i+4 > len(data) {
			return scans
		}
		kind := data[i+1]
		data = data[i+1:]
		switch {
		case kind == 0xFF || kind <= 0x01 || kind >= 0xD0 && kind <= 0xD8:
			continue // fill bytes, escaped bytes and markers without data
		case kind == 0xD9:
			return scans
		case kind == 0xDA:
			scans++
		}
		length := int(binary.BigEndian.Uint16(data[1:]))
		data = data[min(1+length, len(data)):]
	}
}

// readFrame reads the header of the frame: 1 byte precision, 2 height, 2 width, 1 number of
// components, and for each 1 byte name, 1 sampling factors, 1 table.
func (f *jpegFile) readFrame(kind uint8, body []byte) error {
	switch {
	case kind > 0xC8:
		return &UnsupportedError{"jpeg", "arithmetic coding"}
	case kind > 0xC2:
		return &UnsupportedError{"jpeg", "lossless or hierarchical coding"}
	case len(body) < 6 || len(body) < 6+3*int(body[5]):
		return fmt.Errorf("the frame header is too short")
	case f.components != nil:
		return fmt.Errorf("it has two frame headers")
	}
	f.progressive = kind == 0xC2
	f.size.Height = int(binary.BigEndian.Uint16(body[1:]))
	f.size.Width = int(binary.BigEndian.Uint16(body[3:]))
	f.components = make([]component, body[5])
	for i := range f.components {
		c := body[6+3*i:]
		f.components[i] = component{id: c[0], h: int(c[1] >> 4), v: int(c[1] & 15)}
	}
	return nil
}

// head returns the start of a file that makes image/jpeg hand out what the file holds, without
// a conversion of its own: planes for three components, and for four all of them inverted.
// It decides about colour by the segments that readJPEG left out.
func (f *jpegFile) head() []byte {
	about := "\xFF\xE0\x00\x10JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00"
	if len(f.components) == 4 {
		about = "\xFF\xEE\x00\x0EAdobe\x00\x64\x00\x00\x00\x00\x00"
	}
	return slices.Concat([]byte("\xFF\xD8"), []byte(about), f.tables)
}

// endless is the rest of a file, with an end marker after it for files that lack theirs. A
// progressive file gets none: without its last scans it would look whole and be blurred.
type endless struct {
	rest    []byte
	lenient bool
	ended   bool // the file was read up and more was wanted
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	if e.ended || !e.lenient {
		e.ended = true
		return 0, io.EOF
	}
	e.ended = true
	return copy(p, "\xFF\xD9"), nil
}

// planes returns the three planes as decoded, each of its own size.
func (f *jpegFile) planes(m *image.YCbCr) []plane {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	across, down := 1, 1
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		across = 2
	case image.YCbCrSubsampleRatio420:
		across, down = 2, 2
	case image.YCbCrSubsampleRatio440:
		down = 2
	case image.YCbCrSubsampleRatio411:
		across = 4
	case image.YCbCrSubsampleRatio410:
		across, down = 4, 2
	}
	cw, ch := (w+across-1)/across, (h+down-1)/down
	return []plane{
		{m.Y, m.YStride, w, h, 1, 1},
		{m.Cb, m.CStride, cw, ch, across, down},
		{m.Cr, m.CStride, cw, ch, across, down},
	}
}

// inkPlanes takes the four planes out of what image/jpeg made of them: it inverted them, and
// repeated the samples of those of half the size, of which one in four is taken.
func (f *jpegFile) inkPlanes(m *image.CMYK) []plane {
	planes := make([]plane, 4)
	for i := range planes {
		p := plane{across: 1, down: 1}
		if f.components[i].h < f.components[0].h {
			p.across = 2
		}
		if f.components[i].v < f.components[0].v {
			p.down = 2
		}
		p.width = (m.Rect.Dx() + p.across - 1) / p.across
		p.height = (m.Rect.Dy() + p.down - 1) / p.down
		p.stride = p.width
		p.pix = make([]uint8, p.width*p.height)
		for y := range p.height {
			row := m.Pix[y*p.down*m.Stride+i:]
			for x := range p.width {
				p.pix[y*p.stride+x] = 255 - row[4*x*p.across]
			}
		}
		planes[i] = p
	}
	return planes
}
