package kernel

// PackF32 writes one panel: up to 32 rows of w [rows, k], ld apart, become the columns of
// dst [k, 32]. Columns without a row are zero. A weight is packed as torch stores it, [out, in].
func (s *Set) PackF32(dst, w []float32, ld, rows, k int) {
	need("w", len(w), rows, ld, k)
	need("dst", len(dst), 1, 0, k*Columns)
	if rows < Columns {
		clear(dst[:k*Columns])
	}
	groups, columns := 0, 0
	if s.transpose != nil {
		groups, columns = rows/8, k&^7
	}
	if groups > 0 && columns > 0 {
		s.transpose(f32(dst), f32(w), 4*ld, columns, groups)
	}
	for i := range rows {
		from := 0
		if i < 8*groups {
			from = columns
		}
		for j := from; j < k; j++ {
			dst[j*Columns+i] = w[i*ld+j]
		}
	}
}

// packChunk is the number of columns that PackBF16 rounds at a time.
const packChunk = 64

// PackBF16 rounds up to 32 rows of w [rows, k] and writes one panel [⌈k/2⌉, 32, 2].
func (s *Set) PackBF16(dst []uint16, w []float32, ld, rows, k int) {
	need("w", len(w), rows, ld, k)
	need("dst", len(dst), 1, 0, (k+1)/2*2*Columns)
	buffer := make([]uint16, Columns*packChunk)
	for from := 0; from < k; from += packChunk {
		n := min(packChunk, k-from)
		if n%2 != 0 {
			clear(buffer)
		}
		s.ToBF16(buffer, packChunk, w[from:], ld, rows, n)
		s.PackPairs(dst[from*Columns:], buffer, packChunk, rows, (n+1)/2)
	}
}

// PackPairs writes one panel [k, 32, 2] from rows of bf16 [rows, 2k], ld apart.
func (s *Set) PackPairs(dst, w []uint16, ld, rows, k int) {
	need("w", len(w), rows, ld, 2*k)
	need("dst", len(dst), 1, 0, 2*k*Columns)
	if rows < Columns {
		clear(dst[:2*k*Columns])
	}
	groups, columns := 0, 0
	if s.transpose != nil {
		groups, columns = rows/8, k&^7
	}
	if groups > 0 && columns > 0 {
		s.transpose(u16(dst), u16(w), 2*ld, columns, groups)
	}
	for i := range rows {
		from := 0
		if i < 8*groups {
			from = columns
		}
		for j := from; j < k; j++ {
			copy(dst[(j*Columns+i)*2:][:2], w[i*ld+2*j:][:2])
		}
	}
}

// Interleave writes rows of 32 columns of bf16, ld apart, as a panel [⌈rows/2⌉, 32, 2]: the
// right-hand side of a product over rows. An odd last row is paired with zeros.
func (s *Set) Interleave(dst, src []uint16, ld, rows int) {
	need("src", len(src), rows, ld, Columns)
	need("dst", len(dst), 1, 0, (rows+1)/2*2*Columns)
	pairs := 0
	if s.interleave != nil && rows > 1 {
		pairs = rows / 2
		s.interleave(u16(dst), u16(src), pairs, 2*ld)
	}
	for i := 2 * pairs; i < rows; i += 2 {
		to := dst[i*Columns:][:2*Columns]
		for j, v := range src[i*ld:][:Columns] {
			to[2*j], to[2*j+1] = v, 0
		}
		if i+1 < rows {
			for j, v := range src[(i+1)*ld:][:Columns] {
				to[2*j+1] = v
			}
		}
	}
}
