package nn

import (
	"context"
	"sync"
	"sync/atomic"
	"unsafe"

	"evident/internal/kernel"
	"evident/internal/pack"
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
	ctx     context.Context
	stop    *atomic.Bool // set when ctx has ended; nil where it never ends
	unwatch func() bool

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

// buffer is memory that grows and is never cleared. It holds numbers of one type at a time: of these
// slices the one that was asked for last.
type buffer struct {
	memory []byte
	f32    []float32
	bf16   []uint16
	int8   []uint8
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// newWorkspace takes a workspace for one call on so many threads; give it back with release. Once ctx has
// ended, do has nothing done.
func newWorkspace(ctx context.Context, set *kernel.Set, wish int) *workspace {
	w := workspaces.Get().(*workspace)
	w.set, w.threads, w.ctx = set, threads(wish), ctx
	if ctx.Done() != nil {
		stop := new(atomic.Bool) // this call's own: it may be set after the end of the call
		w.stop, w.unwatch = stop, context.AfterFunc(ctx, func() { stop.Store(true) })
	}
	shared.enter()
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
	shared.leave()
	if w.unwatch != nil {
		w.unwatch()
	}
	w.set, w.ctx, w.stop, w.unwatch = nil, nil, nil, nil
	workspaces.Put(w)
}

// do shares the work of one phase with the pool.
func (w *workspace) do(items int, flop float64, run func(worker, item int)) {
	shared.doUnless(w.stop, w.threads, items, flop, run)
}

// stopped returns the error of a context that ended in time to leave something undone.
func (w *workspace) stopped() error {
	if w.stop != nil && w.stop.Load() {
		return w.ctx.Err()
	}
	return nil
}

// aligned returns n zeroed values that begin on a cache line.
func aligned[T float32 | uint16 | int32 | uint8 | int8](n int) []T {
	return pack.Numbers[T](n)
}

// numbers returns n values in the buffer's memory, which begins on a cache line.
func numbers[T pack.Number](b *buffer, n int) []T {
	if size := n * int(unsafe.Sizeof(*new(T))); len(b.memory) < size {
		spare := 0
		if len(b.memory) > 0 { // it was outgrown once and may be again
			spare = size / 8
		}
		b.memory = pack.Bytes(size + spare)
	}
	values, _ := pack.View[T](b.memory, n)
	return values
}

func (b *buffer) floats(n int) []float32 {
	b.f32 = numbers[float32](b, n)
	return b.f32
}

func (b *buffer) halves(n int) []uint16 {
	b.bf16 = numbers[uint16](b, n)
	return b.bf16
}

func (b *buffer) bytes(n int) []uint8 {
	b.int8 = numbers[uint8](b, n)
	return b.int8
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

// reserve takes the memory of the widest layers at once: growing in the middle of a pass would leave
// behind what was there before.
func (w *workspace) reserve(layers []EncoderLayer, groups []group) {
	rows := 0
	for _, g := range groups {
		rows = max(rows, g.seqs.Rows())
	}
	for i := range layers {
		l := &layers[i]
		if l.Down.bf16 == nil {
			w.wide.matrix(rows, l.Up.Out, false)
		}
		if l.Out.bf16 == nil {
			w.mixed.matrix(rows, l.Out.In, false)
		}
	}
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
	w.do((m+step-1)/step, float64(m*n)*4, func(_, item int) {
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
	w.do((m+step-1)/step, float64(m*n)*4, func(_, item int) {
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
