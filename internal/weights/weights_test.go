package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// raw puts a header before n bytes of data.
func raw(header string, n int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), make([]byte, n)...)
}

func TestHeaderLies(t *testing.T) {
	long := raw("{}", 0)
	binary.LittleEndian.PutUint64(long, 3)
	huge := raw("{}", 0)
	binary.LittleEndian.PutUint64(huge, math.MaxUint64)
	const a = `"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}`
	for _, c := range []struct {
		name    string
		file    []byte
		message string
	}{
		{"empty", nil, "0 bytes, shorter than 8"},
		{"cut in the length", []byte{1, 2, 3}, "3 bytes, shorter than 8"},
		{"header beyond the file", long, "says it is 3 bytes long, the file has 2"},
		{"header beyond 100 MB", huge, "long, allowed are 100000000"},
		{"header of nothing", raw("", 0), `does not begin with "{"`},
		{"header begins with a blank", raw(" {}", 0), `does not begin with "{"`},
		{"not UTF-8", raw("{\"\xff\":1}", 0), "not UTF-8"},
		{"no JSON", raw(`{a}`, 0), "not JSON"},
		{"cut JSON", raw(`{"a":{"dtype":"F32"`, 0), "unexpected EOF"},
		{"an unclosed object", raw(`{`+a, 24), "not JSON"},
		{"JSON after JSON", raw(`{`+a+`}{}`, 24), "2 bytes after the end"},
		{"a tensor twice", raw(`{`+a+`,`+a+`}`, 24), `tensor "a": the name occurs twice`},
		{"metadata twice", raw(`{"__metadata__":{},"__metadata__":{}}`, 0), "occurs twice"},
		{"metadata of numbers", raw(`{"__metadata__":{"a":1}}`, 0), "not a map of strings"},
		{"entry is a list", raw(`{"a":[]}`, 0), `tensor "a": its header entry is broken`},
		{"no dtype", raw(`{"a":{"shape":[],"data_offsets":[0,4]}}`, 4), "it has no dtype"},
		{"no shape", raw(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4), "it has no shape"},
		{"no offsets", raw(`{"a":{"dtype":"F32","shape":[]}}`, 4), "data_offsets are []"},
		{
			"three offsets", raw(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4,8]}}`, 4),
			"data_offsets are [0 4 8]",
		},
		{
			"unknown dtype", raw(`{"a":{"dtype":"F31","shape":[],"data_offsets":[0,4]}}`, 4),
			`tensor "a": dtype "F31" is not known`,
		},
		{
			"negative shape", raw(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4),
			"number -1",
		},
		{
			"fraction in shape", raw(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, 4),
			"number 1.5",
		},
		{
			"shape overflows", raw(
				`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0),
			`tensor "a": the product of its shape [4294967296 4294967296] overflows`,
		},
		{
			"one dimension overflows", raw(
				`{"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,0]}}`, 0),
			"overflows",
		},
		{
			"offsets backwards", raw(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[4,0]}}`, 4),
			"data_offsets are [4 0]",
		},
		{
			"size mismatch", raw(`{"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,24]}}`, 24),
			`tensor "a": F16 [2 3] takes 12 bytes, data_offsets [0 24] hold 24`,
		},
		{"beyond the data", raw(`{`+a+`}`, 23), "[0 24] lie beyond the 23 bytes"},
		{
			"hole", raw(`{`+a+`,"b":{"dtype":"U8","shape":[1],"data_offsets":[25,26]}}`, 26),
			`tensor "b": data_offsets [25 26] leave a hole after 24`,
		},
		{
			"hole in front", raw(`{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2),
			"leave a hole after 0",
		},
		{
			"overlap", raw(`{`+a+`,"b":{"dtype":"U8","shape":[1],"data_offsets":[23,24]}}`, 24),
			`tensor "b": data_offsets [23 24] overlap a tensor that ends at 24`,
		},
		{"trailing bytes", raw(`{`+a+`}`, 31), "7 bytes after the last tensor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.file)
			var format *FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), c.message) {
				t.Fatalf("error %v, want a FormatError with %q", err, c.message)
			}
			path := filepath.Join(t.TempDir(), "lying.safetensors")
			if err := os.WriteFile(path, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("opened: error %v does not name the file", err)
			}
		})
	}
}

func TestSoundHeaders(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"no tensors", raw("{}", 0)},
		{"padded", raw(`{"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}   `, 8)},
		{"nothing in it", raw(`{"a":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]}}`, 0)},
		{"in another order", raw(`{"b":{"dtype":"U8","shape":[3],"data_offsets":[1,4]},`+
			`"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]},"__metadata__":{"k":"v"}}`, 4)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Parse(c.file); err != nil {
				t.Error(err)
			}
		})
	}
}

