package main

import "math"

// gradientFunctions writes what the backward pass needs beside products.
func (n *neon) gradientFunctions() {
	n.activation("geluSlope", 1, 7, n.geluSlopeBody)
	n.activation("geluTanhSlope", 2, 7, n.geluTanhSlopeBody)
	n.activation("quickGELUSlope", 2, 7, n.quickGELUSlopeBody)
	n.activation("reluSlope", 2, 1, n.reluSlopeBody)
	n.gate()
	n.addPositive()
}

// geluSlopeBody is Φ(x) + x·φ(x).
func (n *neon) geluSlopeBody(x int) int {
	y, t := x+1, x+2
	p, low := n.onePlusErf(x)
	n.put(bic(p, p, low), fmul(y, p, n.float(0.5)))
	n.put(fmul(t, x, x), fmul(t, t, n.float(-math.Log2E/2)))
	e := n.exp2(t, x+3, x+4, x+5, x+6)
	n.put(fmul(e, e, n.float(1/math.Sqrt(2*math.Pi))))
	n.multiplyAdd(y, x, e)
	return y
}

// sigmoidSlope returns the register of the slope of x·σ(t): σ + x·t'·σ·(1 - σ), given the bounded
// x, then -t·log2(e), then t'; it uses four more registers.
func (n *neon) sigmoidSlope(x int) int {
	t, slope, s, one := x+1, x+2, x+3, n.float(1)
	n.put(fmin(t, t, n.float(exp2Limit)))
	e := n.exp2(t, s, x+4, x+5, x+6)
	n.put(fadd(s, e, one), fdiv(s, one, s)) // σ
	n.put(fmul(e, e, s))                    // 1 - σ
	n.put(fmul(x, x, slope), fmul(x, x, e))
	n.copy(t, s)
	n.multiplyAdd(t, x, s)
	return t
}

// bounded keeps x within ±slopeLimit.
func (n *neon) bounded(x int) {
	n.put(fmax(x, x, n.float(-slopeLimit)), fmin(x, x, n.float(slopeLimit)))
}

// geluTanhSlopeBody is the slope of x·σ(2u), u = √(2/π)·(x + 0.044715·x³).
func (n *neon) geluTanhSlopeBody(x int) int {
	c := 2 * math.Sqrt(2/math.Pi)
	t, slope, square := x+1, x+2, x+3
	n.bounded(x)
	n.put(fmul(square, x, x))
	n.copy(slope, n.float(c))
	n.multiplyAdd(slope, square, n.float(3*0.044715*c))
	n.copy(t, n.float(-c*math.Log2E))
	n.multiplyAdd(t, square, n.float(-0.044715*c*math.Log2E))
	n.put(fmul(t, t, x))
	return n.sigmoidSlope(x)
}

// quickGELUSlopeBody is the slope of x·σ(1.702x).
func (n *neon) quickGELUSlopeBody(x int) int {
	n.bounded(x)
	n.put(fmul(x+1, x, n.float(-1.702*math.Log2E)))
	n.copy(x+2, n.float(1.702))
	return n.sigmoidSlope(x)
}

// reluSlopeBody is 1 where x > 0, else 0.
func (n *neon) reluSlopeBody(x int) int {
	n.put(fcmgt(x, x, n.float(0)))
	n.op("VAND V%d.B16, V%d.B16, V%d.B16", n.float(1), x, x)
	return x
}

// gate multiplies two rows and leaves the product's dot products with two more.
func (n *neon) gate() {
	n.function("gateNEON", "computes dst = x·y and sums = dst·p, dst·q; n is a multiple of 32.",
		"dst ptr", "sums ptr", "x ptr", "y ptr", "p ptr", "q ptr", "n int")
	n.load("dst R0", "sums R1", "x R2", "y R3", "p R4", "q R5", "n R6")
	const sums, products, others = 0, 8, 12
	n.work(16)
	n.op("LSL $2, R6")
	n.clear(sums, 8)
	n.label("columns")
	n.read("R2", 0, products, 4)
	n.read("R3", 0, others, 4)
	for i := range 4 {
		n.put(fmul(products+i, products+i, others+i))
	}
	n.write("R0", 0, products, 4)
	for at, pointer := range []string{"R4", "R5"} {
		n.read(pointer, 0, others, 4)
		for i := range 4 {
			n.multiplyAdd(sums+4*at+i, products+i, others+i)
		}
	}
	for _, pointer := range []string{"R0", "R2", "R3", "R4", "R5"} {
		n.op("ADD $64, %s", pointer)
	}
	n.op("SUBS $64, R6, R6\nBNE columns")
	n.total(sums)
	n.total(sums + 4)
	n.op("FMOVS F%d, (R1)\nFMOVS F%d, 4(R1)", sums, sums+4)
	n.end()
}

// addPositive sums the columns of a tile, negative values left out.
func (n *neon) addPositive() {
	n.function("addPositiveNEON", "adds to dst [32] what is above 0 in each column of rows of 32.",
		"dst ptr", "x ptr", "rows int", "ldx int")
	n.load("dst R0", "x R1", "rows R2", "ldx R3")
	n.work(16)
	n.read("R0", 0, 0, 8)
	n.label("row")
	n.read("R1", 0, 8, 8)
	for i := range 8 {
		n.put(fmax(8+i, 8+i, n.float(0)), fadd(i, i, 8+i))
	}
	n.op("ADD R3, R1\nSUBS $1, R2, R2\nBNE row")
	n.write("R0", 0, 0, 8)
	n.end()
}
