package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"evident/api"
	"evident/eval"
	"evident/eval/photos"
	"evident/internal/durable"
)

// Kinds of what is judged.
const (
	ofQuestions = "questions"
	ofPhotos    = "photos"
)

// Tasks that are measured on sets of questions and of photos; see package eval.
var evaluationTasks = map[string][]string{
	ofQuestions: {"ask", "squad"},
	ofPhotos:    {"pointing", "segmentation", "region-retrieval", "image-retrieval"},
}

// evaluations is the sets that may be measured on, and what was measured.
type evaluations struct {
	sets   []evaluationSet
	folder string // "" where nothing is kept beyond the process

	mu   sync.Mutex
	done []*measured // oldest first
}

type evaluationSet struct {
	api.EvaluationSet
	path string
}

// evaluationTime is how the end of an evaluation is written: as text, in the order of time.
const evaluationTime = "2006-01-02T15:04:05.000000000Z07:00"

// measured is an evaluation and its questions, as it is kept in a file.
type measured struct {
	api.Evaluation
	Judged []api.EvaluationItem `json:"judged"`
}

// newEvaluations reads what the sets are, and the evaluations that were kept, but those that cannot be read.
func newEvaluations(o *Options, leaveOut func(path string, err error)) (*evaluations, error) {
	e := &evaluations{}
	for _, path := range o.Sets {
		set, err := openSet(path)
		if err != nil {
			return nil, err
		}
		if e.set(set.Name) != nil {
			return nil, fmt.Errorf("evaluate on %s: two sets are called %s", path, set.Name)
		}
		e.sets = append(e.sets, *set)
	}
	if o.Keep == "" {
		return e, nil
	}
	e.folder = filepath.Join(o.Keep, evaluationFolder)
	files, err := filepath.Glob(filepath.Join(e.folder, "*"+evaluationEnding))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		one, err := readEvaluation(file)
		if err != nil {
			leaveOut(file, err)
			continue
		}
		e.done = append(e.done, one)
	}
	slices.SortFunc(e.done, func(a, b *measured) int { return cmp.Compare(a.Ended, b.Ended) })
	return e, nil
}

// readEvaluation reads an evaluation that was kept.
func readEvaluation(file string) (*measured, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	one := &measured{}
	if err := json.Unmarshal(content, one); err != nil {
		return nil, fmt.Errorf("not an evaluation: %w", err)
	}
	if one.ID+evaluationEnding != filepath.Base(file) {
		return nil, fmt.Errorf("not an evaluation: it calls itself %q", one.ID)
	}
	return one, nil
}

// openSet tells questions in SQuAD's format from photos with a manifest, and counts them.
func openSet(path string) (*evaluationSet, error) {
	name, _, _ := strings.Cut(filepath.Base(path), ".json")
	s := &evaluationSet{path: path, EvaluationSet: api.EvaluationSet{Name: strings.TrimSuffix(name, ".tar")}}
	if questions, err := eval.OpenSQuAD(path); err == nil {
		s.Items, s.Count, s.Tasks = ofQuestions, len(questions.Questions), evaluationTasks[ofQuestions]
		return s, nil
	} else if strings.Contains(filepath.Base(path), ".json") {
		return nil, fmt.Errorf("evaluate on %s: %w", path, err)
	}
	set, err := photos.Open(path)
	if err != nil {
		return nil, fmt.Errorf("evaluate on %s, neither questions in SQuAD's format nor photos with a manifest: %w", path, err)
	}
	defer set.Close()
	chosen, err := set.Select(photos.Test, 0, 1)
	if err != nil {
		return nil, fmt.Errorf("evaluate on %s: %w", path, err)
	}
	s.Items, s.Count, s.Tasks = ofPhotos, len(chosen), evaluationTasks[ofPhotos]
	return s, nil
}

func (e *evaluations) set(name string) *evaluationSet {
	at := slices.IndexFunc(e.sets, func(s evaluationSet) bool { return s.Name == name })
	if at < 0 {
		return nil
	}
	return &e.sets[at]
}

