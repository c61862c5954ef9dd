package emulator

import (
	"encoding/hex"
	"testing"
)

// TestDecode: instructions as GNU as encodes them.
func TestDecode(t *testing.T) {
	const ax, cx, dx, bx, sp, si, di = 0, 1, 2, 3, 4, 6, 7
	plain := func(o operation, tile, left, right int) instruction {
		return instruction{operation: o, length: 5, tile: tile, left: left, right: right}
	}
	memory := func(o operation, length, tile, base, index, scale int, offset int64) instruction {
		return instruction{
			operation: o, length: length, tile: tile, base: base, index: index, scale: scale, offset: offset,
		}
	}
	for _, c := range []struct {
		code, assembly string
		want           instruction
	}{
		{"c4e2784900", "ldtilecfg [rax]", memory(configure, 5, 0, ax, noRegister, 1, 0)},
		{"c4e278490424", "ldtilecfg [rsp]", memory(configure, 6, 0, sp, noRegister, 1, 0)},
		{"c4c2784901", "ldtilecfg [r9]", memory(configure, 5, 0, 9, noRegister, 1, 0)},
		{"c4e278494540", "ldtilecfg [rbp+0x40]", memory(configure, 6, 0, 5, noRegister, 1, 64)},
		{"c4e27849c0", "tilerelease", plain(release, 0, 0, 0)},
		{"c4e27b49f8", "tilezero tmm7", plain(zero, 7, 0, 0)},
		{"c4e27b4b241e", "tileloadd tmm4,[rsi+rbx*1]", memory(load, 6, 4, si, bx, 1, 0)},
		{"c4e27b4b245e", "tileloadd tmm4,[rsi+rbx*2]", memory(load, 6, 4, si, bx, 2, 0)},
		{"c4e27b4b2426", "tileloadd tmm4,[rsi]", memory(load, 6, 4, si, noRegister, 1, 0)},
		{"c4e2794b241e", "tileloaddt1 tmm4,[rsi+rbx*1]", memory(load, 6, 4, si, bx, 1, 0)},
		{"c4e27b4b7c0f40", "tileloadd tmm7,[rdi+rcx*1+0x40]", memory(load, 7, 7, di, cx, 1, 64)},
		{"c4e27b4b6c1880", "tileloadd tmm5,[rax+rbx*1-0x80]", memory(load, 7, 5, ax, bx, 1, -128)},
		{
			"c4e27b4bac1800010000", "tileloadd tmm5,[rax+rbx*1+0x100]",
			memory(load, 10, 5, ax, bx, 1, 256),
		},
		{"c4a27a4b0402", "tilestored [rdx+r8*1],tmm0", memory(store, 6, 0, dx, 8, 1, 0)},
		{"c4c27a4b1c0b", "tilestored [r11+rcx*1],tmm3", memory(store, 6, 3, 11, cx, 1, 0)},
		{"c4e2425ccc", "tdpbf16ps tmm1,tmm4,tmm7", plain(dotBF16, 1, 4, 7)},
		{"c4e2415edd", "tdpbusd tmm3,tmm5,tmm7", plain(dotBytes, 3, 5, 7)},
	} {
		code, err := hex.DecodeString(c.code)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := decode(append(code, 0x90, 0x90, 0x90, 0x90, 0x90))
		if !ok || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.assembly, got, ok, c.want)
		}
		if c.want.operation == configure && c.want.index == noRegister {
			continue // shorter encodings of it exist
		}
		for n := range code {
			if _, ok := decode(code[:n]); ok {
				t.Errorf("%s: %d of %d bytes pass for it", c.assembly, n, len(code))
			}
		}
	}
}

// TestDecodeOthers: what is not known is not guessed.
func TestDecodeOthers(t *testing.T) {
	for code, what := range map[string]string{
		"0f0b909090":         "ud2",
		"62f2764852c2":       "vdpbf16ps zmm0,zmm1,zmm2",
		"c4e2f84900":         "ldtilecfg with W",
		"c4e27c4900":         "ldtilecfg with L",
		"c4e27b4b06":         "tileloadd without SIB",
		"c4e27b4b04250000":   "tileloadd without base",
		"c4e278490500000000": "ldtilecfg relative to the instruction",
		"c4627b49c0":         "tilezero tmm8",
		"c4e24b5ecc":         "tdpbssd, which no kernel uses",
		"c4e20a5cc4":         "tdpbf16ps with tmm14",
	} {
		bytes, err := hex.DecodeString(code)
		if err != nil {
			t.Fatal(err)
		}
		if i, ok := decode(append(bytes, 0x90, 0x90, 0x90, 0x90)); ok {
			t.Errorf("%s passes for %+v", what, i)
		}
	}
}

// FuzzDecode: no bytes bring the decoder down or out of the code.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xc4, 0xe2, 0x7b, 0x4b, 0x7c, 0x0f, 0x40})
	f.Fuzz(func(t *testing.T, code []byte) {
		i, ok := decode(code)
		if ok && (i.length > len(code) || max(i.tile, i.left, i.right) >= tileCount || i.base > 15) {
			t.Errorf("%x: %+v", code, i)
		}
	})
}
