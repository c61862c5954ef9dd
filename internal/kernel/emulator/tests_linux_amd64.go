package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// variable is set in the environment of the programs that RunTests runs.
const variable = "EVIDENT_TEST_EMULATED"

// Running says whether this is a test program that RunTests runs.
func Running() bool { return os.Getenv(variable) != "" }

// RunTests runs one subtest of the named tests of this very test program once more, in short mode
// and under the emulator. It fails unless all of them pass there, AMX is used and every thread
// releases its tiles. Where ptrace is not permitted the test is skipped.
func RunTests(t *testing.T, subtest string, named ...string) {
	t.Helper()
	if testing.CoverMode() != "" {
		t.Log("what the emulated tests cover is not counted")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	pattern := fmt.Sprintf("^(%s)$/^%s$", strings.Join(named, "|"), subtest)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	arguments := []string{program, "-test.run=" + pattern, "-test.short", "-test.v"}
	report, err := Run(ctx, program, arguments, append(os.Environ(), variable+"=1"), output)
	var unavailable *UnavailableError
	if errors.As(err, &unavailable) {
		t.Skipf("AMX NOT TESTED: the CPU lacks it, and it cannot be emulated here: %v", err)
	}
	text, readErr := os.ReadFile(output.Name())
	if err != nil || readErr != nil {
		t.Fatalf("%v, %v\n%s", err, readErr, text)
	}
	t.Logf("%d instructions on %d threads: %v", report.Total(), report.Threads, report.Instructions)
	if report.ExitCode != 0 {
		t.Fatalf("exit code %d, refused %q\n%s", report.ExitCode, report.Refused, text)
	}
	for _, name := range named {
		if !strings.Contains(string(text), "--- PASS: "+name+"/"+subtest+" (") {
			t.Errorf("%s/%s did not pass:\n%s", name, subtest, text)
		}
	}
	if report.Total() == 0 || report.Unreleased > 0 || len(report.Refused) > 0 {
		t.Errorf("%d threads kept tiles, refused %q", report.Unreleased, report.Refused)
	}
}
