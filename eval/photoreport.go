package eval

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// newPhotoReport begins the report of a task on photos.
func newPhotoReport(task string, n int, unit string, opts *PhotoOptions) *Report {
	r := &Report{
		Task: task, N: n, Unit: unit, Metrics: map[string]float64{}, Intervals: map[string]Interval{},
		Baselines: map[string]map[string]float64{}, Settings: map[string]string{"part": string(opts.part())},
		Differences: map[string]map[string]Interval{},
	}
	maps.Copy(r.Settings, opts.Settings)
	return r
}

// compare fills the metrics with means of numbers, one an item: those of the one judged, its intervals, the
// others' as baselines, and the intervals of the differences. groups says which items belong together.
func (r *Report) compare(
	judged string, numbers map[string]map[string][]float64, groups []int, seed uint64,
) {
	for metric, values := range numbers[judged] {
		r.Metrics[metric] = percent(mean(values))
		r.Intervals[metric] = percentInterval(ClusterInterval(values, groups, resamples, seed))
	}
	for name, metrics := range numbers {
		if name == judged {
			continue
		}
		r.Baselines[name], r.Differences[name] = map[string]float64{}, map[string]Interval{}
		for metric, values := range metrics {
			r.Baselines[name][metric] = percent(mean(values))
			gained := make([]float64, len(values))
			for i, v := range values {
				gained[i] = numbers[judged][metric][i] - v
			}
			r.Differences[name][metric] = percentInterval(ClusterInterval(gained, groups, resamples, seed))
		}
	}
}

func percentInterval(i Interval) Interval { return Interval{percent(i[0]), percent(i[1])} }

// photoTable writes one line for what was judged and one a baseline, one column a metric, and below it how far
// what was judged is ahead of each.
func (r *Report) photoTable(w io.Writer) error {
	metrics := r.metricNames()
	rows := [][]string{append([]string{r.Task}, metrics...)}
	add := func(name string, cell func(metric string) string) {
		row := []string{name}
		for _, m := range metrics {
			row = append(row, cell(m))
		}
		rows = append(rows, row)
	}
	judged := cmp.Or(r.Settings["method"], r.Settings["model"], "judged")
	add(judged, func(m string) string { return cell(r.Metrics, m) })
	if len(r.Intervals) > 0 {
		add("  95 % interval", func(m string) string { return between(r.Intervals, m) })
	}
	baselines := slices.Sorted(maps.Keys(r.Baselines))
	for _, b := range baselines {
		add(b, func(m string) string { return cell(r.Baselines[b], m) })
	}
	for _, b := range baselines {
		if len(r.Differences[b]) > 0 {
			add(judged+" - "+b, func(m string) string { return between(r.Differences[b], m) })
		}
	}
	if err := writeAligned(w, rows); err != nil {
		return err
	}
	var settings []string
	for _, name := range slices.Sorted(maps.Keys(r.Settings)) {
		settings = append(settings, name+": "+r.Settings[name])
	}
	_, err := fmt.Fprintf(w, "\n%s\n%d %s in %.1f s\n", strings.Join(settings, "; "), r.N, r.Unit, r.Seconds)
	return err
}

func between(intervals map[string]Interval, name string) string {
	i, ok := intervals[name]
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%.1f…%.1f", i[0], i[1])
}
