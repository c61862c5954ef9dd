package heatmap

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"strings"

	"evident/internal/picture"
)

// Layout is how maps are shown.
type Layout string

// The layouts. Several texts are tiles beside each other, on one scale.
const (
	Overlay Layout = "overlay" // the map over the picture
	Contour Layout = "contour" // lines around what is above a quarter, a half, three quarters of the scale
	Side    Layout = "side"    // the picture, and beside it the maps alone
	Heat    Layout = "heat"    // the maps alone
)

// LayoutNamed returns the layout of a name.
func LayoutNamed(name string) (Layout, error) {
	switch l := Layout(name); l {
	case "":
		return Overlay, nil
	case Overlay, Contour, Side, Heat:
		return l, nil
	}
	return "", fmt.Errorf("there is no layout %q: there are overlay, contour, side and heat", name)
}

// Tile is one text's map.
type Tile struct {
	Title  string
	Detail string    // one or two lines
	Heat   []float32 // [height, width] of the picture, 0…1
}

// Options tunes [Draw]. The zero value is what people look at best.
type Options struct {
	Layout  Layout  // "" means Overlay
	Palette Palette // nil means Even
	Opacity float64 // of the map where it is hottest; 0 means 0.75
	Bare    bool    // no titles and no scale: one tile is then of the picture's own size
}

// Sizes of what is drawn around the tiles, in pixels.
const (
	gap       = 8
	titleRows = 64
	scaleRows = 34
)

// Draw shows maps of a picture.
func Draw(im *picture.Image, tiles []Tile, o Options) *image.RGBA {
	if o.Layout == "" {
		o.Layout = Overlay
	}
	if o.Palette == nil {
		o.Palette = Even
	}
	if o.Opacity == 0 {
		o.Opacity = 0.75
	}
	photo := rgba(im)
	if o.Layout == Side {
		tiles = append([]Tile{{Title: "the picture"}}, tiles...)
	}
	if o.Bare && len(tiles) == 1 {
		return o.tile(photo, tiles[0])
	}
	s := newSheet(im.Width, im.Height, len(tiles), o.Bare)
	for i, t := range tiles {
		s.put(i, o.tile(photo, t), t)
	}
	if !o.Bare {
		s.scale(o.Palette)
	}
	return s.RGBA
}

// tile draws one map; one without heat is the picture itself.
func (o *Options) tile(photo *image.RGBA, t Tile) *image.RGBA {
	out := image.NewRGBA(photo.Rect)
	copy(out.Pix, photo.Pix)
	switch {
	case t.Heat == nil:
	case o.Layout == Overlay:
		o.blend(out, t.Heat)
	case o.Layout == Contour:
		o.contours(out, t.Heat)
	default:
		for i, v := range t.Heat {
			c := o.Palette.Colour(v)
			copy(out.Pix[4*i:], []uint8{c.R, c.G, c.B, 255})
		}
	}
	return out
}

// blend lays the map over the picture, which loses half of its colour: what is cold stays to be
// seen under a thin dark veil, what is hot is covered up to the opacity.
func (o *Options) blend(out *image.RGBA, heat []float32) {
	const veil = 0.35 // of the opacity, where the map is zero
	for i, v := range heat {
		c, p := o.Palette.Colour(v), out.Pix[4*i:][:4]
		cover := float32(o.Opacity) * (veil + (1-veil)*float32(math.Sqrt(float64(v))))
		grey := 0.299*float32(p[0]) + 0.587*float32(p[1]) + 0.114*float32(p[2])
		for k, over := range [3]uint8{c.R, c.G, c.B} {
			under := (float32(p[k]) + grey) / 2
			p[k] = uint8(under + cover*(float32(over)-under) + 0.5)
		}
	}
}

// contours draws the lines of three levels, light inside of dark, so that they are seen on anything.
func (o *Options) contours(out *image.RGBA, heat []float32) {
	w, h := out.Rect.Dx(), out.Rect.Dy()
	thick := max(1, min(w, h)/180)
	for _, level := range []float32{0.25, 0.5, 0.75} {
		c := o.Palette.Colour(level + 0.25)
		for y := range h {
			for x := range w {
				if !crosses(heat, x, y, w, h, level) {
					continue
				}
				dot(out, x, y, thick+2, color.RGBA{0, 0, 0, 200})
			}
		}
		for y := range h {
			for x := range w {
				if crosses(heat, x, y, w, h, level) {
					dot(out, x, y, thick, c)
				}
			}
		}
	}
}

