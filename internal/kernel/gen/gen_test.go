package main

import (
	"bytes"
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
}

func TestEncodings(t *testing.T) {
	for _, e := range encodings {
		if got := fmt.Sprintf("%x", e.code); got != e.expected {
			t.Errorf("%s: encoded as %s, want %s", e.assembly, got, e.expected)
		}
	}
}

// TestDisassembly asks objdump about the encodings, and about all register numbers.
func TestDisassembly(t *testing.T) {
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skipf("objdump is absent: %v; the encodings were compared with stored bytes only", err)
	}
	var code bytes.Buffer
	var want []string
	for _, e := range encodings {
		code.Write(e.code)
		want = append(want, e.assembly)
	}
	for i := range 32 {
		code.Write(dotBF16(i, 31-i, (i*7+3)%32))
		want = append(want, fmt.Sprintf("vdpbf16ps zmm%d,zmm%d,zmm%d", i, 31-i, (i*7+3)%32))
		code.Write(toBF16(i, (i*5+1)%32, 31-i))
		want = append(want, fmt.Sprintf("vcvtne2ps2bf16 zmm%d,zmm%d,zmm%d", i, (i*5+1)%32, 31-i))
	}
	got := disassemble(t, objdump, code.Bytes(), "-m", "i386:x86-64", "-M", "intel")
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
