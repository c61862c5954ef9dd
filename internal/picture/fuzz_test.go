package picture

import (
	"bytes"
	"os"
	"testing"
)

// FuzzDecode reads foreign bytes as every format: the result is a sound picture within the
// limit, or an error. The seeds are the files of testdata.
func FuzzDecode(f *testing.F) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() && e.Name() != "goldens.npz" {
			f.Add(file(f, e.Name()))
		}
	}
	const limit = 1 << 16
	f.Fuzz(func(t *testing.T, data []byte) {
		im, err := Decode(bytes.NewReader(data), Options{PixelsMax: limit})
		if (im == nil) == (err == nil) {
			t.Fatalf("picture %v and error %v", im, err)
		}
		if err != nil {
			return
		}
		pixels := im.Width * im.Height
		if im.Width < 1 || im.Height < 1 || pixels > limit || len(im.Pix) != 3*pixels {
			t.Fatalf("%d × %d pixels in %d bytes", im.Width, im.Height, len(im.Pix))
		}
		if !IsImage(data) || im.Format == "" {
			t.Fatalf("read as %q, which IsImage does not know", im.Format)
		}
	})
}

// FuzzOrientation reads foreign bytes as EXIF.
func FuzzOrientation(f *testing.F) {
	f.Add([]byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" +
		"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"))
	f.Add([]byte("II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\xFF\x00\x00\x00\x05\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, exif []byte) {
		if o := orientation(exif); o < 1 || o > 8 {
			t.Fatalf("orientation %d", o)
		}
	})
}

// FuzzResize resizes small pictures in every way: a flat picture stays flat, and nothing is out of
// bounds.
func FuzzResize(f *testing.F) {
	f.Add(uint8(1), uint8(1), uint8(5), uint8(3), uint8(0), uint8(200))
	f.Add(uint8(97), uint8(61), uint8(3), uint8(255), uint8(2), uint8(255))
	f.Fuzz(func(t *testing.T, w, h, width, height, filter, value uint8) {
		if w == 0 || h == 0 || width == 0 || height == 0 {
			return
		}
		im := newImage(int(w), int(h))
		for i := range im.Pix {
			im.Pix[i] = value
		}
		out := im.Resize(int(width), int(height), Filter(filter%6))
		for i, v := range out.Pix {
			if d := int(v) - int(value); d < -1 || d > 1 {
				t.Fatalf("value %d of a picture of %d is %d", i, value, v)
			}
		}
	})
}
