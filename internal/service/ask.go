package service

import (
	"context"
	"time"

	"evident"
	"evident/api"
)

// Ask answers a question. partial, where it is not nil, is told what is known on the way.
func (s *Service) Ask(ctx context.Context, r api.AskRequest, partial func(*api.Answer)) (*api.Answer, error) {
	l, err := s.use(r.Index)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	if err := evident.CheckQuestion(r.Question); err != nil {
		return nil, s.names.problem(err)
	}
	var answer *api.Answer
	err = s.compute(ctx, func(ctx context.Context) (err error) {
		answer, err = l.index.Ask(ctx, r.Question, evident.AskOptions{
			Top: r.Top, Passages: r.Passages, Threshold: r.Threshold, Engine: r.Engine, Partial: partial,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, stage := range []string{"encode", "search", "retrieve", "read", "combine"} {
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
	l, err := s.use(r.Index)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	t := s.timer()
	hits, err := l.index.Search(ctx, r.Query, evident.SearchOptions{Top: r.Top, Explain: r.Explain})
	if err != nil {
		return nil, s.names.problem(err)
	}
	t.stage("retrieve", t.begun)
	return &api.SearchResult{Query: r.Query, Hits: hits, TookMS: t.done()}, nil
}
