package evident

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"io"
	"os"
	"sync"

	"evident/document"
	"evident/internal/heatmap"
	"evident/internal/picture"
	"evident/store"
)

// ReadPhoto reads a picture from a stream, as [OpenPhoto] reads a file.
func ReadPhoto(r io.Reader, o PhotoOptions) (*Photo, error) {
	im, err := picture.Decode(r, picture.Options{PixelsMax: o.PixelsMax})
	if err != nil {
		return nil, err
	}
	return &Photo{Width: im.Width, Height: im.Height, Notes: im.Notes, image: im}, nil
}

// Photo reads a picture of the index from its file. The path is as in [Index.Show]; the error is
// [ErrNoDocument] for one that is not in the index, and [ErrNotImage] for a document.
func (x *Index) Photo(ctx context.Context, path string, o PhotoOptions) (*Photo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, err := x.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.snapshot.Release()
	full, err := v.resolve(path)
	if err != nil {
		return nil, err
	}
	d, err := v.document(full)
	if err != nil {
		return nil, err
	}
	if d.Picture == nil {
		return nil, fmt.Errorf("look at %s: %w", path, ErrNotImage)
	}
	photo, err := x.lastPhoto.open(full, o)
	if err != nil {
		return nil, err
	}
	photo.Path = d.source.Path
	return photo, nil
}

// lastPhoto keeps the picture that was read last: who paints on one asks about it again with every stroke.
type lastPhoto struct {
	mu    sync.Mutex
	path  string
	stat  store.FileStat
	photo *Photo
}

// lastPixelsMax is how many pixels a picture may have to be kept: 48 MB of them.
const lastPixelsMax = 16 << 20

// open returns a picture that is the caller's own, but for its pixels, which nobody changes.
func (l *lastPhoto) open(path string, o PhotoOptions) (*Photo, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return OpenPhoto(path, o) // which says what is wrong
	}
	l.mu.Lock()
	kept := l.photo
	if l.path != path || !l.stat.Same(info) {
		kept = nil
	}
	l.mu.Unlock()
	if kept == nil || kept.Width*kept.Height > cmp.Or(o.PixelsMax, PixelsMax) {
		read, err := OpenPhoto(path, o)
		if err != nil {
			return nil, err
		}
		kept = read
	}
	if kept.Width*kept.Height <= lastPixelsMax {
		l.mu.Lock()
		l.path, l.stat, l.photo = path, document.NewFileStat(info), kept
		l.mu.Unlock()
	}
	own := *kept
	return &own, nil
}

// Image returns the picture for display, its longest side at most sideMax pixels; 0 keeps its size.
func (p *Photo) Image(sideMax int) image.Image {
	im := shrunk(p.image, sideMax)
	out := image.NewRGBA(image.Rect(0, 0, im.Width, im.Height))
	for i := range im.Width * im.Height {
		copy(out.Pix[4*i:4*i+3], im.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 0xff
	}
	return out
}

// shrunk scales a picture down so that no side is longer than side; 0 keeps it.
func shrunk(im *picture.Image, side int) *picture.Image {
	longest := max(im.Width, im.Height)
	if side <= 0 || longest <= side {
		return im
	}
	return im.Resize(max(1, im.Width*side/longest), max(1, im.Height*side/longest), picture.Bicubic)
}

// EmbedTexts returns the vectors [len(texts)][E] of length 1. They compare with those of pictures.
// The error is a [*TextError] for a text without words.
func (v *Vision) EmbedTexts(ctx context.Context, texts []string) ([][]float32, error) {
	encoded, err := v.texts(ctx, texts)
	if err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(encoded))
	for i := range encoded {
		vectors[i] = encoded[i].Embedding
	}
	return vectors, nil
}

// EmbedPhoto returns the vector [E] of length 1 of a picture.
func (v *Vision) EmbedPhoto(ctx context.Context, photo *Photo) ([]float32, error) {
	return v.queryVector(ctx, ImageQuery{Photo: photo})
}

// Keep scales the picture down to at most side pixels a side, so that many explanations can be kept
// and still be drawn. It returns the explanation.
func (e *Explanation) Keep(side int) *Explanation {
	photo := *e.photo
	photo.image = shrunk(photo.image, side)
	e.photo = &photo
	return e
}

// Picture returns the picture for display, its longest side at most sideMax pixels; 0 keeps its size.
func (e *Explanation) Picture(sideMax int) image.Image { return e.photo.Image(sideMax) }

// HeldBytes is about how much memory the explanation holds.
func (e *Explanation) HeldBytes() int {
	if e.photo == nil {
		return 0
	}
	n := len(e.photo.image.Pix)
	for i := range e.Maps {
		n += 4 * len(e.Maps[i].field.Values)
	}
	return n
}

// Heat returns the maps on the scale 0 to 1 that Draw shows, each as a grey picture whose longest side
// is at most sideMax pixels.
func (e *Explanation) Heat(sideMax int) []*image.Gray {
	width, height := e.Width, e.Height
	if longest := max(width, height); sideMax > 0 && longest > sideMax {
		width, height = max(1, width*sideMax/longest), max(1, height*sideMax/longest)
	}
	out := make([]*image.Gray, len(e.Maps))
	for i, values := range e.heat(width, height) {
		out[i] = image.NewGray(image.Rect(0, 0, width, height))
		for at, value := range values {
			out[i].Pix[at] = uint8(min(max(value, 0), 1)*255 + 0.5)
		}
	}
	return out
}

// EvenPalette returns the 256 colours of the default palette, cold to hot, as red, green, blue.
func EvenPalette() [256][3]uint8 {
	var colours [256][3]uint8
	for i, c := range heatmap.Even {
		colours[i] = [3]uint8{c.R, c.G, c.B}
	}
	return colours
}
