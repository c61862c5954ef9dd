package weights

import (
	"fmt"
	"strings"

	"evident/internal/pack"
)

// Reader fetches the tensors of a model by name. It keeps the first error, so that building a model reads
// like the model, and remembers what was asked for, so that [Reader.Done] finds what a file holds beyond it.
type Reader struct {
	file *File
	read map[string]bool
	err  error
}

// NewReader reads from a file, which stays the caller's to close.
func NewReader(file *File) *Reader { return &Reader{file: file, read: map[string]bool{}} }

// Packed is the cache of the file, see [File.Packed].
func (r *Reader) Packed() *pack.Cache { return r.file.Packed() }

// Tensor is [File.Float32]; after an error it returns nil.
func (r *Reader) Tensor(name string, shape ...int) []float32 {
	if r.err != nil {
		return nil
	}
	values, err := r.file.Float32(name, shape...)
	r.note(name, err)
	return values
}

// Table is [File.Table]; after an error it returns nil.
func (r *Reader) Table(name string, rows, columns int) *Table {
	if r.err != nil {
		return nil
	}
	table, err := r.file.Table(name, rows, columns)
	r.note(name, err)
	return table
}

func (r *Reader) note(name string, err error) {
	r.read[name], r.read[name+".scale"] = true, true
	r.err = err
}

// Has reports whether the file has a tensor of that name.
func (r *Reader) Has(name string) bool { return r.file.Has(name) }

// Shape returns the shape a tensor is stored in, or nil where it is missing.
func (r *Reader) Shape(name string) []int {
	t, err := r.file.Raw(name)
	if err != nil {
		return nil
	}
	return t.Shape
}

// Skip says that a tensor is rightly left out, wherever it is in the file: one that no output depends on.
func (r *Reader) Skip(names ...string) {
	for _, name := range names {
		r.read[name] = true
	}
}

// SkipUnder is Skip for all tensors whose names begin with a prefix.
func (r *Reader) SkipUnder(prefix string) {
	for name := range r.file.Names() {
		if strings.HasPrefix(name, prefix) {
			r.read[name] = true
		}
	}
}

// Fail keeps an error of whoever builds the model, unless there is one already.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Err returns the first error so far.
func (r *Reader) Err() error { return r.err }

// Done returns the first error, or an [UnexpectedError] if the file has tensors that were neither read nor
// skipped: it is then of another model than the one that was built. What came from a cache was checked when
// that was made.
func (r *Reader) Done() error {
	if r.err != nil || r.file.Packed().Complete() {
		return r.err
	}
	left := &UnexpectedError{}
	for name := range r.file.Names() {
		if r.read[name] {
			continue
		}
		if left.Count++; left.Count == 1 {
			left.Name, left.Shape = name, r.Shape(name)
		}
	}
	if left.Count > 0 {
		return r.file.wrap(left)
	}
	return nil
}

// UnexpectedError says that a file has tensors which the model it is read for has not.
type UnexpectedError struct {
	Name  string // the first of them
	Shape []int
	Count int
}

func (e *UnexpectedError) Error() string {
	more := ""
	if e.Count > 1 {
		more = fmt.Sprintf(" and %d more", e.Count-1)
	}
	return fmt.Sprintf("tensor %q %v%s: the model of the config has no place for it", e.Name, e.Shape, more)
}
