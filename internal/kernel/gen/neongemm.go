package main

import (
	"fmt"
	"strings"
)

// neonTile is one family of matrix kernels for arm64. A factor of a is taken from a vector of four
// words of its row, so a is read once in four steps and never spread over a register.
type neonTile struct {
	name     string // of the functions, before the number of rows
	multiply byElement
}

var neonTiles = []neonTile{
	{"tileF32NEON", fmlaElement},
	{"tileBF16NEON", bfdotElement},
	{"tileInt8NEON", sudotElement},
}

const (
	neonRowsMax      = 6  // rows of a tile
	neonAccumulators = 24 // vectors of sums, at most; then come the rows of a, then b
)

func (t neonTile) function(rows int) string { return fmt.Sprintf("%s_%d", t.name, rows) }

// neonVectors is the width of a tile: half a panel, or all of it where there are registers for it.
func neonVectors(rows int) int {
	if 8*rows <= neonAccumulators {
		return 8
	}
	return 4
}

func (n *neon) matrixKernels() {
	for _, t := range neonTiles {
		for rows := 1; rows <= neonRowsMax; rows++ {
			n.tile(t, rows)
		}
	}
}

// tables writes the kernels of each kind by row count.
func (n *neon) tables() string {
	var text strings.Builder
	for _, t := range neonTiles {
		fmt.Fprintf(&text, "var %s = [...]tileFunc{\n\tnil,\n", t.name)
		for rows := 1; rows <= neonRowsMax; rows++ {
			fmt.Fprintf(&text, "\t%s,\n", t.function(rows))
		}
		text.WriteString("}\n\n")
	}
	return text.String()
}

// tile writes one kernel. Registers:
//
//	R1 … R6  rows of a   R7  b   R0  c   R8  init   R9  row of c in bytes   R10  k
//	R11  tiles left   R12  k left   R13  a row of c; a row of a in bytes   R14  the panel in bytes
//
// The accumulators are vectors 0 …, row by row; the rows of a are 24 …, and b has two or four of
// the last ones.
func (n *neon) tile(t neonTile, rows int) {
	n.function(t.function(rows), "", "c ptr", "a ptr", "b ptr", "init ptr",
		"ldc int", "lda int", "k int", "panels int")
	n.tileLoads(rows)
	width := neonVectors(rows)
	if width == 4 {
		n.op("LSL $1, R11")
	}
	n.label("panel")
	n.op("CBZ R8, zero")
	n.read("R8", 0, 0, width)
	n.op("ADD $%d, R8", 16*width)
	for i := width; i < rows*width; i++ {
		n.copy(i, i%width)
	}
	n.op("B start")
	n.label("zero")
	n.clear(0, rows*width)
	n.label("start")
	n.tileLoop(t, rows)
	n.op("MOVD R0, R13")
	for i := range rows {
		n.write("R13", 0, i*width, width)
		if i < rows-1 {
			n.op("ADD R9, R13")
		}
	}
	n.nextTile(rows)
	n.end()
}

func (n *neon) tileLoads(rows int) {
	n.load("c R0", "a R1", "b R7", "init R8", "ldc R9", "lda R13", "k R10", "panels R11")
	for i := 1; i < rows; i++ {
		n.op("ADD R13, R%d, R%d", i, i+1)
	}
}

// tileLoop multiplies over k, four steps at a time, then one at a time.
func (n *neon) tileLoop(t neonTile, rows int) {
	const unroll = 4 // elements of a vector
	n.op("SUBS $%d, R10, R12\nBLT tail\nPCALIGN $32", unroll)
	n.label("loop")
	for i := range rows {
		n.op("FMOVQ.P 16(R%d), F%d", 1+i, neonAccumulators+i)
	}
	for step := range unroll {
		n.tileStep(t, rows, step)
	}
	n.op("ADD $%d, R7\nSUBS $%d, R12, R12\nBGE loop", 128*unroll, unroll)
	n.label("tail")
	n.op("ADDS $%d, R12, R12\nBEQ store", unroll)
	n.label("single")
	for i := range rows {
		n.op("FMOVS.P 4(R%d), F%d", 1+i, neonAccumulators+i)
	}
	n.tileStep(t, rows, 0)
	n.op("ADD $128, R7\nSUBS $1, R12, R12\nBNE single")
	n.label("store")
}

func (n *neon) tileStep(t neonTile, rows, step int) {
	width, count := neonVectors(rows), 2
	if neonAccumulators+rows+4 <= vectorRegisters {
		count = 4
	}
	for v := 0; v < width; v += 2 {
		b := vectorRegisters - count + v%count
		n.read("R7", 128*step+16*v, b, 2)
		for i := range rows {
			for half := range 2 {
				n.put(t.multiply(i*width+v+half, b+half, neonAccumulators+i, step))
			}
		}
	}
}

// nextTile moves on to the next tile of the same rows. b has run to the next panel by itself; a
// narrow tile goes back for the second half of the panel it has just done the first of.
func (n *neon) nextTile(rows int) {
	width := neonVectors(rows)
	n.op("ADD $%d, R0", 16*width)
	for i := range rows {
		n.op("SUB R10<<2, R%d", 1+i)
	}
	if width == 4 {
		n.op("TBNZ $0, R11, second")
		n.op("SUB R10<<7, R7\nADD $128, R7") // net +64 below
		n.label("second")
		n.op("SUB $64, R7")
	}
	n.op("SUBS $1, R11, R11\nBNE panel")
}

// peaks writes loops of nothing but independent multiply-adds: the core's own ceiling.
func (n *neon) peaks() {
	for _, t := range neonTiles {
		name := "peak" + strings.TrimPrefix(t.name, "tile")
		n.function(name, fmt.Sprintf("runs n rounds of %d independent multiply-adds.",
			neonAccumulators), "n int")
		n.load("n R0")
		n.clear(0, neonAccumulators+2)
		n.op("PCALIGN $32")
		n.label("loop")
		for acc := range neonAccumulators {
			n.put(t.multiply(acc, neonAccumulators, neonAccumulators+1, 0))
		}
		n.op("SUBS $1, R0, R0\nBNE loop")
		n.end()
	}
}
