package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// neon writes functions for arm64. Vectors hold four float32. The registers V31, V30, … hold the
// constants of a function, loaded once at its start; what is left is free for its body.
//
// Registers that the Go toolchain keeps for itself are left alone: R16 is used between two
// instructions only, R18 and R27 … R30 never.
type neon struct {
	*assembly
	constants []uint32 // their bits, from V31 down
	start     int      // where the function's instructions begin
	working   int      // vector registers that the body has named for itself
}

func newNeon() *neon {
	n := &neon{assembly: newAssembly()}
	n.move = "MOVD"
	return n
}

// vectorRegisters is the number of them.
const vectorRegisters = 32

func (n *neon) function(name, doc string, params ...string) {
	n.assembly.function(name, doc, params...)
	n.constants, n.start, n.working = nil, n.text.Len(), 0
}

// spread writes a float32 parameter into every lane of a register.
func (n *neon) spread(id string, register int) {
	n.op("FMOVS %s, F%d\nVDUP V%d.S[0], V%d.S4", n.argument(id), register, register, register)
}

// end returns from the function, and puts the constants in front of it.
func (n *neon) end() {
	n.op("RET")
	text := n.text.String()
	n.text.Reset()
	n.text.WriteString(text[:n.start])
	for i, bits := range n.constants {
		register := vectorRegisters - 1 - i
		if register < n.working {
			panic(fmt.Sprintf("gen: V%d is a constant and a working register", register))
		}
		n.op("MOVW $0x%08x, R16\nVDUP R16, V%d.S4", bits, register)
	}
	n.text.WriteString(text[n.start:])
	n.text.WriteString("\n")
}

// work says that the body uses the vector registers below count.
func (n *neon) work(count int) { n.working = max(n.working, count) }

// float is the register that holds a float32 constant in every lane.
func (n *neon) float(v float64) int { return n.word(math.Float32bits(float32(v))) }

// word is the register that holds a 32-bit constant in every lane.
func (n *neon) word(bits uint32) int {
	i := slices.Index(n.constants, bits)
	if i < 0 {
		i = len(n.constants)
		n.constants = append(n.constants, bits)
	}
	return vectorRegisters - 1 - i
}

// put writes encoded instructions.
func (n *neon) put(instructions ...instruction) {
	for _, i := range instructions {
		n.op("%s", i.spell())
	}
}

// clear zeroes registers from first on.
func (n *neon) clear(first, count int) {
	for i := first; i < first+count; i++ {
		n.op("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
	}
}

// copy moves a vector.
func (n *neon) copy(to, from int) { n.op("VMOV V%d.B16, V%d.B16", from, to) }

// multiplyAdd adds x·y to sum, rounded once.
func (n *neon) multiplyAdd(sum, x, y int) { n.op("VFMLA V%d.S4, V%d.S4, V%d.S4", y, x, sum) }

// read loads count vectors that lie at an offset from a pointer, write stores them.
func (n *neon) read(pointer string, offset, first, count int) {
	n.transfer("FLDPQ %[2]s, (F%[3]d, F%[4]d)", "FMOVQ %[2]s, F%[3]d", pointer, offset, first, count)
}

func (n *neon) write(pointer string, offset, first, count int) {
	n.transfer("FSTPQ (F%[3]d, F%[4]d), %[2]s", "FMOVQ F%[3]d, %[2]s", pointer, offset, first, count)
}

func (n *neon) transfer(pair, single, pointer string, offset, first, count int) {
	for i := 0; i < count; i += 2 {
		form, operand := pair, fmt.Sprintf("%d(%s)", offset+16*i, pointer)
		if i+1 == count {
			form = single
		}
		n.op(form+"%[1]s", "", operand, first+i, first+i+1)
	}
}

// rounds runs body on all vectors of a row of so many bytes, a multiple of 16: four at a time, then
// one at a time. The pointers move on; left is scratch.
func (n *neon) rounds(bytes, left string, pointers []string, body func(count int)) {
	top, tail, single, done := n.fresh("four"), n.fresh("tail"), n.fresh("one"), n.fresh("done")
	move := func(count int) {
		for _, p := range pointers {
			n.op("ADD $%d, %s", 16*count, p)
		}
	}
	n.op("SUBS $64, %s, %s\nBLT %s", bytes, left, tail)
	n.label(top)
	body(4)
	move(4)
	n.op("SUBS $64, %s, %s\nBGE %s", left, left, top)
	n.label(tail)
	n.op("ADDS $64, %s, %s\nBEQ %s", left, left, done)
	n.label(single)
	body(1)
	move(1)
	n.op("SUBS $16, %s, %s\nBNE %s", left, left, single)
	n.label(done)
}

// together interleaves the instructions of count straight runs of the same length, so that a core
// without much reordering waits less for each.
func (n *neon) together(count int, run func(i int)) {
	before := n.text.String()
	var runs [][]string
	for i := range count {
		n.text.Reset()
		run(i)
		runs = append(runs, strings.SplitAfter(n.text.String(), "\n"))
	}
	n.text.Reset()
	n.text.WriteString(before)
	for line := range runs[0] {
		for _, r := range runs {
			n.text.WriteString(r[line])
		}
	}
}

// fold leaves the sum or maximum of a register's lanes in every lane; pairwise is faddp or fmaxp.
func (n *neon) fold(pairwise threeOperands, register int) {
	n.put(pairwise(register, register, register), pairwise(register, register, register))
}
