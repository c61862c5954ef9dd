package weaviate

import (
	"context"
	"errors"
	"sync"

	"github.com/weaviate/weaviate/entities/models"
)

// The size of requests, and how many are under way at once.
const (
	senders        = 3
	requestObjects = 100
	requestBytes   = 2 << 20
)

// sender writes objects in requests of a handy size, several at once. What announces objects, the entries
// of a journal, is acknowledged before they are written. It is not safe for concurrent use.
type sender struct {
	cluster *cluster
	ctx     context.Context //nolint:containedctx // of the writer that it belongs to
	free    chan struct{}
	running sync.WaitGroup

	announced, objects []*models.Object
	bytes              int

	mu  sync.Mutex
	err error // the first
}

func newSender(ctx context.Context, c *cluster) *sender {
	return &sender{cluster: c, ctx: ctx, free: make(chan struct{}, senders)}
}

// add writes objects some time before wait returns.
func (s *sender) add(announced *models.Object, objects []*models.Object) error {
	s.announced = append(s.announced, announced)
	s.objects = append(s.objects, objects...)
	for _, o := range append(objects, announced) {
		s.bytes += size(o)
	}
	if len(s.objects)+len(s.announced) >= requestObjects || s.bytes >= requestBytes {
		s.send()
	}
	return s.failure()
}

// send begins to write what was added.
func (s *sender) send() {
	announced, objects := s.announced, s.objects
	s.announced, s.objects, s.bytes = nil, nil, 0
	if len(announced) == 0 {
		return
	}
	s.free <- struct{}{}
	s.running.Go(func() {
		defer func() { <-s.free }()
		err := s.cluster.put(s.ctx, announced)
		for len(objects) > 0 && err == nil && s.failure() == nil {
			n := request(objects)
			err = s.cluster.put(s.ctx, objects[:n])
			objects = objects[n:]
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil && s.err == nil {
			s.err = err
		}
	})
}

// request is the number of objects that the next request takes.
func request(objects []*models.Object) int {
	bytes := 0
	for i, o := range objects[:min(requestObjects, len(objects))] {
		if bytes += size(o); bytes > requestBytes && i > 0 {
			return i
		}
	}
	return min(requestObjects, len(objects))
}

// size is about what an object takes in a request.
func size(o *models.Object) int {
	const perCoordinate, perObject = 12, 200
	bytes := perObject + perCoordinate*len(o.Vector)
	if values, ok := o.Properties.(map[string]any); ok {
		for _, value := range values {
			if text, ok := value.(string); ok {
				bytes += len(text)
			}
		}
	}
	return bytes
}

// wait returns when everything that was added is acknowledged, or with what went wrong.
func (s *sender) wait() error {
	s.send()
	s.running.Wait()
	return s.failure()
}

func (s *sender) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// errClosed is that of a writer that was closed.
var errClosed = errors.New("the writer is closed")
