package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestNotAnImage(t *testing.T) {
	for name, data := range map[string]string{
		"empty":       "",
		"text":        "BM is what this text begins with, and it goes on for a while.",
		"short":       "\xFF",
		"html":        "<html><img src='a.png'></html>",
		"pdf":         "%PDF-1.7\n" + strings.Repeat("x", 100),
		"riff, audio": "RIFF\x00\x00\x00\x00WAVEfmt " + strings.Repeat("x", 100),
	} {
		if _, err := Decode(strings.NewReader(data), Options{}); !errors.Is(err, ErrNotImage) {
			t.Errorf("%s: the error is %v, want ErrNotImage", name, err)
		}
		if IsImage([]byte(data)) {
			t.Errorf("%s: taken for an image", name)
		}
	}
}

func TestIsImage(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		data := file(t, e.Name())
		if got, want := IsImage(data[:32]), e.Name() != "goldens.npz"; got != want {
			t.Errorf("%s: IsImage says %v", e.Name(), got)
		}
	}
}

func TestUnsupported(t *testing.T) {
	ink := bytes.Replace(file(t, "cmyk.jpg"), []byte("\xFF\xC0"), []byte("\xFF\xC9"), 1)
	rle := file(t, "rgb.bmp")
	rle[30] = 1 // compression
	for name, c := range map[string]struct {
		data []byte
		want UnsupportedError
	}{
		"heic":       {[]byte("\x00\x00\x00\x18ftypheic0123456789"), UnsupportedError{Format: "heic"}},
		"avif":       {[]byte("\x00\x00\x00\x18ftypavif0123456789"), UnsupportedError{Format: "avif"}},
		"jpeg xl":    {[]byte("\xFF\x0A0123456789"), UnsupportedError{Format: "jpeg xl"}},
		"jpeg 2000":  {[]byte("\x00\x00\x00\x0CjP  \r\n\x87\n"), UnsupportedError{Format: "jpeg 2000"}},
		"photoshop":  {[]byte("8BPS0123456789"), UnsupportedError{Format: "photoshop"}},
		"bigtiff":    {[]byte("II+\x000123456789"), UnsupportedError{Format: "bigtiff"}},
		"arithmetic": {ink, UnsupportedError{"jpeg", "arithmetic coding"}},
		"planar":     {file(t, "planar.tiff"), UnsupportedError{"tiff", "one plane for each colour"}},
		"run length": {rle, UnsupportedError{"bmp", "compression, or a header of an unusual kind,"}},
	} {
		var got *UnsupportedError
		_, err := Decode(bytes.NewReader(c.data), Options{})
		if !errors.As(err, &got) || *got != c.want {
			t.Errorf("%s: the error is %v, want %v", name, err, &c.want)
		}
	}
}

// huge returns files of every format whose header promises 10,000 × 10,000 pixels.
func huge(t *testing.T) map[string][]byte {
	le, be := binary.LittleEndian, binary.BigEndian
	png := file(t, "rgb.png")
	be.PutUint32(png[16:], 10_000)
	be.PutUint32(png[20:], 10_000)
	be.PutUint32(png[29:], crc32.ChecksumIEEE(png[12:29]))
	jpg := file(t, "420.jpg")
	twice := slices.Concat(png[:33], chunk("IDAT", deflated(t, 100)), file(t, "rgb.png")[8:])
	frame := bytes.Index(jpg, []byte("\xFF\xC0"))
	be.PutUint16(jpg[frame+5:], 10_000)
	be.PutUint16(jpg[frame+7:], 10_000)
	screen, inside := file(t, "plain.gif"), file(t, "plain.gif")
	le.PutUint16(screen[6:], 10_000)
	le.PutUint16(screen[8:], 10_000)
	descriptor := bytes.Index(inside, []byte{',', 0, 0, 0, 0, 29, 0, 19, 0})
	le.PutUint16(inside[descriptor+5:], 10_000)
	le.PutUint16(inside[descriptor+7:], 10_000)
	lossy := file(t, "lossy-29x19.webp")
	le.PutUint16(lossy[26:], 10_000)
	le.PutUint16(lossy[28:], 10_000)
	lossless := file(t, "lossless.webp")
	le.PutUint32(lossless[21:], 9_999|9_999<<14)
	canvas := file(t, "animated.webp")
	copy(canvas[24:], "\x0F\x27\x00\x0F\x27\x00")
	tiff := file(t, "raw.tiff")
	dir, err := readDirectory(tiff)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range dir.entries[:2] { // width and height
		dir.order.PutUint16(e[2:], 4)
		dir.order.PutUint32(e[8:], 10_000)
	}
	bmp := file(t, "rgb.bmp")
	le.PutUint32(bmp[18:], 10_000)
	le.PutUint32(bmp[22:], 10_000)
	return map[string][]byte{
		"png": png, "png, later smaller": twice, "jpeg": jpg,
		"gif screen": screen, "gif frame": inside, "tiff": tiff, "bmp": bmp,
		"webp lossy": lossy, "webp lossless": lossless, "webp canvas": canvas,
	}
}

