package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"evident/internal/filelock"
	"evident/internal/hub/hubtest"
)

const commit = hubtest.Commit

// server is the one of hubtest with what the tests here ask of it.
type server struct{ *hubtest.Server }

func newServer(t *testing.T) *server {
	s := &server{hubtest.New()}
	t.Cleanup(s.Close)
	return s
}

func (s *server) hub(t *testing.T) *Hub {
	return &Hub{Folder: t.TempDir(), Endpoint: s.URL, Wait: func(time.Duration) {}}
}

func pull(t *testing.T, h *Hub) *Model {
	t.Helper()
	m, err := h.Pull(context.Background(), Name{"org/name", "main"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// same fails unless the model's folder holds what the server has.
func (s *server) same(t *testing.T, m *Model) {
	t.Helper()
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json"} {
		got, err := os.ReadFile(filepath.Join(m.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, s.Files[name]) {
			t.Errorf("%s: %d bytes that are not the hub's %d", name, len(got), len(s.Files[name]))
		}
	}
}

func TestPull(t *testing.T) {
	s := newServer(t)
	s.AddModel()
	h := s.hub(t)
	var seen []Progress
	m, err := h.Pull(context.Background(), Name{"org/name", "main"}, func(p Progress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	s.same(t, m)
	if m.License != "mit" || m.Commit != commit || m.Name.String() != "org/name" {
		t.Errorf("got %+v", m)
	}
	var names []string
	for _, f := range m.Files {
		names = append(names, f.Path)
	}
	if want := []string{"config.json", "model.safetensors", "tokenizer.json"}; !slices.Equal(names, want) {
		t.Errorf("took %q, want %q: nothing that runs code, nothing of other programs", names, want)
	}
	last := seen[len(seen)-1]
	if last.Done != last.Total || last.Total != m.Bytes {
		t.Errorf("progress ended at %d of %d bytes, the model has %d", last.Done, last.Total, m.Bytes)
	}
	if !slices.IsSortedFunc(seen, func(a, b Progress) int { return int(a.Done - b.Done) }) {
		t.Error("progress went back though nothing went wrong")
	}
	asked := len(s.Asked)
	pull(t, h)
	if len(s.Asked) != asked {
		t.Errorf("a second pull fetched %q again", s.Asked[asked:])
	}
}

// A line that breaks after a part goes on at that byte, within a pull and in the next one.
func TestResume(t *testing.T) {
	s := newServer(t)
	s.AddModel()
	const part = 1<<20 + 5
	s.Write = func(w http.ResponseWriter, name string, rest []byte) {
		if len(rest) > part {
			w.Header().Set("Content-Length", fmt.Sprint(len(rest)))
			w.Write(rest[:part])
			panic(http.ErrAbortHandler)
		}
		w.Write(rest)
	}
	m := pull(t, s.hub(t))
	s.same(t, m)
	want := fmt.Sprintf("model.safetensors bytes=%d-", part)
	if !slices.Contains(s.Asked, want) {
		t.Errorf("asked %q, want %q among it", s.Asked, want)
	}

	h := s.hub(t)
	ctx, cancel := context.WithCancel(context.Background())
	_, err := h.Pull(ctx, Name{"org/name", "main"}, func(p Progress) {
		if p.File == "model.safetensors" && p.Done > 1<<20 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want it cancelled", err)
	}
	if _, err := h.Find(Name{"org/name", "main"}); !errors.Is(err, ErrNoModel) {
		t.Errorf("half a model is found: %v", err)
	}
	s.Asked, s.Write = nil, nil
	s.same(t, pull(t, h))
	for _, a := range s.Asked {
		if a == "model.safetensors " {
			t.Errorf("the next pull began the weights anew: %q", s.Asked)
		}
	}
}

func TestServersThatMisbehave(t *testing.T) {
	ctx := context.Background()
	tests := map[string]struct {
		spoil func(s *server)
		want  string // of the error; "" where the pull must succeed
		is    error
	}{
		"no such model": {func(s *server) {
			s.Before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(404); return true }
		}, "", ErrNotFound},
		"wants a token":      {func(s *server) { s.Token = "secret" }, "", ErrToken},
		"a page, no listing": {func(s *server) { s.Before = page }, "does not answer like a model hub", nil},
		"no weights":         {func(s *server) { delete(s.Files, "model.safetensors") }, "pytorch_model.bin", ErrWeights},
		"busy twice": {func(s *server) {
			left := 2
			s.Before = func(w http.ResponseWriter, _ *http.Request) bool {
				left--
				if left >= 0 {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return left >= 0
			}
		}, "", nil},
		"busy for good": {func(s *server) {
			s.Before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }
		}, "503", nil},
		"another content": {func(s *server) {
			s.Write = func(w http.ResponseWriter, _ string, rest []byte) { w.Write(bytes.Repeat([]byte{7}, len(rest))) }
		}, "not what the hub names", nil},
		"more than it names": {func(s *server) {
			s.Write = func(w http.ResponseWriter, _ string, rest []byte) { w.Write(append(rest, "more"...)) }
		}, "sends more than", nil},
		"less than it names": {func(s *server) {
			s.Write = func(w http.ResponseWriter, _ string, rest []byte) { w.Write(rest[:(len(rest)+1)/2]) }
		}, "", nil}, // halves add up, until nothing comes
		"nothing comes": {func(s *server) {
			s.Write = func(http.ResponseWriter, string, []byte) {}
		}, "unexpected EOF", nil},
		"a path that leaves":   {func(s *server) { s.Files["../evil.json"] = []byte("x") }, "cannot be", nil},
		"a path from the root": {func(s *server) { s.Files["/etc/evil"] = []byte("x") }, "cannot be", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.AddModel()
			test.spoil(s)
			h := s.hub(t)
			m, err := h.Pull(ctx, Name{"org/name", "main"}, nil)
			switch {
			case test.want == "" && test.is == nil && err != nil:
				t.Fatal(err)
			case test.want == "" && test.is == nil:
				s.same(t, m)
			case err == nil:
				t.Fatal("succeeded")
			case test.is != nil && !errors.Is(err, test.is), !strings.Contains(err.Error(), test.want):
				t.Errorf("got %v", err)
			}
			if err != nil {
				if _, err := h.Find(Name{"org/name", "main"}); !errors.Is(err, ErrNoModel) {
					t.Errorf("after a pull that failed, Find says %v", err)
				}
			}
		})
	}
}

func page(w http.ResponseWriter, _ *http.Request) bool {
	w.Write([]byte("<html>welcome"))
	return true
}

// Servers that cannot go on in the middle send all of it; what came twice is not kept twice.
func TestServerWithoutRanges(t *testing.T) {
	s := newServer(t)
	s.AddModel()
	first := true
	s.Before = func(w http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("Range")
		return false
	}
	s.Write = func(w http.ResponseWriter, name string, rest []byte) {
		if name == "model.safetensors" && first {
			first = false
			w.Header().Set("Content-Length", fmt.Sprint(len(rest)))
			w.Write(rest[:1<<20])
			panic(http.ErrAbortHandler)
		}
		w.Write(rest)
	}
	s.same(t, pull(t, s.hub(t)))
}

// The token goes to the hub, not to where the hub sends for the content.
func TestTokenStaysWithTheHub(t *testing.T) {
	s := newServer(t)
	s.AddModel()
	var leaked string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked += r.Header.Get("Authorization")
		w.Write(s.Files["model.safetensors"])
	}))
	defer elsewhere.Close()
	s.Token = "secret"
	s.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "model.safetensors") {
			// Another host name for the same machine: the rule goes by host.
			http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
			return true
		}
		return false
	}
	h := s.hub(t)
	h.Token = "secret"
	s.same(t, pull(t, h))
	if leaked != "" {
		t.Errorf("the token went along: %q", leaked)
	}
}

