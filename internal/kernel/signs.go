package kernel

// PositiveSigns is [Set.AddPositive] that also notes in signs [rows] which values of a row are not below 0:
// bit i of a row's word is column i's. NaN counts as below.
func (s *Set) PositiveSigns(dst []float32, signs []uint32, x []float32, rows, ldx int) {
	need("dst", len(dst), 1, 0, Columns)
	need("signs", len(signs), 1, 0, rows)
	need("x", len(x), rows, ldx, Columns)
	switch {
	case rows <= 0:
	case s.signs != nil:
		s.signs(f32(dst), u32(signs), f32(x), rows, 4*ldx)
	default:
		for row := range rows {
			word := uint32(0)
			for i, v := range x[row*ldx:][:Columns] {
				dst[i] += max(0, v)
				if v >= 0 {
					word |= 1 << i
				}
			}
			signs[row] = word
		}
	}
}

// SpreadSigns writes to rows of 32 columns of dst, ldd apart, 1 for each bit of signs [rows] that is set and 0
// for others.
func (s *Set) SpreadSigns(dst []float32, ldd int, signs []uint32, rows int) {
	need("dst", len(dst), rows, ldd, Columns)
	need("signs", len(signs), 1, 0, rows)
	switch {
	case rows <= 0:
	case s.spread != nil:
		s.spread(f32(dst), u32(signs), rows, 4*ldd)
	default:
		for row, word := range signs[:rows] {
			to := dst[row*ldd:][:Columns]
			for i := range to {
				to[i] = float32(word >> i & 1)
			}
		}
	}
}

// SpreadSignsBF16 is [Set.SpreadSigns] in bf16.
func (s *Set) SpreadSignsBF16(dst []uint16, ldd int, signs []uint32, rows int) {
	need("dst", len(dst), rows, ldd, Columns)
	need("signs", len(signs), 1, 0, rows)
	switch {
	case rows <= 0:
	case s.spreadBF16 != nil:
		s.spreadBF16(u16(dst), u32(signs), rows, 2*ldd)
	default:
		const one = 0x3f80
		for row, word := range signs[:rows] {
			to := dst[row*ldd:][:Columns]
			for i := range to {
				to[i] = one * uint16(word>>i&1)
			}
		}
	}
}

// AddProduct adds to dst [32] the sum over rows of x∘y, tiles of 32 columns, ldx and ldy apart; ldy may be 0
// for a y of one row.
func (s *Set) AddProduct(dst, x []float32, ldx int, y []float32, ldy, rows int) {
	need("dst", len(dst), 1, 0, Columns)
	need("x", len(x), rows, ldx, Columns)
	need("y", len(y), rows, ldy, Columns)
	switch {
	case rows <= 0:
	case s.addProduct != nil:
		s.addProduct(f32(dst), f32(x), f32(y), rows, 4*ldx, 4*ldy)
	default:
		for row := range rows {
			other := y[row*ldy:][:Columns]
			for i, v := range x[row*ldx:][:Columns] {
				dst[i] += v * other[i]
			}
		}
	}
}

// GateRows writes x∘y to rows of 32 columns of dst, ldd apart: x [rows, 32] with rows ldx apart, y [32].
func (s *Set) GateRows(dst []float32, ldd int, x []float32, ldx int, y []float32, rows int) {
	need("dst", len(dst), rows, ldd, Columns)
	need("x", len(x), rows, ldx, Columns)
	need("y", len(y), 1, 0, Columns)
	switch {
	case rows <= 0:
	case s.gateRows != nil:
		s.gateRows(f32(dst), f32(x), f32(y), rows, 4*ldd, 4*ldx)
	default:
		gateRows(dst, ldd, x, ldx, y, rows)
	}
}

func gateRows(dst []float32, ldd int, x []float32, ldx int, y []float32, rows int) {
	for row := range rows {
		to := dst[row*ldd:][:Columns]
		for i, v := range x[row*ldx:][:Columns] {
			to[i] = v * y[i]
		}
	}
}

// GateRowsBF16 is [Set.GateRows] rounded to bf16.
func (s *Set) GateRowsBF16(dst []uint16, ldd int, x []float32, ldx int, y []float32, rows int) {
	need("dst", len(dst), rows, ldd, Columns)
	need("x", len(x), rows, ldx, Columns)
	need("y", len(y), 1, 0, Columns)
	switch {
	case rows <= 0:
	case s.gateBF16 != nil:
		s.gateBF16(u16(dst), f32(x), f32(y), rows, 2*ldd, 4*ldx)
	default:
		var row [Columns]float32
		for i := range rows {
			gateRows(row[:], Columns, x[i*ldx:], ldx, y, 1)
			s.ToBF16(dst[i*ldd:], ldd, row[:], Columns, 1, Columns)
		}
	}
}
