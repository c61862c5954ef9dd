package emulator

import "encoding/binary"

// operation is what an instruction does.
type operation uint8

const (
	configure operation = iota // LDTILECFG
	release                    // TILERELEASE
	zero                       // TILEZERO
	load                       // TILELOADD, TILELOADDT1
	store                      // TILESTORED
	dotBF16                    // TDPBF16PS
	dotBytes                   // TDPBUSD
)

var operationNames = [...]string{
	"LDTILECFG", "TILERELEASE", "TILEZERO", "TILELOADD", "TILESTORED", "TDPBF16PS", "TDPBUSD",
}

func (o operation) String() string { return operationNames[o] }

// noRegister stands for a base or index that an address lacks.
const noRegister = -1

// instruction is one instruction of AMX.
type instruction struct {
	operation operation
	length    int // bytes of its encoding
	tile      int // what it writes, or stores
	left      int // tiles of a product
	right     int
	base      int // registers of the address, in the order of their numbers
	index     int
	scale     int // the index counts so many bytes
	offset    int64
}

// codeMax is the length of the longest instruction of AMX: prefix, opcode, ModRM, SIB and 4 bytes.
const codeMax = 10

// decode reads an instruction of AMX from the beginning of code; ok is false where it is none.
func decode(code []byte) (i instruction, ok bool) {
	const modRegister = 3
	if len(code) < 5 || code[0] != 0xc4 || code[1]&0x1f != 2 {
		return i, false
	}
	if code[2]&0x84 != 0 { // W and L
		return i, false
	}
	r, x, b := int(^code[1]>>7&1), int(^code[1]>>6&1), int(^code[1]>>5&1)
	vvvv, prefix, opcode, modrm := int(^code[2]>>3&15), code[2]&3, code[3], code[4]
	mod, reg, rm := modrm>>6, int(modrm>>3&7)|r<<3, int(modrm&7)|b<<3
	if i.operation, ok = operationOf(opcode, prefix, mod == modRegister); !ok {
		return i, false
	}
	i.length, i.tile = 5, reg
	switch i.operation {
	case dotBF16, dotBytes:
		i.left, i.right = rm, vvvv
		return i, max(i.tile, i.left, i.right) < tileCount
	case release:
		return i, reg == 0 && rm == 0 && vvvv == 0
	case zero:
		return i, rm == 0 && vvvv == 0 && i.tile < tileCount
	case configure:
		if reg != 0 {
			return i, false
		}
	}
	if vvvv != 0 || i.tile >= tileCount || !i.address(code, mod, rm, x, b) {
		return i, false
	}
	return i, i.operation == configure || modrm&7 == 4 // the others ask for a SIB byte
}

func operationOf(opcode, prefix byte, registers bool) (o operation, ok bool) {
	for _, known := range []struct {
		opcode, prefix byte
		registers      bool
		operation      operation
	}{
		{0x49, 0, false, configure},
		{0x49, 0, true, release},
		{0x49, 3, true, zero},
		{0x4b, 3, false, load},
		{0x4b, 1, false, load},
		{0x4b, 2, false, store},
		{0x5c, 2, true, dotBF16},
		{0x5e, 1, true, dotBytes},
	} {
		if known.opcode == opcode && known.prefix == prefix && known.registers == registers {
			return known.operation, true
		}
	}
	return 0, false
}

// address reads the operand in memory, from the ModRM byte on. Addresses relative to the
// instruction or without a base are not used by any kernel and not known.
func (i *instruction) address(code []byte, mod byte, rm, x, b int) bool {
	i.base, i.index, i.scale = rm, noRegister, 1
	if rm&7 == 4 {
		if len(code) < 6 {
			return false
		}
		sib := code[5]
		i.length++
		i.base, i.scale = int(sib&7)|b<<3, 1<<(sib>>6)
		if index := int(sib>>3&7) | x<<3; index != 4 {
			i.index = index
		}
	}
	if mod == 0 && i.base&7 == 5 {
		return false
	}
	rest := code[min(i.length, len(code)):]
	switch {
	case mod == 1 && len(rest) >= 1:
		i.offset = int64(int8(rest[0]))
		i.length++
	case mod == 2 && len(rest) >= 4:
		i.offset = int64(int32(binary.LittleEndian.Uint32(rest)))
		i.length += 4
	case mod != 0:
		return false
	}
	return true
}
