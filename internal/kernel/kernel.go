// Package kernel holds the inner loops of the engine: matrix tiles, softmax, LayerNorm and
// activations, in generated assembly for amd64 and arm64 and in plain Go for every other machine.
//
// Matrices are multiplied as C = A·B, where A is row-major and B is packed into panels of 32
// columns: [N/32][K][32] for float32, [N/32][K/2][32][2] for bf16, [N/32][K/4][32][4] for bytes. A
// panel is the same for every tier, so packed weights outlive the choice of a tier.
//
// Everything here is serial and allocates nothing on the way; package nn splits the work.
// Shapes are promised by the caller: a slice that is too short is a broken invariant and panics.
package kernel

//go:generate go run ./gen

import (
	"fmt"
	"math"
	"unsafe"
)

// Columns is the width of a panel of a packed matrix.
const Columns = 32

// Activation is an elementwise function.
type Activation uint8

// The activations.
const (
	GELU      Activation = iota // x·(1 + erf(x/√2))/2
	GELUTanh                    // x·(1 + tanh(√(2/π)·(x + 0.044715x³)))/2
	QuickGELU                   // x/(1 + e^-1.702x)
	ReLU                        // max(x, 0)
)

// Set is the functions of one tier. A function left nil runs in plain Go.
type Set struct {
	tier     Tier
	tileRows int // most rows a tile function takes
	tileF32  []tileFunc
	tileBF16 []tileFunc // nil where the CPU does not multiply bf16

	tileInt8 []tileFunc // nil where the CPU does not multiply bytes

	anyRowsBF16 anyRowsFunc // comes before tileBF16 where it is set
	anyRowsInt8 anyRowsFunc // comes before tileInt8 where it is set
	pairs       int         // of bf16 that anyRowsBF16 multiplies at once

	softmax     func(x unsafe.Pointer, rows, n, stride int, scale float32)
	softmaxBF16 func(
		dst, inverse, x unsafe.Pointer, rows, n, ldd, stride int, scale float32,
		kept unsafe.Pointer, width int,
	)
	scaleTile   func(x, factors unsafe.Pointer, rows int)
	norms       []normFunc // widest vectors first
	activate    [4]func(x unsafe.Pointer, rows, ldx int)
	slope       [4]func(x unsafe.Pointer, rows, ldx int)
	gate        func(dst, sums, x, y, p, q unsafe.Pointer, n int)
	addPositive func(dst, x unsafe.Pointer, rows, ldx int)
	signs       func(dst, signs, x unsafe.Pointer, rows, ldx int)
	spread      func(dst, signs unsafe.Pointer, rows, ldd int)
	spreadBF16  func(dst, signs unsafe.Pointer, rows, ldd int)
	addProduct  func(dst, x, y unsafe.Pointer, rows, ldx, ldy int)
	gateRows    func(dst, x, y unsafe.Pointer, rows, ldd, ldx int)
	gateBF16    func(dst, x, y unsafe.Pointer, rows, ldd, ldx int)
	addTile     func(dst, src unsafe.Pointer, rows, ldd int)
	toBF16      func(dst, src unsafe.Pointer, rows, n, ldd, lds int)
	transpose   func(dst, src unsafe.Pointer, lds, k, groups int)
	interleave  func(dst, src unsafe.Pointer, pairs, lds int)
	quantise    func(dst, scales, src unsafe.Pointer, rows, n, ldd, lds int)
	dequantise  func(dst, src, factors, scales, bias unsafe.Pointer, rows, ldd int)
	peaks       []peak

	dotBytes   func(dst, query, rows unsafe.Pointer, d, ld, n, init int)
	dotBytesAt func(dst, query, rows, at unsafe.Pointer, d, ld, n, init int)
	estimate   func(upper, above, blocks, table, params unsafe.Pointer, n, width int)
}

// tileFunc computes c = init + a·b for a fixed number of rows and any number of panels. Strides
// are in bytes, k in 4-byte words of a; init is one row or nil.
type tileFunc = func(c, a, b, init unsafe.Pointer, ldc, lda, k, panels int)

// anyRowsFunc is a tileFunc for any number of rows.
type anyRowsFunc = func(c, a, b, init unsafe.Pointer, ldc, lda, rows, k, panels int)

// normFunc is a LayerNorm for row lengths that are multiples of lanes.
type normFunc struct {
	lanes int
	run   func(
		dst, src, gain, bias unsafe.Pointer, rows, n, ldd, lds int, inverseN, epsilon float32,
	)
}

