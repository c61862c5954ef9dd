package picture

import (
	"bytes"
	"image"
	"image/jpeg"
	"testing"
)

// photo returns a JPEG of 4000 × 3000 pixels with colour subsampled 4:2:0, as a phone writes it.
func photo(b *testing.B) []byte {
	b.Helper()
	m := image.NewYCbCr(image.Rect(0, 0, 4000, 3000), image.YCbCrSubsampleRatio420)
	noise := uint32(1)
	for i := range m.Y {
		noise = noise*1664525 + 1013904223
		m.Y[i] = uint8(i/4000/12) ^ uint8(noise>>29)
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = uint8(i%2000/8), uint8(i/2000/6)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkPhoto is a photo of 12 megapixels made into what a model of 224 pixels takes.
func BenchmarkPhoto(b *testing.B) {
	data := photo(b)
	recipe := Recipe{Size: [2]int{224, 224}, Mode: ShortestCrop, Mean: CLIPMean, Std: CLIPStd}
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(bytes.NewReader(data), Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("image/jpeg alone", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
	im, err := Decode(bytes.NewReader(data), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("turn", func(b *testing.B) {
		for b.Loop() {
			im.upright(6)
		}
	})
	b.Run("crop 224", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			recipe.Apply(im)
		}
	})
	squash := recipe
	squash.Mode = Squash
	tall := im.upright(6)
	b.Run("squash 224, portrait", func(b *testing.B) {
		for b.Loop() {
			squash.Apply(tall)
		}
	})
}
