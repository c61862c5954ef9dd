package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const asEvents = "text/event-stream"

// wantsEvents says whether the caller asks to be told of an answer while it is made.
func (c *call) wantsEvents() bool {
	return strings.Contains(c.Header.Get("Accept"), asEvents) && c.Method != http.MethodHead
}

// event is something to tell while an answer is made.
type event struct {
	name string
	data any
}

// eventsMax is how many events wait for a slow reader before partial ones are left out: nobody's line keeps a
// computation waiting.
const eventsMax = 64

// partly answers with events: "partial" for whatever work tells, then "result" or "error". What fails before anything
// was told is answered as without events, with the status of the problem.
func partly[P, R any](s *Server, c *call, work func(ctx context.Context, tell func(P)) (R, error)) *reply {
	return &reply{stream: func(w http.ResponseWriter) error {
		ctx, stop := context.WithCancel(c.Context())
		defer stop()
		events := make(chan event, eventsMax)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			sendEvents(w, events, stop)
		}()
		defer func() { <-sent }() // whatever becomes of the work: w is not used after this returns
		defer close(events)
		told := false
		result, err := work(ctx, func(p P) {
			told = true
			select {
			case events <- event{"partial", p}:
			default: // a newer one comes soon
			}
		})
		last := event{"result", result}
		if err != nil {
			if !told {
				return err
			}
			last = event{"error", s.asProblem(err)}
		}
		select {
		case events <- last:
			return nil
		default: // the reader is slow
		}
		select {
		case events <- last:
		case <-ctx.Done(): // or gone
		}
		return nil
	}}
}

// sendEvents sends events as they come. When the client is gone it stops what makes them.
func sendEvents(w http.ResponseWriter, events <-chan event, stop context.CancelFunc) {
	var control *http.ResponseController
	gone := false
	for e := range events {
		if control == nil {
			control = startEvents(w)
		}
		if gone {
			continue
		}
		if err := sendEvent(w, e.name, e.data); err != nil || control.Flush() != nil {
			gone = true
			stop()
		}
	}
}

// startEvents sends the head of a stream of events.
func startEvents(w http.ResponseWriter) *http.ResponseController {
	h := w.Header()
	h.Set("Content-Type", asEvents)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies pass events on as they come
	return http.NewResponseController(w)
}

// unlimited lets a stream last as long as it takes; where there is no deadline none is taken away.
func unlimited(control *http.ResponseController) {
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
}

func sendEvent(w http.ResponseWriter, name string, data any) error {
	encoded, err := encode(data)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n", name, encoded) // encode ends the line
	return err
}