// peak is a loop of flops floating point operations a round, and nothing else.
type peak struct {
	precision string
	flops     int
	run       func(rounds int)
}

// Tier says which tier the functions belong to.
func (s *Set) Tier() Tier { return s.tier }

// HasBF16 reports whether the CPU multiplies bf16 itself: elsewhere bf16 works, but is slow.
func (s *Set) HasBF16() bool { return s.tileBF16 != nil || s.anyRowsBF16 != nil }

// PairsBF16 is the number of pairs that a product of bf16 takes at once. One over a multiple of it
// leaves no rest, which would cost more than it is worth: pad with zeros where that is cheap.
func (s *Set) PairsBF16() int { return max(1, s.pairs) }

// TileRows is the number of rows at which a tile runs best: split M evenly into at most so many.
func (s *Set) TileRows() int { return s.tileRows }

// need panics unless a slice of n values holds rows of width values, stride apart.
func need(what string, n, rows, stride, width int) {
	if rows > 0 && n < (rows-1)*stride+width {
		panic(fmt.Sprintf("kernel: %s has %d values, %d rows of %d with stride %d need %d",
			what, n, rows, width, stride, (rows-1)*stride+width))
	}
}

func f32(s []float32) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }
func u32(s []uint32) unsafe.Pointer  { return unsafe.Pointer(unsafe.SliceData(s)) }
func u16(s []uint16) unsafe.Pointer  { return unsafe.Pointer(unsafe.SliceData(s)) }

// TileF32 computes c = init + a·b for rows ≤ TileRows rows and panels·32 columns:
//
//	c    [rows, 32·panels]     out, rows ldc apart
//	a    [rows, k]             rows lda apart
//	b    [panels, k, 32]       packed
//	init [32·panels]           added to every row (a bias, a mask); nil for none
func (s *Set) TileF32(
	c []float32, ldc int, a []float32, lda int, b, init []float32, rows, k, panels int,
) {
	checkTile(len(c), ldc, len(a), lda, len(b), init, rows, k, panels)
	switch {
	case rows <= 0 || panels <= 0:
	case s.tileF32 == nil:
		tileF32(c, ldc, a, lda, b, init, rows, k, panels)
	default:
		runTiles(s.tileF32, f32(c), f32(a), f32(b), f32(init), 4*ldc, 4*lda, rows, k, panels)
	}
}

// runTiles computes rows with kernels for few: in equal parts, as a tier with more rows to a tile
// than these kernels have asks for.
func runTiles(
	tiles []tileFunc, c, a, b, init unsafe.Pointer, ldc, lda, rows, k, panels int,
) {
	most := len(tiles) - 1
	if rows <= most { // and no division, which shows where tiles are small
		tiles[rows](c, a, b, init, ldc, lda, k, panels)
		return
	}
	parts := (rows + most - 1) / most
	for i := range parts {
		from, to := rows*i/parts, rows*(i+1)/parts
		tiles[to-from](unsafe.Add(c, from*ldc), unsafe.Add(a, from*lda), b, init, ldc, lda, k, panels)
	}
}

// TileBF16 is TileF32 of bf16 factors, summed in float32. k counts pairs: a is [rows, 2k] and b is
// [panels, k, 32, 2]; an odd last column is a pair with zero in both.
func (s *Set) TileBF16(
	c []float32, ldc int, a []uint16, lda int, b []uint16, init []float32, rows, k, panels int,
) {
	checkTile(len(c), ldc, len(a), lda, len(b), init, rows, 2*k, panels)
	switch {
	case rows <= 0 || panels <= 0:
	case s.anyRowsBF16 != nil:
		s.anyRowsBF16(f32(c), u16(a), u16(b), f32(init), 4*ldc, 2*lda, rows, k, panels)
	case s.tileBF16 == nil:
		tileBF16(c, ldc, a, lda, b, init, rows, k, panels)
	default:
		runTiles(s.tileBF16, f32(c), u16(a), u16(b), f32(init), 4*ldc, 2*lda, rows, k, panels)
	}
}

func checkTile(c, ldc, a, lda, b int, init []float32, rows, k, panels int) {
	need("c", c, rows, ldc, Columns*panels)
	need("a", a, rows, lda, k)
	need("b", b, 1, 0, k*Columns*panels)
	if init != nil {
		need("init", len(init), 1, 0, Columns*panels)
	}
}

