package picture

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// array is one array of a .npy file.
type array struct {
	shape  []int
	bytes  []uint8   // dtype uint8
	floats []float32 // dtype float32
}

var (
	npyShape = regexp.MustCompile(`'shape': \(([^)]*)\)`)
	npyType  = regexp.MustCompile(`'descr': '([^']*)'`)
	number   = regexp.MustCompile(`\d+`)
)

// parseNPY reads an array of version 1 in C order.
func parseNPY(t testing.TB, data []byte) array {
	t.Helper()
	if !bytes.HasPrefix(data, []byte("\x93NUMPY\x01\x00")) || len(data) < 10 {
		t.Fatal("not a .npy file of version 1")
	}
	head := data[10:][:binary.LittleEndian.Uint16(data[8:])]
	body := data[10+len(head):]
	a, size := array{}, 1
	for _, digits := range number.FindAll(npyShape.FindSubmatch(head)[1], -1) {
		n, err := strconv.Atoi(string(digits))
		if err != nil {
			t.Fatal(err)
		}
		a.shape, size = append(a.shape, n), size*n
	}
	switch kind := string(npyType.FindSubmatch(head)[1]); kind {
	case "|u1":
		a.bytes = body[:size]
	case "<f4":
		a.floats = make([]float32, size)
		for i := range a.floats {
			a.floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[4*i:]))
		}
	default:
		t.Fatalf("arrays of type %s are not read", kind)
	}
	return a
}

// readAll reads all of r.
func readAll(t testing.TB, r io.Reader) []byte {
	t.Helper()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// shared returns an array of the goldens of another project, or skips the test.
func shared(t *testing.T, name string) array {
	t.Helper()
	return parseNPY(t, sharedFile(t, name+".npy"))
}

func sharedFile(t *testing.T, name string) []byte {
	t.Helper()
	path := filepath.Join(sharedFolder(), name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("the preprocessing goldens are not here: %v", err)
	}
	return data
}

func sharedFolder() string {
	return filepath.Join("..", "..", "..", "shared", "golden", "vision", "preprocess")
}

// compare demands equal sizes and differences of at most tolerance, and names the worst pixel.
func compare(t *testing.T, got *Image, want array, tolerance int) (worst int, mean float64) {
	t.Helper()
	if len(want.shape) != 3 || got.Height != want.shape[0] || got.Width != want.shape[1] {
		t.Fatalf("got %d × %d pixels, want [height, width, 3] %v", got.Width, got.Height, want.shape)
	}
	at, sum := 0, 0
	for i, v := range got.Pix {
		d := int(v) - int(want.bytes[i])
		if d < 0 {
			d = -d
		}
		sum += d
		if d > worst {
			worst, at = d, i
		}
	}
	if worst > tolerance {
		t.Errorf("pixel (%d, %d) channel %d is %d, want %d: %d apart, %d allowed", at/3%got.Width,
			at/3/got.Width, at%3, got.Pix[at], want.bytes[at], worst, tolerance)
	}
	return worst, float64(sum) / float64(len(got.Pix))
}
