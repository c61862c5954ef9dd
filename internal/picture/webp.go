package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"
)

// webpFile is what the chunks of a WebP say about its first frame.
type webpFile struct {
	canvas    image.Config // its width and height; 0 if only the frame states a size
	left, top int          // of the frame on the canvas
	lossy     []byte       // the frame's VP8 data
	lossless  []byte       // or its VP8L data
	frames    int
	turn      int // EXIF orientation
}

// decodeWebP reads the still image or the first frame of the animation, laid on its canvas. The
// chunks are read here and not by x/image/webp, which knows no animation, and whose colours are
// those of JPEG's formula where WebP has its own. Transparency is dropped, so it is not read.
func decodeWebP(data []byte, limit int) (*Image, int, error) {
	f := webpFile{turn: 1}
	f.read(data[12:])
	frame, err := f.frameSize()
	if err != nil {
		return nil, 0, err
	}
	if f.frames == 0 || f.canvas.Width == 0 {
		f.canvas, f.left, f.top = frame, 0, 0
	}
	if err := checkSize(f.canvas, limit); err != nil {
		return nil, 0, err
	}
	if err := checkSize(frame, limit); err != nil {
		return nil, 0, err
	}
	right, bottom := f.canvas.Width-f.left, f.canvas.Height-f.top
	if frame.Width > right || frame.Height > bottom {
		return nil, 0, fmt.Errorf("the first frame lies outside the canvas")
	}
	im, err := f.decodeFrame()
	if err != nil {
		return nil, 0, err
	}
	im = im.keep(-f.left, -f.top, right, bottom)
	if f.frames > 1 {
		im.note("animated: the first of %d frames", f.frames)
	}
	return im, f.turn, nil
}

// read walks over chunks: 4 bytes name, 4 length, the data, filled up to an even length.
func (f *webpFile) read(data []byte) {
	for len(data) >= 8 {
		name, length := string(data[:4]), uint64(binary.LittleEndian.Uint32(data[4:]))
		data = data[8:]
		body := data[:min(length, uint64(len(data)))]
		switch {
		case name == "VP8X" && len(body) >= 10:
			f.canvas.Width, f.canvas.Height = 1+uint24(body[4:]), 1+uint24(body[7:])
		case name == "VP8 " && f.lossy == nil && f.lossless == nil:
			f.lossy = body
		case name == "VP8L" && f.lossy == nil && f.lossless == nil:
			f.lossless = body
		case name == "EXIF":
			f.turn = orientation(body)
		case name == "ANMF" && len(body) >= 16:
			f.frames++
			if f.frames == 1 {
				f.left, f.top = 2*uint24(body), 2*uint24(body[3:])
				f.read(body[16:])
			}
		}
		data = data[min(length+length&1, uint64(len(data))):]
	}
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// frameSize reads the size of the frame from its own header.
func (f *webpFile) frameSize() (image.Config, error) {
	switch {
	case f.lossy != nil:
		d := vp8.NewDecoder()
		d.Init(bytes.NewReader(f.lossy), len(f.lossy))
		head, err := d.DecodeFrameHeader()
		if err == nil && !head.KeyFrame {
			err = fmt.Errorf("the frame changes one that is not there")
		}
		return image.Config{Width: head.Width, Height: head.Height}, err
	case f.lossless != nil:
		return vp8l.DecodeConfig(bytes.NewReader(f.lossless))
	}
	return image.Config{}, ErrTruncated
}

func (f *webpFile) decodeFrame() (*Image, error) {
	img, err := guarded(func() (image.Image, error) {
		if f.lossy == nil {
			return vp8l.Decode(bytes.NewReader(f.lossless))
		}
		d := vp8.NewDecoder()
		d.Init(bytes.NewReader(f.lossy), len(f.lossy))
		if _, err := d.DecodeFrameHeader(); err != nil {
			return nil, err
		}
		return d.DecodeFrame()
	})
	if err != nil {
		return nil, err
	}
	if m, ok := img.(*image.YCbCr); ok {
		return videoColours(m), nil
	}
	return flatten(img)
}

// videoColours converts VP8's planes, whose chroma has half the size, into RGB, bit for bit as
// libwebp does: chroma between samples is weighted 9:3:3:1, and Y spans 16 to 235.
func videoColours(m *image.YCbCr) *Image {
	out := newImage(m.Rect.Dx(), m.Rect.Dy())
	last := (out.Height - 1) / 2
	cb, cr := make([]uint8, out.Width), make([]uint8, out.Width)
	for y := range out.Height {
		near := y / 2
		far := max(0, min(last, near-1+y&1*2))
		n, f := near*m.CStride, far*m.CStride
		betweenVP8(cb, m.Cb[n:], m.Cb[f:])
		betweenVP8(cr, m.Cr[n:], m.Cr[f:])
		row := out.Pix[3*y*out.Width:]
		for x, luma := range m.Y[y*m.YStride:][:out.Width] {
			l, u, v := int(luma)*19077>>8, int(cb[x]), int(cr[x])
			row[3*x] = clip6(l + v*26149>>8 - 14234)
			row[3*x+1] = clip6(l - u*6419>>8 - v*13320>>8 + 8708)
			row[3*x+2] = clip6(l + u*33050>>8 - 17685)
		}
	}
	return out
}

// clip6 drops six fractional bits and clips to a byte.
func clip6(v int) uint8 { return uint8(max(0, min(255, v>>6))) }

// betweenVP8 fills out with the chroma of one row of pixels, from the nearer and the farther row
// of samples. The order of the roundings is libwebp's.
func betweenVP8(out, near, far []uint8) {
	blend := func(a, b uint8) uint8 { return uint8((3*int(a) + int(b) + 2) >> 2) }
	out[0] = blend(near[0], far[0])
	for x := 1; x < len(out); x++ {
		// The pixel lies between samples a, nearer, and b, of the row near, and c, d of far.
		i, j := x/2, x/2-1+x&1*2
		if j == (len(out)+1)/2 {
			out[x] = blend(near[i], far[i])
			continue
		}
		a, b, c, d := int(near[i]), int(near[j]), int(far[i]), int(far[j])
		cross := (a + b + c + d + 8 + 2*(b+c)) >> 3
		out[x] = uint8((cross + a) >> 1)
	}
}
