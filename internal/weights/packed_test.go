package weights

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"evident/internal/pack"
)

// tableFile writes a folder with a table of each type, and returns it with their names.
func tableFile(t *testing.T, rows, columns int) (dir string, names []string) {
	t.Helper()
	tensors := map[string]Tensor{}
	for dtype, size := range map[DType]int{F32: 4, F16: 2, BF16: 2, I8: 1} {
		data := make([]byte, rows*columns*size)
		for i := range data {
			data[i] = byte(i*i%61 + 1)
		}
		name := "table " + string(dtype)
		tensors[name] = Tensor{dtype, []int{rows, columns}, data}
		names = append(names, name)
	}
	scales := make([]byte, 0, 4*rows)
	for i := range rows {
		scales = binary.LittleEndian.AppendUint32(scales, math.Float32bits(float32(i)+0.5))
	}
	tensors["table I8.scale"] = Tensor{F32, []int{rows}, scales}
	dir = t.TempDir()
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(f, tensors, map[string]string{"made": "here"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, names
}

func packedFile(t *testing.T, dir string) *File {
	t.Helper()
	later := func() time.Time { return time.Now().Add(10 * time.Second) }
	f, err := OpenPacked(os.DirFS(dir), pack.Options{Dir: t.TempDir(), Precision: "fp32", Now: later})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestPackedTensorsAreTheSame: tables of every type, with sizes that leave their scales crooked, and
// plain tensors, in both loads. A table keeps its rows mapped while everything else is dropped.
func TestPackedTensorsAreTheSame(t *testing.T) {
	const rows, columns = 13, 7
	dir, names := tableFile(t, rows, columns)
	plain, err := OpenFolder(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for _, state := range []pack.State{pack.Made, pack.Used} {
		f := packedFile(t, dir)
		if !slices.Equal(slices.Collect(f.Names()), slices.Collect(plain.Names())) ||
			f.Metadata()["made"] != "here" {
			t.Errorf("%s: names %v, metadata %v", state, slices.Collect(f.Names()), f.Metadata())
		}
		tables := map[string]*Table{}
		for _, name := range names {
			if tables[name], err = f.Table(name, rows, columns); err != nil {
				t.Fatal(err)
			}
			got, err := f.Float32(name, rows, columns)
			want, _ := plain.Float32(name, rows, columns)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %s differs: %v", state, name, err)
			}
		}
		f.Keep()
		if r := f.Packed().Report(); r.State != state {
			t.Fatalf("%v, want %q", r, state)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f = nil
		for range 3 {
			runtime.GC()
		}
		for name, table := range tables {
			want, _ := plain.Table(name, rows, columns)
			got, row := make([]float32, columns), make([]float32, columns)
			for i := range rows {
				table.Row(got, i)
				if want.Row(row, i); !slices.Equal(got, row) {
					t.Errorf("%s: row %d of %s is %v, want %v", state, i, name, got, row)
				}
			}
		}
	}
}

// TestShardedModelIsPacked: a change of any shard is seen.
func TestShardedModelIsPacked(t *testing.T) {
	dir, _ := tableFile(t, 3, 5)
	index := `{"weight_map": {"table F32": "a.safetensors", "table F16": "b.safetensors"}}`
	single := filepath.Join(dir, "model.safetensors")
	data, err := os.ReadFile(single)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(single); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"model.safetensors.index.json": []byte(index), "a.safetensors": data, "b.safetensors": data,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func() ([]float32, pack.State) {
		f := packedFile(t, dir)
		defer f.Close()
		values, err := f.Float32("table F16", 3, 5)
		if err != nil {
			t.Fatal(err)
		}
		f.Keep()
		return values, f.Packed().Report().State
	}
	first, state := read()
	if state != pack.Made {
		t.Errorf("first: %s", state)
	}
	if again, state := read(); state != pack.Used || !slices.Equal(again, first) {
		t.Errorf("second: %s", state)
	}
	b, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	copy(b.tensors["table F16"].Data, []byte{1, 2, 3, 4})
	if err := os.WriteFile(filepath.Join(dir, "b.safetensors"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, state := read(); state != pack.Made || slices.Equal(changed, first) {
		t.Errorf("changed: %s, %v", state, changed)
	}
}