// TestTooLarge proves that a size beyond the limit is refused before memory is given to it: all
// that is allocated is a small multiple of the file.
func TestTooLarge(t *testing.T) {
	for name, data := range huge(t) {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Decode(bytes.NewReader(data), Options{})
			runtime.ReadMemStats(&after)
			var got *TooLargeError
			want := TooLargeError{10_000, 10_000, PixelsMax}
			if !errors.As(err, &got) || *got != want {
				t.Fatalf("the error is %v", err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 256<<10 {
				t.Errorf("%d bytes were allocated", n)
			}
		})
	}
	path := filepath.Join("testdata", "rgb.png")
	im, err := Open(path, Options{PixelsMax: 29 * 19})
	if err != nil || im.Width != 29 {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := Open(path, Options{PixelsMax: 29*19 - 1}); err == nil {
		t.Error("beyond the limit: no error")
	}
}

// TestTooLargeFirst reads a large picture that is cut as well: its size is what to say. Of a GIF
// the first frame is looked for before.
func TestTooLargeFirst(t *testing.T) {
	for name, data := range huge(t) {
		if strings.HasPrefix(name, "gif") {
			continue
		}
		var got *TooLargeError
		_, err := Decode(bytes.NewReader(data[:len(data)-7]), Options{})
		if !errors.As(err, &got) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

// TestHiddenSize reads a TIFF whose width stands outside of the directory, where a single value
// need not.
func TestHiddenSize(t *testing.T) {
	data := file(t, "raw.tiff")
	dir, err := readDirectory(data)
	if err != nil {
		t.Fatal(err)
	}
	width, height := dir.entries[0], dir.entries[1]
	dir.order.PutUint16(width[2:], 1) // bytes
	dir.order.PutUint32(width[4:], 5)
	dir.order.PutUint32(width[8:], uint32(len(data)))
	dir.order.PutUint16(height[2:], 4)
	dir.order.PutUint32(height[8:], 1<<20)
	var got *TooLargeError
	_, err = Decode(bytes.NewReader(append(data, 255, 0, 0, 0, 0)), Options{})
	if !errors.As(err, &got) || got.Width != 255 {
		t.Errorf("the error is %v", err)
	}
}

// TestBomb decodes a PNG of a few bytes that inflates to much more than its pixels.
func TestBomb(t *testing.T) {
	good := file(t, "bilevel.png")
	pixels := bytes.Index(good, []byte("IDAT")) - 4
	text := chunk("zTXt", append([]byte("bomb\x00\x00"), deflated(t, 16<<20)...))
	image := chunk("IDAT", deflated(t, 16<<20))
	for name, data := range map[string][]byte{
		"text":   slices.Concat(good[:pixels], text, good[pixels:]),
		"pixels": slices.Concat(good[:pixels], image, []byte(pngEnd)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		im, err := Decode(bytes.NewReader(data), Options{})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
		if name == "text" && (err != nil || im.Width != 29) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "pixels" && err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestScans refuses a progressive JPEG that repeats its last scan for ever.
func TestScans(t *testing.T) {
	data := file(t, "progressive.jpg")
	last := bytes.LastIndex(data, []byte("\xFF\xDA"))
	body, end := data[last:len(data)-2], data[len(data)-2:]
	data = slices.Concat(data[:last], bytes.Repeat(body, scansMax), end)
	var got *UnsupportedError
	if _, err := Decode(bytes.NewReader(data), Options{}); !errors.As(err, &got) {
		t.Errorf("the error is %v", err)
	}
	// What follows the end is not counted.
	data = slices.Concat(file(t, "420.jpg"), bytes.Repeat([]byte("\xFF\xDA\x00\x02"), 2*scansMax))
	if _, err := Decode(bytes.NewReader(data), Options{}); err != nil {
		t.Errorf("with a film after it: %v", err)
	}
}

// TestTruncated cuts a file of every kind at every byte: it must be refused, with ErrTruncated
// once the header is there, or, for files that lack only what comes after the pixels, be whole.
func TestTruncated(t *testing.T) {
	for _, c := range []struct {
		name string
		tail int // the most bytes at the end that may be missing
	}{
		{"420.jpg", 2}, // the end marker
		{"grey.jpg", 2},
		{"progressive.jpg", 0},
		{"cmyk.jpg", 2},
		{"rgb.png", 12}, // the end chunk
		{"palette4.png", 12},
		{"plain.gif", 1}, // the trailer
		{"lossy-29x19.webp", 1},
		{"lossless.webp", 1},
		{"raw.tiff", 0},
		{"deflate.tiff", 0},
		{"rgb.bmp", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := file(t, c.name)
			whole, err := Decode(bytes.NewReader(data), Options{})
			if err != nil {
				t.Fatal(err)
			}
			refused := 0
			for n := range data {
				im, err := Decode(bytes.NewReader(data[:n]), Options{})
				if err == nil {
					if len(data)-n > c.tail {
						t.Fatalf("%d of %d bytes were read as a picture", n, len(data))
					}
					if !bytes.Equal(im.Pix, whole.Pix) {
						t.Fatalf("%d of %d bytes were read as another picture", n, len(data))
					}
					continue
				}
				if n >= 32 && !errors.Is(err, ErrTruncated) {
					t.Fatalf("%d of %d bytes: %v", n, len(data), err)
				}
				refused++
			}
			if refused < len(data)-c.tail {
				t.Errorf("only %d of %d lengths were refused", refused, len(data))
			}
		})
	}
}

func TestMissingEnd(t *testing.T) {
	for name, tail := range map[string]int{"420.jpg": 2, "rgb.png": 12, "plain.gif": 1} {
		data := file(t, name)
		if _, err := Decode(bytes.NewReader(data[:len(data)-tail]), Options{}); err != nil {
			t.Errorf("%s without its last %d bytes: %v", name, tail, err)
		}
	}
}

func TestErrorsOfReading(t *testing.T) {
	for path, want := range map[string]error{
		filepath.Join("testdata", "absent.png"): os.ErrNotExist,
		"golden_test.go":                        ErrNotImage,
	} {
		_, err := Open(path, Options{})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("open %s: %v", path, err)
		}
	}
	broken := errors.New("the cable was pulled")
	for _, n := range []int{0, 100} {
		r := io.MultiReader(bytes.NewReader(file(t, "rgb.png")[:n]), iotest.ErrReader(broken))
		if _, err := Decode(r, Options{}); !errors.Is(err, broken) {
			t.Errorf("broken after %d bytes: %v", n, err)
		}
	}
	slow := iotest.OneByteReader(bytes.NewReader(file(t, "rgb.png")))
	if _, err := Decode(slow, Options{}); err != nil {
		t.Errorf("byte by byte: %v", err)
	}
}

func TestHostileEXIF(t *testing.T) {
	// one makes EXIF of a single entry, orientation, of a type, a count and four bytes of value.
	one := func(kind, count, value string) string {
		return "MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12" + kind + count + value
	}
	const (
		isByte, isText, isShort, isLong = "\x00\x01", "\x00\x02", "\x00\x03", "\x00\x04"
		none, single, many              = "\x00\x00\x00\x00", "\x00\x00\x00\x01", "\xFF\xFF\xFF\xFF"
	)
	little := "II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x05\x00\x00\x00"
	for name, c := range map[string]struct {
		exif string
		want int
	}{
		"empty":        {"", 1},
		"no directory": {"MM\x00*\xFF\xFF\xFF\xFF", 1},
		"cut":          {one(isShort, single, "\x00\x06"), 1},
		"short":        {one(isShort, single, "\x00\x06\x00\x00"), 6},
		"long":         {one(isLong, single, "\x00\x00\x00\x03"), 3},
		"byte":         {"Exif\x00\x00" + one(isByte, single, "\x08\x00\x00\x00"), 8},
		"little":       {little, 5},
		"nine":         {one(isShort, single, "\x00\x09\x00\x00"), 1},
		"zero":         {one(isShort, single, "\x00\x00\x00\x00"), 1},
		"none":         {one(isShort, none, "\x00\x06\x00\x00"), 1},
		"text":         {one(isText, single, "\x00\x06\x00\x00"), 1},
		"far away":     {one(isShort, many, "\xFF\xFF\xFF\xFF"), 1},
	} {
		if got := orientation([]byte(c.exif)); got != c.want {
			t.Errorf("%s: orientation %d, want %d", name, got, c.want)
		}
	}
}

// TestCircle reads a TIFF whose next page is the same again.
func TestCircle(t *testing.T) {
	data := file(t, "raw.tiff")
	dir, err := readDirectory(data)
	if err != nil {
		t.Fatal(err)
	}
	start := dir.order.Uint32(data[4:])
	dir.order.PutUint32(data[int(start)+2+entryBytes*len(dir.entries):], start)
	im, err := Decode(bytes.NewReader(data), Options{})
	if err != nil || len(im.Notes) != 0 {
		t.Errorf("picture %v, error %v", im, err)
	}
}

func TestNoPixels(t *testing.T) {
	bmp, gif := file(t, "rgb.bmp"), file(t, "plain.gif")
	copy(bmp[18:], "\x00\x00\x00\x00\x00\x00\x00\x00")
	copy(gif[6:], "\x00\x00\x00\x00")
	descriptor := bytes.IndexByte(gif[13+3*64:], ',') + 13 + 3*64
	copy(gif[descriptor+5:], "\x00\x00\x00\x00")
	for name, data := range map[string][]byte{"bmp": bmp, "gif": gif} {
		_, err := Decode(bytes.NewReader(data), Options{})
		if err == nil || !strings.Contains(err.Error(), "0 × 0") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

// chunk returns a chunk of a PNG.
func chunk(name string, body []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	out = append(append(out, name...), body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

// deflated returns n zeros, compressed.
func deflated(t *testing.T, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := io.CopyN(w, zeros{}, int64(n)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
