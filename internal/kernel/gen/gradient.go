package main

import "math"

// gradientFunctions writes what the backward pass needs beside products.
func (a *assembly) gradientFunctions(v vector) {
	a.activation(v, "geluSlope", a.geluSlopeBody)
	a.activation(v, "geluTanhSlope", a.geluTanhSlopeBody)
	a.activation(v, "quickGELUSlope", a.quickGELUSlopeBody)
	a.activation(v, "reluSlope", a.reluSlopeBody)
	a.gate(v)
	a.addPositive(v)
	a.positiveSigns(v)
	a.addProduct(v)
	a.gateRows(v)
}

// geluSlopeBody is Φ(x) + x·φ(x).
func (a *assembly) geluSlopeBody(v vector) {
	x, y, t, e := v.r(0), v.r(1), v.r(2), v.r(4)
	a.onePlusErf(v)
	a.op("VMULPS %s, %s, %s", a.float(0.5), v.r(4), y)
	if v == wide {
		a.op("VMOVAPS.Z %s, K1, %s", y, y)
	} else {
		a.op("VANDPS %s, %s, %s", y, v.r(6), y)
	}
	a.op("VMULPS %s, %s, %s\nVMULPS %s, %s, %s", x, x, t, a.float(-math.Log2E/2), t, t)
	a.exp2(v, t, v.r(3), e, v.r(10), v.r(5))
	a.op("VMULPS %s, %s, %s", a.float(1/math.Sqrt(2*math.Pi)), e, e)
	a.op("VFMADD231PS %s, %s, %s", x, e, y)
}

// slopeLimit bounds |x| where the slope is that of x·σ(t): beyond, it is 0 or 1 in float32.
const slopeLimit = 60

// sigmoidSlope writes the slope of x·σ(t): y = σ + x·t'·σ·(1 - σ), given -t·log2(e) in register 2, t'
// in register 7 and the bounded x in register 8.
func (a *assembly) sigmoidSlope(v vector) {
	e, s, y := v.r(4), v.r(9), v.r(1)
	a.op("VMINPS %s, %s, %s", v.r(2), v.r(11), v.r(2))
	a.exp2(v, v.r(2), v.r(3), e, v.r(10), v.r(5))
	a.op("VADDPS %s, %s, %s", a.float(1), e, s)
	a.op("VMOVUPS %s, %s\nVDIVPS %s, %s, %s", a.float(1), y, s, y, s) // σ
	a.op("VMULPS %s, %s, %s", s, e, e)                                // 1 - σ
	a.op("VMULPS %s, %s, %s\nVMULPS %s, %s, %s", v.r(7), v.r(8), y, e, y, y)
	a.op("VFMADD213PS %s, %s, %s", s, s, y)
}

// bounded writes x, kept within ±slopeLimit, to register 8.
func (a *assembly) bounded(v vector) {
	a.op("VMOVUPS %s, %s\nVMAXPS %s, %s, %s", a.float(-slopeLimit), v.r(8), v.r(0), v.r(8), v.r(8))
	a.op("VMOVUPS %s, %s\nVMINPS %s, %s, %s", a.float(slopeLimit), v.r(7), v.r(8), v.r(7), v.r(8))
}

// geluTanhSlopeBody is the slope of x·σ(2u), u = √(2/π)·(x + 0.044715·x³).
func (a *assembly) geluTanhSlopeBody(v vector) {
	c := 2 * math.Sqrt(2/math.Pi)
	x, square, t := v.r(8), v.r(3), v.r(2)
	a.bounded(v)
	a.op("VMULPS %s, %s, %s", x, x, square)
	a.op("VMOVUPS %s, %s\nVFMADD213PS %s, %s, %s",
		a.float(3*0.044715*c), v.r(7), a.float(c), square, v.r(7))
	a.op("VMOVUPS %s, %s\nVFMADD213PS %s, %s, %s",
		a.float(-0.044715*c*math.Log2E), t, a.float(-c*math.Log2E), square, t)
	a.op("VMULPS %s, %s, %s", x, t, t)
	a.sigmoidSlope(v)
}

// quickGELUSlopeBody is the slope of x·σ(1.702x).
func (a *assembly) quickGELUSlopeBody(v vector) {
	a.bounded(v)
	a.op("VMULPS %s, %s, %s", a.float(-1.702*math.Log2E), v.r(8), v.r(2))
	a.op("VMOVUPS %s, %s", a.float(1.702), v.r(7))
	a.sigmoidSlope(v)
}

