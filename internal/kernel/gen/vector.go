package main

import (
	"fmt"
	"math"
)

// vector is a register width: the same code is written once for each tier.
type vector struct {
	tier     string
	register string
	lanes    int
}

func (v vector) bytes() int { return 4 * v.lanes }

// r names register i of this width.
func (v vector) r(i int) string { return fmt.Sprintf("%s%d", v.register, i) }

var (
	wide   = vector{"AVX512", "Z", 16}
	narrow = vector{"AVX2", "Y", 8}
)

func (a *assembly) vectorFunctions() {
	for _, v := range []vector{wide, narrow} {
		a.softmax(v)
		a.layerNorm(v)
		a.activation(v, "gelu", a.geluBody)
		a.activation(v, "geluTanh", a.geluTanhBody)
		a.activation(v, "quickGELU", a.quickGELUBody)
		a.activation(v, "relu", a.reluBody)
		a.addTile(v)
		a.gradientFunctions(v)
	}
	a.spreadSigns()
	a.gateRowsBF16()
	a.softmaxBF16()
	a.scaleTile()
	a.quantise()
	a.dequantise()
	a.convertNative()
	a.convertEmulated(wide)
	a.convertEmulated(narrow)
	a.transpose()
	a.interleave()
	a.fetchRows()
}

// The least and greatest power that exp2 takes: 2^x is normal between them.
const exp2Limit = 126

// exp2Terms approximates 2^r - 1 = r·c1 + … + r⁶·c6 on [-1/2, 1/2] to 2e-9, relative; a minimax
// fit of our own.
var exp2Terms = [...]float64{
	0.6931471824645996, 0.24022647738456726, 0.055503323674201965,
	0.00961843691766262, 0.0013398875016719103, 0.00015353360504377633,
}

// exp2 writes p = 2^t; n is scratch and t is lost. Below -126 the result is 0, NaN stays NaN.
// low holds -126 in every lane; t must not exceed 126. The last operand names a vector register
// for the mask of narrow vectors.
func (a *assembly) exp2(v vector, t, n, p, low, mask string) {
	if v == wide {
		a.op("VCMPPS $5, %s, %s, K1", low, t) // not less: NaN is kept
		a.op("VMAXPS %s, %s, %s", t, low, t)
		a.op("VRNDSCALEPS $8, %s, %s", t, n)
	} else {
		a.op("VCMPPS $5, %s, %s, %s", low, t, mask)
		a.op("VMAXPS %s, %s, %s", t, low, t)
		a.op("VROUNDPS $8, %s, %s", t, n)
	}
	a.op("VSUBPS %s, %s, %s", n, t, t)
	a.op("VMOVUPS %s, %s", a.float(exp2Terms[len(exp2Terms)-1]), p)
	for i := len(exp2Terms) - 2; i >= 0; i-- {
		a.op("VFMADD213PS %s, %s, %s", a.float(exp2Terms[i]), t, p)
	}
	a.op("VFMADD213PS %s, %s, %s", a.float(1), t, p)
	if v == wide {
		a.op("VSCALEFPS.Z %s, %s, K1, %s", n, p, p)
		return
	}
	a.op("VCVTPS2DQ %s, %s\nVPSLLD $23, %s, %s\nVPADDD %s, %s, %s", n, n, n, n, n, p, p)
	a.op("VANDPS %s, %s, %s", mask, p, p)
}

// reduce writes the sum or maximum of register i into every lane of it; j is scratch.
func (a *assembly) reduce(v vector, instruction string, i, j int) {
	if v == wide {
		a.op("VEXTRACTF64X4 $1, Z%d, Y%d\n%s Y%d, Y%d, Y%d", i, j, instruction, j, i, i)
	}
	a.op("VEXTRACTF128 $1, Y%d, X%d\n%s X%d, X%d, X%d", i, j, instruction, j, i, i)
	a.op("VPERMILPS $0x4E, X%d, X%d\n%s X%d, X%d, X%d", i, j, instruction, j, i, i)
	a.op("VPERMILPS $0xB1, X%d, X%d\n%s X%d, X%d, X%d", i, j, instruction, j, i, i)
	a.op("VBROADCASTSS X%d, %s", i, v.r(i))
}

// rowLoop runs body for i = 0, step, … below the row length in DX, with i in BX, all in bytes.
func (a *assembly) rowLoop(step int, body func()) {
	top := a.fresh("columns")
	a.op("XORQ BX, BX")
	a.label(top)
	body()
	a.op("ADDQ $%d, BX\nCMPQ BX, DX\nJLT %s", step, top)
}

