package emulator

import (
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// plainMemory is a program's memory from address 0 on.
type plainMemory []byte

var errPage = errors.New("#PF")

func (m plainMemory) each(
	rows [][]byte, address, distance uint64, move func(row, at []byte),
) error {
	for i, row := range rows {
		at := address + uint64(i)*distance
		if at+uint64(len(row)) > uint64(len(m)) {
			return errPage
		}
		move(row, m[at:])
	}
	return nil
}

func (m plainMemory) read(rows [][]byte, address, distance uint64) error {
	return m.each(rows, address, distance, func(row, at []byte) { copy(row, at) })
}

func (m plainMemory) write(rows [][]byte, address, distance uint64) error {
	return m.each(rows, address, distance, func(row, at []byte) { copy(at, row) })
}

// shapes lays out a configuration with the same shape for tiles 0 … 2, and none for the others.
func shapes(rows, bytes int) []byte {
	s := make([]byte, 64)
	s[0] = 1
	for i := range 3 {
		s[16+2*i], s[48+i] = byte(bytes), byte(rows)
	}
	return s
}

func TestConfigure(t *testing.T) {
	with := func(at int, v byte) []byte {
		s := shapes(16, 64)
		s[at] = v
		return s
	}
	for name, c := range map[string]struct {
		shapes []byte
		want   error
	}{
		"full":             {shapes(16, 64), nil},
		"small":            {shapes(1, 4), nil},
		"none":             {make([]byte, 64), nil},
		"palette 2":        {with(0, 2), errProtection},
		"a row to start":   {with(1, 1), errProtection},
		"reserved 2":       {with(2, 1), errProtection},
		"reserved 15":      {with(15, 1), errProtection},
		"a ninth tile":     {with(32, 4), errProtection},
		"reserved 47":      {with(47, 1), errProtection},
		"ninth tile's row": {with(56, 1), errProtection},
		"65 bytes":         {with(16, 65), errProtection},
		"17 rows":          {with(48, 17), errProtection},
		"rows of nothing":  {with(16, 0), errProtection},
		"no rows":          {with(48, 0), errProtection},
	} {
		if err := new(tiles).configure(c.shapes); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestExecute: loads, stores and refusals as the CPU's.
func TestExecute(t *testing.T) {
	memory := make(plainMemory, 256)
	copy(memory, shapes(3, 8))
	for i := 64; i < len(memory); i++ {
		memory[i] = byte(i)
	}
	run := func(state *tiles, o operation, tile int, address, distance uint64) error {
		return state.execute(instruction{operation: o, tile: tile}, memory, address, distance)
	}
	state := new(tiles)
	for _, o := range []operation{zero, load, store, dotBF16} {
		if err := run(state, o, 0, 64, 8); !errors.Is(err, errUndefined) {
			t.Errorf("%s without shapes: %v", o, err)
		}
	}
	if err := run(state, configure, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := run(state, load, 3, 64, 8); !errors.Is(err, errUndefined) {
		t.Errorf("a tile without rows loads: %v", err)
	}
	if err := errors.Join(run(state, load, 1, 64, 10), run(state, store, 1, 160, 20)); err != nil {
		t.Fatal(err)
	}
	for row := range 3 {
		for i := range 8 {
			if got, want := memory[160+20*row+i], byte(64+10*row+i); got != want {
				t.Errorf("row %d, byte %d is %d, want %d", row, i, got, want)
			}
		}
		if got := memory[160+20*row+8]; got != byte(160+20*row+8) {
			t.Errorf("row %d was stored too far", row)
		}
	}
	if err := run(state, load, 1, 240, 8); !errors.Is(err, errPage) {
		t.Errorf("beyond the memory: %v", err)
	}
	for _, i := range []instruction{
		{operation: dotBF16, tile: 0, left: 0, right: 2},
		{operation: dotBF16, tile: 0, left: 1, right: 1},
		{operation: dotBF16, tile: 0, left: 1, right: 2}, // 8 bytes of a, 3 rows of b
		{operation: dotBytes, tile: 0, left: 1, right: 5},
	} {
		if err := state.execute(i, memory, 0, 0); !errors.Is(err, errUndefined) {
			t.Errorf("%+v: %v", i, err)
		}
	}
	if err := errors.Join(run(state, release, 0, 0, 0)); err != nil || state.configured {
		t.Errorf("release: %v, configured %v", err, state.configured)
	}
}

// TestMultiplyAdd compares the sums with exact arithmetic, rounded once.
func TestMultiplyAdd(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 8))
	float := func(exponents int) float32 {
		return math.Float32frombits(r.Uint32()&0x807fffff | uint32(127-exponents/2+r.IntN(exponents))<<23)
	}
	for range 200_000 {
		x, y, sum := float(60), float(60), float(120)
		x = math.Float32frombits(math.Float32bits(x) &^ 0xffff)
		y = math.Float32frombits(math.Float32bits(y) &^ 0xffff)
		if r.IntN(4) == 0 { // nearly cancels
			sum = -x * y * (1 + float32(r.IntN(64)-32)*0x1p-23)
		}
		exact := new(big.Float).SetPrec(1000).SetFloat64(float64(x))
		exact.Mul(exact, new(big.Float).SetFloat64(float64(y)))
		exact.Add(exact, new(big.Float).SetFloat64(float64(sum)))
		want, _ := exact.Float32()
		if math.Abs(float64(want)) < 0x1p-126 {
			want = 0
		}
		if got := multiplyAdd(sum, x, y); got != want {
			t.Fatalf("%g + %g·%g = %g, want %g", sum, x, y, got, want)
		}
	}
}

// TestDenormal: factors and results below the normal numbers are zero, with their sign.
func TestDenormal(t *testing.T) {
	for in, want := range map[uint16]uint32{
		0x007f: 0, 0x807f: 0x80000000, 0x0080: 0x00800000, 0x3f80: 0x3f800000, 0xff80: 0xff800000,
	} {
		var at [2]byte
		binary.LittleEndian.PutUint16(at[:], in)
		if got := math.Float32bits(widen(at[:])); got != want {
			t.Errorf("%#04x widens to %#08x, want %#08x", in, got, want)
		}
	}
	for in, want := range map[float64]float32{
		0x1p-126: 0x1p-126, 0x1p-127: 0, -0x1.8p-140: 0, 0x1.ffffffp-127: 0x1p-126, 0x1.fffffep-127: 0,
		1e39: float32(math.Inf(1)),
	} {
		if got := flush(in); got != want || math.Signbit(float64(got)) != math.Signbit(in) {
			t.Errorf("%g rounds to %g, want %g", in, got, want)
		}
	}
}

// TestProducts compares whole tiles with plain sums; every size differs.
func TestProducts(t *testing.T) {
	const rows, steps, columns = 3, 5, 7
	var sum, bytes, a, b tile
	sum.rows, sum.bytes = rows, 4*columns
	a.rows, a.bytes = rows, 4*steps
	b.rows, b.bytes = steps, 4*columns
	r := rand.New(rand.NewPCG(5, 5))
	for i := range 16 {
		for j := range 64 {
			a.data[i][j], b.data[i][j] = byte(r.Uint32()), byte(r.Uint32())
		}
		for j := range 32 { // small whole numbers, whose sums are exact
			binary.LittleEndian.PutUint16(a.data[i][2*j:], small(r))
		}
	}
	if !fits(&sum, &a, &b) || fits(&sum, &b, &a) {
		t.Fatal("shapes are misjudged")
	}
	bytes = sum
	multiplyBytes(&bytes, &a, &b)
	multiplyBytes(&bytes, &a, &b)
	for i := range rows {
		for j := range columns {
			want := int32(0)
			for k := range 4 * steps {
				want += 2 * int32(a.data[i][k]) * int32(int8(b.data[k/4][4*j+k%4]))
			}
			if got := int32(binary.LittleEndian.Uint32(bytes.data[i][4*j:])); got != want {
				t.Errorf("bytes [%d,%d]: %d, want %d", i, j, got, want)
			}
		}
	}
	for i := range steps {
		for j := range 2 * columns {
			binary.LittleEndian.PutUint16(b.data[i][2*j:], small(r))
		}
	}
	multiplyBF16(&sum, &a, &b)
	multiplyBF16(&sum, &a, &b)
	for i := range rows {
		for j := range columns {
			want := float32(0)
			for k := range 2 * steps {
				want += 2 * widen(a.data[i][2*k:]) * widen(b.data[k/2][4*j+2*(k%2):])
			}
			if got := math.Float32frombits(binary.LittleEndian.Uint32(sum.data[i][4*j:])); got != want {
				t.Errorf("bf16 [%d,%d]: %g, want %g", i, j, got, want)
			}
		}
	}
	if sum.data[rows] != [bytesMax]byte{} || sum.data[0][4*columns] != 0 {
		t.Error("wrote outside the shape")
	}
}

// small is a whole number from -4 to 4 as bf16.
func small(r *rand.Rand) uint16 { return uint16(math.Float32bits(float32(r.IntN(9)-4)) >> 16) }