// reluSlopeBody is 1 where x > 0, else 0.
func (a *assembly) reluSlopeBody(v vector) {
	a.op("VXORPS X2, X2, X2")
	if v == wide {
		a.op("VCMPPS $30, %s, %s, K1\nVMOVUPS.Z %s, K1, %s", v.r(2), v.r(0), a.float(1), v.r(1))
		return
	}
	a.op("VCMPPS $30, %s, %s, %s\nVANDPS %s, %s, %s", v.r(2), v.r(0), v.r(1), a.float(1), v.r(1), v.r(1))
}

// gate multiplies two rows and leaves the product's dot products with two more.
func (a *assembly) gate(v vector) {
	a.function("gate"+v.tier, "computes dst = x·y and sums = dst·p, dst·q; n is a multiple of 32.",
		"dst ptr", "sums ptr", "x ptr", "y ptr", "p ptr", "q ptr", "n int")
	a.load("dst DI", "x SI", "y R8", "p R9", "q R10", "n DX")
	a.op("SHLQ $2, DX")
	for i := 2; i < 6; i++ {
		a.op("VXORPS X%d, X%d, X%d", i, i, i)
	}
	a.rowLoop(2*v.bytes(), func() {
		for i := range 2 {
			at := i * v.bytes()
			a.op("VMOVUPS %d(SI)(BX*1), %s\nVMULPS %d(R8)(BX*1), %s, %s", at, v.r(i), at, v.r(i), v.r(i))
			a.op("VMOVUPS %s, %d(DI)(BX*1)", v.r(i), at)
			a.op("VFMADD231PS %d(R9)(BX*1), %s, %s", at, v.r(i), v.r(2+i))
			a.op("VFMADD231PS %d(R10)(BX*1), %s, %s", at, v.r(i), v.r(4+i))
		}
	})
	a.load("sums DI")
	for i := range 2 {
		sum := 2 + 2*i
		a.op("VADDPS %s, %s, %s", v.r(sum+1), v.r(sum), v.r(sum))
		a.reduce(v, "VADDPS", sum, 0)
		a.op("VMOVSS X%d, %d(DI)", sum, 4*i)
	}
	a.end()
}

// addPositive sums the columns of a tile, negative values left out.
func (a *assembly) addPositive(v vector) {
	a.function("addPositive"+v.tier, "adds to dst [32] what is above 0 in each column of rows of 32.",
		"dst ptr", "x ptr", "rows int", "ldx int")
	a.load("dst DI", "x SI", "rows CX", "ldx R8")
	count := 128 / v.bytes()
	a.op("VXORPS X0, X0, X0")
	for i := range count {
		a.op("VMOVUPS %d(DI), %s", i*v.bytes(), v.r(1+i))
	}
	a.label("row")
	for i := range count {
		a.op("VMAXPS %d(SI), %s, %s\nVADDPS %s, %s, %s",
			i*v.bytes(), v.r(0), v.r(8), v.r(8), v.r(1+i), v.r(1+i))
	}
	a.op("ADDQ R8, SI\nDECQ CX\nJNE row")
	for i := range count {
		a.op("VMOVUPS %s, %d(DI)", v.r(1+i), i*v.bytes())
	}
	a.end()
}

// positiveSigns is addPositive that also leaves the signs.
func (a *assembly) positiveSigns(v vector) {
	a.function("positiveSigns"+v.tier,
		"adds to dst [32] what is above 0 in each column of rows of 32, and notes of each row which are not below 0.",
		"dst ptr", "signs ptr", "x ptr", "rows int", "ldx int")
	a.load("dst DI", "signs R9", "x SI", "rows CX", "ldx R8")
	count := 128 / v.bytes()
	a.op("VXORPS X0, X0, X0")
	for i := range count {
		a.op("VMOVUPS %d(DI), %s", i*v.bytes(), v.r(1+i))
	}
	a.label("row")
	for i := count - 1; i >= 0; i-- { // the last columns are the highest bits
		a.op("VMOVUPS %d(SI), %s", i*v.bytes(), v.r(8))
		to := "AX"
		if i < count-1 {
			a.op("SHLL $%d, AX", v.lanes)
			to = "BX"
		}
		if v == wide {
			a.op("VCMPPS $29, %s, %s, K1\nKMOVW K1, %s", v.r(0), v.r(8), to)
		} else {
			a.op("VCMPPS $29, %s, %s, %s\nVMOVMSKPS %s, %s", v.r(0), v.r(8), v.r(9), v.r(9), to)
		}
		if i < count-1 {
			a.op("ORL BX, AX")
		}
		a.op("VMAXPS %s, %s, %s\nVADDPS %s, %s, %s", v.r(8), v.r(0), v.r(8), v.r(8), v.r(1+i), v.r(1+i))
	}
	a.op("MOVL AX, (R9)\nADDQ $4, R9\nADDQ R8, SI\nDECQ CX\nJNE row")
	for i := range count {
		a.op("VMOVUPS %s, %d(DI)", v.r(1+i), i*v.bytes())
	}
	a.end()
}