// Evaluations lists the sets and what was measured on them.
func (s *Service) Evaluations() *api.EvaluationList {
	list := &api.EvaluationList{Sets: []api.EvaluationSet{}, Evaluations: []api.Evaluation{}}
	for _, set := range s.measured.sets {
		list.Sets = append(list.Sets, set.EvaluationSet)
	}
	s.measured.mu.Lock()
	defer s.measured.mu.Unlock()
	for _, one := range slices.Backward(s.measured.done) {
		list.Evaluations = append(list.Evaluations, one.Evaluation)
	}
	return list
}

// StartEvaluation starts a job that measures.
func (s *Service) StartEvaluation(r api.EvaluationRequest) (*api.Job, error) {
	l, err := s.index(r.Index)
	if err != nil {
		return nil, err
	}
	set := s.measured.set(r.Set)
	switch {
	case set == nil:
		return nil, api.NewProblem("no-set", "there is no set called "+quoted(r.Set))
	case !slices.Contains(set.Tasks, r.Task):
		return nil, api.NewProblem("ambiguous", fmt.Sprintf("set %q has %s, on which %s can be measured, not %s",
			r.Set, set.Items, strings.Join(set.Tasks, ", "), r.Task))
	case r.Engine != "" && r.Task != "ask":
		return nil, api.NewProblem("ambiguous", "an engine is chosen for the task ask alone")
	}
	r.Index, r.Seed = l.index.Name, cmp.Or(r.Seed, 1)
	state := api.Job{Kind: "evaluation", Index: r.Index, Subject: r.Task + " on " + r.Set}
	return s.start(state, func(ctx context.Context, k *job) error {
		if !l.enter() {
			return noIndex(r.Index)
		}
		defer l.leave()
		k.update(func(w *api.Job) { w.Progress.Unit = set.Items })
		run := &evaluation{
			service: s, index: l.index.Index, set: set, asked: r, job: k, turn: turn{gate: s.gate},
			result: &measured{Evaluation: api.Evaluation{Request: r}, Judged: []api.EvaluationItem{}},
		}
		if err := run.run(ctx); err != nil {
			return err
		}
		run.result.ID, run.result.Ended = k.snapshot().ID, s.o.Now().UTC().Format(evaluationTime)
		if err := s.measured.keep(run.result); err != nil {
			return err
		}
		k.update(func(w *api.Job) { w.Evaluation = &run.result.Evaluation })
		return nil
	})
}

