//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"evident/document"
	"evident/store"
)

// writeEvery is the number of passages between two commits of the writer that disturbs readers.
const writeEvery = 2000

// readFor is how long readers ask in each turn, and readTurns how many turns there are: with and without
// a writer, one after the other.
const (
	readFor   = 20 * time.Second
	readTurns = 3
)

// latencies are times of questions in ms, by the wall and of the thread's CPU.
type latencies struct {
	Wall []float64 `json:"wall"`
	CPU  []float64 `json:"cpu"`
}

func (l *latencies) add(o *latencies) {
	l.Wall, l.CPU = append(l.Wall, o.Wall...), append(l.CPU, o.CPU...)
}

func share(ms []float64, q float64) float64 {
	slices.Sort(ms)
	return ms[min(int(q*float64(len(ms))), len(ms)-1)]
}

// readers asks in this process and in another one, idle and while this process writes and merges.
func readers(o *options) error {
	dir, err := linkedCopy(o, "readers")
	if err != nil {
		return err
	}
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	var here, there [2]latencies // idle, busy
	for turn := range 2 * readTurns {
		busy := turn % 2
		stop := make(chan struct{})
		wrote := make(chan error, 1)
		if busy == 1 {
			go func() { wrote <- keepWriting(s, o.texts(), turn, stop) }()
		}
		other, err := readElsewhere(dir, o.questionS())
		if err != nil {
			return err
		}
		mine, err := ask(s, o.questionS(), readFor)
		if err != nil {
			return err
		}
		here[busy].add(mine)
		theirs, err := other()
		if err != nil {
			return err
		}
		there[busy].add(theirs)
		close(stop)
		if busy == 1 {
			if err := <-wrote; err != nil {
				return err
			}
		}
	}
	fmt.Printf("| %d passages, ms | idle p50 | p99 | while writing p50 | p99 | ratio of p99 | of CPU p99 | questions |\n|---|---|---|---|---|---|---|---|\n", o.n)
	for i, l := range []*[2]latencies{&here, &there} {
		fmt.Printf("| %s | %.3f | %.3f | %.3f | %.3f | %.2f | %.2f | %d, %d |\n", []string{"in the writing process", "in another process"}[i],
			share(l[0].Wall, 0.5), share(l[0].Wall, 0.99), share(l[1].Wall, 0.5), share(l[1].Wall, 0.99),
			share(l[1].Wall, 0.99)/share(l[0].Wall, 0.99), share(l[1].CPU, 0.99)/share(l[0].CPU, 0.99), len(l[0].Wall), len(l[1].Wall))
	}
	return nil
}

// linkedCopy makes a copy of our index at a size whose files, which never change, are the same.
func linkedCopy(o *options, name string) (string, error) {
	from, to := folder(o, engine{name: "evident"}, o.n), filepath.Join(o.work, name)
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	return to, exec.Command("cp", "-al", from, to).Run()
}

// ask puts all questions again and again, moving on to the newest generation now and then.
func ask(s *store.Store, questions string, duration time.Duration) (*latencies, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	asked, err := readQuestions(questions)
	if err != nil {
		return nil, err
	}
	l := &latencies{}
	for begun, i := time.Now(), 0; time.Since(begun) < duration; i++ {
		if i%20 == 0 {
			if _, err := s.Refresh(); err != nil {
				return nil, err
			}
		}
		start, before := time.Now(), cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)
		if _, err := s.Search(asked[i%len(asked)].text, topSmall); err != nil {
			return nil, err
		}
		l.CPU = append(l.CPU, float64(cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)-before)/1e6)
		l.Wall = append(l.Wall, float64(time.Since(start))/1e6)
	}
	return l, nil
}

// readElsewhere begins to ask in another process and returns what waits for its answer.
func readElsewhere(dir, questions string) (func() (*latencies, error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self, "read", dir, questions)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return func() (*latencies, error) {
		l := &latencies{}
		err := json.NewDecoder(out).Decode(l)
		return l, errors.Join(err, command.Wait())
	}, nil
}

// readOn is the process that asks.
func readOn(args []string) error {
	s, err := store.Open(args[0])
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := ask(s, args[1], readFor)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(l)
}

var errStopped = errors.New("stopped")

// keepWriting puts documents under new names and commits, until it is told to stop.
func keepWriting(s *store.Store, texts string, turn int, stop <-chan struct{}) (err error) {
	w, err := s.Writer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	pending := 0
	g := &gathering{put: func(doc *document.Document, passages []document.Passage) error {
		doc.Path = fmt.Sprintf("%d/%s", turn, doc.Path)
		if err := w.Put(doc, passages, store.FileStat{}); err != nil {
			return err
		}
		if pending += len(passages); pending < writeEvery {
			return nil
		}
		pending = 0
		if err := w.Commit(); err != nil {
			return err
		}
		select {
		case <-stop:
			return errStopped
		default:
			return nil
		}
	}}
	if err := eachRow(texts, 1<<30, g.add); !errors.Is(err, errStopped) {
		return errors.Join(err, errors.New("the texts ended before the readers"))
	}
	return nil
}

// reopenTimes is how often a writer is killed.
const reopenTimes = 10

// reopen kills a process that writes, at a moment that differs, and measures how long a new process takes
// to open the index, and to answer.
func reopen(o *options) error {
	dir, err := linkedCopy(o, "reopen")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	slowest := map[string]float64{}
	for turn := range reopenTimes {
		writer := exec.Command(self, "write", dir, o.texts(), strconv.Itoa(turn))
		out, err := writer.StdoutPipe()
		if err != nil {
			return err
		}
		if err := writer.Start(); err != nil {
			return err
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		time.Sleep(time.Duration(turn*turn*37) * time.Millisecond)
		_ = writer.Process.Kill()
		_ = writer.Wait() // it was killed
		opened, err := exec.Command(self, "open", dir).Output()
		if err != nil {
			return err
		}
		took := map[string]float64{}
		if err := json.Unmarshal(opened, &took); err != nil {
			return err
		}
		fmt.Printf("killed %d: %v\n", turn+1, took)
		for what, seconds := range took {
			slowest[what] = max(slowest[what], seconds)
		}
	}
	fmt.Printf("%d passages, a writer killed %d times, the slowest in s: %v\n", o.n, reopenTimes, slowest)
	return nil
}

// writeOn is the process that writes until it is killed: DIR TEXTS TURN. It says when it begins.
func writeOn(args []string) error {
	s, err := store.Open(args[0])
	if err != nil {
		return err
	}
	turn, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	fmt.Println("writing")
	return keepWriting(s, args[1], 100+turn, nil)
}

// openOnce is the process that opens an index and asks one question.
func openOnce(dir string) error {
	begun, cpu := time.Now(), cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	opened, openedCPU := time.Since(begun), cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)-cpu
	if _, err := s.Search("Who led the Reconquista in the south of Spain?", topSmall); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"open": opened.Seconds(), "open, CPU": openedCPU.Seconds(), "open and answer": time.Since(begun).Seconds(),
	})
}
