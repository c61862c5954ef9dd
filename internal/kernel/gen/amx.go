package main

import "fmt"

// The kernels of AMX hold a block of rows × 32 columns of c in tiles and run over k in steps of 64
// bytes of a row of a, which are 16 rows of a panel of b:
//
//	t0 t1  the upper rows of the block, columns 0 … 15 and 16 … 31     t4  their part of a
//	t2 t3  the lower rows                                              t5  their part of a
//	t6 t7  b
//
// A block of up to 16 rows leaves out the lower ones. Tiles keep their shapes and values across
// signals and switches of threads, but not across a switch of goroutines: so a kernel shapes the
// tiles, uses and releases them in one call. Assembly is never preempted by the Go scheduler.
const (
	tileA = 4
	tileB = 6
)

// amxKind is an arithmetic: what is multiplied, and by which instruction.
type amxKind struct {
	name     string
	encode   func(acc, a, b int) []byte
	mnemonic string
}

var amxKinds = []amxKind{
	{"BF16", multiplyBF16, "TDPBF16PS"},
	{"Int8", multiplyBytes, "TDPBUSD"},
}

func (a *assembly) amxFunctions() {
	for _, kind := range amxKinds {
		for high := 1; high <= 2; high++ {
			a.tileAMX(kind, high)
		}
		a.peakAMX(kind)
	}
}

// encoded writes an instruction that the Go assembler does not know, with its meaning.
func (a *assembly) encoded(code []byte, comment string, args ...any) {
	a.op("%s // %s", spell(code), fmt.Sprintf(comment, args...))
}

func (a *assembly) loadTile(tile int, base, index string, displacement int) {
	a.encoded(loadTile(tile, base, index, displacement),
		"TILELOADD %d(%s)(%s*1), T%d", displacement, base, index, tile)
}

func (a *assembly) storeTile(tile int, base, index string, displacement int) {
	a.encoded(storeTile(tile, base, index, displacement),
		"TILESTORED T%d, %d(%s)(%s*1)", tile, displacement, base, index)
}

func (a *assembly) multiply(kind amxKind, acc, left, right int) {
	a.encoded(kind.encode(acc, left, right), "%s T%d, T%d, T%d", kind.mnemonic, right, left, acc)
}

// shapeTiles shapes the tiles for R13 upper and R12 lower rows and DX bytes of a row of a. The
// shapes are laid out in the frame: palette, bytes of a row from 16, rows from 48.
func (a *assembly) shapeTiles(high int) {
	a.op("XORQ AX, AX")
	for at := 0; at < 64; at += 8 {
		a.op("MOVQ AX, %d(SP)", at)
	}
	a.op("MOVB $1, 0(SP)")
	a.op("MOVL $0x00400040, 16(SP)\nMOVW DX, 24(SP)\nMOVL $0x00400040, 28(SP)")
	a.op("MOVB R13, 48(SP)\nMOVB R13, 49(SP)\nMOVB R13, 52(SP)")
	if high == 2 {
		a.op("MOVL $0x00400040, 20(SP)\nMOVW DX, 26(SP)")
		a.op("MOVB R12, 50(SP)\nMOVB R12, 51(SP)\nMOVB R12, 53(SP)")
	}
	a.op("SHRQ $2, DX\nMOVB DX, 54(SP)\nMOVB DX, 55(SP)")
	a.encoded(configureTiles("SP"), "LDTILECFG (SP)")
}

