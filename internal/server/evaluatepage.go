package server

import (
	"errors"
	"strconv"
	"strings"

	"evident/api"
	"evident/eval"
	"evident/internal/web"
)

// wrongShown is how many questions that were not answered rightly a page shows.
const wrongShown = 50

// evaluatePage lists sets and evaluations, and shows one or how it differs from another.
func (s *Server) evaluatePage(c *call) (*reply, error) {
	in, err := s.in(c.FormValue("index"))
	if err != nil {
		return nil, err
	}
	list := s.service.Evaluations()
	body := web.Evaluate{In: in, Sets: list.Sets}
	id, with := c.FormValue("id"), c.FormValue("with")
	rows := map[string]web.RunRow{}
	for _, e := range list.Evaluations {
		row := web.NewRunRow(&e, eval.MetricNames(e.Report.Metrics)[0])
		row.Here, row.Before = e.ID == id, e.ID == with
		rows[e.ID] = row
		body.Runs = append(body.Runs, row)
	}
	status := 0
	switch {
	case id == "":
	case with != "" && with != id:
		var found *api.EvaluationComparison
		found, err = s.service.CompareEvaluations(id, with)
		if body.Problem, status = s.problemOf(err); err == nil {
			body.Change = web.NewRunChange(rows[id], rows[with], found)
		}
	default:
		body.Run, err = s.measured(id)
		body.Problem, status = s.problemOf(err)
	}
	return s.show(c, status, "evaluate", "Evaluate", body)
}

// measured shows one evaluation and the first of its questions that were not answered rightly.
func (s *Server) measured(id string) (*web.Run, error) {
	one, err := s.service.Evaluation(id)
	if err != nil {
		return nil, err
	}
	wrong, err := s.service.EvaluationItems(id, api.EvaluationItemQuery{Wrong: true, Limit: wrongShown})
	if err != nil {
		return nil, err
	}
	run := web.NewRun(one, eval.MetricNames(one.Report.Metrics))
	run.Items, run.Wrong = wrong.Items, wrong.Total
	return run, nil
}

// evaluateForm starts an evaluation from a page. A task and its set are chosen together.
func (s *Server) evaluateForm(c *call) (*reply, error) {
	task, set, _ := strings.Cut(c.PostFormValue("what"), " ")
	r := api.EvaluationRequest{Task: task, Set: set, Index: c.PostFormValue("index")}
	if task == "ask" {
		r.Engine = c.PostFormValue("engine")
	}
	if limit := strings.TrimSpace(c.PostFormValue("limit")); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 {
			return nil, errors.Join(api.NewProblem("invalid-request", "at most how many is no number: "+strconv.Quote(limit)), err)
		}
		r.Limit = n
	}
	if _, err := s.service.StartEvaluation(r); err != nil {
		return nil, err
	}
	return seeOther("/jobs"), nil
}

func (s *Server) removeEvaluationForm(c *call) (*reply, error) {
	if _, err := s.service.RemoveEvaluation(c.PostFormValue("id")); err != nil {
		return nil, err
	}
	return seeOther("/evaluate"), nil
}
