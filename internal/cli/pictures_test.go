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
	for name, data := range map[string][]byte{
		"square.png": whole.Bytes(), "cut.png": whole.Bytes()[:whole.Len()/2], "dot.png": dot.Bytes(), "moving.gif": moving.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
