//go:build unix

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"evident/internal/readertest"
)

// interrupter is a standard input that never says anything: who waits for it is interrupted.
type interrupter struct{ t *testing.T }

func (i interrupter) Read([]byte) (int, error) {
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		i.t.Error(err)
	}
	select {}
}

// Ctrl-C ends the program at once, also while it waits for input, with exit code 130 and a hint.
func TestInterrupt(t *testing.T) {
	dir, model := t.TempDir(), t.TempDir()
	if err := readertest.Write(model, 7); err != nil {
		t.Fatal(err)
	}
	text := []byte("The bridge spans the Aare.")
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, problems bytes.Buffer
	streams := Streams{
		In: interrupter{t}, Out: &out, Err: &problems, Environment: func(string) string { return "" },
	}
	code := Main(streams, []string{
		"ask", "--in", dir, "--data", filepath.Join(dir, "data"), "--model", model, "-",
	})
	if code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if !strings.Contains(problems.String(), "hint: what was stored is kept") {
		t.Errorf("stderr: %s", problems.String())
	}
}
