package web

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"evident/api"
)

// Evaluate is the sets, what was measured on them, and one of it or two compared.
type Evaluate struct {
	In      In
	Sets    []api.EvaluationSet
	Runs    []RunRow
	Run     *Run
	Change  *RunChange
	Problem *api.Problem
}

// RunRow is an evaluation in the list.
type RunRow struct {
	ID, Title, Model, Count, Main, Interval, Ended string
	Here, Before                                   bool // it is looked at, or what it is compared with
}

// Run is an evaluation.
type Run struct {
	RunRow
	Figures []Figure
	Items   []api.EvaluationItem // the first that are not exactly right
	Wrong   int                  // all of these
	// Compared says that figures have baselines.
	Compared bool
}

// Figure is a metric of one evaluation.
type Figure struct {
	Name, Value, Interval string
	At, Low, High         float64 // on a scale to 100; High is 0 where there is no interval
	Baselines             []string
}

// RunChange is two evaluations compared.
type RunChange struct {
	Now, Before         RunRow
	Better, Worse, Same int
	Items               []api.EvaluationChange
	Figures             []FigureChange
}

// FigureChange is a metric of two evaluations.
type FigureChange struct {
	Name, Value, Was, Difference, Interval string
	Sure                                   bool // the interval of the difference holds no 0
}

// taskWords says what is measured.
var taskWords = map[string]string{
	"ask": "Questions asked of the index", "squad": "Questions read from their paragraphs",
	"pointing": "Peaks of maps on things", "segmentation": "Maps against outlines",
	"region-retrieval": "Things named by their outlines", "image-retrieval": "Photos found by their captions",
}

// TaskWords says what a task measures.
func TaskWords(task string) string { return or(taskWords[task], task) }

// metricWords are names of metrics for people.
var metricWords = map[string]string{
	"exact": "Exactly right", "f1": "F1 of words", "answered": "Answered", "ece": "Calibration error",
	"ece_equal_mass": "Calibration error, equal mass", "p50_ms": "Median time, ms", "p95_ms": "95 % within, ms",
	"miou": "Mean IoU", "map": "Average precision", "pixel_accuracy": "Pixels right", "accuracy": "Peak inside",
	"top1": "First is right", "top5": "Among the first five",
}

func metricName(name string) string { return or(metricWords[name], strings.ReplaceAll(name, "_", " ")) }

// NewRunRow shows an evaluation in the list; main is the metric that says most.
func NewRunRow(e *api.Evaluation, main string) RunRow {
	row := RunRow{
		ID: e.ID, Title: TaskWords(e.Request.Task) + ", " + e.Request.Set, Model: e.Model,
		Count: fmt.Sprintf("%d %s", e.Report.N, e.Report.Unit), Ended: minutes(e.Ended),
	}
	if e.Request.Engine != "" {
		row.Title += ", " + e.Request.Engine
	}
	if v, ok := e.Report.Metrics[main]; ok {
		row.Main = fmt.Sprintf("%s %.1f", metricName(main), v)
	}
	if i, ok := e.Report.Intervals[main]; ok {
		row.Interval = interval(i)
	}
	return row
}

// minutes shortens a time for people.
func minutes(text string) string {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	return t.UTC().Format("2006-01-02 15:04") + " UTC"
}

func interval(i [2]float64) string { return fmt.Sprintf("%.1f to %.1f", i[0], i[1]) }

// NewRun shows an evaluation; names are its metrics, in order.
func NewRun(e *api.Evaluation, names []string) *Run {
	r := &Run{RunRow: NewRunRow(e, names[0])}
	for _, name := range names {
		v := e.Report.Metrics[name]
		f := Figure{Name: metricName(name), Value: fmt.Sprintf("%.1f", v), At: v}
		if i, ok := e.Report.Intervals[name]; ok {
			f.Interval, f.Low, f.High = interval(i), i[0], i[1]
		}
		for _, baseline := range slices.Sorted(maps.Keys(e.Report.Baselines)) {
			if b, ok := e.Report.Baselines[baseline][name]; ok {
				f.Baselines = append(f.Baselines, fmt.Sprintf("%s %.1f", strings.ReplaceAll(baseline, "_", " "), b))
			}
		}
		r.Compared = r.Compared || len(f.Baselines) > 0
		r.Figures = append(r.Figures, f)
	}
	return r
}

// signed writes a difference with its sign, a minus as wide as a plus.
func signed(difference float64) string {
	return strings.Replace(fmt.Sprintf("%+.1f", difference), "-", "−", 1)
}

// NewRunChange shows how one evaluation differs from another.
func NewRunChange(now, before RunRow, c *api.EvaluationComparison) *RunChange {
	r := &RunChange{Now: now, Before: before, Better: c.Better, Worse: c.Worse, Same: c.Same, Items: c.Items}
	for _, m := range c.Metrics {
		f := FigureChange{
			Name: metricName(m.Name), Value: fmt.Sprintf("%.1f", m.Value), Was: fmt.Sprintf("%.1f", m.Was),
			Difference: signed(m.Value - m.Was),
		}
		if m.Interval != nil {
			f.Interval, f.Sure = interval(*m.Interval), m.Interval[0] > 0 || m.Interval[1] < 0
		}
		r.Figures = append(r.Figures, f)
	}
	return r
}
