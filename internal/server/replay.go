package server

import (
	"crypto/sha256"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"evident/api"
)

// idempotencyKey is the header that names a request, so that it can be repeated without being done
// twice.
const idempotencyKey = "Idempotency-Key"

var saneKey = regexp.MustCompile(`^[!-~]{1,200}$`)

// How long and how many answers are remembered for repeated requests.
const (
	replayAge = 24 * time.Hour
	replayMax = 1000
)

// replays remembers what requests with an idempotency key were answered.
type replays struct {
	mu    sync.Mutex
	known map[string]*replay
	order []string // oldest first
}

type replay struct {
	request [sha256.Size]byte
	made    time.Time
	done    bool
	answer  *reply
}

func newReplays() *replays { return &replays{known: map[string]*replay{}} }

// once answers a request that has a key: by doing it, or with what it was answered before. A failure is
// not remembered, so that it can be tried again.
func (s *replays) once(c *call, key string, do func() (*reply, error)) (*reply, error) {
	sum := sha256.New()
	for _, part := range []string{c.Method, c.URL.Path, c.caller.name, c.Header.Get("Content-Type")} {
		_, _ = io.WriteString(sum, part+"\n") // a hash takes everything
	}
	sum.Write(c.body)
	request := [sha256.Size]byte(sum.Sum(nil))
	name := c.caller.name + " " + key
	mine, known, err := s.claim(name, request)
	if err != nil {
		return nil, err
	}
	if known != nil {
		again := *known
		again.header = map[string]string{"Idempotent-Replayed": "true"}
		for name, value := range known.header {
			again.header[name] = value
		}
		return &again, nil
	}
	answer, err := do()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || answer.stream != nil || answer.status >= http.StatusInternalServerError {
		delete(s.known, name)
		s.order = slices.DeleteFunc(s.order, func(k string) bool { return k == name })
		return answer, err
	}
	mine.done, mine.answer = true, answer
	return answer, nil
}

// claim takes a key for a request, or returns what the same request was answered.
func (s *replays) claim(key string, request [sha256.Size]byte) (mine *replay, known *reply, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for len(s.order) > 0 {
		oldest, ok := s.known[s.order[0]]
		if ok && now.Sub(oldest.made) < replayAge && len(s.order) < replayMax {
			break
		}
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	if r, ok := s.known[key]; ok {
		switch {
		case r.request != request:
			return nil, nil, api.NewProblem("idempotency-mismatch", "the key named another request before")
		case !r.done:
			return nil, nil, api.NewProblem("conflict", "the same request is being answered")
		}
		return nil, r.answer, nil
	}
	r := &replay{request: request, made: now}
	s.known[key] = r
	s.order = append(s.order, key)
	return r, nil, nil
}
