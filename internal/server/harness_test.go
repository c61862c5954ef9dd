package server

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evident"
	"evident/api"
	"evident/internal/readertest"
	"evident/internal/service"
	"evident/models"
)

// cacheDir is where what can be made again is kept: EVIDENT_CACHE, or a folder that goes with the process. Models are
// packed and the PDF engine is compiled once for all tests.
var cacheDir string

func TestMain(m *testing.M) {
	own := ""
	if cacheDir = os.Getenv("EVIDENT_CACHE"); cacheDir == "" {
		own, _ = os.MkdirTemp("", "evident-server-test")
		cacheDir = own
	}
	code := m.Run()
	if own != "" {
		_ = os.RemoveAll(own)
	}
	os.Exit(code)
}

// library is what the tests ask about.
var library = map[string]string{
	"valley.txt": "The bridge, designed by Lise Maurer and opened in 1931, spans the Aare.\n\nIt was built by Lise Maurer's brother.\n",
	"rules.md":   "# Rules\n\nThe bridge opens at seven. Nobody may cross at night.\n\n## Fines\n\nA fine is two crowns.\n",
	"tall.txt":   "The tower was designed by Anna Frei.\n",
}

// testServer is a server over a small index, with a random reader: its answers are nonsense, but
// quotations.
type testServer struct {
	*httptest.Server
	t       *testing.T
	service *service.Service
	server  *Server
	folder  string   // that was indexed
	index   string   // folder of the index
	token   string   // sent with each request
	hidden  []string // places of the disk that no answer may name
}