// Softmax replaces each row of x [rows, n] by softmax(scale·x). A column to leave out holds -Inf
// and becomes 0. Rows are stride apart; n that is no multiple of 32 is slow.
func (s *Set) Softmax(x []float32, rows, n, stride int, scale float32) {
	need("x", len(x), rows, stride, n)
	switch {
	case rows <= 0 || n <= 0:
	case s.softmax == nil || n%Columns != 0:
		softmax(x, rows, n, stride, scale)
	default:
		s.softmax(f32(x), rows, n, 4*stride, scale*math.Log2E)
	}
}

// SoftmaxBF16 writes exp(scale·(x - max)) of each row to dst as bf16, and one over the row's sum to
// inverse: the division is left to whoever has fewer values to divide. n is a multiple of 32.
//
// Where kept is not nil, it gets the weights of the first width columns in float32, before any
// rounding to bf16 and divided by their sum, as [rows, width] end to end; x is then lost.
func (s *Set) SoftmaxBF16(
	dst []uint16, ldd int, inverse, x []float32, rows, n, stride int, scale float32,
	kept []float32, width int,
) {
	need("x", len(x), rows, stride, n)
	need("dst", len(dst), rows, ldd, n)
	need("inverse", len(inverse), 1, 0, rows)
	if kept != nil {
		need("kept", len(kept), rows, width, width)
		need("a row of x", n, 1, 0, width)
	}
	switch {
	case rows <= 0 || n <= 0:
	case s.softmaxBF16 == nil || n%Columns != 0:
		softmaxBF16(dst, ldd, inverse, x, rows, n, stride, scale, kept, width)
	default:
		s.softmaxBF16(u16(dst), f32(inverse), f32(x), rows, n, 2*ldd, 4*stride, scale*math.Log2E,
			f32(kept), width)
	}
}

// ScaleTile multiplies row i of x [rows, 32] by factors[i].
func (s *Set) ScaleTile(x, factors []float32, rows int) {
	need("x", len(x), rows, Columns, Columns)
	need("factors", len(factors), 1, 0, rows)
	switch {
	case rows <= 0:
	case s.scaleTile == nil:
		scaleTile(x, factors, rows)
	default:
		s.scaleTile(f32(x), f32(factors), rows)
	}
}

// LayerNorm writes (x - mean)/√(variance + epsilon)·gain + bias of each row of src to dst, which
// may be src. Row lengths that are no multiple of 8 are slow.
func (s *Set) LayerNorm(
	dst []float32, ldd int, src []float32, lds int, gain, bias []float32, rows int, epsilon float32,
) {
	n := len(gain)
	need("src", len(src), rows, lds, n)
	need("dst", len(dst), rows, ldd, n)
	need("bias", len(bias), 1, 0, n)
	if rows <= 0 || n == 0 {
		return
	}
	for _, f := range s.norms {
		if n%f.lanes == 0 {
			f.run(f32(dst), f32(src), f32(gain), f32(bias), rows, n, 4*ldd, 4*lds,
				1/float32(n), epsilon)
			return
		}
	}
	layerNorm(dst, ldd, src, lds, gain, bias, rows, epsilon)
}

// Activate applies f to rows of 32 columns of x, ldx apart, in place.
func (s *Set) Activate(f Activation, x []float32, rows, ldx int) {
	need("x", len(x), rows, ldx, Columns)
	switch {
	case rows <= 0:
	case s.activate[f] == nil:
		activate(f, x, rows, ldx)
	default:
		s.activate[f](f32(x), rows, 4*ldx)
	}
}

// AddTile adds the contiguous rows of src [rows, 32] to the rows of dst, ldd apart.
func (s *Set) AddTile(dst []float32, ldd int, src []float32, rows int) {
	need("dst", len(dst), rows, ldd, Columns)
	need("src", len(src), rows, Columns, Columns)
	switch {
	case rows <= 0:
	case s.addTile == nil:
		addTile(dst, ldd, src, rows)
	default:
		s.addTile(f32(dst), f32(src), rows, 4*ldd)
	}
}

// ToBF16 rounds rows of n values to bf16, to nearest even. NaN stays NaN; a CPU that converts by
// itself rounds denormal values to zero.
func (s *Set) ToBF16(dst []uint16, ldd int, src []float32, lds int, rows, n int) {
	need("dst", len(dst), rows, ldd, n)
	need("src", len(src), rows, lds, n)
	if rows <= 0 || n <= 0 {
		return
	}
	done := 0
	if s.toBF16 != nil && n >= Columns {
		done = n &^ (Columns - 1)
		s.toBF16(u16(dst), f32(src), rows, done, 2*ldd, 4*lds)
	}
	if done < n {
		toBF16(dst[done:], ldd, src[done:], lds, rows, n-done)
	}
}
