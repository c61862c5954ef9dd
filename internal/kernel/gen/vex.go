package main

import "slices"

// The Go assembler knows no instruction of AMX. All of them are of opcode map 0F38 with a VEX
// prefix of three bytes, W0 and L0 (Intel SDM volume 2, sections 2.3.5 and 2.10).
const (
	opcodeConfig = 0x49 // LDTILECFG, TILERELEASE and TILEZERO
	opcodeMove   = 0x4b // TILELOADD and TILESTORED
	opcodeDot    = 0x5c // TDPBF16PS
	opcodeQuads  = 0x5e // TDPBUSD
)

// The prefixes pp of a VEX instruction; two are those of evex.go.
const (
	prefixNone = 0
	prefix66   = 1
)

// generalRegisters are the general registers in the order of their numbers.
var generalRegisters = []string{
	"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI",
	"R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
}

func registerNumber(name string) int {
	n := slices.Index(generalRegisters, name)
	if n < 0 {
		panic("gen: no register " + name)
	}
	return n
}

// vex encodes prefix, opcode and what follows; reg, index and base are register numbers of which
// the prefix holds the fourth bits. Those and vvvv are stored inverted.
func vex(prefix, opcode byte, reg, index, base, vvvv int, tail ...byte) []byte {
	high := byte(reg>>3<<7 | index>>3<<6 | base>>3<<5)
	return append([]byte{0xc4, high ^ 0xe0 | 2, byte(^vvvv&15)<<3 | prefix, opcode}, tail...)
}

// tileMemory encodes an instruction on tile reg and memory at base + index + displacement, of
// which index becomes the distance of the tile's rows. Displacements are of one byte.
func tileMemory(prefix, opcode byte, reg int, base, index string, displacement int) []byte {
	b, i := registerNumber(base), registerNumber(index)
	if index == "SP" || base == "BP" || base == "R13" || int(int8(displacement)) != displacement {
		panic("gen: no encoding for " + base + ", " + index)
	}
	modrm, tail := byte(reg<<3|4), []byte{byte(i&7<<3 | b&7)}
	if displacement != 0 {
		modrm |= 0x40
		tail = append(tail, byte(displacement))
	}
	return vex(prefix, opcode, reg, i, b, 0, append([]byte{modrm}, tail...)...)
}

// loadTile encodes TILELOADD: row r of the tile = memory at base + r·index + displacement.
func loadTile(tile int, base, index string, displacement int) []byte {
	return tileMemory(prefixF2, opcodeMove, tile, base, index, displacement)
}

// storeTile encodes TILESTORED, the opposite of loadTile.
func storeTile(tile int, base, index string, displacement int) []byte {
	return tileMemory(prefixF3, opcodeMove, tile, base, index, displacement)
}

// zeroTile encodes TILEZERO.
func zeroTile(tile int) []byte {
	return vex(prefixF2, opcodeConfig, 0, 0, 0, 0, byte(0xc0|tile<<3))
}

// configureTiles encodes LDTILECFG: the shapes of all tiles from 64 bytes at base; the tiles become
// zero.
func configureTiles(base string) []byte {
	b := registerNumber(base)
	if b&7 == 4 { // its number means that an index follows
		return vex(prefixNone, opcodeConfig, 0, 0, b, 0, 4, 0x24)
	}
	if b&7 == 5 {
		panic("gen: no encoding for " + base)
	}
	return vex(prefixNone, opcodeConfig, 0, 0, b, 0, byte(b&7))
}

// releaseTiles encodes TILERELEASE: no tile has a shape any more.
func releaseTiles() []byte { return vex(prefixNone, opcodeConfig, 0, 0, 0, 0, 0xc0) }

// multiplyBF16 encodes TDPBF16PS: acc[i,j] += Σ a[i,2k]·b[k,2j] + a[i,2k+1]·b[k,2j+1].
func multiplyBF16(acc, a, b int) []byte {
	return vex(prefixF3, opcodeDot, 0, 0, 0, b, byte(0xc0|acc<<3|a))
}

// multiplyBytes encodes TDPBUSD: acc[i,j] += Σ a[i,4k+q]·b[k,4j+q], a unsigned and b signed.
func multiplyBytes(acc, a, b int) []byte {
	return vex(prefix66, opcodeQuads, 0, 0, 0, b, byte(0xc0|acc<<3|a))
}
