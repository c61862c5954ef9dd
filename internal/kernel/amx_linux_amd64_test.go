package kernel

import (
	"os"
	"testing"

	"evident/internal/kernel/emulator"
)

func TestMain(m *testing.M) {
	if emulator.Running() {
		Emulate()
		productsPreempted = 8
	}
	os.Exit(m.Run())
}

// TestAMXEmulated runs the tests of the products once more, with AMX emulated, where the CPU has none.
// Where it has, they ran natively.
func TestAMXEmulated(t *testing.T) {
	if Available(AMXBF16) == nil {
		t.Skip("this CPU has AMX: no emulator is needed")
	}
	var named []string
	for _, test := range []string{
		"TestTile", "TestTileInt8", "TestTileInt8Extremes", "TestTileSpecial", "TestTileDenormal",
		"TestTileRowsAgree", "TestTilePreempted",
	} {
		named = append(named, test+"/amx_bf16")
	}
	emulator.RunTests(t, "^TestTile/^amx_bf16$", named...)
}
