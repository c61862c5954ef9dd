package kernel

import (
	"os"
	"testing"

	"evident/internal/kernel/emulator"
)

func TestMain(m *testing.M) {
	if emulator.Running() {
		Emulate()
	}
	os.Exit(m.Run())
}

// TestAMXEmulated runs the tests of the products once more, with AMX emulated, where the CPU has
// none. Where it has, they ran natively.
func TestAMXEmulated(t *testing.T) {
	if Available(AMXBF16) == nil {
		t.Skip("this CPU has AMX: no emulator is needed")
	}
	emulator.RunTests(t, "amx_bf16", "TestTile", "TestTileInt8", "TestTileInt8Extremes",
		"TestTileSpecial", "TestTileDenormal", "TestTileRowsAgree", "TestTilePreempted", "TestPeak")
}