func sample() map[string]Tensor {
	return map[string]Tensor{
		"f32":        FromFloat32([]float32{1, -2, 3.5, 0, 5, 6}, 2, 3),
		"bf16":       {BF16, []int{5}, []byte{0x80, 0x3f, 0, 0xc0, 0x60, 0x40, 0, 0, 0x80, 0x7f}},
		"f16":        {F16, []int{5}, []byte{0, 0x3c, 0, 0xc0, 1, 0, 0xff, 0x7b, 0, 0xfc}},
		"i8":         {I8, []int{2, 3}, []byte{1, 0xff, 127, 0x80, 2, 0}},
		"i8.scale":   FromFloat32([]float32{0.5, 2}, 2),
		"bare":       {I8, []int{1, 1}, []byte{1}},
		"flat":       {I8, []int{2}, []byte{1, 2}},
		"odd":        {I8, []int{3, 1}, []byte{1, 2, 3}},
		"odd.scale":  {F16, []int{3}, make([]byte, 6)},
		"off":        {I8, []int{3, 1}, []byte{1, 2, 3}},
		"off.scale":  FromFloat32([]float32{1, 2}, 2),
		"none":       {I8, []int{0, 3}, nil},
		"none.scale": {F32, []int{0}, nil},
		"long":       {I64, []int{1}, []byte{7, 0, 0, 0, 0, 0, 0, 0}},
	}
}