// rowMaximum leaves scale·max of the row at DI in every lane of register 0.
func (a *assembly) rowMaximum(v vector, scale string) {
	w := v.bytes()
	a.op("VMOVUPS (DI), %s\nVMOVAPS %s, %s", v.r(0), v.r(0), v.r(1))
	a.rowLoop(2*w, func() {
		a.op("VMAXPS (DI)(BX*1), %s, %s", v.r(0), v.r(0))
		a.op("VMAXPS %d(DI)(BX*1), %s, %s", w, v.r(1), v.r(1))
	})
	a.op("VMAXPS %s, %s, %s", v.r(1), v.r(0), v.r(0))
	a.reduce(v, "VMAXPS", 0, 1)
	a.op("VMULPS %s, %s, %s", scale, v.r(0), v.r(0))
}

func (a *assembly) softmax(v vector) {
	a.function("softmax"+v.tier,
		"replaces each row by softmax in base 2 of scale·x; n is a multiple of 32.",
		"x ptr", "rows int", "n int", "stride int", "scale float32")
	a.load("x DI", "rows CX", "n DX", "stride R8")
	a.op("SHLQ $2, DX")
	scale, low, sum := v.r(7), v.r(6), v.r(5)
	a.op("VBROADCASTSS %s, %s\nVMOVUPS %s, %s", a.argument("scale"), scale,
		a.float(-exp2Limit), low)
	a.label("row")
	a.rowMaximum(v, scale)
	a.op("VXORPS %s, %s, %s", sum, sum, sum)
	a.rowLoop(v.bytes(), func() {
		a.op("VMOVUPS (DI)(BX*1), %s\nVFMSUB213PS %s, %s, %s", v.r(1), v.r(0), scale, v.r(1))
		a.exp2(v, v.r(1), v.r(2), v.r(3), low, v.r(4))
		a.op("VMOVUPS %s, (DI)(BX*1)\nVADDPS %s, %s, %s", v.r(3), v.r(3), sum, sum)
	})
	a.reduce(v, "VADDPS", 5, 1)
	a.op("VMOVUPS %s, %s\nVDIVPS %s, %s, %s", a.float(1), v.r(1), sum, v.r(1), v.r(1))
	a.rowLoop(v.bytes(), func() {
		a.op("VMULPS (DI)(BX*1), %s, %s\nVMOVUPS %s, (DI)(BX*1)", v.r(1), v.r(2), v.r(2))
	})
	a.op("ADDQ R8, DI\nDECQ CX\nJNE row")
	a.end()
}

func (a *assembly) softmaxBF16() {
	v := wide
	a.function("softmaxBF16AVX512",
		"writes exp2(scale·(x - max)) as bf16 and one over each row's sum, and to kept, if not nil, "+
			"the weights as they are; x is lost where they are kept. n is a multiple of 32.",
		"dst ptr", "inverse ptr", "x ptr", "rows int", "n int", "ldd int", "stride int",
		"scale float32", "kept ptr", "width int")
	a.load("dst R9", "inverse R10", "x DI", "rows CX", "n DX", "ldd R11", "stride R8", "kept R12")
	a.op("SHLQ $2, DX")
	scale, low, sum := v.r(7), v.r(6), v.r(5)
	a.op("VBROADCASTSS %s, %s\nVMOVUPS %s, %s", a.argument("scale"), scale,
		a.float(-exp2Limit), low)
	a.label("row")
	a.rowMaximum(v, scale)
	a.op("VXORPS %s, %s, %s\nMOVQ R9, SI", sum, sum, sum)
	a.rowLoop(2*v.bytes(), func() {
		for half, p := range []int{3, 8} {
			a.op("VMOVUPS %d(DI)(BX*1), Z1\nVFMSUB213PS Z0, %s, Z1", half*v.bytes(), scale)
			a.exp2(v, "Z1", "Z2", v.r(p), low, "")
			a.op("VADDPS %s, %s, %s", v.r(p), sum, sum)
		}
		a.op("%s\nVMOVUPS Z4, (SI)\nADDQ $64, SI", spell(toBF16(4, 8, 3)))
		skip := a.fresh("passing")
		a.op("TESTQ R12, R12\nJEQ %s", skip)
		a.op("VMOVUPS Z3, (DI)(BX*1)\nVMOVUPS Z8, 64(DI)(BX*1)")
		a.label(skip)
	})
	a.reduce(v, "VADDPS", 5, 1)
	a.op("VMOVUPS %s, Z1\nVDIVPS Z5, Z1, Z1\nVMOVSS X1, (R10)", a.float(1))
	a.op("TESTQ R12, R12\nJEQ next")
	a.keepRow()
	a.label("next")
	a.op("ADDQ $4, R10\nADDQ R11, R9\nADDQ R8, DI\nDECQ CX\nJNE row")
	a.op("SFENCE") // what was streamed is seen by whoever is told of it
	a.end()
}

