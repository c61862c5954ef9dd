package cli

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/png"
	"os"
	"path/filepath"
)

// writePictures writes what scripts look at:
//
//	square.png   64 × 48, a red square on white
//	cut.png      the first half of it
//	dot.png      one pixel
//	moving.gif   two frames
//	mask.png     32 × 24, white where the square of square.png is, but for its right third
//	black.png    the same size, black
//	square-mask.png  10 × 10, its upper half white
func writePictures(dir string) error {
	square := image.NewRGBA(image.Rect(0, 0, 64, 48))
	draw.Draw(square, square.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(square, image.Rect(40, 8, 60, 28), image.NewUniform(color.RGBA{200, 20, 20, 255}), image.Point{}, draw.Src)
	frame := image.NewPaletted(image.Rect(0, 0, 20, 20), color.Palette{color.White, color.Black})
	var whole, dot, moving bytes.Buffer
	if err := png.Encode(&whole, square); err != nil {
		return err
	}
	if err := png.Encode(&dot, image.NewRGBA(image.Rect(0, 0, 1, 1))); err != nil {
		return err
	}
	frames := &gif.GIF{Image: []*image.Paletted{frame, frame}, Delay: []int{1, 1}}
	if err := gif.EncodeAll(&moving, frames); err != nil {
		return err
	}
	masks := map[string]image.Rectangle{"mask.png": image.Rect(20, 4, 27, 14), "black.png": {}}
	for name, white := range masks {
		if err := writeMask(filepath.Join(dir, name), image.Rect(0, 0, 32, 24), white); err != nil {
			return err
		}
	}
	if err := writeMask(filepath.Join(dir, "square-mask.png"), image.Rect(0, 0, 10, 10), image.Rect(0, 0, 10, 5)); err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"square.png": whole.Bytes(), "cut.png": whole.Bytes()[:whole.Len()/2], "dot.png": dot.Bytes(), "moving.gif": moving.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeMask writes a grey PNG that is white in a part.
func writeMask(path string, area, white image.Rectangle) error {
	m := image.NewGray(area)
	draw.Draw(m, white, image.White, image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
