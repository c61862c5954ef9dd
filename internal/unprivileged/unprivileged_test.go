package unprivileged

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestHere: what may not be read is not read, neither here nor by a process that is started here; other
// goroutines keep what they had.
func TestHere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are other ones: this is Windows")
	}
	file := filepath.Join(t.TempDir(), "locked")
	if err := os.WriteFile(file, []byte("secret"), 0); err != nil {
		t.Fatal(err)
	}
	_, before := os.ReadFile(file)
	t.Run("unprivileged", func(t *testing.T) {
		if err := Here(); err != nil {
			t.Skipf("NOT TESTED: %v", err)
		}
		if _, err := os.ReadFile(file); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("reading gives %v", err)
		}
		if out, err := exec.Command("cat", file).Output(); err == nil || len(out) > 0 {
			t.Errorf("a process reads %q, %v", out, err)
		}
	})
	if _, after := os.ReadFile(file); (before == nil) != (after == nil) {
		t.Errorf("elsewhere reading gave %v before and %v after", before, after)
	}
}
