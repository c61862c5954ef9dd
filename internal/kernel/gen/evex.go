package main

import (
	"fmt"
	"strings"
)

// The prefixes pp of an EVEX instruction.
const (
	prefixF3 = 2
	prefixF2 = 3
)

// evex512 encodes OP zmm[reg], zmm[vvvv], zmm[rm] of opcode map 0F38 with W0, no masking
// (Intel SDM volume 2, section 2.7). The register fields are stored inverted.
func evex512(prefix, opcode byte, reg, vvvv, rm int) []byte {
	inverted := func(register, bit, shift int) byte {
		return byte((^register >> bit & 1) << shift)
	}
	p0 := inverted(reg, 3, 7) | inverted(rm, 4, 6) | inverted(rm, 3, 5) | inverted(reg, 4, 4) | 2
	p1 := byte(^vvvv&15)<<3 | 4 | prefix
	p2 := byte(2<<5) | inverted(vvvv, 4, 3) // 2: vectors of 512 bits
	modrm := byte(0xC0 | (reg&7)<<3 | rm&7)
	return []byte{0x62, p0, p1, p2, opcode, modrm}
}

// dotBF16 encodes VDPBF16PS: acc[i] += a[2i]·b[2i] + a[2i+1]·b[2i+1], i < 16.
func dotBF16(acc, a, b int) []byte { return evex512(prefixF3, 0x52, acc, a, b) }

// toBF16 encodes VCVTNE2PS2BF16: dst = 16 values of low, then 16 of high, rounded to nearest even.
func toBF16(dst, high, low int) []byte { return evex512(prefixF2, 0x72, dst, high, low) }

// prefetchWrite encodes PREFETCHW offset(DI): the line is wanted for writing. Where the CPU has no such
// instruction it does nothing.
func prefetchWrite(offset byte) []byte { return []byte{0x0f, 0x0d, 0x4f, offset} }

// spell writes an encoded instruction for the Go assembler.
func spell(code []byte) string {
	var parts []string
	for _, b := range code {
		parts = append(parts, fmt.Sprintf("BYTE $0x%02x", b))
	}
	return strings.Join(parts, "; ")
}
