package main

import "fmt"

// addTile adds a contiguous tile of 32 columns to rows elsewhere: the residual.
func (a *assembly) addTile(v vector) {
	a.function("addTile"+v.tier, "adds rows of 32 contiguous values to dst.",
		"dst ptr", "src ptr", "rows int", "ldd int")
	a.load("dst DI", "src SI", "rows CX", "ldd R8")
	a.label("row")
	for at := 0; at < 128; at += v.bytes() {
		a.op("VMOVUPS %d(SI), %s\nVADDPS %d(DI), %s, %s", at, v.r(0), at, v.r(0), v.r(0))
		a.op("VMOVUPS %s, %d(DI)", v.r(0), at)
	}
	a.op("ADDQ $128, SI\nADDQ R8, DI\nDECQ CX\nJNE row")
	a.end()
}

// fetchRows asks for the cache lines that a tile is going to be written to.
func (a *assembly) fetchRows() {
	for _, lines := range []byte{1, 2} {
		a.function(fmt.Sprintf("fetchRows%d", lines),
			fmt.Sprintf("asks for %d cache lines of each row, to write to.", lines),
			"x ptr", "rows int", "ldx int")
		a.load("x DI", "rows CX", "ldx R8")
		a.label("row")
		for line := range lines {
			a.op("%s // PREFETCHW %d(DI)", spell(prefetchWrite(64*line)), 64*line)
		}
		a.op("ADDQ R8, DI\nDECQ CX\nJNE row\nRET")
		a.text.WriteString("\n")
	}
}

// scaleTile multiplies each row of a contiguous tile by its own factor.
func (a *assembly) scaleTile() {
	a.function("scaleTileAVX512", "multiplies row i of 32 contiguous values by factors[i].",
		"x ptr", "factors ptr", "rows int")
	a.load("x DI", "factors SI", "rows CX")
	a.label("row")
	a.op("VBROADCASTSS (SI), Z0\nVMULPS (DI), Z0, Z1\nVMULPS 64(DI), Z0, Z2")
	a.op("VMOVUPS Z1, (DI)\nVMOVUPS Z2, 64(DI)\nADDQ $4, SI\nADDQ $128, DI\nDECQ CX\nJNE row")
	a.end()
}

func (a *assembly) convertFunction(name string) {
	a.function(name, "rounds rows of n values to bf16, to nearest even; n is a multiple of 32.",
		"dst ptr", "src ptr", "rows int", "n int", "ldd int", "lds int")
	a.load("dst DI", "src SI", "rows CX", "n DX", "ldd R8", "lds R9")
	a.op("SHLQ $2, DX")
	a.label("row")
	a.op("MOVQ DI, R10")
}

func (a *assembly) convertEnd() {
	a.op("ADDQ R8, DI\nADDQ R9, SI\nDECQ CX\nJNE row")
	a.end()
}

func (a *assembly) convertNative() {
	a.convertFunction("toBF16Native")
	a.rowLoop(128, func() {
		a.op("VMOVUPS (SI)(BX*1), Z0\nVMOVUPS 64(SI)(BX*1), Z1\n%s // VCVTNE2PS2BF16 Z0, Z1, Z2",
			spell(toBF16(2, 1, 0)))
		a.op("VMOVUPS Z2, (R10)\nADDQ $64, R10")
	})
	a.convertEnd()
}

