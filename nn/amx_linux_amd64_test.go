package nn

import (
	"os"
	"testing"

	"evident/internal/kernel"
	"evident/internal/kernel/emulator"
)

func TestMain(m *testing.M) {
	if emulator.Running() {
		kernel.Emulate()
	}
	os.Exit(m.Run())
}

// TestAMXEmulated runs layers and attention once more with AMX emulated, where the CPU has none.
func TestAMXEmulated(t *testing.T) {
	if kernel.Available(kernel.AMXBF16) == nil {
		t.Skip("this CPU has AMX: no emulator is needed")
	}
	emulator.RunTests(t, "amx_bf16",
		"TestLinear", "TestPrecision", "TestEncoder", "TestEncoderSameBits")
}