// keepRow writes Z1 times the values at DI to R12, "width" of them, and moves R12 behind them. Whole
// cache lines go past the caches: nobody here reads them again, and to fetch them first would cost
// as much as to write them. AX, BX, SI, R13 and R15 are lost; CX holds the rows left.
func (a *assembly) keepRow() {
	masked := func() { // the first BX values
		a.op("MOVQ CX, R13\nMOVQ BX, CX\nMOVL $1, R15\nSHLL CX, R15\nDECL R15\nKMOVW R15, K1\nMOVQ R13, CX")
		a.op("VMULPS.Z (SI), Z1, K1, Z2\nVMOVUPS Z2, K1, (R12)")
		a.op("LEAQ (SI)(BX*4), SI\nLEAQ (R12)(BX*4), R12\nSUBQ BX, AX")
	}
	a.op("MOVQ DI, SI")
	a.load("width AX")
	a.op("MOVQ R12, BX\nNEGQ BX\nANDQ $63, BX\nSHRQ $2, BX\nCMPQ BX, AX\nJLE head\nMOVQ AX, BX")
	a.label("head")
	a.op("TESTQ BX, BX\nJEQ lines")
	masked()
	a.label("lines")
	a.op("SUBQ $16, AX\nJLT rest")
	a.label("line")
	a.op("VMULPS (SI), Z1, Z2\nVMOVNTPS Z2, (R12)\nADDQ $64, SI\nADDQ $64, R12\nSUBQ $16, AX\nJGE line")
	a.label("rest")
	a.op("ADDQ $16, AX\nJEQ kept\nMOVQ AX, BX")
	masked()
	a.label("kept")
}

func (a *assembly) layerNorm(v vector) {
	a.function("layerNorm"+v.tier,
		"normalises rows of n values, n a multiple of the vector; dst may be src.",
		"dst ptr", "src ptr", "gain ptr", "bias ptr", "rows int", "n int",
		"ldd int", "lds int", "inverseN float32", "epsilon float32")
	a.load("dst DI", "src SI", "gain R8", "bias R9", "rows CX", "n DX", "ldd R10", "lds R11")
	a.op("SHLQ $2, DX")
	inverseN, epsilon, mean, scale := v.r(7), v.r(6), v.r(0), v.r(1)
	a.op("VBROADCASTSS %s, %s", a.argument("inverseN"), inverseN)
	a.op("VBROADCASTSS %s, %s", a.argument("epsilon"), epsilon)
	a.label("row")
	a.op("VXORPS %s, %s, %s", mean, mean, mean)
	a.rowLoop(v.bytes(), func() { a.op("VADDPS (SI)(BX*1), %s, %s", mean, mean) })
	a.reduce(v, "VADDPS", 0, 2)
	a.op("VMULPS %s, %s, %s\nVXORPS %s, %s, %s", inverseN, mean, mean, scale, scale, scale)
	a.rowLoop(v.bytes(), func() {
		a.op("VMOVUPS (SI)(BX*1), %s\nVSUBPS %s, %s, %s", v.r(2), mean, v.r(2), v.r(2))
		a.op("VFMADD231PS %s, %s, %s", v.r(2), v.r(2), scale)
	})
	a.reduce(v, "VADDPS", 1, 2)
	a.op("VFMADD213PS %s, %s, %s\nVSQRTPS %s, %s", epsilon, inverseN, scale, scale, scale)
	a.op("VMOVUPS %s, %s\nVDIVPS %s, %s, %s", a.float(1), v.r(2), scale, v.r(2), scale)
	a.rowLoop(v.bytes(), func() {
		a.op("VMOVUPS (SI)(BX*1), %s\nVSUBPS %s, %s, %s", v.r(2), mean, v.r(2), v.r(2))
		a.op("VMULPS %s, %s, %s\nVMOVUPS (R8)(BX*1), %s", scale, v.r(2), v.r(2), v.r(3))
		a.op("VFMADD213PS (R9)(BX*1), %s, %s\nVMOVUPS %s, (DI)(BX*1)", v.r(3), v.r(2), v.r(2))
	})
	a.op("ADDQ R10, DI\nADDQ R11, SI\nDECQ CX\nJNE row")
	a.end()
}

// activation writes a function over rows of 32 columns, in place: body turns register 0 into
// the result in register 1, may use 2 … 9, and finds what setup loaded in 10 … 15.
func (a *assembly) activation(v vector, name string, body func(v vector)) {
	a.function(name+v.tier, "applies the activation to rows of 32 columns in place.",
		"x ptr", "rows int", "ldx int")
	a.load("x DI", "rows CX", "ldx R8")
	for i, limit := range []float64{-exp2Limit, exp2Limit, -erfLimit, erfLimit} {
		a.op("VMOVUPS %s, %s", a.float(limit), v.r(10+i))
	}
	a.label("row")
	for at := 0; at < 128; at += v.bytes() {
		a.op("VMOVUPS %d(DI), %s", at, v.r(0))
		body(v)
		a.op("VMOVUPS %s, %d(DI)", v.r(1), at)
	}
	a.op("ADDQ R8, DI\nDECQ CX\nJNE row")
	a.end()
}

