//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"evident/vector"
)

// groupVectors is how many vectors belong together, as the phrases of a document do.
const groupVectors = 1000

// threadTime is the CPU time of this thread so far.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// processTime is the CPU time of all threads so far.
func processTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// build indexes n vectors, which fill writes one by one, and improves the index until it is done.
func build(dir string, dim, n int, fine bool, fill func(dst []float32, i int)) (*vector.Index, error) {
	x, err := vector.Create(dir, vector.Settings{Dim: dim, Fine: fine})
	if errors.Is(err, vector.ErrExists) {
		return vector.Open(dir)
	}
	if err != nil {
		return nil, err
	}
	w, err := x.Writer()
	if err != nil {
		return nil, err
	}
	items := make([]vector.Item, 0, groupVectors)
	for from := 0; from < n; from += groupVectors {
		items = items[:0]
		for i := from; i < min(from+groupVectors, n); i++ {
			v := make([]float32, dim)
			fill(v, i)
			items = append(items, vector.Item{ID: uint64(i), Vector: v})
		}
		if err := w.Put(fmt.Sprintf("%08d", from), items); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		return nil, err
	}
	return x, nil
}

func improve(x *vector.Index) error {
	for {
		changed, err := x.Improve(context.Background())
		if err != nil || !changed {
			return err
		}
	}
}

// answer is what one run over all queries gave.
type answer struct {
	MS  []float64  `json:"ms"` // CPU time of each query
	IDs [][]uint64 `json:"ids"`

	Scanned, Compared int
}

// search runs all queries on one thread.
func search(x *vector.Index, queries *set, k, lists int, exact bool) (*answer, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, err := x.Snapshot()
	if err != nil {
		return nil, err
	}
	defer s.Release()
	a := &answer{}
	for i := range queries.len() {
		before := threadTime()
		hits, work, err := s.SearchCounting(context.Background(), &vector.Query{
			Vector: queries.at(i), K: k, Lists: lists, Exact: exact,
		})
		if err != nil {
			return nil, err
		}
		a.MS = append(a.MS, float64(threadTime()-before)/1e6)
		ids := make([]uint64, len(hits))
		for j, h := range hits {
			ids[j] = h.ID
		}
		a.IDs = append(a.IDs, ids)
		a.Scanned += work.Scanned
		a.Compared += work.Compared
	}
	a.Scanned /= queries.len()
	a.Compared /= queries.len()
	return a, nil
}

// serve indexes the vectors of a folder and obeys lines of standard input: "run K LISTS", "exact K".
func serve(o *options) error {
	vectors, queries, err := readSets(o.from)
	if err != nil {
		return err
	}
	begun := processTime()
	x, err := build(o.index, vectors.dim, vectors.len(), true, func(dst []float32, i int) { copy(dst, vectors.at(i)) })
	if err != nil {
		return err
	}
	defer x.Close()
	if err := improve(x); err != nil {
		return err
	}
	s, err := x.Snapshot()
	if err != nil {
		return err
	}
	stats := s.Stats()
	s.Release()
	vectors = nil
	fmt.Printf("built %g %d %d\n", (processTime() - begun).Seconds(), stats.Bytes, stats.Resident)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		k, lists := 10, 0
		exact := strings.HasPrefix(lines.Text(), "exact")
		if exact {
			_, err = fmt.Sscanf(lines.Text(), "exact %d", &k)
		} else {
			_, err = fmt.Sscanf(lines.Text(), "run %d %d", &k, &lists)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		a, err := search(x, queries, k, lists, exact)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
			return err
		}
	}
	return nil
}

// truth keeps the best vectors of each query.
type truth struct {
	k    int
	best [][]scored
}

type scored struct {
	id    uint64
	score float32
}

func (t *truth) offer(query int, id uint64, score float32) {
	best := t.best[query]
	if len(best) == t.k && score <= best[t.k-1].score {
		return
	}
	at, _ := slices.BinarySearchFunc(best, score, func(s scored, v float32) int { return cmp.Compare(v, s.score) })
	best = slices.Insert(best, at, scored{id, score})
	t.best[query] = best[:min(t.k, len(best))]
}
