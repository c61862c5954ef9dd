package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestEmulatedARM64 builds the tests of this package for arm64 and runs them in an emulator, once
// as a CPU that has everything and once as an early one, so that they run where no such CPU is.
func TestEmulatedARM64(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("this is arm64: its kernels are tested as they are")
	}
	emulator := findEmulator(t)
	noticeSources(t)
	program := filepath.Join(t.TempDir(), "kernel.test")
	crossBuild(t, "vet", "-asmdecl", ".")
	crossBuild(t, "test", "-c", "-o", program, ".")
	for _, c := range []struct {
		cpu     string
		tested  []string // tiers
		skipped []string
	}{
		{"max", []string{"neon", "neon_bf16"}, []string{"avx2"}},
		{"cortex-a72", []string{"neon"}, []string{"neon_bf16"}},
	} {
		t.Run(c.cpu, func(t *testing.T) {
			command := exec.Command(emulator, "-cpu", c.cpu, program,
				"-test.v", "-test.short", "-test.skip=^TestMeasure$")
			command.Env = append(os.Environ(), EnvironmentVariable+"=auto")
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("run the tests for arm64: %v\n%s", err, out)
			}
			for _, test := range []string{
				"TestTile", "TestSoftmax", "TestLayerNorm", "TestActivate", "TestSlope", "TestTileInt8",
			} {
				for _, tier := range c.tested {
					wantLine(t, string(out), "--- PASS: "+test+"/"+tier+" ")
				}
				for _, tier := range c.skipped {
					wantLine(t, string(out), "--- SKIP: "+test+"/"+tier+" ")
				}
			}
		})
	}
}

func wantLine(t *testing.T, text, line string) {
	t.Helper()
	if !strings.Contains(text, line) {
		t.Errorf("the tests for arm64 did not report %q", line)
	}
}

func findEmulator(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"qemu-aarch64-static", "qemu-aarch64"} {
		if path, err := exec.LookPath(name); err == nil {
			out, err := exec.Command(path, "--version").Output()
			if err != nil {
				t.Skipf("NOT TESTED: the kernels for arm64; %s does not run: %v", path, err)
			}
			version, _, _ := strings.Cut(string(out), "\n")
			t.Logf("%s: %s", path, version)
			return path
		}
	}
	t.Skip("NOT TESTED: the kernels for arm64; qemu-aarch64 is absent (Debian has it in " +
		"qemu-user-static)")
	return ""
}

// noticeSources looks at the files of this folder, so that a stored result of this test is not
// taken for current after a change to those that only arm64 compiles.
func noticeSources(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"*.go", "*.s"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if _, err := os.Stat(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// crossBuild runs the go command for arm64.
func crossBuild(t *testing.T, arguments ...string) {
	t.Helper()
	command := exec.Command("go", arguments...)
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go %s for arm64: %v\n%s", strings.Join(arguments, " "), err, out)
	}
}
