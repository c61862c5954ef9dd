package faultdisk

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// killsEnv is how often tests kill a writing process; the ordinary number is small.
const killsEnv = "EVIDENT_TEST_KILLS"

// Kills is how often a test kills a writing process.
func Kills(t testing.TB) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		return n
	}
	if testing.Short() {
		t.Skip("killing a process again and again takes seconds: left out by -short; " + killsEnv + "=N does it N times")
	}
	return 10
}

// KillWriter runs the test program with a setting of its environment that makes it write, and print the number of
// each commit that is acknowledged. It kills it (SIGKILL) some time after so many of them, and returns the last number
// that it printed, or 0.
func KillWriter(t testing.TB, setting string, commits int, pause time.Duration) int {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), setting)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	last, seen := 0, 0
	lines := bufio.NewScanner(out)
	note := func() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			_ = child.Process.Kill()
			t.Fatalf("the writing process: %s", strings.TrimSpace(lines.Text()))
		}
		last = n
		seen++
	}
	for seen < commits && lines.Scan() {
		note()
	}
	time.Sleep(pause)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // what it said before it died
		note()
	}
	_ = child.Wait() // it was killed
	return last
}
