package nn

import (
	"sync"
	"unsafe"

	"evident/internal/kernel"
)

// matrix is rows of float32, bf16 or bytes with a scale a row, ld apart; exactly one of the first
// three slices is set.
type matrix struct {
	f32    []float32
	bf16   []uint16
	int8   []uint8
	scales []float32
	ld     int
}

// workspace is the memory of one forward pass, kept from call to call.
type workspace struct {
	threads int
	set     *kernel.Set
	workers []*scratch

	narrow, scales, normed, qkv, mixed, wide, sums buffer
}

// scratch is the memory of one worker.
type scratch struct {
	tile    []float32 // [rows, 32]
	sums    []int32   // [rows, 32]: of products of bytes
	zeros   []float32 // [32]: no bias
	mask    []float32 // [32]: what is added to the last panel of scores
	scores  buffer    // [rows, T]
	weights buffer    // [rows, T] as bf16
	keys    buffer    // panels [T/32, d/h, 32]
	values  buffer    // panels [d/h/32, T, 32]
	inverse []float32 // one over the sums of softmax
}

// buffer is memory that grows and is never cleared.
type buffer struct {
	f32  []float32
	bf16 []uint16
	int8 []uint8
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// newWorkspace takes a workspace for so many threads; give it back with release.
func newWorkspace(set *kernel.Set, wish int) *workspace {
	w := workspaces.Get().(*workspace)
	w.set, w.threads = set, threads(wish)
	for len(w.workers) < w.threads {
		w.workers = append(w.workers, &scratch{
			tile: aligned[float32](tileRowsMax * kernel.Columns),
			sums: aligned[int32](tileRowsMax * kernel.Columns), zeros: make([]float32, kernel.Columns),
			mask: aligned[float32](kernel.Columns), inverse: aligned[float32](tileRowsMax),
		})
	}
	return w
}

// tileRowsMax is at least TileRows of every tier.
const tileRowsMax = 128

func (w *workspace) release() {
	w.set = nil
	workspaces.Put(w)
}

// aligned returns n zeroed values that begin on a cache line.
func aligned[T float32 | uint16 | int32 | uint8 | int8](n int) []T {
	const line = 64
	size := int(unsafe.Sizeof(*new(T)))
	all := make([]T, n+line/size)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(all))) & (line - 1) / uintptr(size))
	return all[skip : skip+n : skip+n]
}

func (b *buffer) floats(n int) []float32 {
	if cap(b.f32) < n {
		b.f32 = aligned[float32](n + n/8)
	}
	return b.f32[:n]
}

func (b *buffer) halves(n int) []uint16 {
	if cap(b.bf16) < n {
		b.bf16 = aligned[uint16](n + n/8)
	}
	return b.bf16[:n]
}

func (b *buffer) bytes(n int) []uint8 {
	if cap(b.int8) < n {
		b.int8 = aligned[uint8](n + n/8)
	}
	return b.int8[:n]
}

// matrix shapes the buffer as m rows of n columns. A row is whole panels and a cache line more:
// rows a multiple of 4 KiB apart would fall into the same few cache sets.
func (b *buffer) matrix(m, n int, bf16 bool) matrix {
	panels := (n + kernel.Columns - 1) / kernel.Columns * kernel.Columns
	if bf16 {
		ld := panels + 32
		return matrix{bf16: b.halves(m * ld), ld: ld}
	}
	ld := panels + 16
	return matrix{f32: b.floats(m * ld), ld: ld}
}

// narrowed returns x [m, n] as the precision asks: x itself, or its values rounded to bf16 or to
// bytes. It is of use until the next call.
func (w *workspace) narrowed(x matrix, m, n int, precision Precision) matrix {
	switch {
	case precision == Int8:
		return w.quantised(x, m, n)
	case precision == FP32 || x.bf16 != nil:
		return x
	}
	const step = 32
	to := w.narrow.matrix(m, n, true)
	shared.do(w.threads, (m+step-1)/step, float64(m*n)*4, func(_, item int) {
		from := item * step
		rows := min(step, m-from)
		w.set.ToBF16(to.bf16[from*to.ld:], to.ld, x.f32[from*x.ld:], x.ld, rows, n)
		if n%2 != 0 {
			for row := from; row < from+rows; row++ {
				to.bf16[row*to.ld+n] = 0 // its pair is multiplied
			}
		}
	})
	return to
}

// quantised returns x [m, n] in bytes, with a scale a row.
func (w *workspace) quantised(x matrix, m, n int) matrix {
	const step, line = 32, 64
	ld := (n+line-1)/line*line + line
	to := matrix{int8: w.narrow.bytes(m * ld), scales: w.scales.floats(m), ld: ld}
	shared.do(w.threads, (m+step-1)/step, float64(m*n)*4, func(_, item int) {
		from := item * step
		w.set.Quantise(to.int8[from*ld:], ld, to.scales[from:], x.f32[from*x.ld:], x.ld,
			min(step, m-from), n)
	})
	return to
}

// blocks is the even split of m rows into tiles.
type blocks struct{ rows, count int }

func split(m, tileRows int) blocks { return blocks{m, (m + tileRows - 1) / tileRows} }

// at returns the first row of block i and its number of rows.
func (b blocks) at(i int) (row, rows int) {
	row = b.rows * i / b.count
	return row, b.rows*(i+1)/b.count - row
}
