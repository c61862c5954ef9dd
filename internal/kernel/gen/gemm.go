package main

import "fmt"

// tileKind is one family of matrix kernels: a tile of rows × 2 vectors is held in registers.
type tileKind struct {
	name     string // prefix of the functions
	tier     string // suffix of the functions
	rowsMax  int
	register string // Z or Y
	width    int    // bytes of a vector
	halves   int    // tiles that make one panel of 32 columns
	multiply func(a *assembly, broadcast, b, acc int)
}

func fma(register string) func(a *assembly, broadcast, b, acc int) {
	return func(a *assembly, broadcast, b, acc int) {
		a.op("VFMADD231PS %s%d, %s%d, %s%d", register, b, register, broadcast, register, acc)
	}
}

func dot(a *assembly, broadcast, b, acc int) {
	a.op("%s // VDPBF16PS Z%d, Z%d, Z%d", spell(dotBF16(acc, broadcast, b)), b, broadcast, acc)
}

// quads multiplies four unsigned bytes by four signed ones and adds their products to 32 bits.
func quads(a *assembly, broadcast, b, acc int) {
	a.op("VPDPBUSD Z%d, Z%d, Z%d", b, broadcast, acc)
}

var tileKinds = []tileKind{
	{"tileF32", "AVX512", 14, "Z", 64, 1, fma("Z")},
	{"tileBF16", "AVX512", 14, "Z", 64, 1, dot},
	{"tileInt8", "AVX512", 14, "Z", 64, 1, quads},
	{"tileF32", "AVX2", 6, "Y", 32, 2, fma("Y")},
}

func (t tileKind) function(rows int) string { return fmt.Sprintf("%s%s_%d", t.name, t.tier, rows) }

func (a *assembly) matrixKernels() {
	for _, t := range tileKinds {
		for rows := 1; rows <= t.rowsMax; rows++ {
			a.tile(t, rows)
		}
	}
}

// tables writes the kernels of each kind by row count.
func (a *assembly) tables() string {
	text := ""
	for _, t := range tileKinds {
		text += fmt.Sprintf("var %s%s = [...]tileFunc{\n\tnil,\n", t.name, t.tier)
		for rows := 1; rows <= t.rowsMax; rows++ {
			text += "\t" + t.function(rows) + ",\n"
		}
		text += "}\n\n"
	}
	return text
}

// tile writes one kernel. Registers:
//
//	AX, R12, R13  rows 0, 5, 10 of a      BX, R10  one row, three rows in bytes
//	SI  b   DI  c   R8  row of c in bytes   R9  init   R11  k   R15  tiles left   CX  k left
//
// The accumulators are vectors 0 … 2·rows-1, then two of b and two that take turns as broadcast.
func (a *assembly) tile(t tileKind, rows int) {
	a.function(t.function(rows), "", "c ptr", "a ptr", "b ptr", "init ptr",
		"ldc int", "lda int", "k int", "panels int")
	a.load("c DI", "a AX", "b SI", "init R9", "ldc R8", "lda BX", "k R11", "panels R15")
	a.op("LEAQ (BX)(BX*2), R10")
	if rows > 5 {
		a.op("LEAQ (BX)(BX*4), DX\nLEAQ (AX)(DX*1), R12")
	}
	if rows > 10 {
		a.op("LEAQ (AX)(DX*2), R13")
	}
	if t.halves == 2 {
		a.op("SHLQ $1, R15")
	}
	b0 := 2 * t.rowsMax
	r, w := t.register, t.width
	a.label("panel")
	a.op("TESTQ R9, R9\nJEQ zero")
	a.op("VMOVUPS (R9), %s%d\nVMOVUPS %d(R9), %s%d\nADDQ $%d, R9", r, b0, w, r, b0+1, 2*w)
	for i := range rows {
		a.op("VMOVAPS %s%d, %s%d\nVMOVAPS %s%d, %s%d", r, b0, r, 2*i, r, b0+1, r, 2*i+1)
	}
	a.op("JMP start")
	a.label("zero")
	for i := range 2 * rows {
		a.op("VXORPS X%d, X%d, X%d", i, i, i)
	}
	a.label("start")
	a.tileLoop(t, rows)
	a.op("MOVQ DI, DX")
	for i := range rows {
		a.op("VMOVUPS %s%d, (DX)\nVMOVUPS %s%d, %d(DX)", r, 2*i, r, 2*i+1, w)
		if i < rows-1 {
			a.op("ADDQ R8, DX")
		}
	}
	a.nextTile(t, rows)
	a.end()
}

