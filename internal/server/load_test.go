package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"evident/api"
	"evident/internal/service"
)

// TestOverload fills the only slot and the queue: one more is turned away at once, and told when to
// come again.
func TestOverload(t *testing.T) {
	s := start(t, func(o *service.Options, _ *Options) { o.Computations, o.QueueMax = 1, 2 })
	release := s.service.Occupy()
	var waiting sync.WaitGroup
	for range 2 {
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			s.do("POST", apiPath+"/embeddings", `{"texts":["a"]}`).status(200)
		}()
	}
	eventually(t, func() bool { return s.service.LoadNow().Waiting == 2 })
	a := s.do("POST", apiPath+"/embeddings", `{"texts":["a"]}`)
	a.problem("overloaded")
	if seconds, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || seconds < 1 {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	release()
	waiting.Wait()
	if l := s.service.LoadNow(); l.Computing != 0 || l.Waiting != 0 {
		t.Errorf("after all is done: %+v", l)
	}
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); {
		if time.Since(begun) > 20*time.Second {
			t.Fatal("it did not come about")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestTimeout: a request that waits longer than it may is told so.
func TestTimeout(t *testing.T) {
	s := start(t, func(o *service.Options, so *Options) { o.Computations, so.RequestTimeout = 1, 50*time.Millisecond })
	defer s.service.Occupy()()
	a := s.do("POST", apiPath+"/embeddings", `{"texts":["a"]}`)
	a.problem("timeout")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if l := s.service.LoadNow(); l.Waiting != 0 {
		t.Errorf("it still waits: %+v", l)
	}
}

// TestClientLeaves: what a client that is gone had asked for stops waiting, and stops being computed.
func TestClientLeaves(t *testing.T) {
	s := start(t, func(o *service.Options, _ *Options) { o.Computations = 1 })
	leave := func(body string, when func() bool) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "POST", s.URL+apiPath+"/embeddings", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		gone := make(chan error, 1)
		go func() {
			response, err := http.DefaultClient.Do(r)
			if err == nil {
				response.Body.Close()
			}
			gone <- err
		}()
		eventually(t, when)
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		eventually(t, func() bool { l := s.service.LoadNow(); return l.Waiting == 0 })
	}
	release := s.service.Occupy()
	leave(`{"texts":["a"]}`, func() bool { return s.service.LoadNow().Waiting == 1 })
	release()
	long := make([]string, 256)
	for i := range long {
		long[i] = strings.Repeat("a very long text about a cat ", 10)
	}
	encoded, err := json.Marshal(map[string]any{"texts": long})
	if err != nil {
		t.Fatal(err)
	}
	leave(string(encoded), func() bool { return s.service.LoadNow().Computing == 1 })
	begun := time.Now()
	eventually(t, func() bool { return s.service.LoadNow().Computing == 0 })
	t.Logf("stopped %v after the client left", time.Since(begun))
}

func TestIdempotency(t *testing.T) {
	s := start(t, nil)
	var first, second, third api.Job
	one := []string{idempotencyKey, "k1"}
	s.do("POST", apiPath+"/jobs", `{"kind":"index"}`, one...).status(202).json(&first)
	a := s.do("POST", apiPath+"/jobs", `{"kind":"index"}`, one...).status(202).json(&second)
	if second.ID != first.ID || a.Header.Get("Idempotent-Replayed") != "true" || a.Header.Get("Location") == "" {
		t.Errorf("repeated, it was done twice: %s and %s", first.ID, second.ID)
	}
	s.do("POST", apiPath+"/jobs", `{"kind":"index","index":"default"}`, one...).problem("idempotency-mismatch")
	s.do("POST", apiPath+"/jobs", `{"kind":"index"}`, idempotencyKey, "k2").status(202).json(&third)
	if third.ID == first.ID {
		t.Error("another key got the same job")
	}
	s.do("POST", apiPath+"/jobs", `{"kind":"index","index":"none"}`, idempotencyKey, "k3").problem("no-index")
	s.do("POST", apiPath+"/jobs", `{"kind":"index"}`, idempotencyKey, "k3").status(202)
}

// TestJob indexes a new file through the server and watches it.
func TestJob(t *testing.T) {
	s := start(t, nil)
	write(t, filepath.Join(s.folder, "new.txt"), []byte("The harbour was built in 1804."))
	write(t, filepath.Join(s.folder, "empty.txt"), nil)
	var job api.Job
	location := s.do("POST", apiPath+"/jobs", `{"kind":"index"}`).status(202).json(&job).Header.Get("Location")
	a := s.do("GET", location, nil, "Accept", "text/event-stream").status(200)
	if a.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("content type %q", a.Header.Get("Content-Type"))
	}
	var last, name string
	for lines := bufio.NewScanner(strings.NewReader(string(a.body))); lines.Scan(); {
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = event
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			last = data
		}
	}
	if err := json.Unmarshal([]byte(last), &job); err != nil || name != "result" {
		t.Fatalf("the last event is %s %s: %v", name, last, err)
	}
	if job.State != "done" || job.Result == nil || job.Result.Added != 1 || len(job.Result.Skipped) != 1 {
		t.Errorf("got %s", last)
	}
	var found api.SearchResult
	if s.do("GET", apiPath+"/search?query=harbour", nil).status(200).json(&found); len(found.Hits) != 1 {
		t.Errorf("the new document is not found: %+v", found)
	}
	var list api.JobList
	if s.do("GET", apiPath+"/jobs", nil).status(200).json(&list); len(list.Jobs) != 1 || list.Jobs[0].State != "done" {
		t.Errorf("jobs %+v", list)
	}
}

// TestCancelJob stops a job behind another: the answer is how it ended, and then it is gone.
func TestCancelJob(t *testing.T) {
	s := start(t, nil)
	var first, second api.Job
	s.do("POST", apiPath+"/jobs", `{"kind":"index"}`).status(202).json(&first)
	s.do("POST", apiPath+"/jobs", `{"kind":"index"}`).status(202).json(&second)
	s.do("DELETE", apiPath+"/jobs/"+second.ID, nil).status(200).json(&second)
	s.do("GET", apiPath+"/jobs/"+second.ID, nil).problem("not-found")
	if !second.Over() {
		t.Errorf("it was answered before its end: %+v", second)
	}
}

// TestShutdown: what runs is finished, new connections are not taken.
func TestShutdown(t *testing.T) {
	s := start(t, func(o *service.Options, _ *Options) { o.Computations = 1 })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(ctx, l, 20*time.Second) }()
	release := s.service.Occupy()
	got := make(chan int, 1)
	go func() {
		response, err := http.Post("http://"+l.Addr().String()+apiPath+"/embeddings", "application/json", strings.NewReader(`{"texts":["a"]}`))
		if err != nil {
			got <- 0
			return
		}
		response.Body.Close()
		got <- response.StatusCode
	}()
	eventually(t, func() bool { return s.service.LoadNow().Waiting == 1 })
	stop()
	eventually(t, func() bool {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	release()
	if status := <-got; status != 200 {
		t.Errorf("the request that ran got %d", status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