// keep remembers an evaluation, in a file where there is a folder for it.
func (e *evaluations) keep(m *measured) error {
	if e.folder != "" {
		content, err := json.Marshal(m)
		if err == nil {
			err = os.MkdirAll(e.folder, 0o700)
		}
		if err == nil {
			err = durable.Replace(filepath.Join(e.folder, m.ID+evaluationEnding), content)
		}
		if err != nil {
			return fmt.Errorf("keep evaluation: %w", err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = append(e.done, m)
	return nil
}

func (s *Service) evaluation(id string) (*measured, error) {
	s.measured.mu.Lock()
	defer s.measured.mu.Unlock()
	for _, one := range s.measured.done {
		if one.ID == id {
			return one, nil
		}
	}
	return nil, api.NewProblem("not-found", "there is no evaluation "+quoted(id))
}

// Evaluation returns what was measured.
func (s *Service) Evaluation(id string) (*api.Evaluation, error) {
	one, err := s.evaluation(id)
	if err != nil {
		return nil, err
	}
	return &one.Evaluation, nil
}

// RemoveEvaluation forgets what was measured, and returns it.
func (s *Service) RemoveEvaluation(id string) (*api.Evaluation, error) {
	one, err := s.evaluation(id)
	if err != nil {
		return nil, err
	}
	s.measured.mu.Lock()
	defer s.measured.mu.Unlock()
	s.measured.done = slices.DeleteFunc(s.measured.done, func(m *measured) bool { return m == one })
	if s.measured.folder != "" {
		file := filepath.Join(s.measured.folder, one.ID+evaluationEnding)
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove evaluation: %w", err)
		}
	}
	return &one.Evaluation, nil
}

// EvaluationItems lists the questions of an evaluation, in the order of its set.
func (s *Service) EvaluationItems(id string, q api.EvaluationItemQuery) (*api.EvaluationItemList, error) {
	one, err := s.evaluation(id)
	if err != nil {
		return nil, err
	}
	from := 0
	if q.Cursor != "" {
		text, err := readCursor(q.Cursor)
		if from, _ = strconv.Atoi(text); err != nil || from < 1 {
			return nil, api.NewProblem("bad-cursor", "the cursor is none that was given out")
		}
	}
	list := &api.EvaluationItemList{Items: []api.EvaluationItem{}}
	for _, item := range one.Judged {
		if q.Wrong && item.Exact == 1 {
			continue
		}
		if list.Total++; list.Total <= from {
			continue
		}
		if len(list.Items) < cmp.Or(q.Limit, documentsDefault) {
			list.Items = append(list.Items, item)
		} else if list.Next == "" {
			list.Next = writeCursor(strconv.Itoa(list.Total - 1))
		}
	}
	return list, nil
}

const (
	changesMax          = 500  // questions that a comparison lists
	comparisonResamples = 1000 // of the bootstrap, as of reports
)

// CompareEvaluations says how an evaluation differs from another: its questions first, then its figures. Where both
// judged the same questions the differences have intervals.
func (s *Service) CompareEvaluations(id, with string) (*api.EvaluationComparison, error) {
	one, err := s.evaluation(id)
	if err != nil {
		return nil, err
	}
	other, err := s.evaluation(with)
	if err != nil {
		return nil, err
	}
	if one.Request.Set != other.Request.Set {
		return nil, api.NewProblem("conflict", "the two were measured on different sets: "+one.Request.Set+" and "+other.Request.Set)
	}
	c := &api.EvaluationComparison{Items: []api.EvaluationChange{}, Metrics: []api.MetricChange{}}
	gained := compareItems(c, one.Judged, other.Judged)
	for _, name := range eval.MetricNames(one.Report.Metrics, other.Report.Metrics) {
		value, has := one.Report.Metrics[name]
		was, had := other.Report.Metrics[name]
		if !has || !had {
			continue
		}
		change := api.MetricChange{Name: name, Value: value, Was: was}
		if values := gained[name]; len(values) > 0 {
			i := [2]float64(eval.BootstrapInterval(values, comparisonResamples, uint64(one.Request.Seed)))
			change.Interval = &i
		}
		c.Metrics = append(c.Metrics, change)
	}
	return c, nil
}

// compareItems lists the questions that both judged and that went otherwise, and returns how much each question gained,
// in percent by metric.
func compareItems(c *api.EvaluationComparison, now, before []api.EvaluationItem) map[string][]float64 {
	was := make(map[string]api.EvaluationItem, len(before))
	for _, item := range before {
		was[item.ID] = item
	}
	gained := map[string][]float64{}
	for _, item := range now {
		old, known := was[item.ID]
		if !known {
			continue
		}
		gained["exact"] = append(gained["exact"], 100*(item.Exact-old.Exact))
		gained["f1"] = append(gained["f1"], 100*(item.F1-old.F1))
		switch {
		case item.F1 > old.F1:
			c.Better++
		case item.F1 < old.F1:
			c.Worse++
		default:
			c.Same++
			continue
		}
		c.Items = append(c.Items, api.EvaluationChange{Item: item, Was: old})
	}
	slices.SortStableFunc(c.Items, func(a, b api.EvaluationChange) int {
		return cmp.Compare(math.Abs(b.Item.F1-b.Was.F1), math.Abs(a.Item.F1-a.Was.F1))
	})
	c.Items = c.Items[:min(len(c.Items), changesMax)]
	return gained
}
