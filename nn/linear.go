package nn

import (
	"context"
	"fmt"
	"math"
	"runtime"

	"evident/internal/kernel"
	"evident/internal/pack"
)

// Linear is y = x·Wᵀ + b with the weight packed for this CPU.
type Linear struct {
	In, Out int

	set    *kernel.Set
	panels int
	f32    []float32 // [panels, In, 32], or
	bf16   []uint16  // [panels, ⌈In/2⌉, 32, 2], or
	int8   []int8    // [panels, ⌈In/4⌉, 32, 4] with
	scales []float32 // [panels·32] and
	offset []int32   // [panels·32]
	bias   []float32 // [panels·32], zeros beyond Out

	cache *pack.Cache // keeps all of these mapped, where they are
}

// NewLinear packs a weight [out, in] (PyTorch's layout) and a bias [out], which may be nil. The
// weight is not kept. What the CPU does not multiply natively becomes FP32 or, Int8 where it can,
// BF16.
func NewLinear(weight, bias []float32, in, out int, precision Precision) *Linear {
	l, _ := LoadLinear(nil, "", in, out, precision, func() ([]float32, []float32, error) {
		return weight, bias, nil
	})
	return l
}

// LoadLinear is [NewLinear] with a cache, which may be nil: the packed weight comes from there under the
// name given, and only where the cache does not have it, read is called for weight and bias, packed, and
// the cache gets the result. The name tells all that read computes: which tensors, and what is done to
// them. The error is read's.
func LoadLinear(
	cache *pack.Cache, name string, in, out int, precision Precision,
	read func() (weight, bias []float32, err error),
) (*Linear, error) {
	l := &Linear{In: in, Out: out, set: kernel.Active(), cache: cache}
	l.panels = (out + kernel.Columns - 1) / kernel.Columns
	native := precision.Native()
	key := pack.Key{Name: name, Form: "linear " + native.String(), Shape: []int{out, in}}
	data, err := cache.Section(key, func() ([]byte, error) {
		weight, bias, err := read()
		if err != nil {
			return nil, err
		}
		if len(weight) != in*out || bias != nil && len(bias) != out {
			panic(fmt.Sprintf("nn: a linear layer of %d×%d got %d weights and %d biases",
				out, in, len(weight), len(bias)))
		}
		data := pack.Bytes(l.packedSize(native))
		l.view(data, native)
		l.pack(weight, bias)
		return data, nil
	})
	if err != nil {
		return nil, err
	}
	l.view(data, native)
	return l, nil
}

// packedSize is the number of bytes of all panels and of the vectors behind them.
func (l *Linear) packedSize(p Precision) int {
	const number = 4 // bytes of a float32 or an int32
	vectors := 1     // bias
	if p == Int8 {
		vectors = 3 // scales and offsets, bias
	}
	size := [...]int{FP32: 4, BF16: 2, Int8: 1}[p]
	return l.panels * (l.panelSize(p)*size + vectors*number*kernel.Columns)
}

// view lets the layer's slices be those of its packed form: the panels, each a multiple of cache lines,
// then scales and offsets of Int8, then the bias.
func (l *Linear) view(data []byte, p Precision) {
	n, columns := l.panels*l.panelSize(p), l.panels*kernel.Columns
	switch p {
	case Int8:
		l.int8, data = pack.View[int8](data, n)
		l.scales, data = pack.View[float32](data, columns)
		l.offset, data = pack.View[int32](data, columns)
	case BF16:
		l.bf16, data = pack.View[uint16](data, n)
	default:
		l.f32, data = pack.View[float32](data, n)
	}
	l.bias, _ = pack.View[float32](data, columns)
}

