package main

import "fmt"

// byteDot is one way to multiply unsigned bytes of rows by the signed bytes of a query.
type byteDot struct {
	tier     string
	register string
	step     int // bytes of a row at once
}

var (
	dotVNNI  = byteDot{"AVX512", "Z", 64}
	dotWords = byteDot{"AVX2", "Y", 16}
)

// searchFunctions writes what nearest-neighbour search runs over every vector.
func (a *assembly) searchFunctions() {
	for _, v := range []byteDot{dotVNNI, dotWords} {
		a.dotBytes(v)
		a.dotBytesAt(v)
	}
	a.estimateAVX512()
	a.estimateAVX2()
}

// query loads the query's bytes at R10 into register 8, as words in AVX2.
func (v byteDot) query(a *assembly) {
	if v == dotVNNI {
		a.op("VMOVDQU64 (SI)(R10*1), Z8")
		return
	}
	a.op("VPMOVSXBW (SI)(R10*1), Y8")
}

// row adds the products with the row at a base register to an accumulator. Words do not saturate:
// 255·128·2 fits 32 bits many times over.
func (v byteDot) row(a *assembly, base string, acc int) {
	if v == dotVNNI {
		a.op("VMOVDQU64 (%s)(R10*1), Z9\nVPDPBUSD Z8, Z9, Z%d", base, acc)
		return
	}
	a.op("VPMOVZXBW (%s)(R10*1), Y9\nVPMADDWD Y8, Y9, Y9\nVPADDD Y9, Y%d, Y%d", base, acc, acc)
}

// narrow folds an accumulator to 8 sums.
func (v byteDot) narrow(a *assembly, acc int) {
	if v == dotVNNI {
		a.op("VEXTRACTI64X4 $1, Z%d, Y9\nVPADDD Y9, Y%d, Y%d", acc, acc, acc)
	}
}

// columns runs body for R10 = 0, step, … below the row length in DX.
func (v byteDot) columns(a *assembly, body func()) {
	top := a.fresh("columns")
	a.op("XORQ R10, R10")
	a.label(top)
	body()
	a.op("ADDQ $%d, R10\nCMPQ R10, DX\nJLT %s", v.step, top)
}

// single writes init + the sum of accumulator 0 to (DI).
func (v byteDot) single(a *assembly) {
	v.narrow(a, 0)
	a.op("VEXTRACTI128 $1, Y0, X1\nVPADDD X1, X0, X0\nVPHADDD X0, X0, X0\nVPHADDD X0, X0, X0")
	a.op("VPADDD X10, X0, X0\nVMOVD X0, (DI)\nADDQ $4, DI")
}

// dotBytes takes four rows at a time, which share what is loaded of the query.
func (a *assembly) dotBytes(v byteDot) {
	a.function("dotBytes"+v.tier,
		fmt.Sprintf("writes init + rows[i]·query, i < n; rows are ld bytes apart, d is a multiple of %d.", v.step),
		"dst ptr", "query ptr", "rows ptr", "d int", "ld int", "n int", "init int")
	a.load("dst DI", "query SI", "rows AX", "d DX", "ld BX", "n CX", "init R9")
	a.op("VMOVD R9, X10\nVPBROADCASTD X10, X10\nSUBQ $4, CX\nJLT rest")
	a.label("four")
	a.op("LEAQ (AX)(BX*1), R11\nLEAQ (AX)(BX*2), R12\nLEAQ (R11)(BX*2), R13")
	for i := range 4 {
		a.op("VPXOR X%d, X%d, X%d", i, i, i)
	}
	v.columns(a, func() {
		v.query(a)
		for i, base := range []string{"AX", "R11", "R12", "R13"} {
			v.row(a, base, i)
		}
	})
	for i := range 4 {
		v.narrow(a, i)
	}
	a.op("VPHADDD Y1, Y0, Y0\nVPHADDD Y3, Y2, Y2\nVPHADDD Y2, Y0, Y0")
	a.op("VEXTRACTI128 $1, Y0, X1\nVPADDD X1, X0, X0\nVPADDD X10, X0, X0\nVMOVDQU X0, (DI)")
	a.op("ADDQ $16, DI\nLEAQ (AX)(BX*4), AX\nSUBQ $4, CX\nJGE four")
	a.label("rest")
	a.op("ADDQ $4, CX\nJEQ done")
	a.label("one")
	a.op("VPXOR X0, X0, X0")
	v.columns(a, func() {
		v.query(a)
		v.row(a, "AX", 0)
	})
	v.single(a)
	a.op("ADDQ BX, AX\nDECQ CX\nJNE one")
	a.label("done")
	a.end()
}

