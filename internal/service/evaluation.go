package service

import (
	"context"
	"errors"
	"maps"

	"evident"
	"evident/api"
	"evident/eval"
	"evident/eval/photos"
	"evident/eval/viewer"
	"evident/internal/region"
)

// evaluation is one that is being measured.
type evaluation struct {
	service *Service
	index   *evident.Index
	set     *evaluationSet
	asked   api.EvaluationRequest
	job     *job
	turn    turn
	result  *measured
}

// run measures, an item after the other: whoever asks meanwhile waits for one item at most.
func (e *evaluation) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if err := e.turn.next(ctx); err != nil {
		return err
	}
	defer e.turn.end()
	o := eval.Options{
		Limit: e.asked.Limit, Seed: uint64(e.asked.Seed), Now: e.service.o.Now,
		Progress: func(done, total int) {
			e.job.progress(done, total, 0, 0)
			if err := e.turn.next(ctx); err != nil {
				stop(err) // the task notices with its next item
			}
		},
	}
	measure := e.onPhotos
	if e.set.Items == ofQuestions {
		measure = e.onQuestions
	}
	report, err := measure(ctx, o)
	if err != nil {
		return err
	}
	e.result.Report = reportOfEvaluation(report)
	return nil
}

func reportOfEvaluation(r *eval.Report) api.EvaluationReport {
	w := api.EvaluationReport{
		N: r.N, Unit: r.Unit, Metrics: r.Metrics, Intervals: map[string][2]float64{},
		Baselines: map[string]map[string]float64{}, Seconds: r.Seconds,
	}
	if w.Unit == "" {
		w.Unit = ofQuestions
	}
	for name, i := range r.Intervals {
		w.Intervals[name] = i
	}
	maps.Copy(w.Baselines, r.Baselines)
	return w
}

// onQuestions asks the index, or lets its reader answer from each question's paragraph.
func (e *evaluation) onQuestions(ctx context.Context, o eval.Options) (*eval.Report, error) {
	questions, err := eval.OpenSQuAD(e.set.path)
	if err != nil {
		return nil, err
	}
	o.Each = func(item eval.Item) {
		answers := item.Answers
		if answers == nil {
			answers = []string{}
		}
		e.result.Judged = append(e.result.Judged, api.EvaluationItem{
			ID: item.ID, Question: item.Text, Answers: answers, Said: item.Said,
			Probability: item.Probability, Exact: item.Exact, F1: item.F1,
		})
	}
	e.result.Model = e.index.Models()[0].Name
	if e.asked.Task == "ask" {
		report, err := eval.RunSQuAD(ctx, questions, &asker{e.index, e.asked.Engine}, o)
		if err == nil { // an abstention has no probability to be judged by
			delete(report.Metrics, "ece")
			delete(report.Metrics, "ece_equal_mass")
		}
		return report, err
	}
	reader, err := e.index.ParagraphReader(ctx)
	if err != nil {
		return nil, err
	}
	reader.Answered = !questions.HasUnanswerable() // as the official scripts of the two kinds of sets
	o.Threshold = reader.Threshold()
	return eval.RunSQuAD(ctx, questions, reader, o)
}

// asker answers questions from an index, whatever paragraph comes with them.
type asker struct {
	index  *evident.Index
	engine string
}

// Read implements [eval.Reader].
func (a *asker) Read(ctx context.Context, question, _ string) (string, float64, error) {
	answer, err := a.index.Ask(ctx, question, evident.AskOptions{Top: 1, Engine: a.engine})
	var unasked *evident.QuestionError
	if errors.As(err, &unasked) { // too long for the reader: not answered
		return "", 0, nil
	}
	if err != nil || answer.Abstained {
		return "", 0, err
	}
	return answer.Answers[0].Text, answer.Answers[0].Score, nil
}

// onPhotos judges the model that sees pictures.
func (e *evaluation) onPhotos(ctx context.Context, o eval.Options) (*eval.Report, error) {
	set, err := photos.Open(e.set.path)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	vision, err := e.index.Vision(ctx)
	if err != nil {
		return nil, err
	}
	v, err := viewer.New(vision.Model(), viewer.Options{})
	if err != nil {
		return nil, err
	}
	e.result.Model = vision.Name()
	opts := eval.PhotoOptions{Options: o}
	switch e.asked.Task {
	case "region-retrieval":
		naming := evident.RegionInversion
		if region.Combines(vision.Model()) {
			naming = evident.RegionCombined
		}
		seer, err := v.Regions(ctx, region.Options{}, naming)
		if err != nil {
			return nil, err
		}
		return eval.RunRegionRetrieval(ctx, set, seer, opts)
	case "image-retrieval":
		return eval.RunImageRetrieval(ctx, set, v, opts)
	}
	seer, err := v.Seer(ctx, "legrad")
	if err != nil {
		return nil, err
	}
	if e.asked.Task == "pointing" {
		return eval.RunPointing(ctx, set, seer, opts)
	}
	return eval.RunSegmentation(ctx, set, seer, opts)
}
