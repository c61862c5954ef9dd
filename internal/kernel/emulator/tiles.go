package emulator

import (
	"encoding/binary"
	"errors"
	"math"
)

// The shapes of palette 1.
const (
	tileCount = 8
	rowsMax   = 16
	bytesMax  = 64
)

// What the CPU raises.
var (
	errUndefined  = errors.New("#UD")
	errProtection = errors.New("#GP")
)

// tile is one register: rows of bytes values.
type tile struct {
	rows, bytes int
	data        [rowsMax][bytesMax]byte
}

// tiles is the state of AMX of one thread.
type tiles struct {
	configured bool
	tile       [tileCount]tile
}

// memory is that of the program; an error is a page fault.
type memory interface {
	read(rows [][]byte, address, distance uint64) error
	write(rows [][]byte, address, distance uint64) error
}

// execute does what an instruction says; address is that of its operand in memory and distance that
// of the operand's rows.
func (t *tiles) execute(i instruction, m memory, address, distance uint64) error {
	switch i.operation {
	case configure:
		var shapes [64]byte
		if err := m.read([][]byte{shapes[:]}, address, 0); err != nil {
			return err
		}
		return t.configure(shapes[:])
	case release:
		*t = tiles{}
		return nil
	}
	to := &t.tile[i.tile]
	if !t.configured || to.rows == 0 {
		return errUndefined
	}
	switch i.operation {
	case zero:
		to.data = [rowsMax][bytesMax]byte{}
	case load:
		to.data = [rowsMax][bytesMax]byte{}
		return m.read(to.slices(), address, distance)
	case store:
		return m.write(to.slices(), address, distance)
	case dotBF16, dotBytes:
		a, b := &t.tile[i.left], &t.tile[i.right]
		if i.tile == i.left || i.tile == i.right || i.left == i.right || !fits(to, a, b) {
			return errUndefined
		}
		if i.operation == dotBF16 {
			multiplyBF16(to, a, b)
		} else {
			multiplyBytes(to, a, b)
		}
	}
	return nil
}

// configure reads the shapes of all tiles and clears them.
func (t *tiles) configure(shapes []byte) error {
	const bytesAt, rowsAt = 16, 48
	palette := shapes[0]
	if palette == 0 {
		*t = tiles{}
		return nil
	}
	if palette != 1 {
		return errProtection
	}
	next := tiles{configured: true}
	for at, v := range shapes {
		switch { // byte 1 is a row to start with, which is not known here
		case at == 0, at >= bytesAt && at < bytesAt+2*tileCount, at >= rowsAt && at < rowsAt+tileCount:
		case v != 0:
			return errProtection
		}
	}
	for i := range next.tile {
		rows, bytes := int(shapes[rowsAt+i]), int(binary.LittleEndian.Uint16(shapes[bytesAt+2*i:]))
		if rows > rowsMax || bytes > bytesMax || (rows == 0) != (bytes == 0) {
			return errProtection
		}
		next.tile[i].rows, next.tile[i].bytes = rows, bytes
	}
	*t = next
	return nil
}

// slices returns the rows in use.
func (t *tile) slices() [][]byte {
	all := make([][]byte, t.rows)
	for i := range all {
		all[i] = t.data[i][:t.bytes]
	}
	return all
}

// fits says whether sum += a·b is a product that the CPU accepts.
func fits(sum, a, b *tile) bool {
	return a.rows > 0 && b.rows > 0 && sum.bytes%4 == 0 && a.bytes%4 == 0 && b.bytes%4 == 0 &&
		sum.rows == a.rows && sum.bytes == b.bytes && a.bytes/4 == b.rows
}

// multiplyBF16 computes sum[i,j] += Σ a[i,2k]·b[k,2j] + a[i,2k+1]·b[k,2j+1] in float32.
func multiplyBF16(sum, a, b *tile) {
	const columns = bytesMax / 4
	for i := range sum.rows {
		var even, odd [columns]float32
		for k := range a.bytes / 4 {
			x, y := widen(a.data[i][4*k:]), widen(a.data[i][4*k+2:])
			for j := range sum.bytes / 4 {
				even[j] = multiplyAdd(even[j], x, widen(b.data[k][4*j:]))
				odd[j] = multiplyAdd(odd[j], y, widen(b.data[k][4*j+2:]))
			}
		}
		for j := range sum.bytes / 4 {
			at := sum.data[i][4*j:]
			before := flush(float64(math.Float32frombits(binary.LittleEndian.Uint32(at))))
			both := flush(float64(even[j]) + float64(odd[j]))
			after := flush(float64(before) + float64(both))
			binary.LittleEndian.PutUint32(at, math.Float32bits(after))
		}
	}
}

// widen reads a bf16; one that is denormal is zero.
func widen(at []byte) float32 {
	bits := uint32(binary.LittleEndian.Uint16(at)) << 16
	if bits&0x7f800000 == 0 {
		bits &= 0x80000000
	}
	return math.Float32frombits(bits)
}

// multiplyAdd returns sum + x·y, rounded once: the product of two bf16 is exact in float64, and
// their sum with a float32 is exact or so far from half-way between two float32 that rounding twice
// is rounding once.
func multiplyAdd(sum, x, y float32) float32 {
	return flush(float64(sum) + float64(x)*float64(y))
}

// flush rounds to float32; what is below its normal values after rounding is zero, with its sign.
func flush(x float64) float32 {
	const least = 0x1p-126 * (1 - 0x1p-25) // becomes normal when it is rounded
	if math.Abs(x) < least {
		return float32(math.Copysign(0, x))
	}
	return float32(x)
}

// multiplyBytes computes sum[i,j] += Σ a[i,4k+q]·b[k,4j+q] with unsigned a and signed b; sums wrap.
func multiplyBytes(sum, a, b *tile) {
	for i := range sum.rows {
		for j := range sum.bytes / 4 {
			at := sum.data[i][4*j:]
			total := int32(binary.LittleEndian.Uint32(at))
			for k := range a.bytes / 4 {
				for q := range 4 {
					total += int32(a.data[i][4*k+q]) * int32(int8(b.data[k][4*j+q]))
				}
			}
			binary.LittleEndian.PutUint32(at, uint32(total))
		}
	}
}