// pack fills the layer's slices. What they hold depends on their values alone, not on the tier: another
// way of packing is another [pack.Layout].
func (l *Linear) pack(weight, bias []float32) {
	copy(l.bias, bias)
	in, size := l.In, l.panelSize(l.Precision())
	const flopPerWeight = 16 // what moving one costs, in the time of so many operations
	shared.do(threads(0), l.panels, float64(in*l.Out)*flopPerWeight, func(_, panel int) {
		column := panel * kernel.Columns
		rows := min(kernel.Columns, l.Out-column)
		from := weight[column*in:]
		switch {
		case l.int8 != nil:
			kernel.PackInt8(l.int8[panel*size:], l.scales[column:], l.offset[column:],
				from, in, rows, in)
		case l.bf16 != nil:
			l.set.PackBF16(l.bf16[panel*size:], from, in, rows, in)
		default:
			l.set.PackF32(l.f32[panel*size:], from, in, rows, in)
		}
	})
}

// Precision is the arithmetic in use: FP32, BF16 or Int8, never Auto.
func (l *Linear) Precision() Precision {
	switch {
	case l.int8 != nil:
		return Int8
	case l.bf16 != nil:
		return BF16
	}
	return FP32
}

// Weight returns W [Out, In] as it is multiplied: rounded where the precision rounds.
func (l *Linear) Weight() []float32 {
	w := make([]float32, l.Out*l.In)
	size := l.panelSize(l.Precision())
	for i := range w {
		row, column := i/l.In, i%l.In
		panel, lane := row/kernel.Columns*size, row%kernel.Columns
		switch {
		case l.int8 != nil:
			v := l.int8[panel+(column/kernel.Quad*kernel.Columns+lane)*kernel.Quad+column%kernel.Quad]
			w[i] = float32(v) * l.scales[row]
		case l.bf16 != nil:
			v := l.bf16[panel+(column/2*kernel.Columns+lane)*2+column%2]
			w[i] = math.Float32frombits(uint32(v) << 16)
		default:
			w[i] = l.f32[panel+column*kernel.Columns+lane]
		}
	}
	runtime.KeepAlive(l)
	return w
}

// Transposed returns the way back through the layer, y·W: its weight is Wᵀ [In, Out], in float32, without a
// bias.
func (l *Linear) Transposed() *Linear {
	return NewLinear(transposed(l.Weight(), l.Out, l.In), nil, l.Out, l.In, FP32)
}

// panelSize is the number of values of one packed panel.
func (l *Linear) panelSize(p Precision) int {
	together := [...]int{FP32: 1, BF16: 2, Int8: kernel.Quad}[p]
	return kernel.Columns * ((l.In + together - 1) / together * together)
}

// Forward computes dst [m, Out] = x [m, In]·Wᵀ + b on all cores. The slices must not overlap.
func (l *Linear) Forward(dst, x []float32, m int) {
	if m <= 0 {
		return
	}
	w := newWorkspace(context.Background(), l.set, 0)
	defer w.release()
	src := w.narrowed(matrix{f32: x, ld: l.In}, m, l.In, l.Precision())
	l.multiply(w, output{matrix: matrix{f32: dst, ld: l.Out}}, src, m)
}

// output says where a product goes and what is done to it on the way, while it is in cache.
type output struct {
	matrix
	add      bool // to what is there: the residual
	activate bool
	function kernel.Activation
	before   []float32 // [m, Out]: gets what the activation is applied to; nil where nobody asked
	unbiased [2]int    // panels [from, to) get no bias
}

// chunkBytes bounds the rows that are multiplied by one panel after another: they stay in the
// second level cache.
const chunkBytes = 384 << 10

