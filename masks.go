package evident

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"evident/internal/mask"
)

// Mask tells a part of a picture: each of its pixels is inside or outside. It has the picture's size.
type Mask struct {
	Name string // for people; unique among those of one file

	mask *mask.Mask
	note string // what a user should know of it
}

// Size is the width and height of the picture, in pixels.
func (m Mask) Size() (width, height int) { return m.mask.Width, m.mask.Height }

// Area is the number of pixels inside.
func (m Mask) Area() int { return m.mask.Area() }

// Bounds is the smallest rectangle with all pixels inside.
func (m Mask) Bounds() image.Rectangle { return m.mask.Bounds() }

// Contains says whether a pixel is inside.
func (m Mask) Contains(x, y int) bool {
	return image.Pt(x, y).In(image.Rect(0, 0, m.mask.Width, m.mask.Height)) && m.mask.Bits[y*m.mask.Width+x]
}

// WritePNG writes the mask as a grey PNG of 0 and 255.
func (m Mask) WritePNG(w io.Writer) error { return m.mask.WritePNG(w) }

// WriteMasks writes masks and their names as JSON that [ParseMasks] reads, in COCO's run lengths.
func WriteMasks(w io.Writer, masks []Mask) error {
	regions := make([]mask.Region, len(masks))
	for i, m := range masks {
		regions[i] = mask.Region{Name: m.Name, Mask: m.mask}
	}
	return mask.WriteJSON(w, regions)
}

// ErrEmptyMask says that no pixel of a mask lies in the picture.
var ErrEmptyMask = mask.ErrEmpty

// MaskError says which mask cannot be used, and for which picture.
type MaskError struct {
	Mask          string // its file, or as much of its text as fits
	Width, Height int    // of the picture
	Err           error
}

// Error names the mask and the reason.
func (e *MaskError) Error() string {
	return fmt.Sprintf("mask %s for a picture of %d × %d: %v", e.Mask, e.Width, e.Height, e.Err)
}

// Unwrap returns the reason.
func (e *MaskError) Unwrap() error { return e.Err }

// OpenMasks reads the masks of a file for a picture, told by its content:
//
//   - PNG: a palette, transparency, or a picture of black and white; of any size, fitted to the picture's.
//     FILE#3 is the object with index 3 of a palette alone, FILE#all each object as a mask of its own;
//   - JSON: one or several of COCO's run lengths or polygons, boxes, circles, points; in pixels of the
//     picture.
//
// A mask without a pixel in the picture is an error that wraps [ErrEmptyMask]; what lies outside is cut off. The
// error is a [*MaskError].
func OpenMasks(path string, photo *Photo) ([]Mask, error) {
	file, object := path, ""
	if at := strings.LastIndexByte(path, '#'); at > 0 {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			file, object = path[:at], path[at+1:]
		}
	}
	data, err := readLimited(file)
	if err != nil {
		return nil, fmt.Errorf("read mask %s: %w", path, err)
	}
	masks, err := parseMasks(data, object, photo)
	if err != nil {
		return nil, &MaskError{path, photo.Width, photo.Height, err}
	}
	base := filepath.Base(file)
	nameMasks(masks, strings.TrimSuffix(base, filepath.Ext(base)))
	return masks, nil
}

// maskBytesMax is the largest file of masks that is read.
const maskBytesMax = 256 << 20

func readLimited(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maskBytesMax+1))
	if err == nil && len(data) > maskBytesMax {
		err = fmt.Errorf("larger than the limit of %d MiB", maskBytesMax>>20)
	}
	return data, err
}

// ParseMasks is [OpenMasks] of the content of a file. Masks without a name get the one given.
func ParseMasks(data []byte, name string, photo *Photo) ([]Mask, error) {
	masks, err := parseMasks(data, "", photo)
	if err != nil {
		return nil, &MaskError{shortened(name), photo.Width, photo.Height, err}
	}
	nameMasks(masks, name)
	return masks, nil
}

// BoxMask returns the mask of a rectangle: left, top, right, bottom in pixels.
func BoxMask(photo *Photo, name string, left, top, right, bottom float64) (Mask, error) {
	m, err := mask.Box(photo.Width, photo.Height, left, top, right, bottom)
	if err != nil {
		return Mask{}, &MaskError{name, photo.Width, photo.Height, err}
	}
	return Mask{Name: name, mask: m}, nil
}

// parseMasks reads masks; object is the index of a palette, "all", or "".
func parseMasks(data []byte, object string, photo *Photo) ([]Mask, error) {
	if bytes.HasPrefix(data, []byte("\x89PNG")) {
		return parsePNG(data, object, photo)
	}
	if object != "" {
		return nil, fmt.Errorf("object %q is asked for, but the file is no PNG with a palette", object)
	}
	regions, err := mask.ReadJSON(data, photo.Width, photo.Height)
	if err != nil {
		if head := bytes.TrimSpace(data); len(head) == 0 || head[0] != '{' && head[0] != '[' {
			return nil, errors.New("neither PNG nor JSON")
		}
		return nil, err
	}
	masks := make([]Mask, len(regions))
	for i, r := range regions {
		masks[i] = Mask{Name: r.Name, mask: r.Mask}
	}
	return masks, nil
}

// parsePNG reads one mask, or each object of a palette.
func parsePNG(data []byte, object string, photo *Photo) ([]Mask, error) {
	indices := []int{0}
	switch {
	case object == "all":
		found, err := mask.PaletteIndices(data)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, errors.New("the PNG has no palette with objects in it")
		}
		indices = found
	case object != "":
		index, err := strconv.Atoi(object)
		if err != nil || index < 1 {
			return nil, fmt.Errorf("object %q: want an index of the palette from 1, or all", object)
		}
		indices[0] = index
	}
	var masks []Mask
	for _, index := range indices {
		m, err := mask.ReadPNG(data, mask.PNGOptions{Index: index})
		if err != nil {
			return nil, err
		}
		if m.Empty() {
			return nil, mask.ErrEmpty
		}
		fitted, err := m.Fit(photo.Width, photo.Height)
		if err != nil {
			return nil, err
		}
		one := Mask{mask: fitted}
		if object != "" {
			one.Name = fmt.Sprintf("object %d", index)
		}
		if !sameShape(m, photo) {
			one.note = fmt.Sprintf("it has %d × %d pixels, another shape than the picture's: it was stretched", m.Width, m.Height)
		}
		masks = append(masks, one)
	}
	return masks, nil
}

// sameShape says whether a mask has the picture's aspect ratio, up to rounding.
func sameShape(m *mask.Mask, photo *Photo) bool {
	const rounding = 0.02
	ratio := float64(m.Width) / float64(m.Height) * float64(photo.Height) / float64(photo.Width)
	return math.Abs(ratio-1) <= rounding || math.Abs(1/ratio-1) <= rounding
}

// nameMasks gives names to masks that have none, and numbers to those that share one.
func nameMasks(masks []Mask, name string) {
	taken := map[string]bool{}
	for i := range masks {
		base := masks[i].Name
		if base == "" {
			base = name
		}
		masks[i].Name = base
		for n := 2; taken[masks[i].Name]; n++ {
			masks[i].Name = fmt.Sprintf("%s %d", base, n)
		}
		taken[masks[i].Name] = true
	}
}
