package store

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crashDir names, in the environment of a child process, the index it writes to until it is killed.
const crashDir = "EVIDENT_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := writeForever(dir); err != nil {
			fmt.Println("error:", err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever commits document n with the n-th commit and replaces earlier ones, and prints n
// when the commit is done.
func writeForever(dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	w, err := s.Writer()
	if err != nil {
		return err
	}
	files, err := s.Files()
	if err != nil {
		return err
	}
	commits := 0
	for path := range files {
		number, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".md"))
		if err != nil {
			return err
		}
		commits = max(commits, number)
	}
	for {
		commits++
		for number := 1; number <= commits; number++ {
			if number == commits || (number-commits)%7 == 0 && commits-number < 50 {
				doc, passages := text(number, 1+commits%5)
				if err := w.Put(doc, passages, stat(number)); err != nil {
					return err
				}
			}
		}
		if err := w.Commit(); err != nil {
			return err
		}
		fmt.Println(commits)
	}
}

// TestKilledWriterLosesNothingCommitted kills a writing process at random moments. What it had
// acknowledged must be there, whole; at most the one commit after that may be there too.
func TestKilledWriterLosesNothingCommitted(t *testing.T) {
	if testing.Short() {
		t.Skip("ten rounds of killing a process take seconds: left out by -short")
	}
	s := create(t)
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	acknowledged := 0
	for round := range 10 {
		pause := time.Duration(random.IntN(400)) * time.Millisecond
		if n := killWriter(t, s.Dir(), pause); n > 0 {
			acknowledged = n
		}
		if _, err := s.Refresh(); err != nil {
			t.Fatalf("round %d, killed after %v: %v", round, pause, err)
		}
		if err := s.Verify(); err != nil {
			t.Fatalf("round %d, killed after %v: %v", round, pause, err)
		}
		files, err := s.Files()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(files); n != acknowledged && n != acknowledged+1 {
			t.Fatalf("round %d: %d documents, %d were acknowledged", round, n, acknowledged)
		}
		acknowledged = len(files)
		for number := 1; number <= acknowledged; number++ {
			checkCrashed(t, s, number, acknowledged)
		}
		w := writer(t, s) // the dead process holds no lock, and its unfinished files go
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		stats, err := s.Stats()
		if err != nil {
			t.Fatal(err)
		}
		batches, _ := filepath.Glob(filepath.Join(s.Dir(), "*"+batchSuffix))
		if len(batches) != stats.Batches {
			t.Fatalf("round %d: %d batches, but the files %v", round, stats.Batches, batches)
		}
	}
	if acknowledged < 10 {
		t.Fatalf("only %d commits in ten rounds: this tested nothing", acknowledged)
	}
	t.Logf("%d commits survived ten kills", acknowledged)
}

// checkCrashed requires the version of a document that the newest commit left.
func checkCrashed(t *testing.T, s *Store, number, commits int) {
	t.Helper()
	last := number
	for c := number; c <= commits && c-number < 50; c++ {
		if (number-c)%7 == 0 {
			last = c
		}
	}
	want, _ := text(number, 1+last%5)
	got, err := s.Document(want.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != want.Text {
		t.Fatalf("document %d after %d commits has %d bytes, want %d",
			number, commits, len(got.Text), len(want.Text))
	}
}

// killWriter runs a writing process, kills it and returns the last commit it acknowledged.
func killWriter(t *testing.T, dir string, pause time.Duration) int {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	last, first := 0, make(chan struct{})
	done := make(chan error)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				done <- errors.New(lines.Text())
				return
			}
			if last == 0 {
				close(first)
			}
			last = n
		}
		done <- lines.Err()
	}()
	select { // let it begin, on a machine however slow, then kill it at any moment
	case <-first:
	case <-time.After(20 * time.Second):
	}
	time.Sleep(pause)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	err = <-done
	child.Wait() // it was killed
	if err != nil {
		t.Fatalf("the writing process: %v", err)
	}
	return last
}
