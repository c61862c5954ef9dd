// Package weights reads and writes safetensors files: named tensors behind a JSON header, and
// nothing that could run code. A file is checked as a whole when it is opened, so that what it
// says of its tensors can be believed afterwards.
package weights

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"evident/internal/pack"
)

// DType is the type of a tensor's elements, by the name safetensors gives it.
type DType string

// The element types. Only the first four can be read as float32; the others are raw bytes.
const (
	F32    DType = "F32"
	F16    DType = "F16"
	BF16   DType = "BF16"
	I8     DType = "I8"
	Bool   DType = "BOOL"
	U8     DType = "U8"
	F8E4M3 DType = "F8_E4M3"
	F8E5M2 DType = "F8_E5M2"
	I16    DType = "I16"
	U16    DType = "U16"
	I32    DType = "I32"
	U32    DType = "U32"
	I64    DType = "I64"
	U64    DType = "U64"
	F64    DType = "F64"
)

// Size returns the bytes of one element, or 0 for a type that is not known.
func (d DType) Size() int {
	switch d {
	case Bool, U8, I8, F8E4M3, F8E5M2:
		return 1
	case F16, BF16, I16, U16:
		return 2
	case F32, I32, U32:
		return 4
	case F64, I64, U64:
		return 8
	}
	return 0
}

// Tensor is an array in row-major order. Data is little-endian and, when it comes from a mapped
// file, neither to be written to nor to be used after the file is closed.
type Tensor struct {
	DType DType
	Shape []int
	Data  []byte
}

// ShapeError says that a tensor is there but of another shape.
type ShapeError struct {
	Name      string
	Got, Want []int
}

func (e *ShapeError) Error() string {
	return fmt.Sprintf("tensor %q is %v, the model needs %v", e.Name, e.Got, e.Want)
}

// MissingError says that a tensor is not there.
type MissingError struct{ Name string }

func (e *MissingError) Error() string { return fmt.Sprintf("tensor %q is missing", e.Name) }

// FormatError says in what a file breaks the format.
type FormatError struct {
	Tensor string // "" when the file as a whole is wrong
	Reason string
}

func (e *FormatError) Error() string {
	if e.Tensor == "" {
		return "not a sound safetensors file: " + e.Reason
	}
	return fmt.Sprintf("not a sound safetensors file: tensor %q: %s", e.Tensor, e.Reason)
}

// File is one safetensors file, or several that an index joins into one.
type File struct {
	name     string // named by errors; "" for bytes that came without one
	tensors  map[string]Tensor
	metadata map[string]string
	close    []func() error

	// With a cache (packed.go), tensors holds names only, and the weights are opened when needed.
	cache  *pack.Cache
	open   func() (*File, error)
	opened *File
}

// Open maps a file into memory and checks it. A name that ends in .index.json is the index of a
// sharded checkpoint, whose parts lie beside it.
func Open(path string) (*File, error) {
	return OpenFS(os.DirFS(filepath.Dir(path)), filepath.Base(path))
}

// OpenFS is Open within a file system. Files of a real folder are mapped, others are read.
func OpenFS(folder fs.FS, name string) (*File, error) {
	if strings.HasSuffix(name, ".index.json") {
		return openShards(folder, name)
	}
	file, err := folder.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	defer file.Close()
	if f, ok := file.(*os.File); ok {
		name = f.Name() // with its folder
	}
	data, unmap, err := contents(file)
	if err != nil {
		return nil, fmt.Errorf("read weights %q: %w", name, err)
	}
	f, err := parseNamed(data, name)
	if err != nil {
		return nil, errors.Join(err, unmap())
	}
	f.close = append(f.close, unmap)
	return f, nil
}

// OpenFolder opens the model.safetensors of a checkpoint's folder, or the shards that its
// model.safetensors.index.json names.
func OpenFolder(folder fs.FS) (*File, error) {
	f, err := OpenFS(folder, "model.safetensors")
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	sharded, other := OpenFS(folder, "model.safetensors.index.json")
	if _, gone := fs.Stat(folder, "model.safetensors.index.json"); gone != nil {
		return nil, err // neither is there: name the usual one
	}
	return sharded, other
}