// multiply computes dst = x·Wᵀ + b; x has the precision of the weight. An item of work is one
// panel times one chunk of rows, chunk by chunk.
func (l *Linear) multiply(w *workspace, dst output, x matrix, m int) {
	tiles := split(m, l.set.TileRows())
	size := [...]int{FP32: 4, BF16: 2, Int8: 1}[l.Precision()]
	perChunk := max(1, chunkBytes/(size*x.ld*l.set.TileRows()))
	chunks := (tiles.count + perChunk - 1) / perChunk
	flop := 2 * float64(m) * float64(l.In) * float64(l.Out)
	w.do(chunks*l.panels, flop, func(worker, item int) {
		chunk, panel := item/l.panels, item%l.panels
		for i := tiles.count * chunk / chunks; i < tiles.count*(chunk+1)/chunks; i++ {
			row, rows := tiles.at(i)
			l.tile(w.workers[worker], dst, x, row, rows, panel)
		}
	})
	runtime.KeepAlive(l) // the panels may be mapped for as long as l is reachable
}

// tile computes one tile of dst.
func (l *Linear) tile(s *scratch, dst output, x matrix, row, rows, panel int) {
	column := panel * kernel.Columns
	to, ld := s.tile, kernel.Columns
	direct := dst.f32 != nil && !dst.add && column+kernel.Columns <= dst.ld
	if direct {
		to, ld = dst.f32[row*dst.ld+column:], dst.ld
	}
	bias := l.bias[column:]
	if dst.unbiased[0] <= panel && panel < dst.unbiased[1] {
		bias = s.zeros
	}
	at := row*dst.ld + column
	if dst.bf16 != nil {
		kernel.FetchBF16(dst.bf16[at:], dst.ld, rows)
	} else {
		kernel.FetchF32(dst.f32[at:], dst.ld, rows)
	}
	b := panel * l.panelSize(l.Precision())
	switch {
	case l.int8 != nil:
		quads := (l.In + kernel.Quad - 1) / kernel.Quad
		l.set.TileInt8(s.sums, kernel.Columns, x.int8[row*x.ld:], x.ld, l.int8[b:],
			l.offset[column:], rows, quads, 1)
		l.set.Dequantise(to, ld, s.sums, x.scales[row:], l.scales[column:], bias, rows)
	case l.bf16 != nil:
		l.set.TileBF16(to, ld, x.bf16[row*x.ld:], x.ld, l.bf16[b:], bias, rows, (l.In+1)/2, 1)
	default:
		l.set.TileF32(to, ld, x.f32[row*x.ld:], x.ld, l.f32[b:], bias, rows, l.In, 1)
	}
	if dst.before != nil {
		storeNarrow(dst.before[row*l.Out+column:], l.Out, to, ld, rows,
			min(kernel.Columns, l.Out-column), false)
	}
	if dst.activate {
		l.set.Activate(dst.function, to, rows, ld)
	}
	if direct {
		return
	}
	width := min(kernel.Columns, dst.ld-column)
	switch {
	case dst.bf16 != nil:
		l.set.ToBF16(dst.bf16[at:], dst.ld, to, ld, rows, width)
	case dst.add && width == kernel.Columns:
		l.set.AddTile(dst.f32[at:], dst.ld, to, rows)
	default:
		storeNarrow(dst.f32[at:], dst.ld, to, ld, rows, width, dst.add)
	}
}

// plain computes a tile of x·Wᵀ, without the bias: rows of one panel, 32 apart. W is not of bytes.
func (l *Linear) plain(tile []float32, x matrix, row, rows, panel int) {
	b := panel * l.panelSize(l.Precision())
	if l.bf16 != nil {
		l.set.TileBF16(tile, kernel.Columns, x.bf16[row*x.ld:], x.ld, l.bf16[b:], nil, rows, (l.In+1)/2, 1)
		return
	}
	l.set.TileF32(tile, kernel.Columns, x.f32[row*x.ld:], x.ld, l.f32[b:], nil, rows, l.In, 1)
}

// storeNarrow writes the first columns of a tile, as of a last panel that is not full.
func storeNarrow(dst []float32, ldd int, tile []float32, ldt, rows, width int, add bool) {
	for i := range rows {
		to, from := dst[i*ldd:][:width], tile[i*ldt:][:width]
		if !add {
			copy(to, from)
			continue
		}
		for j, v := range from {
			to[j] += v
		}
	}
}
