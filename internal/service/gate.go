package service

import (
	"context"
	"sync/atomic"

	"evident/api"
)

// gate lets so many computations run and so many wait; more are turned away at once, which is kinder
// than letting all of them time out.
type gate struct {
	slots   chan struct{}
	waiting atomic.Int64
	max     int64
}

func newGate(computations, waiting int) *gate {
	return &gate{slots: make(chan struct{}, computations), max: int64(waiting)}
}

// enter waits for a slot; leave must be called after the computation.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	select {
	case g.slots <- struct{}{}:
		return g.leave, nil
	default:
	}
	if g.waiting.Add(1) > g.max {
		g.waiting.Add(-1)
		return nil, api.NewProblem("overloaded", "too many computations are waiting")
	}
	defer g.waiting.Add(-1)
	select {
	case g.slots <- struct{}{}:
		return g.leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *gate) leave() { <-g.slots }

// turn is the place of a long job among computations: it holds a slot, and lets who waits go first between two items.
type turn struct {
	gate *gate
	held bool
}

// next gives the slot back and waits for one again, however many wait.
func (t *turn) next(ctx context.Context) error {
	t.end()
	select {
	case t.gate.slots <- struct{}{}:
		t.held = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turn) end() {
	if t.held {
		t.gate.leave()
		t.held = false
	}
}

// load returns how many computations run and wait.
func (g *gate) load() (computing, waiting int) {
	return len(g.slots), int(g.waiting.Load())
}

// LoadNow says what the service is doing.
func (s *Service) LoadNow() api.Load {
	computing, waiting := s.gate.load()
	return api.Load{Computing: computing, Waiting: waiting, Jobs: s.jobs.unfinished()}
}

// compute runs a computation when there is room for it, and reports its problems as such.
func (s *Service) compute(ctx context.Context, work func(context.Context) error) error {
	leave, err := s.gate.enter(ctx)
	if err != nil {
		return s.names.problem(err)
	}
	defer leave()
	if err := work(ctx); err != nil {
		return s.names.problem(err)
	}
	return nil
}

// Occupy takes every slot for computations, so that whoever comes waits; the returned function gives
// them back. It serves tests, and maintenance that wants to be alone.
func (s *Service) Occupy() (release func()) {
	for range cap(s.gate.slots) {
		s.gate.slots <- struct{}{}
	}
	return func() {
		for range cap(s.gate.slots) {
			<-s.gate.slots
		}
	}
}