func written(t testing.TB, tensors map[string]Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, tensors, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFloat32(t *testing.T) {
	f, err := Parse(written(t, sample()))
	if err != nil {
		t.Fatal(err)
	}
	if f.Metadata()["format"] != "pt" || len(slices.Collect(f.Names())) != len(sample()) {
		t.Errorf("metadata %v, names %v", f.Metadata(), slices.Collect(f.Names()))
	}
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		name  string
		shape []int
		want  []float32
	}{
		{"f32", []int{2, 3}, []float32{1, -2, 3.5, 0, 5, 6}},
		{"bf16", []int{5}, []float32{1, -2, 3.5, 0, inf}},
		{"f16", []int{5}, []float32{1, -2, 1.0 / (1 << 24), 65504, -inf}},
		{"i8", []int{2, 3}, []float32{0.5, -0.5, 63.5, -256, 4, 0}},
		{"none", []int{0, 3}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := f.Float32(c.name, c.shape...)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
	if r, err := f.Raw("long"); err != nil || r.DType != I64 || r.Data[0] != 7 {
		t.Errorf("raw: %v, %v", r, err)
	}
}

func TestFloat32Errors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := os.WriteFile(path, written(t, sample()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		name, tensor string
		shape        []int
		message      string
	}{
		{"wrong shape", "f32", []int{3, 2}, `tensor "f32" is [2 3], the model needs [3 2]`},
		{"wrong rank", "f32", []int{6}, `tensor "f32" is [2 3], the model needs [6]`},
		{"missing", "nowhere", []int{1}, `tensor "nowhere" is missing`},
		{"integers", "long", []int{1}, `tensor "long" is of type I64`},
		{"no scale", "bare", []int{1, 1}, `tensor "bare.scale" is missing`},
		{"one dimension", "flat", []int{2}, `tensor "flat" of type I8 is [2], want two`},
		{"scale of another type", "odd", []int{3, 1}, `tensor "odd.scale" is of type F16`},
		{"scale too short", "off", []int{3, 1}, `tensor "off.scale" is [2], the model needs [3]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.Float32(c.tensor, c.shape...)
			if err == nil || !strings.Contains(err.Error(), c.message) ||
				!strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %q and the file", err, c.message)
			}
		})
	}
	var shape *ShapeError
	if _, err := f.Float32("f32", 7); !errors.As(err, &shape) || shape.Name != "f32" {
		t.Errorf("no ShapeError: %v", err)
	}
	var missing *MissingError
	if _, err := f.Raw("nowhere"); !errors.As(err, &missing) || f.Has("nowhere") {
		t.Errorf("no MissingError: %v", err)
	}
}

func TestTable(t *testing.T) {
	f, err := Parse(written(t, map[string]Tensor{
		"f32":      FromFloat32([]float32{1, 2, 3, 4, 5, 6}, 3, 2),
		"bf16":     {BF16, []int{2, 1}, []byte{0x80, 0x3f, 0, 0xc0}},
		"f16":      {F16, []int{2, 1}, []byte{0, 0x3c, 0, 0xc0}},
		"i8":       {I8, []int{2, 3}, []byte{1, 0xff, 127, 0x80, 2, 0}},
		"i8.scale": FromFloat32([]float32{0.5, 2}, 2),
		"bare":     {I8, []int{1, 1}, []byte{1}}, "i16": {I16, []int{1, 1}, []byte{1, 0}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		rows, columns int
	}{{"f32", 3, 2}, {"bf16", 2, 1}, {"f16", 2, 1}, {"i8", 2, 3}} {
		table, err := f.Table(c.name, c.rows, c.columns)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := f.Float32(c.name, c.rows, c.columns)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float32, c.columns)
		for i := range c.rows {
			if table.Row(row, i); !slices.Equal(row, whole[i*c.columns:][:c.columns]) {
				t.Errorf("%s: row %d is %v of %v", c.name, i, row, whole)
			}
		}
	}
	for _, c := range []struct{ name, message string }{
		{"f32", `tensor "f32" is [3 2], the model needs [1 1]`},
		{"bare", `tensor "bare.scale" is missing`},
		{"i16", `tensor "i16" is of type I16`},
		{"nowhere", `tensor "nowhere" is missing`},
	} {
		if _, err := f.Table(c.name, 1, 1); err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.message)
		}
	}
}

func TestHalf(t *testing.T) {
	for h := range uint32(1 << 16) {
		got := half(uint16(h))
		exponent, fraction := int(h>>10&31), float64(h&0x3FF)
		want := math.Ldexp(1+fraction/1024, exponent-15)
		switch exponent {
		case 0:
			want = math.Ldexp(fraction/1024, -14)
		case 31:
			want = math.Inf(1)
		}
		if h>>15 == 1 {
			want = -want
		}
		isNaN := exponent == 31 && fraction != 0
		if isNaN != (got != got) || !isNaN && (float64(got) != want ||
			math.Signbit(float64(got)) != (h>>15 == 1)) {
			t.Fatalf("half %04x is %v, want %v", h, got, want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "x.safetensors")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a folder was opened")
	}
}

func TestShards(t *testing.T) {
	one := written(t, map[string]Tensor{"a": FromFloat32([]float32{1}, 1)})
	two := written(t, map[string]Tensor{"b": FromFloat32([]float32{2}, 1)})
	for _, c := range []struct{ name, index, message string }{
		{"sound", `{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`, ""},
		{"no JSON", `{`, "unexpected end"},
		{"empty", `{}`, "names no tensors"},
		{"a shard is missing", `{"weight_map":{"a":"3.safetensors"}}`, "3.safetensors"},
		{"in the other shard", `{"weight_map":{"a":"2.safetensors"}}`, `tensor "a" is missing`},
		{"outside", `{"weight_map":{"a":"../1.safetensors"}}`, `"../1.safetensors", which is no file`},
		{"itself", `{"weight_map":{"a":"model.safetensors.index.json"}}`, "which is no file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := OpenFolder(fstest.MapFS{
				"1.safetensors": {Data: one}, "2.safetensors": {Data: two},
				"model.safetensors.index.json": {Data: []byte(c.index)},
			})
			if c.message != "" {
				if err == nil || !strings.Contains(err.Error(), c.message) {
					t.Errorf("error %v, want %q", err, c.message)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]float32{"a": 1, "b": 2} {
				if got, err := f.Float32(name, 1); err != nil || got[0] != want {
					t.Errorf("%s is %v, %v", name, got, err)
				}
			}
		})
	}
	_, err := OpenFolder(fstest.MapFS{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "model.safetensors:") {
		t.Errorf("empty folder: %v", err)
	}
}

func TestWriteErrors(t *testing.T) {
	for name, tensor := range map[string]Tensor{
		"too short":    {F32, []int{2}, make([]byte, 4)},
		"unknown":      {"F31", []int{1}, nil},
		"__metadata__": {U8, []int{1}, []byte{1}},
	} {
		if err := Write(&bytes.Buffer{}, map[string]Tensor{name: tensor}, nil); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(written(f, sample()))
	f.Add(raw(`{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}`, 24))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		total := 0
		for name := range file.Names() {
			tensor, err := file.Raw(name)
			if err != nil {
				t.Fatal(err)
			}
			total += len(tensor.Data)
			values, err := file.Float32(name, tensor.Shape...)
			if err == nil && len(values)*tensor.DType.Size() != len(tensor.Data) {
				t.Fatalf("%s: %d values of %d bytes", name, len(values), len(tensor.Data))
			}
		}
		if length := int(binary.LittleEndian.Uint64(data)); total+length+8 != len(data) {
			t.Fatalf("%d bytes of tensors and a header of %d in %d", total, length, len(data))
		}
	})
}

func FuzzShards(f *testing.F) {
	f.Add([]byte(`{"weight_map":{"a":"1.safetensors"}}`))
	one := written(f, map[string]Tensor{"a": FromFloat32([]float32{1}, 1)})
	f.Fuzz(func(t *testing.T, index []byte) {
		_, _ = OpenFolder(fstest.MapFS{
			"1.safetensors": {Data: one}, "model.safetensors.index.json": {Data: index},
		})
	})
}

func BenchmarkFloat32(b *testing.B) {
	const rows, columns = 33_000_000 / 384, 384
	data := make([]byte, rows*columns*4)
	for _, d := range []DType{F32, BF16, F16, I8} {
		b.Run(fmt.Sprint(d), func(b *testing.B) {
			f := &File{tensors: map[string]Tensor{
				"w":       {d, []int{rows, columns}, data[:rows*columns*d.Size()]},
				"w.scale": FromFloat32(make([]float32, rows), rows),
			}}
			dst := make([]float32, rows*columns)
			b.SetBytes(int64(rows * columns * d.Size()))
			for b.Loop() {
				if err := f.convert(dst, "w", f.tensors["w"]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
