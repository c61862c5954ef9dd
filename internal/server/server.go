// Package server is evident over HTTP: the API below /api/, pages for people, health and metrics.
//
// All there is stands in one table (routes.go). The table and the Go types of package api make the
// description at /openapi.json, and every request passes the same steps, in this order: name and log
// it, check the Host header, refuse other origins, ask for a key, bound its time, read and check its
// body, call package service, encode. Errors become application/problem+json in one place.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"evident/api"
	"evident/internal/service"
	"evident/internal/web"
)

// Options are the settings of a [Server].
type Options struct {
	Service *service.Service
	Version string
	Keys    *Keys    // nil asks for no keys
	Hosts   []string // names that the Host header may hold, without port; beside addresses
	Data    string   // folder of the index, where it is not the usual one
	Secure  bool     // requests come over TLS: cookies are for TLS only
	Log     *slog.Logger
	Metrics *Metrics // nil measures nothing

	BodyMax        int64         // of a request, in bytes; 0 means 32 MiB
	RequestTimeout time.Duration // of an answer; 0 means 60 s

	// MCP answers at /mcp; nil leaves it out.
	MCP http.Handler
}

// Server answers HTTP requests.
type Server struct {
	o         Options
	service   *service.Service
	pages     *web.Pages
	routes    []route
	mux       *http.ServeMux
	origins   *http.CrossOriginProtection
	described []byte // /openapi.json
	asYAML    []byte // /openapi.yaml
	replays   *replays
	uploads   chan struct{} // pictures that are received at the same time
	closing   context.Context
	close     context.CancelFunc
}

// uploadsMax bounds the memory that pictures take while they are received.
const uploadsMax = 8

// New returns a server.
func New(o Options) (*Server, error) {
	o.BodyMax = cmp.Or(o.BodyMax, 32<<20)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	closing, stop := context.WithCancel(context.Background())
	s := &Server{
		o: o, service: o.Service, routes: routes, mux: http.NewServeMux(),
		origins: http.NewCrossOriginProtection(), replays: newReplays(),
		uploads: make(chan struct{}, uploadsMax), closing: closing, close: stop,
	}
	var err error
	if s.pages, err = web.Load(); err != nil {
		return nil, err
	}
	if err := s.describe(); err != nil {
		return nil, err
	}
	for i := range routes {
		r := &routes[i]
		s.mux.Handle(r.Method+" "+r.muxPath(), s.handler(r))
	}
	if o.MCP != nil {
		s.mux.Handle("/mcp", s.foreign(o.MCP))
	}
	return s, nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	id := requestID(r)
	out := &recorder{ResponseWriter: w}
	out.Header().Set("X-Request-Id", id)
	refusal, pattern := s.mux.Handler(r)
	r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
	defer func() {
		if cause := recover(); cause != nil && cause != http.ErrAbortHandler { //nolint:errorlint // it is panicked bare
			s.o.Log.Error("crashed", "request_id", id, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			if out.status == 0 {
				s.problem(out, r, api.NewProblem("internal", "the server made a mistake"))
			}
		}
		s.log(r, pattern, id, out, time.Since(begun))
	}()
	if err := s.admit(r); err != nil {
		s.problem(out, r, err)
		return
	}
	if pattern == "" {
		s.unmatched(out, r, refusal)
		return
	}
	s.mux.ServeHTTP(out, r)
}

type requestIDKey struct{}

var saneID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID is the one that the caller gave, where it is sane, or a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); saneID.MatchString(id) {
		return id
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // it cannot fail
	return hex.EncodeToString(id[:])
}

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(data)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush sends what was written so far.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// log writes one line a request, and measures it. Questions and names of files are in neither.
func (s *Server) log(r *http.Request, pattern, id string, out *recorder, took time.Duration) {
	status := cmp.Or(out.status, http.StatusOK)
	if r.Context().Err() != nil && out.status == 0 {
		status = 499
	}
	_, route, _ := strings.Cut(pattern, " ")
	route = cmp.Or(route, pattern, "none")
	s.o.Metrics.request(r.Method, route, status, took)
	level := slog.LevelInfo
	switch {
	case status >= 500 && status != http.StatusServiceUnavailable:
		level = slog.LevelError
	case strings.HasSuffix(route, "z") || strings.HasPrefix(route, "/static/") || route == "/metrics":
		level = slog.LevelDebug
	}
	attributes := []any{
		"request_id", id, "method", r.Method, "route", route, "status", status,
		"ms", float64(took.Microseconds()) / 1000, "bytes", out.bytes,
	}
	if trace := r.Header.Get("Traceparent"); len(trace) == 55 {
		attributes = append(attributes, "trace_id", trace[3:35])
	}
	s.o.Log.Log(r.Context(), level, "request", attributes...)
}

// Serve answers connections until ctx ends, then finishes the requests that run, for at most patience.
// Streams end at once.
func (s *Server) Serve(ctx context.Context, l net.Listener, patience time.Duration) error {
	hs := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       s.o.RequestTimeout + 30*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- hs.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.close()
	wait, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	err := hs.Shutdown(wait)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("requests still ran after %s and were cut off", patience), hs.Close())
	}
	return err
}
