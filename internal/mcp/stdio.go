package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Stdio answers one client over a pair of streams, until the first ends or ctx does. Nothing but the
// protocol is written to out. What was asked before the end of in is still answered, so that requests can be
// piped in.
func Stdio(ctx context.Context, server *sdk.Server, in io.Reader, out io.Writer) error {
	open := newExchange()
	stop := context.AfterFunc(ctx, open.abandon)
	defer stop()
	err := server.Run(ctx, &sdk.IOTransport{
		Reader: io.NopCloser(&requests{in: in, open: open}), Writer: answers{out, open},
	})
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		return nil
	}
	return err
}

// exchange knows the requests without an answer.
type exchange struct {
	mu        sync.Mutex
	changed   *sync.Cond
	open      map[string]bool // by id, as it is written
	abandoned bool
}

func newExchange() *exchange {
	e := &exchange{open: map[string]bool{}}
	e.changed = sync.NewCond(&e.mu)
	return e
}

// note reads a message of either side.
func (e *exchange) note(line []byte) {
	var m message
	if json.Unmarshal(line, &m) != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case m.Method == "notifications/cancelled": // it gets no answer
		delete(e.open, string(m.Params.RequestID))
	case m.ID != nil && m.Method != "":
		e.open[string(m.ID)] = true
	case m.ID != nil:
		delete(e.open, string(m.ID))
	}
	e.changed.Broadcast()
}

func (e *exchange) abandon() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.abandoned = true
	e.changed.Broadcast()
}

// wait returns when every request has its answer, or nobody waits for it.
func (e *exchange) wait() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.open) > 0 && !e.abandoned {
		e.changed.Wait()
	}
}

// message is what tells a request from an answer and from what needs none.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		RequestID json.RawMessage `json:"requestId"`
	} `json:"params"`
}

// requests reads in and notes what it asks. Its end comes after the last answer.
type requests struct {
	in   io.Reader
	open *exchange
	line []byte // read so far
}

func (r *requests) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.line = append(r.line, p[:n]...)
	for {
		line, rest, whole := bytes.Cut(r.line, []byte("\n"))
		if !whole {
			break
		}
		r.open.note(line)
		r.line = rest
	}
	if err != nil {
		r.open.note(r.line)
		r.line = nil
		r.open.wait()
	}
	return n, err
}

// answers writes to out and notes what it answers: the protocol has a message a line, and one a write.
type answers struct {
	out  io.Writer
	open *exchange
}

func (a answers) Write(p []byte) (int, error) {
	n, err := a.out.Write(p)
	if err != nil {
		a.open.abandon()
		return n, err
	}
	for line := range bytes.Lines(p) {
		a.open.note(line)
	}
	return n, nil
}

// Close does nothing: the streams are the caller's.
func (a answers) Close() error { return nil }
