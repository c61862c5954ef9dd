package heatmap

import (
	"image"
	"image/draw"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// typeface is Go's own, parsed once.
var typeface = sync.OnceValue(func() *opentype.Font {
	parsed, err := opentype.Parse(goregular.TTF)
	if err != nil {
		panic("heatmap: the embedded typeface: " + err.Error())
	}
	return parsed
})

// write puts text with its baseline at y, cut to width pixels.
func write(dst draw.Image, x, y, width int, size float64, text string) {
	face, err := opentype.NewFace(typeface(), &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		panic("heatmap: the embedded typeface: " + err.Error())
	}
	defer face.Close()
	d := font.Drawer{Dst: dst, Src: image.Black, Face: face, Dot: fixed.P(x, y)}
	d.DrawString(ellipsis(text, func(s string) bool { return d.MeasureString(s).Ceil() <= width }))
}
