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
	"slices"
	"strconv"
	"strings"
)

// engine is a side of the comparison.
type engine struct {
	name    string
	command []string // of its program
}

// measured is an engine at a size.
type measured struct {
	indexed          // the fastest of several
	Passages int     `json:"passages"`
	Times    timings `json:"times"` // by what was asked for: each question's least time in ns
}

type timings map[string][]int64

// sizes by engine are measured at.
type measurements map[int]map[string]*measured

// compare measures all engines at some sizes and prints tables. What was measured at a size is kept in a file, so that
// sizes can be measured one after the other, and indexes that are there searched again.
func compare(o *options) error {
	engines, err := o.engines()
	if err != nil {
		return err
	}
	sizes, asked, err := o.measuring()
	if err != nil {
		return err
	}
	for _, n := range sizes {
		at, err := compareAt(o, engines, n)
		if err != nil {
			return err
		}
		printIndexed(n, engines, at)
		printTimes(n, engines, at, asked)
		encoded, err := json.Marshal(at)
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.measured(n), encoded, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// measuring returns the sizes to measure at, and what is asked.
func (o *options) measuring() ([]int, []question, error) {
	sizes, err := numbers(o.sizes)
	if err != nil {
		return nil, nil, err
	}
	asked, err := readQuestions(o.questionS())
	return sizes, asked, err
}

func (o *options) engines() ([]engine, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	engines := []engine{{"evident", []string{self}}}
	if o.lucene != "" {
		engines = append(engines, engine{"Lucene", strings.Fields(o.lucene)})
	}
	return engines, nil
}

// measured is the file of what was measured at a size.
func (o *options) measured(n int) string {
	return filepath.Join(o.work, fmt.Sprintf("measured-%d.json", n))
}

func readMeasured(o *options, n int) (map[string]*measured, error) {
	content, err := os.ReadFile(o.measured(n))
	if err != nil {
		return nil, err
	}
	at := map[string]*measured{}
	return at, json.Unmarshal(content, &at)
}

// compareAt lets the engines take turns at one size.
func compareAt(o *options, engines []engine, n int) (map[string]*measured, error) {
	if o.keep {
		at, err := readMeasured(o, n)
		if err != nil {
			return nil, err
		}
		for _, e := range engines {
			at[e.name].Times = timings{}
		}
		return at, search(o, engines, n, at)
	}
	at := map[string]*measured{}
	for _, e := range engines {
		at[e.name] = &measured{Passages: n, Times: timings{}}
	}
	for round := range o.rounds {
		for _, e := range engines {
			made, err := index(o, e, n)
			if err != nil {
				return nil, fmt.Errorf("%s, %d passages: %w", e.name, n, err)
			}
			fmt.Fprintf(os.Stderr, "%s, %d passages, turn %d: %+v\n", e.name, n, round+1, *made)
			if now := at[e.name]; round == 0 {
				now.indexed = *made
			} else {
				now.Seconds, now.CPU = min(now.Seconds, made.Seconds), min(now.CPU, made.CPU)
				now.Peak = min(now.Peak, made.Peak)
			}
		}
	}
	return at, search(o, engines, n, at)
}

func folder(o *options, e engine, n int) string {
	return filepath.Join(o.work, fmt.Sprintf("index-%s-%d", strings.ToLower(e.name), n))
}

// index makes an index anew in a process of its own.
func index(o *options, e engine, n int) (*indexed, error) {
	dir := folder(o, e, n)
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	args := append(slices.Clone(e.command[1:]), "index", o.texts(), dir, strconv.Itoa(n))
	command := exec.Command(e.command[0], args...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, err
	}
	made := &indexed{}
	return made, json.Unmarshal(out, made)
}

// topSmall and topLarge are the numbers of hits asked for: of a page of results, and of what a reader gets.
const topSmall, topLarge = 10, 100

// works are what is timed.
var works = []string{fmt.Sprint("run ", topSmall), fmt.Sprint("run ", topLarge), fmt.Sprint("fetch ", topSmall)}

// search lets the engines answer all questions in turns; of each question the least time counts.
func search(o *options, engines []engine, n int, at map[string]*measured) error {
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, e := range engines {
		s, err := start(e, folder(o, e, n), o.questionS())
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	const warming = 3
	for round := range warming + 4*o.rounds {
		for _, work := range works {
			for i, e := range engines {
				var times []int64
				if err := servers[i].ask(work, &times); err != nil {
					return fmt.Errorf("%s: %w", e.name, err)
				}
				if round < warming {
					continue
				}
				best := at[e.name].Times[work]
				if best == nil {
					best = times
				}
				for q, t := range times {
					best[q] = min(best[q], t)
				}
				at[e.name].Times[work] = best
			}
		}
	}
	return agreement(engines, servers)
}

// agreement prints how alike the lists of the first and the last engine are, whose passages are in order.
func agreement(engines []engine, servers []*server) error {
	var ours, theirs [][]int64
	last := len(servers) - 1
	work := fmt.Sprint("hits ", topSmall)
	if err := errors.Join(servers[0].ask(work, &ours), servers[last].ask(work, &theirs)); err != nil || last == 0 {
		return err
	}
	same, total, equal := 0, 0, 0
	for q := range ours {
		for _, doc := range ours[q] {
			if slices.Contains(theirs[q], doc) {
				same++
			}
		}
		total += len(theirs[q])
		if slices.Equal(ours[q], theirs[q]) {
			equal++
		}
	}
	fmt.Printf("\nThe best %d of %s and %s: %.1f %% the same passages, %d of %d lists equal (words are not quite cut alike).\n",
		topSmall, engines[0].name, engines[last].name, 100*float64(same)/float64(total), equal, len(ours))
	return nil
}

// server is an engine that answers questions.
type server struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func start(e engine, dir, questions string) (*server, error) {
	s := &server{command: exec.Command(e.command[0], append(slices.Clone(e.command[1:]), "search", dir, questions)...)}
	s.command.Stderr = os.Stderr
	var err error
	if s.in, err = s.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReaderSize(out, 1<<20)
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	if line, err := s.out.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, fmt.Errorf("%s says %q, %w", e.name, line, err)
	}
	return s, nil
}

func (s *server) ask(work string, answer any) error {
	if _, err := fmt.Fprintln(s.in, work); err != nil {
		return err
	}
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, answer)
}

func (s *server) stop() {
	s.in.Close()
	_ = s.command.Wait() // it ends with its input
}

func printIndexed(n int, engines []engine, at map[string]*measured) {
	fmt.Printf("\n| %d passages | passages/s | CPU s | bytes a passage | peak MB | segments |\n|---|---|---|---|---|---|\n", n)
	for _, e := range engines {
		m := at[e.name]
		fmt.Printf("| %s | %.0f | %.1f | %.0f | %d | %d |\n", e.name, float64(n)/m.Seconds, m.CPU,
			float64(m.Bytes)/float64(n), m.Peak/1e6, m.Parts)
	}
	for _, e := range engines[1:] {
		us, them := at[engines[0].name], at[e.name]
		fmt.Printf("| ratio to %s | %.2f | %.2f | %.2f | %.2f | |\n", e.name, them.Seconds/us.Seconds, us.CPU/them.CPU,
			float64(us.Bytes)/float64(them.Bytes), float64(us.Peak)/float64(them.Peak))
	}
}

// kinds are those of the questions.
var kinds = []string{"sentence", "words"}

func printTimes(n int, engines []engine, at map[string]*measured, asked []question) {
	fmt.Printf("\n| %d passages, µs | ", n)
	for _, work := range works {
		for _, kind := range kinds {
			fmt.Printf("%s, %s p50 | p99 | ", work, kind)
		}
	}
	fmt.Printf("\n|---%s|\n", strings.Repeat("|---", 2*len(works)*len(kinds)))
	for i := range 2*len(engines) - 1 {
		e := engines[i%len(engines)]
		if i < len(engines) {
			fmt.Printf("| %s ", e.name)
		} else {
			e = engines[i-len(engines)+1]
			fmt.Printf("| ratio to %s ", e.name)
		}
		for _, work := range works {
			for _, kind := range kinds {
				for _, share := range []float64{0.5, 0.99} {
					them := quantile(at[e.name].Times[work], asked, kind, share)
					if i < len(engines) {
						fmt.Printf("| %.0f ", them/1e3)
					} else {
						fmt.Printf("| %.2f ", quantile(at[engines[0].name].Times[work], asked, kind, share)/them)
					}
				}
			}
		}
		fmt.Println("|")
	}
}

// quantile is that of the times of one kind of questions, in ns.
func quantile(times []int64, asked []question, kind string, share float64) float64 {
	var some []int64
	for i, t := range times {
		if asked[i].kind == kind {
			some = append(some, t)
		}
	}
	if len(some) == 0 {
		return 0
	}
	slices.Sort(some)
	return float64(some[min(int(share*float64(len(some))), len(some)-1)])
}
