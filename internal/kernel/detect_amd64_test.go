package kernel

import (
	"errors"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/cpu"
)

// TestDetect compares what the CPU tells here with what it tells package cpu.
func TestDetect(t *testing.T) {
	_, _, _, d := cpuid(7, 0)
	for bit, has := range map[int]bool{
		22: cpu.X86.HasAMXBF16, 24: cpu.X86.HasAMXTile, 25: cpu.X86.HasAMXInt8,
	} {
		if got := d>>bit&1 == 1; got != has {
			t.Errorf("leaf 7, EDX bit %d is %v, package cpu has %v", bit, got, has)
		}
	}
	if !cpu.X86.HasOSXSAVE {
		t.Skip("this CPU has no XGETBV")
	}
	const vectors, wide = 2 | 4, 2 | 4 | 7<<5 // the registers of AVX and of AVX-512
	low, _ := xgetbv()
	if cpu.X86.HasAVX && low&vectors != vectors {
		t.Errorf("XCR0 is %#x, but there is AVX", low)
	}
	onDemand := runtime.GOOS == "darwin" // it saves the wide ones from their first use on
	if cpu.X86.HasAVX512F && !onDemand && low&wide != wide {
		t.Errorf("XCR0 is %#x, but there is AVX-512", low)
	}
	if hasTiles() && low>>17&3 != 3 {
		t.Errorf("XCR0 is %#x, but there are tiles", low)
	}
}

// TestAMXAvailable: the tier is there exactly where all that it needs is, and says what it lacks.
func TestAMXAvailable(t *testing.T) {
	if emulated.Load() {
		t.Skip("AMX is emulated")
	}
	all := hasTiles() && tilesPermitted() && cpu.X86.HasAMXBF16 && cpu.X86.HasAVX512BF16
	err := Available(AMXBF16)
	if all != (err == nil) || all != (Best() == AMXBF16) {
		t.Errorf("features %v: %v, best is %s", all, err, Best())
	}
	var lacking *UnavailableError
	if err != nil && !errors.As(err, &lacking) {
		t.Errorf("%v names nothing that is missing", err)
	}
	if err != nil && slices.Contains(lacking.Missing, "amx_tile") == hasTiles() {
		t.Errorf("%v, and tiles are there: %v", err, hasTiles())
	}
	if err := UnusedAMX(); (err != nil) != (cpu.X86.HasAMXBF16 && !all) {
		t.Errorf("UnusedAMX: %v", err)
	}
}
