// Package mapped gives the bytes of a file without reading it: by mmap where there is one.
package mapped

// File is an open file's content. The bytes must not be written to, and not be used after Close.
// They must not change while the file is open either; evident only maps files that it never
// changes once they have their name.
type File struct {
	data  []byte
	close func() error
}

// Bytes returns the whole content.
func (f *File) Bytes() []byte { return f.data }

// Close gives the mapping back. A second call does nothing.
func (f *File) Close() error {
	if f == nil || f.close == nil {
		return nil
	}
	give := f.close
	f.data, f.close = nil, nil
	return give()
}
