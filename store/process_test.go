package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"evident/internal/faultdisk"
)

// readForever opens the index, reads all of one generation, moves on to the newest, and prints the number of commits
// of what it has seen whole, when it is another.
func readForever(dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	for last := -1; ; {
		commits, err := readGeneration(s)
		if err != nil {
			return err
		}
		if commits != last {
			fmt.Println(commits)
			last = commits
		}
		if _, err := s.Refresh(); err != nil {
			return err
		}
	}
}

// readGeneration requires that a snapshot shows what one number of commits left, all of it, and returns that number.
func readGeneration(s *Store) (commits int, err error) {
	now, err := s.Snapshot()
	if err != nil {
		return 0, err
	}
	defer now.Release()
	files, err := now.Files()
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		commits = max(commits, int(file.Size))
	}
	model := crashModel(commits)
	if len(model) != len(files) {
		return 0, fmt.Errorf("generation %d: %d documents after %d commits, want %d", now.Generation(), len(files), commits, len(model))
	}
	for number, commit := range model {
		_, n, _ := crashCommit(commit)
		want, _ := text(number, n)
		doc, err := now.Document(want.Path)
		if err != nil {
			return 0, err
		}
		if doc.Text != want.Text {
			return 0, fmt.Errorf("generation %d: document %d is not of commit %d", now.Generation(), number, commit)
		}
	}
	return commits, nil
}

// startReader runs a process that reads the index in dir, and returns the lines it prints.
func startReader(t *testing.T, dir string) <-chan string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), readDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	reports, stop, ended := make(chan string), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case reports <- lines.Text():
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		_ = child.Process.Kill()
		<-ended
		_ = child.Wait() // it was killed
	})
	return reports
}

// TestReadersInOtherProcesses lets two processes read whole generations, without a pause, while this one writes,
// merges and removes files; each comes to every commit before the next one begins to be made.
func TestReadersInOtherProcesses(t *testing.T) {
	s := create(t)
	s.fs = faultdisk.Hasty{}
	readers := []<-chan string{startReader(t, s.Dir()), startReader(t, s.Dir())}
	w := writer(t, s)
	for commits := 1; commits <= 60; commits++ {
		number, n, remove := crashCommit(commits)
		w.Remove(fmt.Sprintf("dir/%d.md", remove))
		doc, passages := text(number, n)
		if err := w.Put(doc, passages, FileStat{Size: int64(commits)}); err != nil {
			t.Fatal(err)
		}
		commit(t, w)
		for _, reports := range readers {
			for line := ""; line != strconv.Itoa(commits); {
				if line = <-reports; strings.HasPrefix(line, "error") {
					t.Fatal(line)
				}
			}
		}
	}
}

// TestWriterInAnotherProcessIsNamed: who is locked out learns which process of which machine writes, and
// since when.
func TestWriterInAnotherProcessIsNamed(t *testing.T) {
	s := create(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+s.Dir())
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	if lines := bufio.NewScanner(out); !lines.Scan() || lines.Text() != "1" {
		t.Fatalf("the writing process says %q", lines.Text())
	}
	go func() { // or it would wait for somebody to listen
		for lines := bufio.NewScanner(out); lines.Scan(); {
		}
	}()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Writer()
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != child.Process.Pid || locked.Host != host || locked.Since.IsZero() {
		t.Fatalf("got %#v", err)
	}
	for _, part := range []string{fmt.Sprint(child.Process.Pid), host, locked.Since.Format("15:04:05")} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}
