//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"evident/internal/kernel"
)

// scaleQueries is the number of queries of the test of size; each is compared with every vector.
const scaleQueries = 32

// scale indexes vectors that are made on the way, compares every one with the queries in float32 for the
// truth, and prints recall and CPU time for several numbers of lists.
func scale(o *options) error {
	base, queries, err := readSets(o.from)
	if err != nil {
		return err
	}
	queries.values = queries.values[:min(scaleQueries, queries.len())*queries.dim]
	const k = 10
	m, t := &maker{base, o.noise}, &truth{k: k, best: make([][]scored, queries.len())}
	judge := newJudge(queries)
	begun := processTime()
	x, err := build(o.index, base.dim, o.n, false, func(dst []float32, i int) {
		m.vector(dst, i)
		judge.offer(t, uint64(i), dst)
	})
	if err != nil {
		return err
	}
	defer x.Close()
	added := processTime()
	if err := improve(x); err != nil {
		return err
	}
	s, err := x.Snapshot()
	if err != nil {
		return err
	}
	stats := s.Stats()
	s.Release()
	fmt.Printf("%d vectors of %d; CPU s to make, compare and add %.0f, to merge and make lists %.0f; bytes a vector "+
		"on disk %.1f, resident %.1f; %s\n", stats.Vectors, base.dim, (added - begun).Seconds(), (processTime() - added).Seconds(),
		float64(stats.Bytes)/float64(stats.Vectors), float64(stats.Resident)/float64(stats.Vectors), memory())
	fmt.Println("| lists | recall@10 | p50 ms | p99 ms | scanned | compared |\n|---|---|---|---|---|---|")
	for _, lists := range []int{8, 16, 32, 64, 128, 256, 512} {
		best := make([]float64, queries.len())
		var last *answer
		for round := range 3 {
			a, err := search(x, queries, k, lists, false)
			if err != nil {
				return err
			}
			for i, ms := range a.MS {
				if round == 0 || ms < best[i] {
					best[i] = ms
				}
			}
			last = a
		}
		slices.Sort(best)
		fmt.Printf("| %d | %.3f | %.2f | %.2f | %d | %d |\n", lists, t.recall(last.IDs), best[len(best)/2],
			best[len(best)*99/100], last.Scanned, last.Compared)
	}
	fmt.Println(memory())
	return nil
}

func (t *truth) recall(ids [][]uint64) float64 {
	same, all := 0, 0
	for q, best := range t.best {
		for _, b := range best {
			all++
			if slices.Contains(ids[q], b.id) {
				same++
			}
		}
	}
	return float64(same) / float64(max(1, all))
}

// judge multiplies vectors with all queries at once.
type judge struct {
	set    *kernel.Set
	dim    int
	panels int
	n      int
	packed []float32
	scores []float32
}

func newJudge(queries *set) *judge {
	j := &judge{set: kernel.Active(), dim: queries.dim, n: queries.len()}
	j.panels = (j.n + kernel.Columns - 1) / kernel.Columns
	j.packed, j.scores = make([]float32, j.panels*kernel.Columns*j.dim), make([]float32, j.panels*kernel.Columns)
	for p := range j.panels {
		rows := min(kernel.Columns, j.n-p*kernel.Columns)
		j.set.PackF32(j.packed[p*kernel.Columns*j.dim:], queries.values[p*kernel.Columns*j.dim:], j.dim, rows, j.dim)
	}
	return j
}

func (j *judge) offer(t *truth, id uint64, v []float32) {
	j.set.TileF32(j.scores, len(j.scores), v, j.dim, j.packed, nil, 1, j.dim, j.panels)
	for q, score := range j.scores[:j.n] {
		t.offer(q, id, score)
	}
}

// memory says what of this process is in memory: its own, and pages of mapped files.
func memory() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err.Error()
	}
	var parts []string
	for line := range strings.Lines(string(status)) {
		for _, name := range []string{"VmHWM", "RssAnon", "RssFile"} {
			if strings.HasPrefix(line, name) {
				parts = append(parts, strings.Join(strings.Fields(line), " "))
			}
		}
	}
	return strings.Join(parts, ", ")
}
