package main

// addTile adds a contiguous tile of 32 columns to rows elsewhere: the residual.
func (n *neon) addTile() {
	n.function("addTileNEON", "adds rows of 32 contiguous values to dst.",
		"dst ptr", "src ptr", "rows int", "ldd int")
	n.load("dst R0", "src R1", "rows R2", "ldd R3")
	n.label("row")
	n.read("R0", 0, 0, 8)
	n.read("R1", 0, 8, 8)
	for i := range 8 {
		n.put(fadd(i, i, 8+i))
	}
	n.write("R0", 0, 0, 8)
	n.op("ADD $128, R1\nADD R3, R0\nSUBS $1, R2, R2\nBNE row")
	n.end()
}

// scaleTile multiplies each row of a contiguous tile by its own factor.
func (n *neon) scaleTile() {
	n.function("scaleTileNEON", "multiplies row i of 32 contiguous values by factors[i].",
		"x ptr", "factors ptr", "rows int")
	n.load("x R0", "factors R1", "rows R2")
	n.label("row")
	n.op("FMOVS.P 4(R1), F8\nVDUP V8.S[0], V8.S4")
	n.read("R0", 0, 0, 8)
	for i := range 8 {
		n.put(fmul(i, i, 8))
	}
	n.write("R0", 0, 0, 8)
	n.op("ADD $128, R0\nSUBS $1, R2, R2\nBNE row")
	n.end()
}

// quantise turns rows of float32 into unsigned bytes around 128. Registers: 0 the largest
// magnitude, 1 a sum of zeros, or NaN where a value is infinite or NaN, 4 … 7 values.
func (n *neon) quantise() {
	n.function("quantiseNEON", "writes round(127·x/max|x|) + 128 of each row, and max|x|/127; "+
		"n is a multiple of 16.",
		"dst ptr", "scales ptr", "src ptr", "rows int", "n int", "ldd int", "lds int")
	n.load("dst R0", "scales R1", "src R2", "rows R3", "n R4", "ldd R5", "lds R6")
	n.work(8)
	n.op("LSL $2, R4")
	n.label("row")
	n.copy(0, n.float(quantiseFloor))
	n.copy(1, n.float(0))
	n.op("MOVD R2, R8\nMOVD R4, R9")
	n.label("most")
	n.read("R8", 0, 4, 4)
	for i := range 4 {
		n.multiplyAdd(1, 4+i, n.float(0))
		n.put(fabs(4+i, 4+i), fmax(0, 0, 4+i))
	}
	n.op("ADD $64, R8\nSUBS $64, R9, R9\nBNE most")
	n.fold(fmaxp, 0)
	n.fold(faddp, 1)
	n.put(fadd(0, 0, 1), fdiv(2, 0, n.float(127)), fdiv(3, n.float(127), 0))
	n.op("FMOVS.P F2, 4(R1)")
	n.op("MOVD R2, R8\nMOVD R4, R9\nMOVD R0, R10")
	n.label("bytes")
	n.read("R8", 0, 4, 4)
	for i := range 4 {
		n.put(fmul(4+i, 4+i, 3), fcvtns(4+i, 4+i))
		n.op("VADD V%d.S4, V%d.S4, V%d.S4", n.word(128), 4+i, 4+i)
	}
	n.op("VUZP1 V5.H8, V4.H8, V4.H8\nVUZP1 V7.H8, V6.H8, V6.H8\nVUZP1 V6.B16, V4.B16, V4.B16")
	n.op("FMOVQ.P F4, 16(R10)\nADD $64, R8\nSUBS $64, R9, R9\nBNE bytes")
	n.op("ADD R5, R0\nADD R6, R2\nSUBS $1, R3, R3\nBNE row")
	n.end()
}

// dequantise turns sums of products of bytes into float32.
func (n *neon) dequantise() {
	n.function("dequantiseNEON", "writes src[i][j]·factors[i]·scales[j] + bias[j], j < 32.",
		"dst ptr", "src ptr", "factors ptr", "scales ptr", "bias ptr", "rows int", "ldd int")
	n.load("dst R0", "src R1", "factors R2", "scales R3", "bias R4", "rows R5", "ldd R6")
	const scales, bias, factor, values = 0, 8, 16, 20
	n.read("R3", 0, scales, 8)
	n.read("R4", 0, bias, 8)
	n.label("row")
	n.op("FMOVS.P 4(R2), F%d\nVDUP V%d.S[0], V%d.S4", factor, factor, factor)
	for at := 0; at < 8; at += 4 {
		n.read("R1", 16*at, values, 4)
		for i := range 4 {
			n.put(scvtf(values+i, values+i), fmul(values+i, values+i, factor))
			n.copy(values+4+i, bias+at+i)
			n.multiplyAdd(values+4+i, values+i, scales+at+i)
		}
		n.write("R0", 16*at, values+4, 4)
	}
	n.op("ADD $128, R1\nADD R6, R0\nSUBS $1, R5, R5\nBNE row")
	n.end()
}