// erf(z)/z = P(z²)/Q(z²) for |z| ≤ 4 to 2.5e-8, relative; a minimax fit of our own.
// Every coefficient is positive, so nothing cancels.
const erfLimit = 4

var (
	erfP = [...]float64{
		1.128379139, 0.1935446462, 0.05310163951, 0.00388330973,
		0.0002845625967, 1.986754976e-06,
	}
	erfQ = [...]float64{
		1.0, 0.5048570328, 0.1153497815, 0.01520718728,
		0.001185557888, 3.741971172e-05,
	}
)

// geluBody is x·(1 + erf(x/√2))/2, and 0 where erf is -1.
func (a *assembly) geluBody(v vector) {
	x, y, p := v.r(0), v.r(1), v.r(4)
	a.onePlusErf(v)
	a.op("VMULPS %s, %s, %s", a.float(0.5), x, y)
	if v == wide {
		a.op("VMULPS.Z %s, %s, K1, %s", p, y, y)
		return
	}
	a.op("VMULPS %s, %s, %s\nVANDPS %s, %s, %s", p, y, y, v.r(6), y, y)
}

// onePlusErf writes 1 + erf(x/√2) to register 4, and where it is above 0 to K1 or register 6.
func (a *assembly) onePlusErf(v vector) {
	x, z, t, p, q := v.r(0), v.r(2), v.r(3), v.r(4), v.r(5)
	a.op("VMULPS %s, %s, %s", a.float(math.Sqrt2/2), x, z)
	if v == wide {
		a.op("VCMPPS $5, %s, %s, K1", v.r(12), z)
	} else {
		a.op("VCMPPS $5, %s, %s, %s", v.r(12), z, v.r(6))
	}
	a.op("VMAXPS %s, %s, %s\nVMINPS %s, %s, %s", z, v.r(12), z, z, v.r(13), z)
	a.op("VMULPS %s, %s, %s", z, z, t)
	for _, part := range []struct {
		to    string
		terms []float64
	}{{p, erfP[:]}, {q, erfQ[:]}} {
		last := len(part.terms) - 1
		a.op("VMOVUPS %s, %s", a.float(part.terms[last]), part.to)
		for i := last - 1; i >= 0; i-- {
			a.op("VFMADD213PS %s, %s, %s", a.float(part.terms[i]), t, part.to)
		}
	}
	a.op("VMULPS %s, %s, %s\nVDIVPS %s, %s, %s", z, p, p, q, p, p)
	a.op("VADDPS %s, %s, %s", a.float(1), p, p)
}

// sigmoidProduct writes y = x/(1 + 2^t) with t in register 2, clamped to what exp2 takes.
func (a *assembly) sigmoidProduct(v vector) {
	a.op("VMINPS %s, %s, %s", v.r(2), v.r(11), v.r(2))
	a.exp2(v, v.r(2), v.r(3), v.r(4), v.r(10), v.r(5))
	a.op("VADDPS %s, %s, %s\nVDIVPS %s, %s, %s", a.float(1), v.r(4), v.r(4), v.r(4), v.r(0), v.r(1))
}

// geluTanhBody is x·(1 + tanh u)/2 = x/(1 + e^-2u), u = √(2/π)·(x + 0.044715·x³).
func (a *assembly) geluTanhBody(v vector) {
	factor := -2 * math.Sqrt(2/math.Pi) * math.Log2E
	a.op("VMULPS %s, %s, %s", v.r(0), v.r(0), v.r(2))
	a.op("VMOVUPS %s, %s", a.float(0.044715*factor), v.r(3))
	a.op("VFMADD213PS %s, %s, %s", a.float(factor), v.r(3), v.r(2))
	a.op("VMULPS %s, %s, %s", v.r(0), v.r(2), v.r(2))
	a.sigmoidProduct(v)
}

// quickGELUBody is x·σ(1.702x).
func (a *assembly) quickGELUBody(v vector) {
	a.op("VMULPS %s, %s, %s", a.float(-1.702*math.Log2E), v.r(0), v.r(2))
	a.sigmoidProduct(v)
}

func (a *assembly) reluBody(v vector) {
	a.op("VXORPS X2, X2, X2\nVMAXPS %s, %s, %s", v.r(0), v.r(2), v.r(1))
}