// fetchAhead is how many rows before their use dotBytesAt asks for them: they lie anywhere.
const fetchAhead = 4

// dotBytesAt multiplies chosen rows.
func (a *assembly) dotBytesAt(v byteDot) {
	a.function("dotBytesAt"+v.tier,
		fmt.Sprintf("writes init + rows[at[i]]·query, i < n, n > 0; d is a multiple of %d.", v.step),
		"dst ptr", "query ptr", "rows ptr", "at ptr", "d int", "ld int", "n int", "init int")
	a.load("dst DI", "query SI", "rows AX", "at R8", "d DX", "ld BX", "n CX", "init R9")
	a.op("VMOVD R9, X10\nVPBROADCASTD X10, X10")
	a.label("one")
	a.op("MOVL (R8), R11\nIMULQ BX, R11\nADDQ AX, R11\nMOVQ R11, R12")
	a.op("CMPQ CX, $%d\nJLE last\nMOVL %d(R8), R12\nIMULQ BX, R12\nADDQ AX, R12", fetchAhead, 4*fetchAhead)
	a.label("last")
	a.op("VPXOR X0, X0, X0")
	v.columns(a, func() {
		a.op("PREFETCHT0 (R12)(R10*1)")
		v.query(a)
		v.row(a, "R11", 0)
	})
	v.single(a)
	a.op("ADDQ $4, R8\nDECQ CX\nJNE one")
	a.end()
}

// The parameters of an estimate, in the order of kernel.Estimate, and the registers they are kept
// in, from the first one on.
var estimateParameters = []string{"scale", "shift", "base", "slack", "weight", "floor"}

const estimateDoc = "bounds what blocks of 32 vectors score from their 1-bit codes."

func (a *assembly) estimateStart(tier string) {
	a.function("estimate"+tier, estimateDoc, "upper ptr", "above ptr", "blocks ptr", "table ptr",
		"params ptr", "n int", "width int")
	a.load("upper DI", "above R8", "blocks SI", "table R10", "params R11", "n CX", "width AX")
	a.op("SHLQ $5, AX\nLEAQ (R10)(AX*1), R12") // bytes of a block's codes; the high nibbles' table
}

