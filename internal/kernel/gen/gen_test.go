package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFilesAreCurrent: the committed assembly is what this generator writes.
func TestFilesAreCurrent(t *testing.T) {
	for name, want := range files() {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is stale: run go generate in internal/kernel", name)
		}
	}
}

// encodings are the instructions that the Go assembler does not know, with the bytes that an
// independent assembler gives them.
var encodings = []struct {
	code     []byte
	expected string
	assembly string // as objdump prints it
}{
	{dotBF16(0, 1, 2), "62f2764852c2", "vdpbf16ps zmm0,zmm1,zmm2"},
	{dotBF16(0, 31, 30), "6292064052c6", "vdpbf16ps zmm0,zmm31,zmm30"},
	{dotBF16(27, 30, 29), "62020e4052dd", "vdpbf16ps zmm27,zmm30,zmm29"},
	{dotBF16(9, 8, 7), "62723e4852cf", "vdpbf16ps zmm9,zmm8,zmm7"},
	{dotBF16(16, 15, 24), "6282064852c0", "vdpbf16ps zmm16,zmm15,zmm24"},
	{toBF16(2, 1, 0), "62f2774872d0", "vcvtne2ps2bf16 zmm2,zmm1,zmm0"},
	{toBF16(4, 8, 3), "62f23f4872e3", "vcvtne2ps2bf16 zmm4,zmm8,zmm3"},
	{prefetchWrite(0x40), "0f0d4f40", "prefetchw BYTE PTR [rdi+0x40]"},
	{configureTiles("AX"), "c4e2784900", "ldtilecfg [rax]"},
	{configureTiles("SP"), "c4e278490424", "ldtilecfg [rsp]"},
	{configureTiles("R9"), "c4c2784901", "ldtilecfg [r9]"},
	{configureTiles("R12"), "c4c278490424", "ldtilecfg [r12]"},
	{releaseTiles(), "c4e27849c0", "tilerelease"},
	{zeroTile(0), "c4e27b49c0", "tilezero tmm0"},
	{zeroTile(7), "c4e27b49f8", "tilezero tmm7"},
	{loadTile(4, "SI", "BX", 0), "c4e27b4b241e", "tileloadd tmm4,[rsi+rbx*1]"},
	{loadTile(7, "DI", "CX", 64), "c4e27b4b7c0f40", "tileloadd tmm7,[rdi+rcx*1+0x40]"},
	{loadTile(1, "R9", "R10", 64), "c4827b4b4c1140", "tileloadd tmm1,[r9+r10*1+0x40]"},
	{loadTile(5, "AX", "BX", -128), "c4e27b4b6c1880", "tileloadd tmm5,[rax+rbx*1-0x80]"},
	{storeTile(0, "DX", "R8", 0), "c4a27a4b0402", "tilestored [rdx+r8*1],tmm0"},
	{storeTile(1, "DX", "R8", 64), "c4a27a4b4c0240", "tilestored [rdx+r8*1+0x40],tmm1"},
	{storeTile(3, "R11", "CX", 0), "c4c27a4b1c0b", "tilestored [r11+rcx*1],tmm3"},
	{multiplyBF16(0, 4, 6), "c4e24a5cc4", "tdpbf16ps tmm0,tmm4,tmm6"},
	{multiplyBF16(1, 4, 7), "c4e2425ccc", "tdpbf16ps tmm1,tmm4,tmm7"},
	{multiplyBF16(3, 5, 7), "c4e2425cdd", "tdpbf16ps tmm3,tmm5,tmm7"},
	{multiplyBytes(0, 4, 6), "c4e2495ec4", "tdpbusd tmm0,tmm4,tmm6"},
	{multiplyBytes(3, 5, 7), "c4e2415edd", "tdpbusd tmm3,tmm5,tmm7"},
}

func TestEncodings(t *testing.T) {
	for _, e := range encodings {
		if got := fmt.Sprintf("%x", e.code); got != e.expected {
			t.Errorf("%s: encoded as %s, want %s", e.assembly, got, e.expected)
		}
	}
}

// everyRegister encodes instructions with all numbers of vectors, tiles and general registers, and
// returns how objdump prints them.
func everyRegister() (code []byte, want []string) {
	add := func(instruction []byte, format string, args ...any) {
		code = append(code, instruction...)
		want = append(want, fmt.Sprintf(format, args...))
	}
	for i := range 32 {
		add(dotBF16(i, 31-i, (i*7+3)%32), "vdpbf16ps zmm%d,zmm%d,zmm%d", i, 31-i, (i*7+3)%32)
		add(toBF16(i, (i*5+1)%32, 31-i), "vcvtne2ps2bf16 zmm%d,zmm%d,zmm%d", i, (i*5+1)%32, 31-i)
	}
	for i := range 8 {
		add(multiplyBF16(i, (i+3)%8, (i+5)%8), "tdpbf16ps tmm%d,tmm%d,tmm%d", i, (i+3)%8, (i+5)%8)
		add(multiplyBytes(i, (i+1)%8, (i+6)%8), "tdpbusd tmm%d,tmm%d,tmm%d", i, (i+1)%8, (i+6)%8)
		add(zeroTile(i), "tilezero tmm%d", i)
	}
	names := make([]string, len(generalRegisters))
	for i, name := range generalRegisters {
		names[i] = strings.ToLower(name)
		if i < 8 {
			names[i] = "r" + names[i]
		}
	}
	for i, base := range generalRegisters {
		index := (i + 6) % len(names) // SP is no index
		if base == "BP" || base == "R13" || generalRegisters[index] == "SP" {
			continue
		}
		add(loadTile(i%8, base, generalRegisters[index], 0),
			"tileloadd tmm%d,[%s+%s*1]", i%8, names[i], names[index])
		add(storeTile(i%8, base, generalRegisters[index], 64),
			"tilestored [%s+%s*1+0x40],tmm%d", names[i], names[index], i%8)
		add(configureTiles(base), "ldtilecfg [%s]", names[i])
	}
	return code, want
}

// TestDisassembly asks objdump about the encodings, and about all register numbers.
func TestDisassembly(t *testing.T) {
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skipf("objdump is absent: %v; the encodings were compared with stored bytes only", err)
	}
	code, want := everyRegister()
	for _, e := range encodings {
		code = append(code, e.code...)
		want = append(want, e.assembly)
	}
	got := disassemble(t, objdump, code, "-m", "i386:x86-64", "-M", "intel")
	compareLines(t, got, want)
}

// disassemble returns what objdump reads in raw code, one instruction an element.
func disassemble(t *testing.T, objdump string, code []byte, architecture ...string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "code.bin")
	if err := os.WriteFile(path, code, 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := append([]string{"-D", "-b", "binary", "--no-show-raw-insn"}, architecture...)
	out, err := exec.Command(objdump, append(arguments, path)...).CombinedOutput()
	if err != nil {
		t.Skipf("this objdump does not disassemble: %v: %s", err, out)
	}
	var got []string
	for line := range strings.SplitSeq(string(out), "\n") {
		if _, instruction, ok := strings.Cut(line, ":\t"); ok {
			got = append(got, strings.Join(strings.Fields(instruction), " "))
		}
	}
	return got
}

func compareLines(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d instructions became %d:\n%s", len(want), len(got), strings.Join(got, "\n"))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: objdump reads %q, want %q", i, got[i], want[i])
		}
	}
}