// convertEmulated rounds with integers: u + 0x7fff + (bit 16 of u), then the high half; a NaN
// keeps its high half and becomes quiet.
func (a *assembly) convertEmulated(v vector) {
	a.convertFunction("toBF16" + v.tier)
	a.rowLoop(v.bytes(), func() {
		x, y, n := v.r(0), v.r(1), v.r(2)
		a.op("VMOVUPS (SI)(BX*1), %s\nVPSRLD $16, %s, %s", x, x, y)
		if v == wide {
			a.op("VPANDD %s, %s, %s", a.word(1), y, n)
		} else {
			a.op("VPAND %s, %s, %s", a.word(1), y, n)
		}
		a.op("VPADDD %s, %s, %s\nVPADDD %s, %s, %s", a.word(0x7fff), n, n, x, n, n)
		a.op("VPSRLD $16, %s, %s", n, n)
		if v == wide {
			a.op("VPORD %s, %s, %s\nVCMPPS $3, %s, %s, K1", a.word(0x40), y, y, x, x)
			a.op("VMOVAPS %s, K1, %s\nVPMOVDW %s, (R10)", y, n, n)
		} else {
			a.op("VPOR %s, %s, %s\nVCMPPS $3, %s, %s, Y3", a.word(0x40), y, y, x, x)
			a.op("VBLENDVPS Y3, %s, %s, %s", y, n, n)
			a.op("VEXTRACTF128 $1, Y2, X3\nVPACKUSDW X3, X2, X2\nVMOVUPS X2, (R10)")
		}
		a.op("ADDQ $%d, R10", 2*v.lanes)
	})
	a.convertEnd()
}

// transpose turns groups of 8 rows into columns, 8 × 8 words at a time. Both tiers use it.
func (a *assembly) transpose() {
	a.function("transposeAVX2", "writes column j of 8·groups rows of 4-byte words as "+
		"dst[32j …]; k is a multiple of 8.", "dst ptr", "src ptr", "lds int", "k int", "groups int")
	a.load("dst DI", "src SI", "lds R8", "k R9", "groups R11")
	a.op("LEAQ (R8)(R8*2), R10")
	a.label("group")
	a.op("MOVQ SI, AX\nLEAQ (SI)(R8*4), BX\nMOVQ DI, DX\nMOVQ R9, CX")
	a.label("block")
	for i := range 8 {
		base := [...]string{"(AX)", "(BX)"}[i/4]
		index := [...]string{"", "(R8*1)", "(R8*2)", "(R10*1)"}[i%4]
		a.op("VMOVUPS %s%s, Y%d", base, index, i)
	}
	for i := 0; i < 8; i += 2 {
		a.op("VUNPCKLPS Y%d, Y%d, Y%d\nVUNPCKHPS Y%d, Y%d, Y%d", i+1, i, 8+i, i+1, i, 9+i)
	}
	for i := 0; i < 8; i += 4 { // Y8 … Y15: pairs of rows; Y0 … Y7: fours of rows
		for half := range 2 {
			a.op("VUNPCKLPD Y%d, Y%d, Y%d", 10+i+half, 8+i+half, i+2*half)
			a.op("VUNPCKHPD Y%d, Y%d, Y%d", 10+i+half, 8+i+half, i+2*half+1)
		}
	}
	for j := range 4 {
		a.op("VPERM2F128 $0x20, Y%d, Y%d, Y8\nVMOVUPS Y8, %d(DX)", 4+j, j, 128*j)
		a.op("VPERM2F128 $0x31, Y%d, Y%d, Y9\nVMOVUPS Y9, %d(DX)", 4+j, j, 128*(4+j))
	}
	a.op("ADDQ $32, AX\nADDQ $32, BX\nADDQ $1024, DX\nSUBQ $8, CX\nJNE block")
	a.op("LEAQ (SI)(R8*8), SI\nADDQ $32, DI\nDECQ R11\nJNE group")
	a.end()
}

// interleave pairs the values of two rows of bf16: what VDPBF16PS multiplies by.
func (a *assembly) interleave() {
	a.function("interleaveAVX512", "writes dst[32i+j] = src[2i][j] | src[2i+1][j]<<16, j < 32.",
		"dst ptr", "src ptr", "pairs int", "lds int")
	a.load("dst DI", "src SI", "pairs CX", "lds R8")
	a.label("pair")
	for at := range 2 {
		a.op("VPMOVZXWD %d(SI), Z0\nVPMOVZXWD %d(SI)(R8*1), Z1\nVPSLLD $16, Z1, Z1", 32*at, 32*at)
		a.op("VPORD Z1, Z0, Z0\nVMOVUPS Z0, %d(DI)", 64*at)
	}
	a.op("LEAQ (SI)(R8*2), SI\nADDQ $128, DI\nDECQ CX\nJNE pair")
	a.end()
}
