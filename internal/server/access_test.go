package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evident/internal/service"
)

// withKeys starts a server that asks for keys, and returns one of each kind.
func withKeys(t *testing.T) (s *testServer, read, admin string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "inner", "keys")
	read, err := NewKey(file, "reader", false)
	if err != nil {
		t.Fatal(err)
	}
	admin, err = NewKey(file, "boss", true)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ReadKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, func(_ *service.Options, o *Options) { o.Keys = keys }), read, admin
}

func TestKeys(t *testing.T) {
	s, read, admin := withKeys(t)
	ask, job := apiPath+"/ask?question=who+designed+the+bridge", apiPath+"/jobs"
	a := s.do("GET", ask, nil)
	a.problem("key-needed")
	if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("WWW-Authenticate %q", a.Header.Get("WWW-Authenticate"))
	}
	for _, wrong := range []string{"x", read + "x", read[:len(read)-1], strings.ToUpper(read)} {
		s.do("GET", ask, nil, "Authorization", "Bearer "+wrong).problem("key-needed")
	}
	s.do("GET", ask, nil, "Authorization", "Basic "+read).problem("key-needed")
	s.do("GET", ask, nil, "Authorization", "Bearer "+read).status(200)
	s.do("POST", job, `{"kind":"index"}`, "Authorization", "Bearer "+read).problem("forbidden")
	s.do("POST", job, `{"kind":"index"}`, "Authorization", "Bearer "+admin).status(202)
	for _, open := range []string{"/livez", "/readyz", "/openapi.json", "/docs", "/static/app.js", "/login"} {
		s.do("GET", open, nil).status(200)
	}
	for _, closed := range []string{"/metrics", apiPath + "/status", "/v1/models"} {
		s.do("GET", closed, nil).problem("key-needed")
	}
}

// TestEveryRouteAsksForAKey goes through the table: what is not open answers 401 without a key, or
// sends a browser to sign in.
func TestEveryRouteAsksForAKey(t *testing.T) {
	s, _, _ := withKeys(t)
	asked := 0
	for _, r := range routes {
		path := r.Path
		for _, part := range []string{"{index}", "{id}", "{page}", "{n}", "{code}", "{file}", "{name}"} {
			path = strings.ReplaceAll(path, part, "0")
		}
		a := s.do(r.Method, path, nil)
		switch {
		case r.Access == 0:
			if a.StatusCode == http.StatusForbidden {
				t.Errorf("%s %s is open and forbidden", r.Method, path)
			}
		case r.Tag == pagesTag && r.Method == "GET":
			asked++
			if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/login?next=") {
				t.Errorf("%s: status %d to %q", path, a.StatusCode, a.Header.Get("Location"))
			}
		default:
			asked++
			if a.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s: status %d without a key", r.Method, path, a.StatusCode)
			}
		}
	}
	if asked < 30 {
		t.Errorf("only %d routes ask for a key", asked)
	}
}

func TestSignIn(t *testing.T) {
	s, read, _ := withKeys(t)
	send := func(key, next string) *answer {
		body := strings.NewReader("key=" + key + "&next=" + next)
		return s.do("POST", "/login", body, "Content-Type", "application/x-www-form-urlencoded")
	}
	if a := send("wrong", "/ask").status(401); !strings.Contains(string(a.body), "not known here") || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("a wrong key: %q", a.Header.Get("Set-Cookie"))
	}
	a := send(read, "/ask").status(303)
	cookie := a.Header.Get("Set-Cookie")
	if a.Header.Get("Location") != "/ask" || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") {
		t.Errorf("to %q with %q", a.Header.Get("Location"), cookie)
	}
	for _, away := range []string{"//evil.example", "https://evil.example/", "/\\evil.example", "javascript:x"} {
		if got := send(read, away).status(303).Header.Get("Location"); got != "/" {
			t.Errorf("next=%s goes to %q", away, got)
		}
	}
	held, _, _ := strings.Cut(cookie, ";")
	s.do("GET", "/", nil, "Cookie", held).status(200)
	s.do("POST", "/logout", nil, "Cookie", held).status(303)
}

func TestKeyFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	token, err := NewKey(file, "a", false)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(content), token) || strings.Contains(string(content), token[len(tokenPrefix):]) {
		t.Errorf("the file holds the key itself: %s, %v", content, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := NewKey(file, "a", true); err == nil {
		t.Error("two keys of one name")
	}
	if _, err := NewKey(file, "a b", true); err == nil {
		t.Error("a name with a blank")
	}
	if err := RemoveKey(file, "b"); err == nil {
		t.Error("removed what was not there")
	}
	if err := RemoveKey(file, "a"); err != nil {
		t.Error(err)
	}
	if _, err := ReadKeys(file); err == nil {
		t.Error("a file without keys lets a server start that nobody can use")
	}
	for _, bad := range []string{"admin sha256:00 a", "owner sha256:" + strings.Repeat("0", 64) + " a", "read md5:x a", "read"} {
		if _, err := parseKeys([]byte(bad)); err == nil {
			t.Errorf("%q was read as a key", bad)
		}
	}
}

func TestHosts(t *testing.T) {
	s := start(t, func(_ *service.Options, o *Options) { o.Hosts = []string{"papers.example"} })
	for host, known := range map[string]bool{
		"localhost": true, "LOCALHOST:80": true, "127.0.0.1:1": true, "[::1]:80": true, "10.0.0.7": true,
		"papers.example": true, "papers.example.:8317": true,
		"evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
	} {
		a := s.do("GET", "/livez", nil, "Host", host)
		if known {
			a.status(200)
		} else {
			a.problem("host-not-allowed")
		}
	}
}

func TestHeaders(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{"/", "/livez", "/nothing", "/static/app.js"} {
		h := s.do("GET", path, nil, "Origin", "https://other.example").Header
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'self';") {
			t.Errorf("%s lacks headers: %v", path, h)
		}
		if h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is open to other origins", path)
		}
	}
	if id := s.do("GET", "/livez", nil, "X-Request-Id", "mine-7").Header.Get("X-Request-Id"); id != "mine-7" {
		t.Errorf("request id %q", id)
	}
	if id := s.do("GET", "/livez", nil, "X-Request-Id", "a b\"<").Header.Get("X-Request-Id"); strings.ContainsAny(id, " \"<") || id == "" {
		t.Errorf("request id %q", id)
	}
}
