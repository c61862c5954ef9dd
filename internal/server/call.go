package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"evident/api"
	"evident/internal/openapi"
	"evident/internal/service"
)

// call is a request on its way through a route.
type call struct {
	*http.Request
	server *Server
	route  *route
	caller caller
	body   []byte // of routes that have one
}

// reply is what a route answers with.
type reply struct {
	status int    // 0 means 200
	json   any    // the body as JSON, or
	media  string // the body's type and
	bytes  []byte // bytes, or
	stream func(w http.ResponseWriter) error
	header map[string]string
	etag   string             // without quotes; "" for none
	took   map[string]float64 // for Server-Timing
}

// handler returns the steps of a route.
func (s *Server) handler(r *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		s.prepare(w, request, r)
		ctx := request.Context()
		if r.stream {
			var stop context.CancelFunc
			ctx, stop = context.WithCancel(ctx)
			defer stop()
			defer context.AfterFunc(s.closing, stop)()
		} else {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, s.o.RequestTimeout)
			defer stop()
		}
		c := &call{Request: request.WithContext(ctx), server: s, route: r}
		answer, err := s.run(w, c)
		if err == nil {
			err = s.write(w, c, answer)
		}
		switch {
		case err != nil && r.Tag == pagesTag:
			s.fault(w, c, err)
		case err != nil:
			s.problem(w, request, err)
		}
	})
}

// prepare sets headers, and how long the connection may take.
func (s *Server) prepare(w http.ResponseWriter, r *http.Request, route *route) {
	secure(w.Header())
	if !route.stream {
		// A connection that cannot say until when it may write is one of a test.
		_ = http.NewResponseController(w).SetWriteDeadline(deadline(s.o.RequestTimeout))
	}
	if r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, s.o.BodyMax)
	}
}

// run authorizes, reads the body and answers.
func (s *Server) run(w http.ResponseWriter, c *call) (*reply, error) {
	var err error
	if c.caller, err = s.authorize(c.Request, c.route.Access); err != nil {
		return nil, err
	}
	if c.route.Body == nil {
		return c.route.handle(s, c)
	}
	free, err := c.readBody(s.uploads)
	if err != nil {
		return nil, err
	}
	defer free()
	if keys := c.Header.Values(idempotencyKey); len(keys) > 0 && c.route.once {
		key := keys[0]
		if !saneKey.MatchString(key) {
			p := api.NewProblem("invalid-request", "the idempotency key has blanks, or letters beyond ASCII, or is too long")
			p.Errors = []api.ProblemField{{Where: "header " + idempotencyKey, Message: "must be 1 to 200 printable ASCII characters"}}
			return nil, p
		}
		return s.replays.once(c, key, func() (*reply, error) { return c.route.handle(s, c) })
	}
	return c.route.handle(s, c)
}

// smallBody is how large a body is read without waiting for others.
const smallBody = 1 << 20

// readBody reads the body. Of large ones only a few are held at the same time.
func (c *call) readBody(large chan struct{}) (free func(), err error) {
	free = func() {}
	if c.ContentLength < 0 || c.ContentLength > smallBody {
		select {
		case large <- struct{}{}:
			free = func() { <-large }
		case <-c.Context().Done():
			return nil, c.Context().Err()
		}
	}
	c.body, err = io.ReadAll(c.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		free()
		return nil, api.NewProblem("body-too-large", fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case err != nil:
		free()
		return nil, api.NewProblem("invalid-request", "the body broke off").Because(err)
	}
	return free, nil
}

// decode reads the body as JSON.
func (c *call) decode(into any) error {
	media, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return api.NewProblem("unsupported-type", "the body must be application/json, not "+strconv.Quote(media))
	}
	return openapi.Decode(c.body, into)
}

// decodeUpload reads the body as JSON, or as a form with the fields of the JSON and a file "image".
func (c *call) decodeUpload(into any) (service.Upload, error) {
	media, params, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" {
		return nil, c.decode(into)
	}
	fields, upload, err := readForm(c.body, params["boundary"])
	if err != nil {
		p := api.NewProblem("invalid-request", "the form cannot be read: "+err.Error())
		p.Errors = []api.ProblemField{{Where: "body", Message: err.Error()}}
		return nil, p
	}
	if err := openapi.DecodeQuery(fields, into); err != nil {
		return nil, err
	}
	return upload, nil
}

// fieldBytesMax bounds a field of a form that is no file.
const fieldBytesMax = 64 << 10

