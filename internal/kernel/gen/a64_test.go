package main

import (
	"encoding/binary"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// wordEncodings are instructions of arm64 with the words that an independent assembler (GNU as
// 2.40) gives them.
var wordEncodings = []struct {
	instruction instruction
	code        uint32
	assembly    string // as objdump prints it
}{
	{fadd(0, 31, 30), 0x4e3ed7e0, "fadd v0.4s, v31.4s, v30.4s"},
	{fsub(1, 2, 3), 0x4ea3d441, "fsub v1.4s, v2.4s, v3.4s"},
	{fmul(9, 8, 7), 0x6e27dd09, "fmul v9.4s, v8.4s, v7.4s"},
	{fdiv(27, 30, 29), 0x6e3dffdb, "fdiv v27.4s, v30.4s, v29.4s"},
	{fmax(16, 15, 24), 0x4e38f5f0, "fmax v16.4s, v15.4s, v24.4s"},
	{fmin(31, 0, 1), 0x4ea1f41f, "fmin v31.4s, v0.4s, v1.4s"},
	{faddp(4, 4, 5), 0x6e25d484, "faddp v4.4s, v4.4s, v5.4s"},
	{fmaxp(6, 6, 7), 0x6e27f4c6, "fmaxp v6.4s, v6.4s, v7.4s"},
	{fcmeq(8, 9, 10), 0x4e2ae528, "fcmeq v8.4s, v9.4s, v10.4s"},
	{fcmgt(11, 12, 13), 0x6eade58b, "fcmgt v11.4s, v12.4s, v13.4s"},
	{fabs(14, 15), 0x4ea0f9ee, "fabs v14.4s, v15.4s"},
	{fneg(31, 16), 0x6ea0fa1f, "fneg v31.4s, v16.4s"},
	{fsqrt(17, 30), 0x6ea1fbd1, "fsqrt v17.4s, v30.4s"},
	{frintn(18, 19), 0x4e218a72, "frintn v18.4s, v19.4s"},
	{fcvtns(20, 21), 0x4e21aab4, "fcvtns v20.4s, v21.4s"},
	{scvtf(22, 23), 0x4e21daf6, "scvtf v22.4s, v23.4s"},
	{bic(24, 25, 26), 0x4e7a1f38, "bic v24.16b, v25.16b, v26.16b"},
	{fmlaElement(0, 31, 30, 0), 0x4f9e13e0, "fmla v0.4s, v31.4s, v30.s[0]"},
	{fmlaElement(23, 28, 15, 1), 0x4faf1397, "fmla v23.4s, v28.4s, v15.s[1]"},
	{fmlaElement(8, 7, 16, 2), 0x4f9018e8, "fmla v8.4s, v7.4s, v16.s[2]"},
	{fmlaElement(31, 0, 1, 3), 0x4fa1181f, "fmla v31.4s, v0.4s, v1.s[3]"},
	{bfdotElement(0, 31, 30, 0), 0x4f5ef3e0, "bfdot v0.4s, v31.8h, v30.2h[0]"},
	{bfdotElement(31, 0, 1, 3), 0x4f61f81f, "bfdot v31.4s, v0.8h, v1.2h[3]"},
	{sudotElement(0, 31, 30, 2), 0x4f1efbe0, "sudot v0.4s, v31.16b, v30.4b[2]"},
	{sudotElement(31, 0, 1, 1), 0x4f21f01f, "sudot v31.4s, v0.16b, v1.4b[1]"},
}

func TestWordEncodings(t *testing.T) {
	for _, e := range wordEncodings {
		if e.instruction.code != e.code || e.instruction.assembly != e.assembly {
			t.Errorf("%s: encoded as %#x, %q, want %#x",
				e.assembly, e.instruction.code, e.instruction.assembly, e.code)
		}
	}
}

// TestWordDisassembly asks objdump about every word in the files for arm64: it must be the
// instruction that stands beside it.
func TestWordDisassembly(t *testing.T) {
	objdump, err := exec.LookPath("aarch64-linux-gnu-objdump")
	if err != nil {
		t.Skip("NOT TESTED: aarch64-linux-gnu-objdump is absent (Debian has it in " +
			"binutils-aarch64-linux-gnu); some encodings were compared with stored words only")
	}
	var code []byte
	var want []string
	seen := map[string]bool{}
	for name, text := range files() {
		if !strings.HasSuffix(name, "_arm64.s") {
			continue
		}
		for _, match := range wordLine.FindAllStringSubmatch(text, -1) {
			if seen[match[0]] {
				continue
			}
			seen[match[0]] = true
			word, err := strconv.ParseUint(match[1], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			code = binary.LittleEndian.AppendUint32(code, uint32(word))
			want = append(want, match[2])
		}
	}
	for _, name := range []string{"fmla", "bfdot", "sudot", "fdiv", "bic"} {
		if !strings.Contains(strings.Join(want, "\n"), name+" ") {
			t.Errorf("no %s among %d words: are they still written as WORD?", name, len(want))
		}
	}
	compareLines(t, disassemble(t, objdump, code, "-m", "aarch64"), want)
	t.Logf("%d different words", len(want))
}

var wordLine = regexp.MustCompile(`WORD \$0x([0-9a-f]{8}) // (.*)`)