// roundPair rounds the vectors x and y to bf16, to nearest even, and leaves the eight halves in x:
// u + 0x7fff + (bit 16 of u), then the high half; a NaN keeps its high half and becomes quiet.
func (n *neon) roundPair(x, y, s, mask, s2, mask2 int) {
	scratch := [2][3]int{{x, s, mask}, {y, s2, mask2}}
	n.together(2, func(i int) {
		x, s, mask := scratch[i][0], scratch[i][1], scratch[i][2]
		n.put(fcmeq(mask, x, x))
		n.op("VUSHR $16, V%d.S4, V%d.S4\nVAND V%d.B16, V%d.B16, V%d.B16", x, s, n.word(1), s, s)
		n.op("VADD V%d.S4, V%d.S4, V%d.S4", n.word(0x7fff), s, s)
		n.op("VADD V%d.S4, V%d.S4, V%d.S4", x, s, s)
		n.op("VORR V%d.B16, V%d.B16, V%d.B16", n.word(0x400000), x, x)
		n.op("VBIT V%d.B16, V%d.B16, V%d.B16", mask, s, x)
	})
	n.op("VUZP2 V%d.H8, V%d.H8, V%d.H8", y, x, x)
}

func (n *neon) convert() {
	n.function("toBF16NEON",
		"rounds rows of n values to bf16, to nearest even; n is a multiple of 32.", "dst ptr", "src ptr", "rows int", "n int", "ldd int", "lds int")
	n.load("dst R0", "src R1", "rows R2", "n R3", "ldd R4", "lds R5")
	n.work(8)
	n.op("LSL $2, R3")
	n.label("row")
	n.op("MOVD R0, R8\nMOVD R1, R9\nMOVD R3, R10")
	n.label("columns")
	n.read("R9", 0, 0, 4)
	n.roundPair(0, 1, 4, 5, 6, 7)
	n.roundPair(2, 3, 4, 5, 6, 7)
	n.op("FMOVQ F0, (R8)\nFMOVQ F2, 16(R8)")
	n.op("ADD $32, R8\nADD $64, R9\nSUBS $64, R10, R10\nBNE columns")
	n.op("ADD R4, R0\nADD R5, R1\nSUBS $1, R2, R2\nBNE row")
	n.end()
}

// transpose turns groups of 4 rows into columns, 4 × 4 words at a time.
func (n *neon) transpose() {
	n.function("transposeNEON", "writes column j of 8·groups rows of 4-byte words as "+
		"dst[32j …]; k is a multiple of 8.", "dst ptr", "src ptr", "lds int", "k int", "groups int")
	n.load("dst R0", "src R1", "lds R2", "k R3", "groups R4")
	n.op("LSL $1, R4")
	n.label("group")
	n.op("MOVD R1, R5\nADD R2, R5, R6\nADD R2, R6, R7\nADD R2, R7, R8\nADD R2, R8, R1")
	n.op("MOVD R0, R9\nMOVD R3, R10")
	n.label("block")
	for i := range 4 {
		n.op("FMOVQ.P 16(R%d), F%d", 5+i, i)
	}
	for i := 0; i < 4; i += 2 { // V4, V5: words 0 and 2, 1 and 3 of rows 0 and 1; V6, V7: of 2 and 3
		n.op("VTRN1 V%d.S4, V%d.S4, V%d.S4\nVTRN2 V%d.S4, V%d.S4, V%d.S4",
			i+1, i, 4+i, i+1, i, 5+i)
	}
	for i := range 2 {
		n.op("VTRN1 V%d.D2, V%d.D2, V%d.D2\nVTRN2 V%d.D2, V%d.D2, V%d.D2",
			6+i, 4+i, i, 6+i, 4+i, 2+i)
	}
	for i := range 4 {
		n.op("FMOVQ F%d, %d(R9)", i, 128*i)
	}
	n.op("ADD $512, R9\nSUBS $4, R10, R10\nBNE block")
	n.op("ADD $16, R0\nSUBS $1, R4, R4\nBNE group")
	n.end()
}

// interleave pairs the values of two rows of bf16.
func (n *neon) interleave() {
	n.function("interleaveNEON", "writes dst[32i+j] = src[2i][j] | src[2i+1][j]<<16, j < 32.",
		"dst ptr", "src ptr", "pairs int", "lds int")
	n.load("dst R0", "src R1", "pairs R2", "lds R3")
	n.label("pair")
	n.op("ADD R3, R1, R4")
	n.read("R1", 0, 0, 4)
	n.read("R4", 0, 4, 4)
	for i := range 4 {
		n.op("VZIP1 V%d.H8, V%d.H8, V%d.H8\nVZIP2 V%d.H8, V%d.H8, V%d.H8",
			4+i, i, 8+2*i, 4+i, i, 9+2*i)
	}
	n.write("R0", 0, 8, 8)
	n.op("ADD R3, R4, R1\nADD $128, R0\nSUBS $1, R2, R2\nBNE pair")
	n.end()
}
