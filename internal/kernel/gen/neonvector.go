package main

import "math"

func (n *neon) vectorFunctions() {
	n.softmax()
	n.softmaxBF16()
	n.layerNorm()
	n.activation("gelu", 2, 7, n.geluBody)
	n.activation("geluTanh", 2, 6, n.geluTanhBody)
	n.activation("quickGELU", 2, 6, n.quickGELUBody)
	n.activation("relu", 2, 1, n.reluBody)
	n.gradientFunctions()
	n.addTile()
	n.scaleTile()
	n.quantise()
	n.dequantise()
	n.convert()
	n.transpose()
	n.interleave()
}

// polynomial writes terms[0] + terms[1]·t + … by Horner's rule. The sum alternates between two
// registers, because a multiply-add overwrites the addend; the one that holds it is returned.
func (n *neon) polynomial(t int, terms []float64, p, q int) int {
	last := len(terms) - 1
	n.copy(p, n.float(terms[last]))
	for i := last - 1; i >= 0; i-- {
		n.copy(q, n.float(terms[i]))
		n.multiplyAdd(q, p, t)
		p, q = q, p
	}
	return p
}

// exp2 returns the register of 2^t: p or q. t must not exceed 126 and is lost, s is scratch. Below
// -126 the result is 0, NaN stays NaN.
func (n *neon) exp2(t, s, p, q, mask int) int {
	low := n.float(-exp2Limit)
	n.put(fcmgt(mask, low, t), fmax(t, t, low), frintn(s, t), fsub(t, t, s))
	n.put(fcvtns(s, s))
	p = n.polynomial(t, append([]float64{1}, exp2Terms[:]...), p, q)
	n.op("VSHL $23, V%d.S4, V%d.S4\nVADD V%d.S4, V%d.S4, V%d.S4", s, s, s, p, p)
	n.put(bic(p, p, mask))
	return p
}

// rowMaximum leaves scale·max, negated, of the row at R0 of R2 bytes, a multiple of 64, in every
// lane of register 0. R8 and R9 are scratch.
func (n *neon) rowMaximum(scale int) {
	top := n.fresh("maximum")
	n.op("MOVD R0, R8\nMOVD R2, R9")
	n.read("R0", 0, 0, 4)
	n.label(top)
	n.read("R8", 0, 4, 4)
	for i := range 4 {
		n.put(fmax(i, i, 4+i))
	}
	n.op("ADD $64, R8\nSUBS $64, R9, R9\nBNE %s", top)
	n.put(fmax(0, 0, 1), fmax(2, 2, 3), fmax(0, 0, 2))
	n.fold(fmaxp, 0)
	n.put(fmul(0, 0, scale), fneg(0, 0))
}

// exponentialRow starts a row at R0 of R2 values: store is given the registers of 2^(scale·x - max),
// two vectors at a time that lie at R8. It leaves one over their sum in register 1.
func (n *neon) exponentialRow(store func(p, q int)) {
	const scale = exponentialsWork
	n.work(scale + 1)
	n.spread("scale", scale)
	n.op("LSL $2, R2")
	n.label("row")
	n.rowMaximum(scale)
	n.clear(1, 2)
	n.op("MOVD R0, R8\nMOVD R2, R9")
	n.label("exponentials")
	store(n.exponentials(scale))
	n.op("ADD $32, R8\nSUBS $32, R9, R9\nBNE exponentials")
	n.put(fadd(1, 1, 2))
	n.fold(faddp, 1)
	n.put(fdiv(1, n.float(1), 1))
}

// exponentials returns the registers of 2^(scale·x - max) of the two vectors at R8. Register 0 holds
// -max; the results are added to registers 1 and 2.
func (n *neon) exponentials(scale int) (first, second int) {
	n.read("R8", 0, 3, 2)
	results := [2]int{}
	n.together(2, func(i int) {
		x, t, s, p, q, mask := 3+i, 5+i, 7+i, 9+i, 11+i, 13+i
		n.copy(t, 0)
		n.multiplyAdd(t, x, scale)
		results[i] = n.exp2(t, s, p, q, mask)
		n.put(fadd(1+i, 1+i, results[i]))
	})
	return results[0], results[1]
}

