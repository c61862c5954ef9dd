//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"evident"
	"evident/bench/chart"
	"evident/eval"
)

// texts writes the first passages of a corpus as a folder of texts, an article each: what `evident index` is given.
func texts(o *options) error {
	rows, err := eval.OpenCorpus(o.corpus)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	rows = rows[:min(o.passages, len(rows))]
	for at, number := 0, 0; at < len(rows); number++ {
		var b strings.Builder
		first := at
		for ; at < len(rows) && rows[at].Title == rows[first].Title; at++ {
			b.WriteString(rows[at].Text + "\n\n")
		}
		if err := os.WriteFile(filepath.Join(o.out, fmt.Sprintf("%05d.txt", number)), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// ask times whole questions by phrases alone, from the text to the evidence, over an index with phrases.
func ask(o *options) error {
	set, err := eval.OpenSQuAD(o.questions)
	if err != nil {
		return err
	}
	x, err := evident.Open(context.Background(), o.index, evident.Options{})
	if err != nil {
		return err
	}
	defer x.Close()
	status, err := x.Status()
	if err != nil {
		return err
	}
	questions := set.Sample(o.n, 1).Questions
	took := make([]float64, len(questions))
	parts := map[string]float64{}
	for round := range 2 { // the first one warms
		clear(parts)
		if round == 1 && o.profile != "" {
			f, err := os.Create(o.profile)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := pprof.StartCPUProfile(f); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
		}
		for i, q := range questions {
			begun := time.Now()
			a, err := x.Ask(context.Background(), q.Text, evident.AskOptions{Engine: evident.EnginePhrase, Threshold: -1})
			if err != nil {
				return err
			}
			if round == 1 {
				took[i] = float64(time.Since(begun)) / 1e6
				for part, ms := range a.TookMS {
					parts[part] += ms / float64(len(questions))
				}
			}
		}
	}
	slices.Sort(took)
	at := func(share float64) float64 { return took[int(share*float64(len(took)-1))] }
	fmt.Printf("%d phrases, %d passages, %d questions: p50 %.2f, p95 %.2f, p99 %.2f, most %.2f ms; on average",
		status.Phrases, status.Passages, len(took), at(0.5), at(0.95), at(0.99), at(1))
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		fmt.Printf(" %s %.2f", part, parts[part])
	}
	fmt.Println()
	return nil
}

// curve measures searches over more and more vectors that are made from real ones by noise, and draws them beside the whole
// questions of a file, which are measured: a line each, "phrases p50 p99".
func curve(o *options) error {
	base, queries, err := readSets(o.from)
	if err != nil {
		return err
	}
	m := &maker{base, o.noise}
	names := []string{"search p50", "search p99", "whole question p50", "whole question p99"}
	lines := make([]chart.Line, len(names))
	for i, name := range names {
		lines[i].Name = name
	}
	add := func(n, p50, p99 float64, lines ...*chart.Line) {
		for i, y := range []float64{p50, p99} {
			lines[i].X, lines[i].Y = append(lines[i].X, n), append(lines[i].Y, y)
		}
	}
	fmt.Println("| vectors | p50 ms | p99 ms |\n|---|---|---|")
	for n := 1000; n <= o.n; n *= 10 {
		p50, p99, err := timed(filepath.Join(o.index, fmt.Sprint(n)), n, m, queries)
		if err != nil {
			return err
		}
		fmt.Printf("| %d | %.3f | %.3f |\n", n, p50, p99)
		add(float64(n), p50, p99, &lines[0], &lines[1])
	}
	whole, err := os.ReadFile(o.whole)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(whole)) {
		var n, p50, p99 float64
		if _, err := fmt.Sscan(line, &n, &p50, &p99); err != nil {
			return fmt.Errorf("%s: %q: %w", o.whole, line, err)
		}
		add(n, p50, p99, &lines[2], &lines[3])
	}
	return chart.Write(o.out, []chart.Field{{Title: "time of a question over phrases: ms", Lines: lines}})
}

// timed makes an index of n vectors, unless it is there, and searches it with as many lists and hits as a question does: the
// least CPU time of three rounds, in ms.
func timed(dir string, n int, m *maker, queries *set) (p50, p99 float64, err error) {
	dim := m.base.dim
	x, err := build(dir, dim, n, true, func(dst []float32, i int) { m.vector(dst, i) })
	if err != nil {
		return 0, 0, err
	}
	defer x.Close()
	if err := improve(x); err != nil {
		return 0, 0, err
	}
	best := make([]float64, queries.len())
	for round := range 3 {
		a, err := search(x, queries, 1000, 0, false)
		if err != nil {
			return 0, 0, err
		}
		for i, ms := range a.MS {
			if round == 0 || ms < best[i] {
				best[i] = ms
			}
		}
	}
	slices.Sort(best)
	return best[len(best)/2], best[len(best)*99/100], nil
}
