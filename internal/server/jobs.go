package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"evident/api"
)

func (s *Server) startJob(c *call) (*reply, error) {
	var r api.JobRequest
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	return queued(s.service.StartJob(r))
}

func (s *Server) jobs(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return &reply{json: s.service.Jobs()}, nil
}

func (s *Server) job(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	job, err := s.service.Job(c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if !c.wantsEvents() {
		return &reply{json: job}, nil
	}
	return &reply{stream: func(w http.ResponseWriter) error { return s.watch(w, c, job.ID) }}, nil
}

func (s *Server) cancelJob(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	job, err := s.service.DropJob(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &reply{json: job}, nil
}

// How often a stream says something: states at most so often, and a sign of life when there are none.
const (
	eventInterval = 100 * time.Millisecond
	lifeInterval  = 15 * time.Second
)

// watch sends the states of a job as events until it is over. A failure after the first byte is an
// event too, because the status cannot change any more.
func (s *Server) watch(w http.ResponseWriter, c *call, id string) error {
	control := startEvents(w)
	unlimited(control)
	states := make(chan api.Job, 1)
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- s.service.WatchJob(ctx, id, func(j api.Job) bool {
			select {
			case states <- j:
			case <-ctx.Done():
				return false
			}
			if !j.Over() {
				pause(ctx, eventInterval)
			}
			return true
		})
	}()
	life := time.NewTicker(lifeInterval)
	defer life.Stop()
	for {
		var err error
		select {
		case j := <-states:
			over := j.Over()
			if err = sendJob(w, &j); err == nil && over {
				return nil
			}
		case <-life.C:
			_, err = fmt.Fprint(w, ": still there\n\n")
		case err = <-ended:
			if err == nil && ctx.Err() == nil {
				continue // the last state is still to come
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				_ = sendEvent(w, "error", s.asProblem(err)) // it is the last word, heard or not
			}
			return nil //nolint:nilerr // the client or the server goes: there is nobody to tell
		}
		if err != nil || control.Flush() != nil {
			return nil //nolint:nilerr // the client is gone
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func sendJob(w http.ResponseWriter, j *api.Job) error {
	switch {
	case j.State == "failed" && j.Error != nil:
		return sendEvent(w, "error", j.Error)
	case j.Over():
		return sendEvent(w, "result", j)
	}
	return sendEvent(w, "progress", j)
}
