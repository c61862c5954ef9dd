package kernel

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The emulated tests take a few seconds. Where other work leaves them less they are skipped after
// emulationLimit; an emulator that used emulationCPU of the processor without an end is a failure.
const (
	emulationLimit = 50 * time.Second
	emulationCPU   = 20 * time.Second
)

// TestEmulatedARM64 builds the tests of this package for arm64 and runs them in an emulator, once
// as a CPU that has everything and once as an early one, so that they run where no such CPU is.
func TestEmulatedARM64(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("this is arm64: its kernels are tested as they are")
	}
	emulator := findEmulator(t)
	ctx, cancel := context.WithTimeout(t.Context(), emulationLimit)
	defer cancel()
	noticeSources(t)
	program := filepath.Join(t.TempDir(), "kernel.test")
	crossBuild(ctx, t, "vet", "-asmdecl", ".")
	crossBuild(ctx, t, "test", "-c", "-o", program, ".")
	for _, c := range []struct {
		cpu     string
		tested  []string // tiers
		skipped []string
	}{
		{"max", []string{"neon", "neon_bf16"}, []string{"avx2"}},
		{"cortex-a72", []string{"neon"}, []string{"neon_bf16"}},
	} {
		t.Run(c.cpu, func(t *testing.T) {
			command := exec.CommandContext(ctx, emulator, "-cpu", c.cpu, program,
				"-test.v", "-test.short", "-test.skip=^TestMeasure$")
			command.Env = append(os.Environ(), EnvironmentVariable+"=auto")
			out := finish(ctx, t, command)
			for _, test := range []string{
				"TestTile", "TestSoftmax", "TestLayerNorm", "TestActivate", "TestSlope", "TestTileInt8",
			} {
				for _, tier := range c.tested {
					wantLine(t, out, "--- PASS: "+test+"/"+tier+" ")
				}
				for _, tier := range c.skipped {
					wantLine(t, out, "--- SKIP: "+test+"/"+tier+" ")
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
func crossBuild(ctx context.Context, t *testing.T, arguments ...string) {
	t.Helper()
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	finish(ctx, t, command)
}

// finish runs a command to its end and returns what it printed.
func finish(ctx context.Context, t *testing.T, command *exec.Cmd) string {
	t.Helper()
	command.WaitDelay = time.Second // for what a killed go command has started
	out, err := command.CombinedOutput()
	if err == nil {
		return string(out)
	}
	name := strings.Join(command.Args, " ")
	if ctx.Err() != nil {
		used := time.Duration(0)
		if command.ProcessState != nil {
			used = command.ProcessState.UserTime()
		}
		if used < emulationCPU {
			t.Skipf("NOT TESTED: the kernels for arm64; this machine is too busy: %s got %v of "+
				"processor time before %v were over", name, used, emulationLimit)
		}
	}
	t.Fatalf("%s: %v\n%s", name, err, out)
	return ""
}
