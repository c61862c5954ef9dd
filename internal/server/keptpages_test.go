package server

import (
	"html"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"evident/api"
	"evident/internal/hub"
	"evident/internal/hub/hubtest"
	"evident/internal/service"
)

// page opens a page as a browser without JavaScript does.
func (s *testServer) page(path string) string {
	s.t.Helper()
	return string(s.do("GET", path, nil).status(200).body)
}

// send sends a form and returns where it leads.
func (s *testServer) send(path string, fields url.Values) string {
	s.t.Helper()
	a := s.do("POST", path, strings.NewReader(fields.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	return a.status(http.StatusSeeOther).Header.Get("Location")
}

// end waits for the newest job and returns it.
func (s *testServer) end() *api.Job {
	s.t.Helper()
	id := s.service.Jobs().Jobs[0].ID
	var last api.Job
	if err := s.service.WatchJob(s.t.Context(), id, func(j api.Job) bool { last = j; return true }); err != nil {
		s.t.Fatal(err)
	}
	return &last
}

// contains demands texts of a page.
func contains(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page lacks %q:\n%s", text, page)
		}
	}
}

// TestEvaluateWithoutScript measures twice, looks at the figures, compares, and forgets, with forms alone.
func TestEvaluateWithoutScript(t *testing.T) {
	set := filepath.Join(t.TempDir(), "bridges.json")
	write(t, set, []byte(questions))
	s := start(t, func(o *service.Options, _ *Options) { o.Sets = []string{set} })
	contains(t, s.page("/evaluate"), `<option value="ask bridges">`, `bridges: 3 questions`)
	var ids []string
	for _, fields := range []url.Values{
		{"what": {"ask bridges"}, "engine": {"mix"}, "limit": {""}}, {"what": {"squad bridges"}, "engine": {"mix"}, "limit": {"2"}},
	} {
		if to := s.send("/evaluate", fields); to != "/jobs" {
			t.Errorf("it leads to %s", to)
		}
		job := s.end()
		if job.State != "done" {
			t.Fatalf("%+v", job)
		}
		ids = append(ids, job.Evaluation.ID)
	}
	contains(t, s.page("/jobs"), "Measuring ask on bridges", `href="/evaluate?id=`+ids[0]+`"`, "3 questions in")
	contains(t, s.page("/evaluate?id="+ids[0]), "Questions asked of the index, bridges, mix", "F1 of words", "95 % interval", "Who designed the bridge?", "Lise Maurer")
	contains(t, s.page("/evaluate?id="+ids[1]+"&with="+ids[0]), "What changed", "better", "Questions read from their paragraphs", "Totals")
	a := s.do("GET", "/evaluate?id=0", nil).status(404)
	contains(t, string(a.body), "there is no evaluation")
	bad := strings.NewReader("what=ask+bridges&limit=many")
	s.do("POST", "/evaluate", bad, "Content-Type", "application/x-www-form-urlencoded").status(400)
	s.send("/evaluate/remove", url.Values{"id": {ids[0]}})
	if page := s.page("/evaluate"); strings.Contains(page, ids[0]) || !strings.Contains(page, ids[1]) {
		t.Error("the wrong run is forgotten")
	}
	contains(t, start(t, nil).page("/evaluate"), "evident serve --evaluate questions.json")
}

// TestSnapshotsWithoutScript makes a snapshot from the library, and deletes it.
func TestSnapshotsWithoutScript(t *testing.T) {
	s := start(t, nil)
	s.send("/snapshots", url.Values{"index": {"default"}})
	job := s.end()
	if job.Snapshot == nil {
		t.Fatalf("%+v", job)
	}
	name := job.Snapshot.Name
	contains(t, s.page("/jobs"), "Snapshot of default", name)
	contains(t, s.page("/library"), `href="/api/v1/snapshots/`+name+`" download`)
	s.send("/snapshots/remove", url.Values{"name": {name}})
	if strings.Contains(s.page("/library"), name) {
		t.Error("it is still there")
	}
}

// TestModelsWithoutScript fetches a model from the page Status, and deletes it.
func TestModelsWithoutScript(t *testing.T) {
	remote := hubtest.New()
	defer remote.Close()
	remote.AddModel()
	s := start(t, func(o *service.Options, _ *Options) {
		o.Hub, o.Pull = &hub.Hub{Folder: t.TempDir(), Endpoint: remote.URL}, true
	})
	s.send("/models", url.Values{"name": {" org/name "}})
	if job := s.end(); job.Model == nil {
		t.Fatalf("%+v", job)
	}
	contains(t, s.page("/jobs"), "Fetching org/name")
	contains(t, s.page("/status"), "org/name", "mit")
	s.send("/models/remove", url.Values{"name": {"org/name"}})
	if page := s.page("/status"); strings.Contains(page, `value="org/name"`) {
		t.Error("it is still there")
	}
	if page := start(t, nil).page("/status"); strings.Contains(page, "Fetch a model") {
		t.Error("a server that may not fetch offers it")
	}
}

// TestEngineWithoutScript chooses the engine with the form; the way back from the source leads to the same answer.
func TestEngineWithoutScript(t *testing.T) {
	s := start(t, nil)
	page := s.page("/ask?q=who+designed+the+bridge&engine=mix")
	contains(t, page, `value="mix" checked`, `value="phrase" disabled`, "answered by mix")
	read := regexp.MustCompile(`data-open href="(/read/[^"]*)"`).FindStringSubmatch(page)
	if read == nil {
		t.Fatalf("no answer leads to its source:\n%s", page)
	}
	contains(t, html.UnescapeString(s.page(html.UnescapeString(read[1]))), `href="/ask?q=who+designed+the+bridge&engine=mix"`)
	contains(t, string(s.do("GET", "/ask?q=who&engine=phrase", nil).status(422).body), "The index holds no phrases")
}

// TestIndexesWithoutScript: what another index shows leads to itself.
func TestIndexesWithoutScript(t *testing.T) {
	s := start(t, nil)
	if page := s.page("/ask"); strings.Contains(page, `class="choose"`) {
		t.Error("one index is offered as a choice")
	}
	s.send("/snapshots", url.Values{"index": {"default"}})
	s.do("POST", apiPath+"/indexes", map[string]any{"name": "copy", "snapshot": s.end().Snapshot.Name}).status(201)
	contains(t, s.page("/ask"), `class="choose"`, `<option selected>default</option><option>copy</option>`)
	contains(t, s.page("/ask?index=copy"), `<input type="hidden" name="index" value="copy">`, `href="/search?index=copy"`)
	for _, path := range []string{"/look", "/region", "/library", "/search"} {
		page := s.page(path + "?index=copy&kind=images&q=red")
		links := regexp.MustCompile(`data-open href="([^"]*)"`).FindAllStringSubmatch(page, -1)
		if len(links) == 0 {
			t.Errorf("%s shows nothing", path)
		}
		for _, l := range links {
			to := html.UnescapeString(l[1])
			if !strings.Contains(to, "index=copy") && !strings.HasPrefix(to, "/read/copy/") {
				t.Errorf("%s leads out of its index, to %s", path, to)
			}
		}
	}
	s.do("GET", "/ask?index=none", nil).status(404)
}