// estimateAVX512 looks the nibbles of two bytes of each of 32 codes up at once. Sums of two entries
// fit a byte; they are added up as words, even bytes in Z0 (with 256 times the odd ones), odd ones
// in Z1.
func (a *assembly) estimateAVX512() {
	a.estimateStart("AVX512")
	const first = 20
	for i := range estimateParameters {
		a.op("VBROADCASTSS %d(R11), Z%d", 4*i, first+i)
	}
	scale, shift, base, slack, weight, floor := first, first+1, first+2, first+3, first+4, first+5
	a.op("VMOVDQU64 %s, Z26", a.word(0x0f0f0f0f))
	a.label("block")
	a.op("LEAQ (SI)(AX*1), R9\nVPXOR X0, X0, X0\nVPXOR X1, X1, X1\nXORQ BX, BX")
	a.label("pair")
	a.op("VMOVDQU64 (SI)(BX*1), Z2\nVPSRLW $4, Z2, Z3\nVPANDD Z26, Z2, Z2\nVPANDD Z26, Z3, Z3")
	a.op("VMOVDQU64 (R10)(BX*1), Z4\nVPSHUFB Z2, Z4, Z4\nVMOVDQU64 (R12)(BX*1), Z5\nVPSHUFB Z3, Z5, Z5")
	a.op("VPADDB Z5, Z4, Z4\nVPADDW Z4, Z0, Z0\nVPSRLW $8, Z4, Z4\nVPADDW Z4, Z1, Z1")
	a.op("ADDQ $64, BX\nCMPQ BX, AX\nJLT pair")
	a.op("VPSLLW $8, Z1, Z2\nVPSUBW Z2, Z0, Z0")
	for half := range 2 {
		a.op("VEXTRACTI64X4 $1, Z%d, Y2\nVPADDW Y2, Y%d, Y%d", half, half, half)
		a.op("VPMOVZXWD Y%d, Z%d\nVCVTDQ2PS Z%d, Z%d", half, half, half, half)
		a.op("VFMADD213PS Z%d, Z%d, Z%d", shift, scale, half)
		a.op("VADDPS %d(R9), Z%d, Z3", 128+64*half, base)
		a.op("VFMADD231PS %d(R9), Z%d, Z3", 64*half, half)
		a.op("VFMADD231PS %d(R9), Z%d, Z3", 256+64*half, slack)
		a.op("VFMADD231PS %d(R9), Z%d, Z3", 384+64*half, weight)
		a.op("VMOVUPS Z3, %d(DI)\nVCMPPS $30, Z%d, Z3, K1\nKMOVW K1, %d(R8)", 64*half, floor, 2*half)
	}
	a.op("LEAQ 512(R9), SI\nADDQ $128, DI\nADDQ $4, R8\nDECQ CX\nJNE block")
	a.end()
}

// estimateAVX2 is estimateAVX512, a byte of each code at a time.
func (a *assembly) estimateAVX2() {
	a.estimateStart("AVX2")
	const first = 8
	for i := range estimateParameters {
		a.op("VBROADCASTSS %d(R11), Y%d", 4*i, first+i)
	}
	scale, shift, base, slack, weight, floor := first, first+1, first+2, first+3, first+4, first+5
	a.op("VMOVDQU %s, Y14", a.word(0x0f0f0f0f))
	a.label("block")
	a.op("LEAQ (SI)(AX*1), R9\nVPXOR X0, X0, X0\nVPXOR X1, X1, X1\nXORQ BX, BX")
	a.label("byte")
	a.op("VMOVDQU (SI)(BX*1), Y2\nVPSRLW $4, Y2, Y3\nVPAND Y14, Y2, Y2\nVPAND Y14, Y3, Y3")
	a.op("VMOVDQU (R10)(BX*1), Y4\nVPSHUFB Y2, Y4, Y4\nVMOVDQU (R12)(BX*1), Y5\nVPSHUFB Y3, Y5, Y5")
	a.op("VPADDB Y5, Y4, Y4\nVPADDW Y4, Y0, Y0\nVPSRLW $8, Y4, Y4\nVPADDW Y4, Y1, Y1")
	a.op("ADDQ $32, BX\nCMPQ BX, AX\nJLT byte")
	a.op("VPSLLW $8, Y1, Y2\nVPSUBW Y2, Y0, Y0")
	for quarter := range 4 {
		a.op("VEXTRACTI128 $%d, Y%d, X2\nVPMOVZXWD X2, Y2\nVCVTDQ2PS Y2, Y2", quarter%2, quarter/2)
		a.op("VFMADD213PS Y%d, Y%d, Y2", shift, scale)
		a.op("VADDPS %d(R9), Y%d, Y3", 128+32*quarter, base)
		a.op("VFMADD231PS %d(R9), Y2, Y3", 32*quarter)
		a.op("VFMADD231PS %d(R9), Y%d, Y3", 256+32*quarter, slack)
		a.op("VFMADD231PS %d(R9), Y%d, Y3", 384+32*quarter, weight)
		a.op("VMOVUPS Y3, %d(DI)\nVCMPPS $30, Y%d, Y3, Y3", 32*quarter, floor)
		a.op("VMOVMSKPS Y3, BX\nMOVB BX, %d(R8)", quarter)
	}
	a.op("LEAQ 512(R9), SI\nADDQ $128, DI\nADDQ $4, R8\nDECQ CX\nJNE block")
	a.end()
}
