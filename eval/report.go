package eval

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Report is what an evaluation says. Its JSON form is stable: fields are only added.
type Report struct {
	Task      string                        `json:"task"`
	N         int                           `json:"n"` // items judged, see Unit
	Metrics   map[string]float64            `json:"metrics"`
	Intervals map[string]Interval           `json:"intervals,omitempty"` // 95 %, of some metrics
	Baselines map[string]map[string]float64 `json:"baselines"`
	Seconds   float64                       `json:"seconds"`

	Unit     string            `json:"unit,omitempty"`     // what n counts; questions where it is empty
	Settings map[string]string `json:"settings,omitempty"` // of what was judged, and how
	// Differences are 95 % intervals of each metric minus a baseline's, on the same items.
	Differences map[string]map[string]Interval `json:"differences,omitempty"`

	Outcomes []Outcome `json:"-"` // for a reliability plot; empty when nothing claimed probabilities
	Bins     []Bin     `json:"-"` // the same in ten ranges of one width
}

// JSON writes the report as one JSON document.
func (r *Report) JSON(w io.Writer) error {
	if r.Baselines == nil {
		r.Baselines = map[string]map[string]float64{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// metricOrder names the metrics that come first in a table; the others follow by name.
var metricOrder = []string{
	"exact", "f1", "has_answer_exact", "has_answer_f1", "no_answer_exact", "no_answer_f1",
	"recall_at_1", "recall_at_5", "recall_at_20", "recall_at_100",
	"candidate_recall", "candidate_recall_at_5", "candidate_recall_at_10", "candidate_recall_at_20",
	"candidate_recall_at_50", "candidate_recall_at_100", "vectors_per_paragraph",
	"answered", "ece", "ece_equal_mass", "p50_ms", "p95_ms",
	"accuracy", "pointing", "miou", "pixel_accuracy", "map", "positive_auc", "negative_auc",
	"top1", "top5", "name_top1", "place_top1", "size_top1",
	"named", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider", "similarity",
}

// Table writes the report for people: one line a metric, one column a baseline.
func (r *Report) Table(w io.Writer) error {
	if r.Unit != "" {
		return r.photoTable(w)
	}
	baselines := slices.Sorted(maps.Keys(r.Baselines))
	header := []string{r.Task, "value"}
	if len(r.Intervals) > 0 {
		header = append(header, "95 % interval")
	}
	rows := [][]string{append(header, baselines...)}
	for _, name := range r.metricNames() {
		row := []string{name, cell(r.Metrics, name)}
		if i, ok := r.Intervals[name]; ok {
			row = append(row, fmt.Sprintf("%.2f–%.2f", i[0], i[1]))
		} else if len(r.Intervals) > 0 {
			row = append(row, "")
		}
		for _, b := range baselines {
			row = append(row, cell(r.Baselines[b], name))
		}
		rows = append(rows, row)
	}
	if err := writeAligned(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d questions in %.1f s\n", r.N, r.Seconds)
	return err
}

func (r *Report) metricNames() []string {
	return MetricNames(append(slices.Collect(maps.Values(r.Baselines)), r.Metrics)...)
}

// MetricNames returns the names of all metrics in some reports, the most telling first.
func MetricNames(reports ...map[string]float64) []string {
	names := map[string]bool{}
	for _, metrics := range reports {
		for name := range metrics {
			names[name] = true
		}
	}
	place := func(name string) int {
		if i := slices.Index(metricOrder, name); i >= 0 {
			return i
		}
		return len(metricOrder)
	}
	return slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		if d := place(a) - place(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

func cell(metrics map[string]float64, name string) string {
	v, ok := metrics[name]
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%.2f", v)
}

// writeAligned writes rows in columns: the first to the left, the others to the right.
func writeAligned(w io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for c, text := range row {
			widths[c] = max(widths[c], utf8.RuneCountInString(text))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for c, text := range row {
			pad := strings.Repeat(" ", widths[c]-utf8.RuneCountInString(text))
			if c == 0 {
				line.WriteString(text + pad)
			} else {
				line.WriteString("  " + pad + text)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
