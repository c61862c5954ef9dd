package kernel

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// Products of byte vectors for nearest-neighbour search. A row is unsigned bytes around 128, a query
// signed bytes: with init = -128·Σquery, init + row·query is the product of the signed values.

// DotBytes computes dst[i] = init + Σ rows[i·ld+j]·query[j] for n rows, exactly:
//
//	dst   [n]      out
//	query [d]      signed
//	rows  [n, d]   unsigned, ld apart
//
// A d that is no multiple of 64 is slow.
func (s *Set) DotBytes(dst []int32, query []int8, rows []uint8, ld, n int, init int32) {
	d := len(query)
	need("dst", len(dst), 1, 0, n)
	need("rows", len(rows), n, ld, d)
	switch {
	case n <= 0:
	case s.dotBytes == nil || d%64 != 0 || d == 0:
		dotBytes(dst, query, rows, ld, n, init)
	default:
		s.dotBytes(i32(dst), i8(query), u8(rows), d, ld, n, int(init))
	}
}

// DotBytesAt is DotBytes of the rows with the numbers at.
func (s *Set) DotBytesAt(dst []int32, query []int8, rows []uint8, ld int, at []uint32, init int32) {
	d := len(query)
	need("dst", len(dst), 1, 0, len(at))
	for _, row := range at {
		need("rows", len(rows), int(row)+1, ld, d)
	}
	switch {
	case len(at) == 0:
	case s.dotBytesAt == nil || d%64 != 0 || d == 0:
		for i, row := range at {
			dotBytes(dst[i:], query, rows[int(row)*ld:], 0, 1, init)
		}
	default:
		s.dotBytesAt(i32(dst), i8(query), u8(rows), unsafe.Pointer(unsafe.SliceData(at)), d, ld, len(at), int(init))
	}
}

// BitsBlock is the number of vectors whose 1-bit codes are estimated together.
const BitsBlock = 32

// BitsFactors is the number of factors a vector has beside its code.
const BitsFactors = 4

// BitsBlockSize is the number of bytes of a block of codes of width bytes, with its factors.
func BitsBlockSize(width int) int { return BitsBlock * (width + 4*BitsFactors) }

// Estimate is what Estimates multiplies with and adds, the same for all vectors of a call.
type Estimate struct {
	Scale, Shift float32 // the sum of table entries times Scale, + Shift, is multiplied by factor 0
	Base         float32 // is added, with factor 1
	Slack        float32 // times factor 2 is added
	Weight       float32 // times factor 3 is added
	Floor        float32 // what exceeds it is marked
}

// Estimates computes, for each vector of n blocks of 32,
//
//	upper = Base + f1 + f0·(S·Scale + Shift) + f2·Slack + f3·Weight
//
// where S is the sum over the nibbles of its code of what the table holds for them, and marks those
// above Floor:
//
//	upper  [n, 32]            out
//	above  [n]                out: bit v is vector v of the block
//	blocks [n, …]             each [width, 32] bytes, byte p of vector v at [p, BitsLane(v)], and
//	                          behind them the factors, [4, 32] float32 in little-endian
//	table  [2, width, 2, 16]  for the low and the high nibble of byte p; 16 entries twice, at most 127
//
// width is even and at most 256, so that no sum overflows 16 bits.
func (s *Set) Estimates(
	upper []float32, above []uint32, blocks, table []uint8, n, width int, e *Estimate,
) {
	need("upper", len(upper), n, BitsBlock, BitsBlock)
	need("above", len(above), 1, 0, n)
	need("blocks", len(blocks), n, BitsBlockSize(width), BitsBlockSize(width))
	need("table", len(table), 2, width*BitsBlock, width*BitsBlock)
	if width%2 != 0 || width > 256 {
		panic("kernel: codes of an odd number of bytes, or of more than 256")
	}
	switch {
	case n <= 0:
	case s.estimate == nil || width == 0:
		estimates(upper, above, blocks, table, n, width, e)
	default:
		s.estimate(f32(upper), unsafe.Pointer(unsafe.SliceData(above)), u8(blocks), u8(table),
			unsafe.Pointer(e), n, width)
	}
}

// BitsLane is where a vector of a block has its bytes: vectors 0 … 15 in the even places, the others
// in the odd ones, as words fall apart.
func BitsLane(v int) int { return v%16*2 + v/16 }

func i8(s []int8) unsafe.Pointer  { return unsafe.Pointer(unsafe.SliceData(s)) }
func u8(s []uint8) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

func dotBytes(dst []int32, query []int8, rows []uint8, ld, n int, init int32) {
	for i := range n {
		row, sum := rows[i*ld:][:len(query)], init
		for j, q := range query {
			sum += int32(row[j]) * int32(q)
		}
		dst[i] = sum
	}
}

func estimates(upper []float32, above []uint32, blocks, table []uint8, n, width int, e *Estimate) {
	high, size := table[width*BitsBlock:], BitsBlockSize(width)
	for b := range n {
		block := blocks[b*size:][:size]
		factor := func(i, v int) float32 {
			at := BitsBlock*width + 4*(i*BitsBlock+v)
			return math.Float32frombits(binary.LittleEndian.Uint32(block[at:]))
		}
		mark := uint32(0)
		for v := range BitsBlock {
			sum := 0
			for p := range width {
				c := block[p*BitsBlock+BitsLane(v)]
				sum += int(table[p*BitsBlock+int(c&15)]) + int(high[p*BitsBlock+int(c>>4)])
			}
			u := e.Base + factor(1, v) + factor(0, v)*(float32(sum)*e.Scale+e.Shift)
			u += factor(2, v)*e.Slack + factor(3, v)*e.Weight
			upper[b*BitsBlock+v] = u
			if u > e.Floor {
				mark |= 1 << v
			}
		}
		above[b] = mark
	}
}