// start starts a server. The vision model is the built-in one; change may change the options.
func start(t *testing.T, change func(*service.Options, *Options)) *testServer {
	t.Helper()
	s := unready(t, change)
	if err := s.service.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// unready is start, of which models are missing perhaps.
func unready(t *testing.T, change func(*service.Options, *Options)) *testServer {
	t.Helper()
	if _, err := models.Open(models.Vision); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	folder, model := t.TempDir(), t.TempDir()
	for name, text := range library {
		write(t, filepath.Join(folder, name), []byte(text))
	}
	for i, name := range []string{"red.png", "blue.png"} {
		write(t, filepath.Join(folder, name), picture(t, 24+6*i, 16, color.RGBA{uint8(200 - 180*i), 20, uint8(20 + 200*i), 255}))
	}
	if err := readertest.Write(model, 7); err != nil {
		t.Fatal(err)
	}
	index, err := evident.Open(t.Context(), filepath.Join(t.TempDir(), "index"), evident.Options{
		Create: true, Model: os.DirFS(model), CacheDir: cacheDir, Vision: evident.VisionOptions{CacheDir: cacheDir},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	if _, err := index.Add(t.Context(), []string{folder}, evident.AddOptions{}); err != nil {
		t.Fatal(err)
	}
	o := service.Options{Indexes: []service.Index{{Name: "default", Index: index}}, Version: "v0.0.1-test", Keep: t.TempDir(), CacheDir: cacheDir}
	so := Options{Version: o.Version}
	if change != nil {
		change(&o, &so)
	}
	s, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	_ = s.Load(t.Context()) // who needs the models loads them again
	so.Service = s
	handler, err := New(so)
	if err != nil {
		t.Fatal(err)
	}
	ts := &testServer{
		Server: httptest.NewServer(handler), t: t, service: s, server: handler, folder: folder, index: o.Indexes[0].Data(),
		hidden: []string{o.Indexes[0].Data(), o.Keep, o.CacheDir, model},
	}
	t.Cleanup(ts.Close)
	return ts
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// picture is a PNG of one colour with a bright spot.
func picture(t *testing.T, width, height int, c color.Color) []byte {
	t.Helper()
	im := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			im.Set(x, y, c)
		}
	}
	im.Set(width/2, height/2, color.White)
	var b bytes.Buffer
	if err := png.Encode(&b, im); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// answer is a response, read.
type answer struct {
	t *testing.T
	*http.Response
	body []byte
}

// do sends a request. A body that is no io.Reader is sent as JSON.
func (s *testServer) do(method, path string, body any, headers ...string) *answer {
	s.t.Helper()
	var reader io.Reader
	media := ""
	switch b := body.(type) {
	case nil:
	case io.Reader:
		reader = b
	case string:
		reader, media = strings.NewReader(b), "application/json"
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		reader, media = bytes.NewReader(encoded), "application/json"
	}
	r, err := http.NewRequestWithContext(context.Background(), method, s.URL+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.discreet(method+" "+path, read)
	return &answer{s.t, response, read}
}

// discreet fails where an answer names a place of the server's disk that is nobody's business.
func (s *testServer) discreet(what string, answer []byte) {
	s.t.Helper()
	for _, place := range s.hidden {
		if place != "" && bytes.Contains(answer, []byte(place)) {
			s.t.Errorf("%s: the answer names %s: %.400s", what, place, answer)
		}
	}
}

// ended starts a job and waits for its end.
func (s *testServer) ended(method, path, body string) api.Job {
	s.t.Helper()
	var job api.Job
	s.do(method, path, body).status(202).json(&job)
	if err := s.service.WatchJob(s.t.Context(), job.ID, func(state api.Job) bool { job = state; return true }); err != nil {
		s.t.Fatal(err)
	}
	s.do("GET", apiPath+"/jobs/"+job.ID, nil).status(200).json(&job)
	return job
}

// done starts a job that ends well.
func (s *testServer) done(method, path, body string) api.Job {
	s.t.Helper()
	job := s.ended(method, path, body)
	if job.State != "done" {
		s.t.Fatalf("%s %s: %+v", method, path, job)
	}
	return job
}

// form is a multipart body with a file "image" and fields.
func form(t *testing.T, file []byte, fields ...string) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("image", "picture.png")
	if err == nil {
		_, err = part.Write(file)
	}
	for i := 0; i+1 < len(fields) && err == nil; i += 2 {
		err = w.WriteField(fields[i], fields[i+1])
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &b, w.FormDataContentType()
}

// status demands a status and returns the answer.
func (a *answer) status(want int) *answer {
	a.t.Helper()
	if a.StatusCode != want {
		a.t.Fatalf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, want, a.body)
	}
	return a
}

// json reads the answer as JSON.
func (a *answer) json(into any) *answer {
	a.t.Helper()
	if got := a.Header.Get("Content-Type"); got != asJSON {
		a.t.Fatalf("%s: %s, want JSON: %s", a.Request.URL.Path, got, a.body)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		a.t.Fatalf("%s: %v: %s", a.Request.URL.Path, err, a.body)
	}
	return a
}

// problem demands a problem with a code, in the form that all have.
func (a *answer) problem(code string) *api.Problem {
	a.t.Helper()
	kind, ok := api.KindOf(code)
	if !ok {
		a.t.Fatalf("no problem is called %s", code)
	}
	a.status(kind.Status)
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Fatalf("content type %q", got)
	}
	var p api.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		a.t.Fatal(err)
	}
	switch {
	case p.Code != code:
		a.t.Fatalf("code %q, want %q: %s", p.Code, code, a.body)
	case p.Type != "/docs/errors/"+code, p.Title == "", p.Detail == "", p.Hint == "", p.Status != kind.Status,
		p.Instance != a.Request.URL.EscapedPath(), p.RequestID == "", p.RequestID != a.Header.Get("X-Request-Id"):
		a.t.Errorf("the problem is not whole: %s", a.body)
	}
	return &p
}

// id returns the id of the document whose path ends so.
func (s *testServer) id(ending string) string {
	s.t.Helper()
	var list api.DocumentList
	s.do("GET", apiPath+"/indexes/default/documents?match="+ending, nil).status(200).json(&list)
	if len(list.Documents) != 1 {
		s.t.Fatalf("%d documents end in %s", len(list.Documents), ending)
	}
	return list.Documents[0].ID
}