// spreadSigns makes numbers of signs.
func (a *assembly) spreadSigns() {
	a.function("spreadSignsAVX512", "writes 1 for each bit that is set and 0 for others, to rows of 32.",
		"dst ptr", "signs ptr", "rows int", "ldd int")
	a.load("dst DI", "signs SI", "rows CX", "ldd R8")
	a.op("VMOVUPS %s, Z0", a.float(1))
	a.label("row")
	a.op("MOVL (SI), AX\nKMOVW AX, K1\nSHRL $16, AX\nKMOVW AX, K2")
	a.op("VMOVAPS.Z Z0, K1, Z1\nVMOVAPS.Z Z0, K2, Z2\nVMOVUPS Z1, (DI)\nVMOVUPS Z2, 64(DI)")
	a.op("ADDQ $4, SI\nADDQ R8, DI\nDECQ CX\nJNE row")
	a.end()
	a.function("spreadSignsBF16AVX512", "is spreadSigns in bf16.", "dst ptr", "signs ptr", "rows int", "ldd int")
	a.load("dst DI", "signs SI", "rows CX", "ldd R8")
	a.op("VMOVUPS %s, Z0", a.word(0x3f803f80))
	a.label("row")
	a.op("MOVL (SI), AX\nKMOVD AX, K1\nVMOVDQU16.Z Z0, K1, Z1\nVMOVDQU16 Z1, (DI)")
	a.op("ADDQ $4, SI\nADDQ R8, DI\nDECQ CX\nJNE row")
	a.end()
}

// addProduct sums the columns of the product of two tiles.
func (a *assembly) addProduct(v vector) {
	a.function("addProduct"+v.tier, "adds to dst [32] the sums of the columns of x·y, rows of 32.",
		"dst ptr", "x ptr", "y ptr", "rows int", "ldx int", "ldy int")
	a.load("dst DI", "x SI", "y R9", "rows CX", "ldx R8", "ldy R10")
	count := 128 / v.bytes()
	for i := range count {
		a.op("VMOVUPS %d(DI), %s", i*v.bytes(), v.r(1+i))
	}
	a.label("row")
	for i := range count {
		at := i * v.bytes()
		a.op("VMOVUPS %d(SI), %s\nVFMADD231PS %d(R9), %s, %s", at, v.r(8), at, v.r(8), v.r(1+i))
	}
	a.op("ADDQ R8, SI\nADDQ R10, R9\nDECQ CX\nJNE row")
	for i := range count {
		a.op("VMOVUPS %s, %d(DI)", v.r(1+i), i*v.bytes())
	}
	a.end()
}

// gateRows multiplies each row of a tile by one row.
func (a *assembly) gateRows(v vector) {
	a.function("gateRows"+v.tier, "writes x·y for rows of 32 of x and one of y.",
		"dst ptr", "x ptr", "y ptr", "rows int", "ldd int", "ldx int")
	a.load("dst DI", "x SI", "y R9", "rows CX", "ldd R8", "ldx R10")
	count := 128 / v.bytes()
	for i := range count {
		a.op("VMOVUPS %d(R9), %s", i*v.bytes(), v.r(1+i))
	}
	a.label("row")
	for i := range count {
		at := i * v.bytes()
		a.op("VMULPS %d(SI), %s, %s\nVMOVUPS %s, %d(DI)", at, v.r(1+i), v.r(8), v.r(8), at)
	}
	a.op("ADDQ R10, SI\nADDQ R8, DI\nDECQ CX\nJNE row")
	a.end()
}

// gateRowsBF16 is gateRows that rounds what it writes.
func (a *assembly) gateRowsBF16() {
	a.function("gateRowsBF16AVX512", "writes x·y as bf16 for rows of 32 of x and one of y.",
		"dst ptr", "x ptr", "y ptr", "rows int", "ldd int", "ldx int")
	a.load("dst DI", "x SI", "y R9", "rows CX", "ldd R8", "ldx R10")
	a.op("VMOVUPS (R9), Z1\nVMOVUPS 64(R9), Z2")
	a.label("row")
	a.op("VMULPS (SI), Z1, Z3\nVMULPS 64(SI), Z2, Z4")
	a.op("%s\nVMOVUPS Z5, (DI)", spell(toBF16(5, 4, 3)))
	a.op("ADDQ R10, SI\nADDQ R8, DI\nDECQ CX\nJNE row")
	a.end()
}
