package weights

import (
	"runtime"
	"slices"

	"evident/internal/pack"
)

// Table is a matrix that stays in the form it is stored in and gives out single rows as float32,
// as embeddings are read: an int8 vocabulary takes a quarter of the memory it would as float32.
type Table struct {
	Rows, Columns int

	dtype DType
	data  []byte
	scale []float32   // of each row, when dtype is I8
	cache *pack.Cache // keeps data and scale mapped, where they are
}

// Table returns a copy of a tensor [rows, columns] of any type that [File.Float32] reads.
func (f *File) Table(name string, rows, columns int) (*Table, error) {
	if f.cache != nil {
		return f.packedTable(name, rows, columns)
	}
	table, err := f.table(name, rows, columns)
	if err != nil {
		return nil, err
	}
	table.data = slices.Clone(table.data)
	return table, nil
}

// table is Table without a copy of the rows: it is of use until the file is closed.
func (f *File) table(name string, rows, columns int) (*Table, error) {
	t, err := f.Raw(name)
	if err != nil {
		return nil, err
	}
	if want := []int{rows, columns}; !slices.Equal(t.Shape, want) {
		return nil, f.wrap(&ShapeError{name, t.Shape, want})
	}
	table := &Table{Rows: rows, Columns: columns, dtype: t.DType, data: t.Data}
	switch t.DType {
	case F32, F16, BF16:
		return table, nil
	case I8:
		table.scale, err = f.scales(name, t)
		return table, err
	}
	return nil, f.notNumbers(name, t.DType)
}

// Row writes row i to dst [Columns].
func (t *Table) Row(dst []float32, i int) {
	size := t.Columns * t.dtype.Size()
	dst, src := dst[:t.Columns], t.data[i*size:][:size]
	switch t.dtype {
	case F32:
		fromF32(dst, src)
	case F16:
		fromF16(dst, src)
	case BF16:
		fromBF16(dst, src)
	case I8:
		fromI8(dst, src, t.scale[i:i+1])
	}
	runtime.KeepAlive(t)
}
