// Package picture turns image files into pixels, and pixels into what a vision model is given.
//
// [Decode] and [Open] read JPEG, PNG, GIF, WebP, TIFF and BMP, told apart by their content, into
// upright RGB. [Image.Resize] and [Image.Crop] compute the very bytes that Pillow 13 computes, and
// a [Recipe] is the whole preprocessing of a model: the model saw Pillow's pixels when it was
// trained, and a look-alike resize would move its embeddings.
//
// The pixels are those of Pillow's ImageOps.exif_transpose(image).convert("RGB"): transparency is
// dropped, not blended; colour profiles are not applied; the picture is turned upright by the
// orientation of its EXIF. They differ from Pillow's in two places. JPEG's inverse cosine transform
// is that of image/jpeg, which rounds otherwise than libjpeg's (docs/adr/0027). Greyscale of 16
// bits keeps its upper byte, as colour of 16 bits does; Pillow cuts every value above 255 to white.
package picture

import (
	"bytes"
	"fmt"
	"image"
	"io"
	"os"
)

// PixelsMax is the largest width × height that is decoded unless [Options] says otherwise.
const PixelsMax = 64 << 20

// Image is a picture in memory: upright, opaque, 8 bits a channel.
type Image struct {
	Width, Height int      // in pixels
	Pix           []uint8  // [Height, Width, 3]: red, green, blue
	Format        string   // what it was read from: jpeg, png, gif, webp, tiff or bmp
	Notes         []string // what a user should know, e.g. "animated: the first of 12 frames"
}

// Options limits what is decoded.
type Options struct {
	PixelsMax int // largest width × height; 0 means [PixelsMax]
}

// Decode reads the picture in r, which it reads to the end. Errors are or wrap [ErrNotImage],
// [ErrTruncated], [*TooLargeError], [*UnsupportedError], what r returned, or what the format's
// decoder says. The size is taken from the header and compared with the limit before any pixel
// is decoded or given memory.
func Decode(r io.Reader, opts Options) (*Image, error) {
	head := make([]byte, headBytes)
	n, err := io.ReadFull(r, head)
	head = head[:n]
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("read picture: %w", err)
	}
	kind, err := sniff(head)
	if err != nil {
		return nil, err
	}
	limit := opts.PixelsMax
	if limit <= 0 {
		limit = PixelsMax
	}
	var file bytes.Buffer
	file.Write(head)
	if _, err := file.ReadFrom(io.LimitReader(r, fileBytesMax(limit))); err != nil {
		return nil, fmt.Errorf("read picture: %w", err)
	}
	if int64(file.Len()) > fileBytesMax(limit) {
		return nil, fmt.Errorf("decode %s: longer than %d bytes, too long for a picture of %d pixels",
			kind.name, fileBytesMax(limit), limit)
	}
	im, turn, err := kind.decode(file.Bytes(), limit)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", kind.name, plain(kind.name, err))
	}
	im.Format = kind.name
	return im.upright(turn), nil
}

// Open reads the picture in the file at path, as [Decode] does. Its errors name the path.
func Open(path string, opts Options) (*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open picture: %w", err)
	}
	defer f.Close()
	im, err := Decode(f, opts)
	if err != nil {
		return nil, fmt.Errorf("open picture %q: %w", path, err)
	}
	return im, nil
}

// fileBytesMax bounds what is read of a file: 8 bytes a pixel, the largest depth that is
// decoded, and 64 MiB for whatever else the file carries.
func fileBytesMax(pixels int) int64 { return 8*int64(pixels) + 64<<20 }

// checkSize compares the size in a header, as its decoder will read it, with the limit.
func checkSize(size image.Config, limit int) error {
	if size.Width <= 0 || size.Height <= 0 {
		return fmt.Errorf("the header promises %d × %d pixels", size.Width, size.Height)
	}
	if size.Width > limit/size.Height {
		return &TooLargeError{Width: size.Width, Height: size.Height, Max: limit}
	}
	return nil
}

// guarded runs a decoder that is not ours. Such decoders have crashed on crafted files before; one
// bad file among a folder of thousands must not end the run.
func guarded[T any](decode func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the decoder crashed: %v", p)
		}
	}()
	return decode()
}

// decoded reads the size of a file, compares it with the limit, and decodes the file, with the two
// functions of a decoder that is not ours.
func decoded(
	file []byte, limit int,
	size func(io.Reader) (image.Config, error), decode func(io.Reader) (image.Image, error),
) (image.Image, error) {
	config, err := guarded(func() (image.Config, error) { return size(bytes.NewReader(file)) })
	if err != nil {
		return nil, err
	}
	if err := checkSize(config, limit); err != nil {
		return nil, err
	}
	return guarded(func() (image.Image, error) { return decode(bytes.NewReader(file)) })
}

// newImage returns a black picture.
func newImage(width, height int) *Image {
	return &Image{Width: width, Height: height, Pix: make([]uint8, 3*width*height)}
}
