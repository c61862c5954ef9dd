// Package goldentest gives tests what reference implementations computed from small models, and compares.
package goldentest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"evident/internal/kernel"
	"evident/internal/weights"
)

// EachTier runs a test in every tier that this CPU has.
func EachTier(t *testing.T, run func(t *testing.T)) {
	for tier := kernel.Generic; tier <= kernel.AMXBF16; tier++ {
		t.Run(tier.String(), func(t *testing.T) {
			restore, err := kernel.Force(tier)
			if err != nil {
				t.Skipf("NOT TESTED: %v", err)
			}
			defer restore()
			run(t)
		})
	}
}

// Arrays is a model's folder with what a reference computed from it: NAME.npy beside the model, or all of
// them in golden.safetensors.
type Arrays struct {
	Folder string
	file   *weights.File // nil for .npy
}

// Open opens a folder of this repository.
func Open(t testing.TB, folder string) *Arrays {
	t.Helper()
	file, err := weights.Open(filepath.Join(folder, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return &Arrays{folder, file}
}

// OpenShared opens a folder of golden values kept beside the repository; where they are not, it skips the test.
func OpenShared(t testing.TB, root, name string) *Arrays {
	t.Helper()
	folder := filepath.Join(root, "..", "shared", "golden", "vision", name)
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("NOT TESTED: the golden values %s are not beside this repository", name)
	}
	return &Arrays{Folder: folder}
}

// Has reports whether the reference computed this.
func (a *Arrays) Has(name string) bool {
	if a.file != nil {
		return a.file.Has(name)
	}
	_, err := os.Stat(filepath.Join(a.Folder, name+".npy"))
	return err == nil
}

// Floats returns an array of float32 and its shape.
func (a *Arrays) Floats(t testing.TB, name string) ([]float32, []int) {
	t.Helper()
	kind, shape, data := a.read(t, name)
	if kind != "F32" {
		t.Fatalf("%s is of type %s, want F32", name, kind)
	}
	values := make([]float32, len(data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return values, shape
}

// Ints returns an array of int64 and its shape.
func (a *Arrays) Ints(t testing.TB, name string) ([]int32, []int) {
	t.Helper()
	kind, shape, data := a.read(t, name)
	if kind != "I64" {
		t.Fatalf("%s is of type %s, want I64", name, kind)
	}
	values := make([]int32, len(data)/8)
	for i := range values {
		values[i] = int32(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return values, shape
}

func (a *Arrays) read(t testing.TB, name string) (kind string, shape []int, data []byte) {
	t.Helper()
	if a.file != nil {
		raw, err := a.file.Raw(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw.DType), raw.Shape, raw.Data
	}
	whole, err := os.ReadFile(filepath.Join(a.Folder, name+".npy"))
	if err != nil {
		t.Fatal(err)
	}
	if kind, shape, data, err = parseNPY(whole); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return kind, shape, data
}

var npyHeader = regexp.MustCompile(`^\{'descr': '<(f4|i8)', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \}`)

// parseNPY reads version 1 of NumPy's format, of the types that the golden values have.
func parseNPY(whole []byte) (kind string, shape []int, data []byte, err error) {
	if len(whole) < 10 || !bytes.HasPrefix(whole, []byte("\x93NUMPY\x01\x00")) {
		return "", nil, nil, errors.New("not NumPy's format, version 1")
	}
	length := 10 + int(binary.LittleEndian.Uint16(whole[8:]))
	header := npyHeader.FindSubmatch(whole[10:min(length, len(whole))])
	if header == nil {
		return "", nil, nil, fmt.Errorf("header %q is not known", whole[10:min(length, len(whole))])
	}
	for _, size := range strings.Split(string(header[2]), ",") {
		if size = strings.TrimSpace(size); size != "" {
			n, err := strconv.Atoi(size)
			if err != nil {
				return "", nil, nil, err
			}
			shape = append(shape, n)
		}
	}
	return map[string]string{"f4": "F32", "i8": "I64"}[string(header[1])], shape, whole[length:], nil
}

// Worst returns the largest difference of two arrays and where it is; NaN counts as infinite.
func Worst(t testing.TB, name string, got, want []float32) (worst float64, at int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d values, want %d", name, len(got), len(want))
	}
	for i := range got {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if d != d {
			d = math.Inf(1)
		}
		if d > worst {
			worst, at = d, i
		}
	}
	return worst, at
}

// Compare fails the test if an array differs from the reference's by more than limit, which is relative to
// the largest value where relative is set, and logs by how much.
func (a *Arrays) Compare(t testing.TB, name string, got []float32, limit float64, relative bool) {
	t.Helper()
	want, _ := a.Floats(t, name)
	worst, at := Worst(t, name, got, want)
	if relative {
		largest := 0.0
		for _, v := range want {
			largest = max(largest, math.Abs(float64(v)))
		}
		worst /= largest
	}
	t.Logf("%s: largest difference %.2g", name, worst)
	if !(worst <= limit) {
		t.Errorf("%s: value %d is %g, want %g (difference %.3g, limit %g)", name, at, got[at], want[at], worst, limit)
	}
}
