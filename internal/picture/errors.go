package picture

import (
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

var (
	// ErrNotImage says that the content is of no image format known here.
	ErrNotImage = errors.New("not an image")
	// ErrTruncated says that the file ends before its last pixel. No half picture is
	// returned: grey rows would be searched and explained as if someone had taken them.
	ErrTruncated = errors.New("the file ends before the picture does")
)

// TooLargeError says that a picture has more pixels than the limit; nothing of it was decoded.
type TooLargeError struct {
	Width, Height int // what the header promises
	Max           int // the limit, in pixels
}

// Error gives the size and the limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%d × %d pixels are more than the limit of %d", e.Width, e.Height, e.Max)
}

// UnsupportedError says that a file is an image, of a kind that cannot be read here.
type UnsupportedError struct {
	Format  string // e.g. "heic" or "tiff"
	Feature string // what of the format is missing; empty if all of it
}

// Error names the format and the feature.
func (e *UnsupportedError) Error() string {
	if e.Feature == "" {
		return fmt.Sprintf("%s images cannot be read", e.Format)
	}
	return fmt.Sprintf("%s images with %s cannot be read", e.Format, e.Feature)
}

// plain puts an error of a decoder into this package's terms.
func plain(format string, err error) error {
	var (
		inJPEG jpeg.UnsupportedError
		inPNG  png.UnsupportedError
		inTIFF tiff.UnsupportedError
	)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	case errors.As(err, &inJPEG):
		return &UnsupportedError{format, string(inJPEG)}
	case errors.As(err, &inPNG):
		return &UnsupportedError{format, string(inPNG)}
	case errors.As(err, &inTIFF):
		return &UnsupportedError{format, string(inTIFF)}
	case errors.Is(err, bmp.ErrUnsupported):
		return &UnsupportedError{format, "compression, or a header of an unusual kind,"}
	}
	return err
}