func TestListAndRemove(t *testing.T) {
	s := newServer(t)
	s.AddModel()
	h := s.hub(t)
	if models, err := h.List(); err != nil || len(models) != 0 {
		t.Errorf("an empty folder lists %v, %v", models, err)
	}
	pull(t, h)
	models, err := h.List()
	if err != nil || len(models) != 1 || models[0].Name.Repository != "org/name" || models[0].Bytes == 0 {
		t.Fatalf("got %v, %v", models, err)
	}
	if byCommit, err := h.Find(Name{"org/name", commit}); err != nil || byCommit.Dir != models[0].Dir {
		t.Errorf("by its commit: %v, %v", byCommit, err)
	}
	if err := h.Remove("org/other"); !errors.Is(err, ErrNoModel) {
		t.Errorf("removing what is not there: %v", err)
	}
	if err := h.Remove("org/name"); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(h.Folder); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTwoPullsAtOnce(t *testing.T) {
	s := newServer(t)
	s.AddModel()
	h := s.hub(t)
	if err := os.MkdirAll(h.folder("org/name"), 0o755); err != nil {
		t.Fatal(err)
	}
	held, err := filelock.Take(filepath.Join(h.folder("org/name"), lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	_, err = h.Pull(context.Background(), Name{"org/name", "main"}, nil)
	var other *filelock.HeldError
	if !errors.As(err, &other) {
		t.Errorf("got %v, want the lock's holder", err)
	}
}

func TestOffline(t *testing.T) {
	h := &Hub{Folder: t.TempDir(), Offline: true, Endpoint: "http://127.0.0.1:1"}
	if _, err := h.Pull(context.Background(), Name{"org/name", "main"}, nil); !errors.Is(err, ErrOffline) {
		t.Errorf("got %v", err)
	}
}

func TestParseName(t *testing.T) {
	tests := map[string]Name{
		"org/name": {"org/name", "main"}, "name": {"name", "main"}, "org/name@v1.0": {"org/name", "v1.0"},
		"a.b/c_d-e@refs/pr/1": {"a.b/c_d-e", "refs/pr/1"},
		"":                    {}, "a/b/c": {}, "../x": {}, "a/..": {}, "a/b@../c": {}, "a b": {}, "a/b@": {}, "/a": {}, "a--b/c": {}, `a\b`: {},
	}
	for text, want := range tests {
		got, err := ParseName(text)
		if got != want || (err != nil) != (want == Name{}) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}