// exponentialsWork is the number of registers that exponentials uses; scale is the next one.
const exponentialsWork = 15

func (n *neon) softmax() {
	n.function("softmaxNEON",
		"replaces each row by softmax in base 2 of scale·x; n is a multiple of 32.",
		"x ptr", "rows int", "n int", "stride int", "scale float32")
	n.load("x R0", "rows R1", "n R2", "stride R3")
	n.exponentialRow(func(p, q int) { n.op("FSTPQ (F%d, F%d), (R8)", p, q) })
	n.op("MOVD R0, R8\nMOVD R2, R9")
	n.label("divide")
	n.read("R8", 0, 4, 4)
	for i := range 4 {
		n.put(fmul(4+i, 4+i, 1))
	}
	n.write("R8", 0, 4, 4)
	n.op("ADD $64, R8\nSUBS $64, R9, R9\nBNE divide")
	n.op("ADD R3, R0\nSUBS $1, R1, R1\nBNE row")
	n.end()
}

func (n *neon) softmaxBF16() {
	n.function("softmaxBF16NEON",
		"writes exp2(scale·(x - max)) as bf16 and one over each row's sum; n is a multiple of 32.",
		"dst ptr", "inverse ptr", "x ptr", "rows int", "n int", "ldd int", "stride int",
		"scale float32")
	n.load("dst R4", "inverse R5", "x R0", "rows R1", "n R2", "ldd R6", "stride R3")
	n.op("MOVD R4, R7")
	n.exponentialRow(func(p, q int) {
		n.roundPair(p, q, 3, 4, 5, 6)
		n.op("FMOVQ.P F%d, 16(R7)", p)
	})
	n.op("FMOVS.P F1, 4(R5)\nADD R6, R4\nMOVD R4, R7\nADD R3, R0\nSUBS $1, R1, R1\nBNE row")
	n.end()
}

// layerNorm makes three passes over a row: its mean, its variance about it, the result.
func (n *neon) layerNorm() {
	n.function("layerNormNEON",
		"normalises rows of n values, n a multiple of the vector; dst may be src.",
		"dst ptr", "src ptr", "gain ptr", "bias ptr", "rows int", "n int",
		"ldd int", "lds int", "inverseN float32", "epsilon float32")
	n.load("dst R0", "src R1", "gain R2", "bias R3", "rows R4", "n R5", "ldd R6", "lds R7")
	const mean, scale, inverseN, epsilon, values, gains = 0, 4, 8, 9, 10, 14
	n.work(18)
	n.spread("inverseN", inverseN)
	n.spread("epsilon", epsilon)
	n.op("LSL $2, R5")
	n.label("row")
	n.clear(mean, 8) // four sums for the mean, four for the variance
	n.op("MOVD R1, R8")
	n.rounds("R5", "R9", []string{"R8"}, func(count int) {
		n.read("R8", 0, values, count)
		for i := range count {
			n.put(fadd(mean+i, mean+i, values+i))
		}
	})
	n.total(mean)
	n.put(fmul(mean, mean, inverseN))
	n.op("MOVD R1, R8")
	n.rounds("R5", "R9", []string{"R8"}, func(count int) {
		n.read("R8", 0, values, count)
		for i := range count {
			n.put(fsub(values+i, values+i, mean))
			n.multiplyAdd(scale+i, values+i, values+i)
		}
	})
	n.total(scale)
	n.copy(1, epsilon)
	n.multiplyAdd(1, scale, inverseN)
	n.put(fsqrt(1, 1), fdiv(scale, n.float(1), 1))
	n.op("MOVD R0, R8\nMOVD R1, R10\nMOVD R2, R11\nMOVD R3, R12")
	n.rounds("R5", "R9", []string{"R8", "R10", "R11", "R12"}, func(count int) {
		n.normalise(count, mean, scale, values, gains)
	})
	n.op("ADD R6, R0\nADD R7, R1\nSUBS $1, R4, R4\nBNE row")
	n.end()
}

