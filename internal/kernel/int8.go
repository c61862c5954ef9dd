package kernel

import (
	"math"
	"unsafe"
)

// Products of bytes: a row x of the left factor becomes u = round(x/s) + 128 with its own scale s =
// max|x|/127, a column w of the right one v = round(w/t) with its own scale t = max|w|/127. Then
// x·w ≈ s·t·(u·v - 128·Σv), and the sum of products is exact in 32 bits for up to 66,000 values.

// Quad is the number of bytes that are multiplied and added at once.
const Quad = 4

// quantiseFloor is taken for the largest magnitude of rows without any: its inverse is finite.
const quantiseFloor = 1e-30

// HasInt8 reports whether the CPU multiplies bytes itself: elsewhere int8 works, but is slow.
func (s *Set) HasInt8() bool { return s.tileInt8 != nil || s.anyRowsInt8 != nil }

func i32(s []int32) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

// TileInt8 computes c = init + a·b for rows ≤ TileRows rows and panels·32 columns, exactly:
//
//	c    [rows, 32·panels]     out, rows ldc apart
//	a    [rows, 4k]            unsigned, rows lda apart
//	b    [panels, k, 32, 4]    signed, packed by PackInt8
//	init [32·panels]           the offsets of PackInt8; nil for none
func (s *Set) TileInt8(
	c []int32, ldc int, a []uint8, lda int, b []int8, init []int32, rows, k, panels int,
) {
	need("c", len(c), rows, ldc, Columns*panels)
	need("a", len(a), rows, lda, Quad*k)
	need("b", len(b), 1, 0, Quad*k*Columns*panels)
	if init != nil {
		need("init", len(init), 1, 0, Columns*panels)
	}
	left, right := unsafe.Pointer(unsafe.SliceData(a)), unsafe.Pointer(unsafe.SliceData(b))
	switch {
	case rows <= 0 || panels <= 0:
	case s.anyRowsInt8 != nil:
		s.anyRowsInt8(i32(c), left, right, i32(init), 4*ldc, lda, rows, k, panels)
	case s.tileInt8 == nil:
		tileInt8(c, ldc, a, lda, b, init, rows, k, panels)
	default:
		runTiles(s.tileInt8, i32(c), left, right, i32(init), 4*ldc, lda, rows, k, panels)
	}
}

// Quantise writes rows of n values as bytes, ldd apart, and each row's scale. What fills the last
// quad is 128, zero's byte. A row that holds NaN or an infinity gets the scale NaN.
func (s *Set) Quantise(
	dst []uint8, ldd int, scales, src []float32, lds int, rows, n int,
) {
	padded := (n + Quad - 1) / Quad * Quad
	need("dst", len(dst), rows, ldd, padded)
	need("src", len(src), rows, lds, n)
	need("scales", len(scales), 1, 0, rows)
	switch {
	case rows <= 0 || n <= 0:
	case s.quantise == nil || n%16 != 0:
		quantise(dst, ldd, scales, src, lds, rows, n)
	default:
		s.quantise(unsafe.Pointer(unsafe.SliceData(dst)), f32(scales), f32(src),
			rows, n, ldd, 4*lds)
	}
}

// Dequantise writes src[i, j]·factors[i]·scales[j] + bias[j] to the rows of dst, ldd apart; src is
// one contiguous tile [rows, 32], factors are the scales of its rows and scales those of its
// columns.
func (s *Set) Dequantise(
	dst []float32, ldd int, src []int32, factors, scales, bias []float32, rows int,
) {
	need("dst", len(dst), rows, ldd, Columns)
	need("src", len(src), rows, Columns, Columns)
	need("factors", len(factors), 1, 0, rows)
	need("scales", len(scales), 1, 0, Columns)
	need("bias", len(bias), 1, 0, Columns)
	switch {
	case rows <= 0:
	case s.dequantise == nil:
		dequantise(dst, ldd, src, factors, scales, bias, rows)
	default:
		s.dequantise(f32(dst), i32(src), f32(factors), f32(scales), f32(bias), rows, 4*ldd)
	}
}

// PackInt8 writes one panel [⌈k/4⌉, 32, 4] of up to 32 rows of w [rows, k], ld apart, as torch
// stores a weight: dst gets the bytes, scales [32] what they count, offsets [32] -128 times their
// sum, which takes back the 128 in every byte of the left factor. Columns without a row are zero.
func PackInt8(dst []int8, scales []float32, offsets []int32, w []float32, ld, rows, k int) {
	quadCount := (k + Quad - 1) / Quad
	need("w", len(w), rows, ld, k)
	need("dst", len(dst), 1, 0, quadCount*Quad*Columns)
	clear(dst[:quadCount*Quad*Columns])
	clear(scales[:Columns])
	clear(offsets[:Columns])
	for i := range rows {
		row := w[i*ld:][:k]
		scale, inverse := byteScale(row)
		scales[i] = scale
		sum := int32(0)
		for j, x := range row {
			v := int32(math.RoundToEven(float64(x * inverse)))
			dst[(j/Quad*Columns+i)*Quad+j%Quad] = int8(v)
			sum += v
		}
		offsets[i] = -128 * sum
	}
}

// byteScale returns what one step of a byte is worth in a row, and one over it.
func byteScale(row []float32) (scale, inverse float32) {
	most, undefined := float32(quantiseFloor), float32(0)
	for _, x := range row {
		undefined += x * 0
		most = max(most, float32(math.Abs(float64(x))))
	}
	most += undefined
	return most / 127, 127 / most
}

func quantise(dst []uint8, ldd int, scales, src []float32, lds, rows, n int) {
	for i := range rows {
		row, to := src[i*lds:][:n], dst[i*ldd:][:(n+Quad-1)/Quad*Quad]
		scale, inverse := byteScale(row)
		scales[i] = scale
		for j, x := range row {
			to[j] = uint8(int32(math.RoundToEven(float64(x*inverse))) + 128)
		}
		for j := n; j < len(to); j++ {
			to[j] = 128
		}
	}
}

func dequantise(dst []float32, ldd int, src []int32, factors, scales, bias []float32, rows int) {
	for i := range rows {
		to, from := dst[i*ldd:][:Columns], src[i*Columns:][:Columns]
		for j := range to {
			scaled := float32(from[j]) * factors[i]
			to[j] = float32(math.FMA(float64(scaled), float64(scales[j]), float64(bias[j])))
		}
	}
}

func tileInt8(c []int32, ldc int, a []uint8, lda int, b []int8, init []int32, rows, k, panels int) {
	for i := range rows {
		row := a[i*lda:][:Quad*k]
		for p := range panels {
			to, panel := c[i*ldc+p*Columns:][:Columns], b[p*k*Quad*Columns:]
			for j := range to {
				sum := int32(0)
				if init != nil {
					sum = init[p*Columns+j]
				}
				for l, u := range row {
					sum += int32(u) * int32(panel[(l/Quad*Columns+j)*Quad+l%Quad])
				}
				to[j] = sum
			}
		}
	}
}
