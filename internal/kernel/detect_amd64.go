package kernel

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/cpu"
)

// xgetbv returns register XCR0: the parts of the CPU's state that the operating system saves. Only
// a CPU with OSXSAVE has the instruction.
func xgetbv() (low, high uint32)

// cpuid asks the CPU what it is.
func cpuid(leaf, subleaf uint32) (a, b, c, d uint32)

// hasTiles says whether the CPU has tiles of the shape that the kernels use and the operating
// system saves them. (x/sys/cpu asks the CPU alone.)
var hasTiles = sync.OnceValue(func() bool {
	if !cpu.X86.HasAMXTile || !cpu.X86.HasOSXSAVE {
		return false
	}
	const tileState = 3 << 17 // XTILECFG and XTILEDATA
	if low, _ := xgetbv(); low&tileState != tileState {
		return false
	}
	const leaf, palette, tiles = 0x1d, 1, 8
	_, b, c, _ := cpuid(leaf, palette) // bytes of a row and tiles; rows
	return b&0xffff >= tileBytesAMX && b>>16 >= tiles && c&0xffff >= tileRowsAMX
})

// tilesPermitted asks the operating system, once, for the use of tiles.
var tilesPermitted = sync.OnceValue(func() bool { return hasTiles() && requestTiles() == nil })

// emulated says that Emulate was called.
var emulated atomic.Bool

// Emulate makes tier AMXBF16 available on every CPU, its other functions being those of the best
// tier without it. It is for test programs that run under package emulator, and comes before any
// other use of the package: elsewhere the first product ends the program with SIGILL.
func Emulate() {
	best := Best()
	if best == AMXBF16 {
		return // it needs no emulator
	}
	sets[AMXBF16] = withAMX(sets[best], true)
	emulated.Store(true)
}
