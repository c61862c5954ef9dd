package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"evident/internal/pack"
)

// OpenPacked is [OpenFolder] with a cache: what the model was given the last time comes from a file of
// packed weights where there is a sound one, and the weights themselves are opened when something is
// asked for that it does not have. Call [File.Keep] when the model is whole.
func OpenPacked(folder fs.FS, o pack.Options) (*File, error) {
	return OpenPackedFrom(folder, sourceFiles(folder), func() (*File, error) { return OpenFolder(folder) }, o)
}

// OpenPackedFrom is OpenPacked of a folder with other names: what a model is read from, weights and settings,
// and how its weights are opened.
func OpenPackedFrom(
	folder fs.FS, sources []string, open func() (*File, error), o pack.Options,
) (*File, error) {
	cache := pack.Open(folder, sources, o)
	if cache == nil {
		return open()
	}
	f := &File{cache: cache, open: open}
	if err := f.readIndex(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Packed is the cache that the file's tensors come from and what is made of them belongs into; nil
// where nothing is kept.
func (f *File) Packed() *pack.Cache { return f.cache }

// Keep writes the cache, if the weights were needed.
func (f *File) Keep() { f.cache.Keep() }

// sourceFiles names what a model is read from: its weights, and its settings, since what was checked of
// weights against their settings when a cache was made is not checked again.
func sourceFiles(folder fs.FS) []string {
	const index = overlayIndex
	var files []string
	if exists(folder, single) {
		files = append(files, single)
	} else if data, err := fs.ReadFile(folder, index); err == nil {
		var shards struct {
			WeightMap map[string]string `json:"weight_map"`
		}
		if json.Unmarshal(data, &shards) != nil {
			return nil // reading the weights will tell what is wrong
		}
		files = append(files, index)
		for _, shard := range slices.Compact(slices.Sorted(maps.Values(shards.WeightMap))) {
			files = append(files, path.Join(".", shard))
		}
	}
	if len(files) > 0 && exists(folder, "config.json") {
		files = append(files, "config.json")
	}
	return files
}

func exists(folder fs.FS, name string) bool {
	_, err := fs.Stat(folder, name)
	return err == nil
}

// source opens the weights, the first time.
func (f *File) source() (*File, error) {
	if f.open == nil {
		return f, nil
	}
	if f.opened == nil {
		file, err := f.open()
		if err != nil {
			return nil, err
		}
		f.opened, f.close = file, append(f.close, file.Close)
	}
	return f.opened, nil
}

// index is what is known of all tensors without reading any.
type index struct {
	Names    []string          `json:"names"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

func (f *File) readIndex() error {
	data, err := f.cache.Section(pack.Key{Form: "index"}, func() ([]byte, error) {
		file, err := f.source()
		if err != nil {
			return nil, err
		}
		return json.Marshal(index{slices.Collect(file.Names()), file.metadata})
	})
	if err != nil {
		return err
	}
	var read index
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("read weights: the index of the packed ones: %w", err)
	}
	f.metadata = read.Metadata
	f.tensors = make(map[string]Tensor, len(read.Names))
	for _, name := range read.Names {
		f.tensors[name] = Tensor{} // there, and not read yet
	}
	return nil
}

// packedFloats is Float32 of a file with a cache.
func (f *File) packedFloats(name string, shape []int) ([]float32, error) {
	key := pack.Key{Name: name, Form: "f32", Shape: shape}
	data, err := f.cache.Section(key, func() ([]byte, error) {
		file, err := f.source()
		if err != nil {
			return nil, err
		}
		values, err := file.Float32(name, shape...)
		return pack.Raw(values), err
	})
	if err != nil {
		return nil, err
	}
	values, _ := pack.View[float32](data, len(data)/4)
	if f.cache.Ingredient() {
		return values, nil
	}
	return slices.Clone(values), nil // a plain slice does not keep a mapping
}

// A packed table is its type, padded to a cache line, then the rows, then the scales if it has some.
const tableHead = 64

// packedTable is Table of a file with a cache: its rows stay where they are, in the mapped file.
func (f *File) packedTable(name string, rows, columns int) (*Table, error) {
	key := pack.Key{Name: name, Form: "table", Shape: []int{rows, columns}}
	data, err := f.cache.Section(key, func() ([]byte, error) {
		file, err := f.source()
		if err != nil {
			return nil, err
		}
		t, err := file.table(name, rows, columns)
		if err != nil {
			return nil, err
		}
		return t.pack(), nil
	})
	if err != nil {
		return nil, err
	}
	return unpackTable(f.cache, data, rows, columns), nil
}

// scalesAt returns where the scales begin in the packed form.
func (t *Table) scalesAt() int { return (tableHead + len(t.data) + 3) / 4 * 4 }

func (t *Table) pack() []byte {
	data := pack.Bytes(t.scalesAt() + 4*len(t.scale))
	copy(data, t.dtype)
	copy(data[tableHead:], t.data)
	copy(data[t.scalesAt():], pack.Raw(t.scale))
	return data
}

func unpackTable(cache *pack.Cache, data []byte, rows, columns int) *Table {
	t := &Table{Rows: rows, Columns: columns, cache: cache}
	for _, d := range []DType{F32, F16, BF16, I8} {
		if string(data[:len(d)]) == string(d) && data[len(d)] == 0 {
			t.dtype = d
		}
	}
	t.data = data[tableHead:][: rows*columns*t.dtype.Size() : rows*columns*t.dtype.Size()]
	if t.dtype == I8 {
		t.scale, _ = pack.View[float32](data[t.scalesAt():], rows)
	}
	return t
}
