package main

import "fmt"

// instruction is one that the Go assembler does not know: its encoding (Arm Architecture Reference
// Manual, "A64 SIMD and floating-point instructions") and its spelling as Arm has it.
type instruction struct {
	code     uint32
	assembly string
}

// spell writes an encoded instruction for the Go assembler.
func (i instruction) spell() string { return fmt.Sprintf("WORD $0x%08x // %s", i.code, i.assembly) }

// registers places the numbers of the result and the factors.
func registers(d, n, m int) uint32 {
	for _, r := range [...]int{d, n, m} {
		if r < 0 || r >= vectorRegisters {
			panic(fmt.Sprintf("gen: no register V%d", r))
		}
	}
	return uint32(m)<<16 | uint32(n)<<5 | uint32(d)
}

type (
	twoOperands   = func(d, n int) instruction
	threeOperands = func(d, n, m int) instruction
	// byElement multiplies by one 32-bit element of m.
	byElement = func(d, n, m, element int) instruction
)

// three is an instruction of four float32 lanes with two sources.
func three(name string, base uint32) threeOperands {
	return func(d, n, m int) instruction {
		return instruction{
			base | registers(d, n, m), fmt.Sprintf("%s v%d.4s, v%d.4s, v%d.4s", name, d, n, m),
		}
	}
}

// two is an instruction of four lanes with one source.
func two(name string, base uint32) twoOperands {
	return func(d, n int) instruction {
		return instruction{base | registers(d, n, 0), fmt.Sprintf("%s v%d.4s, v%d.4s", name, d, n)}
	}
}

// elements is a product by an element; its number is split over two bits. lanes is the arrangement
// of the other factor, element that of what is picked.
func elements(name string, base uint32, lanes, element string) byElement {
	return func(d, n, m, i int) instruction {
		if i < 0 || i > 3 {
			panic(fmt.Sprintf("gen: no element %d", i))
		}
		code := base | registers(d, n, m) | uint32(i&1)<<21 | uint32(i>>1)<<11
		return instruction{
			code, fmt.Sprintf("%s v%d.4s, v%d.%s, v%d.%s[%d]", name, d, n, lanes, m, element, i),
		}
	}
}

var (
	fadd  = three("fadd", 0x4e20d400)
	fsub  = three("fsub", 0x4ea0d400)
	fmul  = three("fmul", 0x6e20dc00)
	fdiv  = three("fdiv", 0x6e20fc00)
	fmax  = three("fmax", 0x4e20f400) // NaN if either is
	fmin  = three("fmin", 0x4ea0f400)
	faddp = three("faddp", 0x6e20d400)
	fmaxp = three("fmaxp", 0x6e20f400)
	fcmeq = three("fcmeq", 0x4e20e400)
	fcmgt = three("fcmgt", 0x6ea0e400) // false where either is NaN

	fabs   = two("fabs", 0x4ea0f800)
	fneg   = two("fneg", 0x6ea0f800)
	fsqrt  = two("fsqrt", 0x6ea1f800)
	frintn = two("frintn", 0x4e218800) // to nearest even
	fcvtns = two("fcvtns", 0x4e21a800)
	scvtf  = two("scvtf", 0x4e21d800)

	fmlaElement  = elements("fmla", 0x4f801000, "4s", "s")
	bfdotElement = elements("bfdot", 0x4f40f000, "8h", "2h")  // two bf16 to a word
	sudotElement = elements("sudot", 0x4f00f000, "16b", "4b") // four bytes, signed by unsigned
)

// bic is n without the bits of m.
func bic(d, n, m int) instruction {
	return instruction{
		0x4e601c00 | registers(d, n, m), fmt.Sprintf("bic v%d.16b, v%d.16b, v%d.16b", d, n, m),
	}
}