// tileLoop multiplies over k, four steps at a time, then one at a time.
func (a *assembly) tileLoop(t tileKind, rows int) {
	const unroll = 4
	a.op("MOVQ R11, CX\nSUBQ $%d, CX\nJLT tail\nPCALIGN $64", unroll)
	a.label("loop")
	for u := range unroll {
		a.tileStep(t, rows, u)
	}
	a.advance(rows, unroll)
	a.op("SUBQ $%d, CX\nJGE loop", unroll)
	a.label("tail")
	a.op("ADDQ $%d, CX\nJEQ store", unroll)
	a.label("single")
	a.tileStep(t, rows, 0)
	a.advance(rows, 1)
	a.op("DECQ CX\nJNE single")
	a.label("store")
}

func (a *assembly) tileStep(t tileKind, rows, step int) {
	b0, r := 2*t.rowsMax, t.register
	a.op("VMOVUPS %d(SI), %s%d\nVMOVUPS %d(SI), %s%d",
		128*step, r, b0, 128*step+t.width, r, b0+1)
	for i := range rows {
		base := [...]string{"(AX)", "(R12)", "(R13)"}[i/5]
		index := [...]string{"", "(BX*1)", "(BX*2)", "(R10*1)", "(BX*4)"}[i%5]
		broadcast := b0 + 2 + i%2
		a.op("VBROADCASTSS %d%s%s, %s%d", 4*step, base, index, r, broadcast)
		t.multiply(a, broadcast, b0, 2*i)
		t.multiply(a, broadcast, b0+1, 2*i+1)
	}
}

func (a *assembly) advance(rows, steps int) {
	a.op("ADDQ $%d, SI\nADDQ $%d, AX", 128*steps, 4*steps)
	if rows > 5 {
		a.op("ADDQ $%d, R12", 4*steps)
	}
	if rows > 10 {
		a.op("ADDQ $%d, R13", 4*steps)
	}
}

// nextTile moves on to the next tile of the same rows. b has run to the next panel by itself;
// a narrow tile goes back for the second half of the panel it has just done the first of.
func (a *assembly) nextTile(t tileKind, rows int) {
	a.op("ADDQ $%d, DI", 2*t.width)
	a.op("LEAQ (R11*4), DX\nSUBQ DX, AX")
	if rows > 5 {
		a.op("SUBQ DX, R12")
	}
	if rows > 10 {
		a.op("SUBQ DX, R13")
	}
	if t.halves == 2 {
		a.op("TESTQ $1, R15\nJNE second")
		a.op("SHLQ $5, DX\nSUBQ DX, SI\nADDQ $128, SI") // DX is then one panel; net +64 below
		a.label("second")
		a.op("SUBQ $64, SI")
	}
	a.op("DECQ R15\nJNE panel")
}

// peaks writes loops of nothing but independent multiply-adds: the core's own ceiling. There are
// as many sums as registers allow, so that latency does not show.
func (a *assembly) peaks() {
	loop := func(name string, sums int, step func(acc int)) {
		doc := fmt.Sprintf("runs n rounds of %d independent multiply-adds.", sums)
		a.function(name, doc, "n int")
		a.load("n CX")
		for i := range sums + 2 {
			a.op("VXORPS X%d, X%d, X%d", i, i, i)
		}
		a.op("PCALIGN $64")
		a.label("loop")
		for acc := range sums {
			step(acc)
		}
		a.op("DECQ CX\nJNE loop")
		a.end()
	}
	loop("peakF32AVX512", 24, func(acc int) { a.op("VFMADD231PS Z24, Z25, Z%d", acc) })
	loop("peakBF16AVX512", 24, func(acc int) { a.op("%s", spell(dotBF16(acc, 25, 24))) })
	loop("peakInt8AVX512", 24, func(acc int) { a.op("VPDPBUSD Z24, Z25, Z%d", acc) })
	loop("peakF32AVX2", 12, func(acc int) { a.op("VFMADD231PS Y12, Y13, Y%d", acc) })
}