// crosses says whether the level lies between a pixel and the one right of or below it.
func crosses(heat []float32, x, y, w, h int, level float32) bool {
	at := heat[y*w+x] >= level
	return x+1 < w && at != (heat[y*w+x+1] >= level) || y+1 < h && at != (heat[(y+1)*w+x] >= level)
}

// dot paints a square of size×size pixels around a point, over what is there.
func dot(out *image.RGBA, x, y, size int, c color.RGBA) {
	r := image.Rect(x-(size-1)/2, y-(size-1)/2, x+size/2+1, y+size/2+1)
	c.R, c.G, c.B = scaled(c.R, c.A), scaled(c.G, c.A), scaled(c.B, c.A)
	draw.Draw(out, r, image.NewUniform(c), image.Point{}, draw.Over)
}

// scaled multiplies a channel by its alpha, as color.RGBA wants it.
func scaled(v, alpha uint8) uint8 { return uint8((int(v)*int(alpha) + 127) / 255) }

// rgba copies a picture.
func rgba(im *picture.Image) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, im.Width, im.Height))
	for i := range im.Width * im.Height {
		copy(out.Pix[4*i:], im.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}

// sheet is where tiles are put beside each other.
type sheet struct {
	*image.RGBA
	columns, width, height int // tiles a row; pixels of a tile
	bare                   bool
}

// newSheet makes room for n tiles in about as many columns as rows, wide pictures rather below each
// other and tall ones beside each other.
func newSheet(width, height, n int, bare bool) *sheet {
	s := &sheet{width: width, height: height, bare: bare}
	s.columns = int(math.Ceil(math.Sqrt(float64(n) * float64(height) / float64(width) * 1.5)))
	s.columns = min(max(s.columns, 1), n)
	rows := (n + s.columns - 1) / s.columns
	total := rows*(height+s.below()) + (rows-1)*gap
	if !bare {
		total += scaleRows
	}
	s.RGBA = image.NewRGBA(image.Rect(0, 0, s.columns*width+(s.columns-1)*gap, total))
	draw.Draw(s.RGBA, s.Rect, image.White, image.Point{}, draw.Src)
	return s
}

// below is the height of what stands below a tile.
func (s *sheet) below() int {
	if s.bare {
		return 0
	}
	return titleRows
}

// put draws tile number i and what it says.
func (s *sheet) put(i int, tile *image.RGBA, t Tile) {
	x := i % s.columns * (s.width + gap)
	y := i / s.columns * (s.height + s.below() + gap)
	draw.Draw(s.RGBA, tile.Rect.Add(image.Pt(x, y)), tile, image.Point{}, draw.Src)
	if s.bare {
		return
	}
	write(s.RGBA, x+2, y+s.height+19, s.width-4, 16, t.Title)
	for i, line := range strings.Split(t.Detail, "\n") {
		write(s.RGBA, x+2, y+s.height+37+18*i, s.width-4, 13, line)
	}
}

// scale draws what the colours mean, at the bottom.
func (s *sheet) scale(p Palette) {
	top, width := s.Rect.Dy()-scaleRows+8, min(260, s.Rect.Dx()/2)
	for x := range width {
		c := p.Colour(float32(x) / float32(max(width-1, 1)))
		for y := range 12 {
			s.SetRGBA(x+2, top+y, c)
		}
	}
	write(s.RGBA, width+10, top+11, s.Rect.Dx()-width-12, 13, "dark: not seen here · light: seen here")
}

// ellipsis cuts a text to what fits.
func ellipsis(text string, fits func(string) bool) string {
	text = strings.Join(strings.Fields(text), " ")
	if fits(text) {
		return text
	}
	runes := []rune(text)
	for n := len(runes) - 1; n > 0; n-- {
		if short := string(runes[:n]) + "…"; fits(short) {
			return short
		}
	}
	return ""
}
