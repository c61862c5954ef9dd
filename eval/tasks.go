package eval

import (
	"context"
	"fmt"
	"time"
)

// Reader answers a question from the paragraph it is given.
type Reader interface {
	// Read returns the best answer in the paragraph, even when it is unlikely, and the probability
	// that it is right.
	Read(ctx context.Context, question, paragraph string) (string, float64, error)
}

// Found is what a whole system says to a question about a corpus.
type Found struct {
	Answer      string  // the best answer, even when it is unlikely
	Probability float64 // that it is right
}

// Answerer answers questions from a corpus that it was built over.
type Answerer interface {
	// Answer answers one question.
	Answer(ctx context.Context, question string) (Found, error)
	// Retrieve returns the rows of the corpus that match best, as indices in the order of the
	// corpus file, best first, at most k.
	Retrieve(ctx context.Context, question string, k int) ([]int, error)
}

// Options tunes [RunSQuAD] and [RunOpen]. The zero value runs all questions.
type Options struct {
	Limit     int                   // at most so many questions, drawn at random; 0 means all
	Seed      uint64                // of that draw and of the confidence intervals
	Threshold float64               // answers below this probability count as "no answer"
	Retrieval bool                  // [RunOpen] measures only where the gold passage ranks
	Progress  func(done, total int) // called after each question; may be nil
	Each      func(Item)            // called with each question judged; may be nil
	Now       func() time.Time      // the clock; nil means time.Now
}

// Item is one question and how its answer was judged.
type Item struct {
	Question
	Said        string  // after the threshold; "" is no answer
	Probability float64 // that what was found is right
	Exact, F1   float64 // 0…1
}

func (o *Options) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

// resamples of the bootstrap: enough that the ends of an interval move by less than a tenth of
// its width from seed to seed.
const resamples = 1000

// ScorePredictions scores a file of answers instead of running a reader.
func ScorePredictions(d *Dataset, predictions map[string]string, opts Options) *Report {
	start := opts.now()
	d = d.Sample(opts.Limit, opts.Seed)
	scores := Score(d, predictions)
	report := newReport("squad", scores, opts.Seed)
	report.Seconds = opts.now().Sub(start).Seconds()
	return report
}

// RunSQuAD asks the reader every question with its own paragraph. Sets with unanswerable questions
// get the baseline "never_abstain": the same answers without the threshold.
func RunSQuAD(ctx context.Context, d *Dataset, reader Reader, opts Options) (*Report, error) {
	start := opts.now()
	d = d.Sample(opts.Limit, opts.Seed)
	var a answers
	for i, q := range d.Questions {
		asked := opts.now()
		answer, p, err := reader.Read(ctx, q.Text, d.Paragraphs[q.Paragraph].Text)
		if err != nil {
			return nil, fmt.Errorf("question %s: %w", q.ID, err)
		}
		said := a.add(q, Found{answer, p}, opts.Threshold, opts.now().Sub(asked))
		if opts.Each != nil {
			last := len(a.kept.Exact) - 1
			opts.Each(Item{q, said, p, a.kept.Exact[last], a.kept.F1[last]})
		}
		opts.progress(i+1, len(d.Questions))
	}
	report := a.report("squad", opts)
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

func (o *Options) progress(done, total int) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

// answers collects what a system said: with the threshold applied, and without.
type answers struct {
	kept, forced Scores
	answered     int
	outcomes     []Outcome
	tookMS       []float64
}

// add judges what was found, and returns what that says after the threshold.
func (a *answers) add(q Question, found Found, threshold float64, took time.Duration) string {
	a.forced.add(q, found.Answer)
	said := found.Answer
	if found.Probability < threshold {
		said = ""
	}
	a.kept.add(q, said)
	if said != "" {
		a.answered++
	}
	correct := ExactMatch(found.Answer, gold(q)) && len(q.Answers) > 0
	a.outcomes = append(a.outcomes, Outcome{found.Probability, correct})
	a.tookMS = append(a.tookMS, milliseconds(took))
	return said
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (a *answers) report(task string, opts Options) *Report {
	r := newReport(task, &a.kept, opts.Seed)
	r.Outcomes = a.outcomes
	r.Bins = EqualWidthBins(a.outcomes, 10)
	r.Metrics["ece"] = percent(ExpectedCalibrationError(r.Bins))
	r.Metrics["ece_equal_mass"] = percent(ExpectedCalibrationError(EqualMassBins(a.outcomes, 10)))
	r.Metrics["p50_ms"] = Quantile(a.tookMS, 0.5)
	r.Metrics["p95_ms"] = Quantile(a.tookMS, 0.95)
	if r.N > 0 {
		r.Metrics["answered"] = percent(float64(a.answered) / float64(r.N))
	}
	if opts.Threshold > 0 {
		r.Baselines["never_abstain"] = a.forced.Metrics()
	}
	return r
}

func newReport(task string, s *Scores, seed uint64) *Report {
	r := &Report{
		Task: task, N: len(s.Exact), Metrics: s.Metrics(),
		Intervals: map[string]Interval{}, Baselines: map[string]map[string]float64{},
	}
	for name, values := range map[string][]float64{"exact": s.Exact, "f1": s.F1} {
		i := BootstrapInterval(values, resamples, seed)
		r.Intervals[name] = Interval{percent(i[0]), percent(i[1])}
	}
	return r
}