// total leaves the sum of all lanes of four registers in every lane of the first.
func (n *neon) total(first int) {
	n.put(fadd(first, first, first+1), fadd(first+2, first+2, first+3), fadd(first, first, first+2))
	n.fold(faddp, first)
}

// normalise writes (x - mean)·scale·gain + bias from R10, R11 and R12 to R8.
func (n *neon) normalise(count, mean, scale, values, gains int) {
	n.read("R10", 0, values, count)
	n.read("R11", 0, gains, count)
	for i := range count {
		n.put(fsub(values+i, values+i, mean), fmul(values+i, values+i, scale))
	}
	for i := 0; i < count; i += 2 {
		pair := min(2, count-i)
		n.read("R12", 16*i, 5, pair) // the variance's other sums are free now
		for j := range pair {
			n.multiplyAdd(5+j, values+i+j, gains+i+j)
		}
		n.write("R8", 16*i, 5, pair)
	}
}

// activation writes a function over rows of 32 columns, in place. body turns register r into a
// result, whose number it returns, and uses the count registers from r on. So many streams of
// vectors are worked on at once as registers allow, one or two.
func (n *neon) activation(name string, streams, count int, body func(r int) int) {
	n.function(name+"NEON", "applies the activation to rows of 32 columns in place.",
		"x ptr", "rows int", "ldx int")
	n.load("x R0", "rows R1", "ldx R2")
	n.work(streams * count)
	n.label("row")
	for at := 0; at < 128; at += 16 * streams {
		n.together(streams, func(i int) {
			n.read("R0", at+16*i, i*count, 1)
			n.write("R0", at+16*i, body(i*count), 1)
		})
	}
	n.op("ADD R2, R0\nSUBS $1, R1, R1\nBNE row")
	n.end()
}

// geluBody is x·(1 + erf(x/√2))/2, and 0 where erf is -1.
func (n *neon) geluBody(x int) int {
	p, low := n.onePlusErf(x)
	n.put(fmul(x, x, n.float(0.5)), fmul(x, x, p), bic(x, x, low))
	return x
}

// onePlusErf returns the registers of 1 + erf(x/√2) and of a mask where that is to be taken for 0.
// It uses six more registers after x.
func (n *neon) onePlusErf(x int) (p, mask int) {
	z, t := x+1, x+2
	low, half := n.float(-erfLimit), n.float(math.Sqrt2/2)
	n.put(fmul(z, x, half), fmax(z, z, low), fmin(z, z, n.float(erfLimit)), fmul(t, z, z))
	p = n.polynomial(t, erfP[:], x+3, x+4)
	q := n.polynomial(t, erfQ[:], x+5, x+6)
	n.put(fmul(p, p, z), fdiv(p, p, q), fadd(p, p, n.float(1)))
	n.put(fmul(z, x, half), fcmgt(z, low, z))
	return p, z
}

// sigmoidProduct returns the register of x/(1 + 2^t), with t after x, clamped to what exp2 takes;
// it uses four more.
func (n *neon) sigmoidProduct(x int) int {
	t := x + 1
	n.put(fmin(t, t, n.float(exp2Limit)))
	p := n.exp2(t, x+2, x+3, x+4, x+5)
	n.put(fadd(p, p, n.float(1)), fdiv(p, x, p))
	return p
}

// geluTanhBody is x·(1 + tanh u)/2 = x/(1 + e^-2u), u = √(2/π)·(x + 0.044715·x³).
func (n *neon) geluTanhBody(x int) int {
	factor := -2 * math.Sqrt(2/math.Pi) * math.Log2E
	square, t := x+2, x+1
	n.put(fmul(square, x, x))
	n.copy(t, n.float(factor))
	n.multiplyAdd(t, square, n.float(0.044715*factor))
	n.put(fmul(t, t, x))
	return n.sigmoidProduct(x)
}

// quickGELUBody is x·σ(1.702x).
func (n *neon) quickGELUBody(x int) int {
	n.put(fmul(x+1, x, n.float(-1.702*math.Log2E)))
	return n.sigmoidProduct(x)
}

func (n *neon) reluBody(x int) int {
	n.put(fmax(x, x, n.float(0)))
	return x
}