func readForm(body []byte, boundary string) (url.Values, service.Upload, error) {
	if boundary == "" {
		return nil, nil, errors.New("it has no boundary")
	}
	fields := url.Values{}
	var upload service.Upload
	for reader := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return fields, upload, nil
		}
		if err != nil {
			return nil, nil, err
		}
		content, err := io.ReadAll(part)
		switch name := part.FormName(); {
		case err != nil:
			return nil, nil, err
		case name == "image" && upload != nil:
			return nil, nil, errors.New("it has two files called image")
		case name == "image":
			upload = append(service.Upload{}, content...)
		case len(content) > fieldBytesMax:
			return nil, nil, fmt.Errorf("the field %q is too long", name)
		default:
			fields[name] = append(fields[name], string(content))
		}
	}
}

// query reads the parameters of the address.
func (c *call) query(into any) error {
	values, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		p := api.NewProblem("invalid-request", "the address has a query that cannot be read")
		p.Errors = []api.ProblemField{{Where: "query", Message: err.Error()}}
		return p
	}
	return openapi.DecodeQuery(values, into)
}

// none refuses parameters where there are none to give.
func (c *call) none() error { return c.query(&struct{}{}) }

// number reads a part of the path that is a number; -1 is what nothing is found under.
func (c *call) number(name string) int {
	n, err := strconv.Atoi(c.PathValue(name))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// write sends a reply.
func (s *Server) write(w http.ResponseWriter, c *call, a *reply) error {
	h := w.Header()
	for name, value := range a.header {
		h.Set(name, value)
	}
	if a.stream != nil {
		return a.stream(w)
	}
	body, media := a.bytes, a.media
	if a.json != nil {
		encoded, err := encode(a.json)
		if err != nil {
			return err
		}
		body, media = encoded, "application/json"
	}
	if a.took != nil {
		h.Set("Server-Timing", timing(a.took))
	}
	if a.etag != "" {
		h.Set("ETag", `"`+a.etag+`"`)
		h.Set("Cache-Control", "private, no-cache")
		if matches(c.Header.Get("If-None-Match"), a.etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	} else if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	if media != "" {
		h.Set("Content-Type", media)
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	if c.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(body)
	if err != nil { // the client is gone: there is nobody to tell
		s.o.Log.Debug("answer was not received", "error", err.Error())
	}
	return nil
}

func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode %T: %w", value, err)
	}
	return b.Bytes(), nil
}

// problem sends what went wrong.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) {
	id, _ := r.Context().Value(requestIDKey{}).(string)
	p := s.asProblem(err)
	p.Instance, p.RequestID = r.URL.EscapedPath(), id
	if p.Err != nil || p.Status >= 500 {
		s.o.Log.Debug("problem", "request_id", id, "code", p.Code, "error", err.Error(), "cause", fmt.Sprint(p.Err))
	}
	if p.Code == "internal" {
		s.o.Log.Error("internal problem", "request_id", id, "cause", fmt.Sprint(p.Err))
	}
	h := w.Header()
	secure(h)
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="evident"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", "2")
	}
	body, encodeErr := encode(p)
	if encodeErr != nil {
		body = nil
	}
	h.Del("ETag")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
}

// asProblem returns a copy of an error's problem.
func (s *Server) asProblem(err error) *api.Problem {
	var p *api.Problem
	switch {
	case errors.As(err, &p):
		copied := *p
		copied.Errors = slices.Clone(p.Errors)
		return &copied
	case errors.Is(err, context.DeadlineExceeded):
		return api.NewProblem("timeout", "the request took longer than "+s.o.RequestTimeout.String()).Because(err)
	case errors.Is(err, context.Canceled):
		return api.NewProblem("cancelled", "the client went away").Because(err)
	}
	return api.NewProblem("internal", "the server made a mistake").Because(err)
}

// unmatched answers for a path or method that is not in the table, in the form of all problems; the
// refusal is the mux's own, whose header Allow is kept.
func (s *Server) unmatched(w http.ResponseWriter, r *http.Request, refusal http.Handler) {
	heard := &silent{header: http.Header{}}
	refusal.ServeHTTP(heard, r)
	switch {
	case heard.status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", heard.header.Get("Allow"))
		s.problem(w, r, api.NewProblem("method-not-allowed", r.Method+" is not what this path takes"))
	case heard.status >= 300 && heard.status < 400:
		refusal.ServeHTTP(w, r) // to the same path, cleaned
	default:
		s.problem(w, r, api.NewProblem("not-found", "there is nothing at "+r.URL.EscapedPath()))
	}
}

// silent hears an answer without sending it.
type silent struct {
	header http.Header
	status int
}

func (s *silent) Header() http.Header            { return s.header }
func (s *silent) Write(data []byte) (int, error) { return len(data), nil }
func (s *silent) WriteHeader(status int)         { s.status = status }