// tileAMX writes one kernel. Registers:
//
//	SI, AX  upper and lower rows of a     BX  distance of rows of a     CX  distance of rows of b, 128
//	DX  c   R8  distance of its rows      R9  init   R10  distance of its rows, 0 for a bias
//	DI  b   R11  rows behind the block    R12  steps left   R13  upper rows   R15  panels left
//
// The last block is as high as the others: it goes back to rows that are done already where the
// rows are no multiple of it, which changes nothing unless init is c.
func (a *assembly) tileAMX(kind amxKind, high int) {
	a.framed(fmt.Sprintf("tile%sAMX%d", kind.name, high),
		"computes c = init + a·b as amxFunc says.",
		64, "c ptr", "a ptr", "b ptr", "init ptr", "ldc int", "lda int", "ldb int", "ldi int",
		"steps int", "width int", "rows int", "block int", "panels int")
	a.load("block R13", "width DX")
	if high == 2 {
		a.op("MOVQ R13, R12\nINCQ R13\nSHRQ $1, R13\nSUBQ R13, R12")
	}
	a.shapeTiles(high)
	a.load("ldc R8", "lda BX", "ldi R10", "panels R15")
	a.op("MOVQ $128, CX")
	a.label("panel")
	a.load("c DX", "a SI", "init R9", "rows R11")
	a.op("SUBQ %s, R11", a.argument("block"))
	a.label("block")
	a.startBlock(high)
	a.blockLoop(kind, high)
	a.storeTile(0, "DX", "R8", 0)
	a.storeTile(1, "DX", "R8", 64)
	if high == 2 {
		a.lower("DX", "R8")
		a.storeTile(2, "AX", "R8", 0)
		a.storeTile(3, "AX", "R8", 64)
	}
	a.op("TESTQ R11, R11\nJEQ next")
	a.load("block AX")
	a.op("CMPQ R11, AX\nCMOVQLT R11, AX\nSUBQ AX, R11")
	for _, pair := range [][2]string{{"BX", "SI"}, {"R8", "DX"}, {"R10", "R9"}} {
		a.op("MOVQ AX, DI\nIMULQ %s, DI\nADDQ DI, %s", pair[0], pair[1])
	}
	a.op("JMP block")
	a.label("next")
	a.load("ldb AX")
	a.op("ADDQ AX, %s\nADDQ $128, %s", a.argument("b"), a.argument("c"))
	a.op("CMPQ %s, $0\nJEQ unset\nADDQ $128, %s", a.argument("init"), a.argument("init"))
	a.label("unset")
	a.op("DECQ R15\nJNE panel")
	a.endTiles()
}

// lower sets AX to the lower rows of a matrix.
func (a *assembly) lower(base, distance string) {
	a.op("MOVQ R13, AX\nIMULQ %s, AX\nADDQ %s, AX", distance, base)
}

// startBlock sets the sums to where they start.
func (a *assembly) startBlock(high int) {
	a.op("TESTQ R9, R9\nJEQ zero")
	a.loadTile(0, "R9", "R10", 0)
	a.loadTile(1, "R9", "R10", 64)
	if high == 2 {
		a.lower("R9", "R10")
		a.loadTile(2, "AX", "R10", 0)
		a.loadTile(3, "AX", "R10", 64)
	}
	a.op("JMP start")
	a.label("zero")
	for i := range 2 * high {
		a.encoded(zeroTile(i), "TILEZERO T%d", i)
	}
	a.label("start")
}

// blockLoop multiplies over k and leaves SI where it was.
func (a *assembly) blockLoop(kind amxKind, high int) {
	a.load("steps R12", "b DI")
	a.op("TESTQ R12, R12\nJEQ store")
	if high == 2 {
		a.lower("SI", "BX")
	}
	a.op("PCALIGN $64")
	a.label("loop")
	a.loadTile(tileB, "DI", "CX", 0)
	a.loadTile(tileA, "SI", "BX", 0)
	a.loadTile(tileB+1, "DI", "CX", 64)
	if high == 2 {
		a.loadTile(tileA+1, "AX", "BX", 0)
	}
	for i := range 2 * high {
		a.multiply(kind, i, tileA+i/2, tileB+i%2)
	}
	if high == 2 {
		a.op("ADDQ $64, AX")
	}
	a.op("ADDQ $64, SI\nADDQ $2048, DI\nDECQ R12\nJNE loop")
	a.load("steps R12")
	a.op("SHLQ $6, R12\nSUBQ R12, SI")
	a.label("store")
}

// endTiles returns from a function that used tiles and no vectors.
func (a *assembly) endTiles() {
	a.encoded(releaseTiles(), "TILERELEASE")
	a.op("RET")
	a.text.WriteString("\n")
}

// peakAMX writes a loop of nothing but products of full tiles.
func (a *assembly) peakAMX(kind amxKind) {
	a.framed("peak"+kind.name+"AMX", "runs n rounds of 4 independent products of tiles.", 64, "n int")
	a.op("MOVQ $16, R13\nMOVQ $16, R12\nMOVQ $64, DX")
	a.shapeTiles(2)
	a.load("n CX")
	a.op("PCALIGN $64")
	a.label("loop")
	for i := range 4 {
		a.multiply(kind, i, tileA+i/2, tileB+i%2)
	}
	a.op("DECQ CX\nJNE loop")
	a.endTiles()
}