// Parse checks the bytes of a file, which must not change afterwards.
func Parse(data []byte) (*File, error) { return parseNamed(data, "") }

func parseNamed(data []byte, name string) (*File, error) {
	f := &File{name: name}
	var err error
	if f.tensors, f.metadata, err = parse(data); err != nil {
		return nil, f.wrap(err)
	}
	return f, nil
}

// contents returns the bytes of a file and what gives them back.
func contents(file fs.File) ([]byte, func() error, error) {
	if f, ok := file.(*os.File); ok {
		return mapped(f)
	}
	var data bytes.Buffer
	if info, err := file.Stat(); err == nil {
		data.Grow(int(info.Size()) + bytes.MinRead) // else it grows by doubling, over copies of all before
	}
	_, err := data.ReadFrom(file)
	return data.Bytes(), func() error { return nil }, err
}

// Close gives the mapped memory back. Slices that Float32 returned stay valid, raw data does not.
func (f *File) Close() error {
	var err error
	for _, c := range f.close {
		err = errors.Join(err, c())
	}
	f.close, f.tensors, f.opened = nil, nil, nil
	return err
}

// Names yields the tensors' names in alphabetic order.
func (f *File) Names() iter.Seq[string] {
	return slices.Values(slices.Sorted(maps.Keys(f.tensors)))
}

// Has reports whether there is a tensor of that name.
func (f *File) Has(name string) bool {
	_, ok := f.tensors[name]
	return ok
}

// Metadata returns what the header says beside the tensors.
func (f *File) Metadata() map[string]string { return f.metadata }

// Raw returns a tensor as it is stored.
func (f *File) Raw(name string) (Tensor, error) {
	if f.open != nil {
		file, err := f.source()
		if err != nil {
			return Tensor{}, err
		}
		return file.Raw(name)
	}
	t, ok := f.tensors[name]
	if !ok {
		return Tensor{}, f.wrap(&MissingError{name})
	}
	return t, nil
}

// Float32 returns a copy of a tensor as float32, whatever floating type it has; an I8 tensor
// must have a companion NAME.scale with one F32 for each row. The tensor must have exactly the
// shape given.
func (f *File) Float32(name string, shape ...int) ([]float32, error) {
	if f.cache != nil {
		return f.packedFloats(name, shape)
	}
	t, err := f.Raw(name)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(t.Shape, shape) {
		return nil, f.wrap(&ShapeError{name, t.Shape, shape})
	}
	dst := make([]float32, len(t.Data)/t.DType.Size())
	if err := f.convert(dst, name, t); err != nil {
		return nil, err
	}
	return dst, nil
}

// convert writes the elements of t to dst.
func (f *File) convert(dst []float32, name string, t Tensor) error {
	switch t.DType {
	case F32:
		fromF32(dst, t.Data)
	case F16:
		fromF16(dst, t.Data)
	case BF16:
		fromBF16(dst, t.Data)
	case I8:
		scale, err := f.scales(name, t)
		if err != nil {
			return err
		}
		if len(dst) > 0 {
			fromI8(dst, t.Data, scale)
		}
	default:
		return f.notNumbers(name, t.DType)
	}
	return nil
}

func (f *File) notNumbers(name string, d DType) error {
	return f.wrap(fmt.Errorf("tensor %q is of type %s, want F32, F16, BF16 or I8", name, d))
}

// scales reads the companion of an I8 tensor.
func (f *File) scales(name string, t Tensor) ([]float32, error) {
	if len(t.Shape) != 2 {
		return nil, f.wrap(fmt.Errorf("tensor %q of type I8 is %v, want two dimensions",
			name, t.Shape))
	}
	companion, err := f.Raw(name + ".scale")
	if err != nil {
		return nil, err
	}
	if companion.DType != F32 {
		return nil, f.wrap(fmt.Errorf("tensor %q is of type %s, want F32",
			name+".scale", companion.DType))
	}
	return f.Float32(name+".scale", t.Shape[0])
}

func (f *File) wrap(err error) error {
	if f.name == "" {
		return fmt.Errorf("read weights: %w", err)
	}
	return fmt.Errorf("read weights %q: %w", f.name, err)
}
