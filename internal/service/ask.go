package service

import (
	"context"
	"time"

	"evident"
	"evident/api"
)

// Ask answers a question.
func (s *Service) Ask(ctx context.Context, r api.AskRequest) (*api.Answer, error) {
	l, err := s.index(r.Index)
	if err != nil {
		return nil, err
	}
	if err := evident.CheckQuestion(r.Question); err != nil {
		return nil, problem(err)
	}
	var answer *api.Answer
	err = s.compute(ctx, func(ctx context.Context) (err error) {
		answer, err = l.index.Ask(ctx, r.Question, evident.AskOptions{
			Top: r.Top, Passages: r.Passages, Threshold: r.Threshold, Engine: r.Engine,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, stage := range []string{"retrieve", "read", "combine"} {
		if ms, ok := answer.TookMS[stage]; ok {
			s.o.Observe.Stage(stage, time.Duration(ms*float64(time.Millisecond)))
		}
	}
	outcome := "span"
	if answer.Abstained {
		outcome = "abstained"
	}
	s.o.Observe.Answered(outcome)
	return answer, nil
}

// Search returns passages that share the query's words.
func (s *Service) Search(ctx context.Context, r api.SearchRequest) (*api.SearchResult, error) {
	l, err := s.index(r.Index)
	if err != nil {
		return nil, err
	}
	t := s.timer()
	hits, err := l.index.Search(ctx, r.Query, evident.SearchOptions{Top: r.Top, Explain: r.Explain})
	if err != nil {
		return nil, problem(err)
	}
	t.stage("retrieve", t.begun)
	return &api.SearchResult{Query: r.Query, Hits: hits, TookMS: t.done()}, nil
}
