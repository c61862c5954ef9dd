//go:build unix

// Package turns is our side of a comparison in which engines take turns: a process that does one thing
// whenever it is told to, and says what it took. bench/turns/turns.py is the other end.
//
// Standard output begins with the line "loaded SECONDS". Each line of standard input is answered by one
// line: "WORK THREADS" by the wall and processor seconds of doing it once, "output PATH" by "written"
// when the last result is there, "memory" by the peak and the present resident bytes of the process.
package turns

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Side is what can be asked for.
type Side struct {
	Work   map[string]func(threads int) error
	Output func() []float32 // the last result
}

// Serve loads a side, then obeys the lines of in until it ends.
func Serve(in io.Reader, out io.Writer, load func() (*Side, error)) error {
	start := time.Now()
	s, err := load()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "loaded %g\n", time.Since(start).Seconds())
	debug.FreeOSMemory() // what loading left behind is not what running takes
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		var answer string
		switch word {
		case "output":
			answer, err = "written", write(rest, s.Output())
		case "memory":
			answer, err = memory()
		default:
			answer, err = s.do(word, rest)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		fmt.Fprintln(out, answer)
	}
	return lines.Err()
}

// do returns wall and processor seconds.
func (s *Side) do(work, threads string) (string, error) {
	do, ok := s.Work[work]
	if !ok {
		return "", fmt.Errorf("%q is not known", work)
	}
	n, err := strconv.Atoi(threads)
	if err != nil || n < 1 {
		return "", fmt.Errorf("%q is no number of threads", threads)
	}
	runtime.GOMAXPROCS(n)
	cpu, start := processTime(), time.Now()
	if err := do(n); err != nil {
		return "", err
	}
	return fmt.Sprintf("%g %g", time.Since(start).Seconds(), (processTime() - cpu).Seconds()), nil
}

func write(path string, x []float32) error {
	raw, err := binary.Append(nil, binary.LittleEndian, x)
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o644)
}

// memory returns the peak and the present resident bytes of this process.
func memory() (string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	var peak, now int64
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peak)
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &now)
	}
	return fmt.Sprint(1024*peak, 1024*now), nil
}

// processTime is the CPU time of all threads so far.
func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for other arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
