package main

// quantise turns rows of float32 into unsigned bytes around 128. Registers: Z0 the largest
// magnitude, Z1 a sum of zeros, or NaN where a value is infinite or NaN, Z2 one vector of values.
func (a *assembly) quantise() {
	a.function("quantiseAVX512", "writes round(127·x/max|x|) + 128 of each row, and max|x|/127; "+
		"n is a multiple of 16.",
		"dst ptr", "scales ptr", "src ptr", "rows int", "n int", "ldd int", "lds int")
	a.load("dst DI", "scales R11", "src SI", "rows CX", "n DX", "ldd R8", "lds R9")
	a.op("SHLQ $2, DX\nVXORPS X5, X5, X5\nVMOVUPS %s, Z6", a.float(127))
	a.label("row")
	a.op("VMOVUPS %s, Z0\nVXORPS X1, X1, X1\nMOVQ DI, R10", a.float(quantiseFloor))
	a.rowLoop(64, func() {
		a.op("VMOVUPS (SI)(BX*1), Z2\nVFMADD231PS Z5, Z2, Z1")
		a.op("VANDPS %s, Z2, Z2\nVMAXPS Z2, Z0, Z0", a.word(0x7fffffff))
	})
	fold := func(op, register string) {
		a.op("VEXTRACTF64X4 $1, Z%s, Y3\n%s Y3, Y%s, Y%s", register, op, register, register)
		a.op("VEXTRACTF128 $1, Y%s, X3\n%s X3, X%s, X%s", register, op, register, register)
		a.op("VPERMILPS $0x4e, X%s, X3\n%s X3, X%s, X%s", register, op, register, register)
		a.op("VPERMILPS $0xb1, X%s, X3\n%s X3, X%s, X%s", register, op, register, register)
	}
	fold("VMAXPS", "0")
	fold("VADDPS", "1")
	a.op("VADDPS X1, X0, X0\nVDIVPS X6, X0, X3\nVMOVSS X3, (R11)\nADDQ $4, R11")
	a.op("VDIVPS X0, X6, X3\nVBROADCASTSS X3, Z4")
	a.rowLoop(64, func() {
		a.op("VMULPS (SI)(BX*1), Z4, Z2\nVCVTPS2DQ Z2, Z2")
		a.op("VPADDD %s, Z2, Z2\nVPMOVDB Z2, (R10)\nADDQ $16, R10", a.word(128))
	})
	a.op("ADDQ R8, DI\nADDQ R9, SI\nDECQ CX\nJNE row")
	a.end()
}

// quantiseFloor is taken for the largest magnitude of rows without any: its inverse is finite.
const quantiseFloor = 1e-30

// dequantise turns sums of products of bytes into float32.
func (a *assembly) dequantise() {
	a.function("dequantiseAVX512", "writes src[i][j]·factors[i]·scales[j] + bias[j], j < 32.",
		"dst ptr", "src ptr", "factors ptr", "scales ptr", "bias ptr", "rows int", "ldd int")
	a.load("dst DI", "src SI", "factors R11", "scales AX", "bias BX", "rows CX", "ldd R8")
	a.op("VMOVUPS (AX), Z2\nVMOVUPS 64(AX), Z3\nVMOVUPS (BX), Z4\nVMOVUPS 64(BX), Z5")
	a.label("row")
	a.op("VBROADCASTSS (R11), Z6\nVCVTDQ2PS (SI), Z0\nVCVTDQ2PS 64(SI), Z1")
	a.op("VMULPS Z6, Z0, Z0\nVMULPS Z6, Z1, Z1")
	a.op("VFMADD213PS Z4, Z2, Z0\nVFMADD213PS Z5, Z3, Z1")
	a.op("VMOVUPS Z0, (DI)\nVMOVUPS Z1, 64(DI)")
	a.op("ADDQ $4, R11\nADDQ $128, SI\nADDQ R8, DI\nDECQ CX\nJNE row")
	a.end()
}
