package server

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evident"
	"evident/api"
	"evident/client"
	"evident/internal/hub"
	"evident/internal/hub/hubtest"
	"evident/internal/service"
)

// over waits for a job's end and returns it, or what it failed with.
func over(t *testing.T, c *client.Client, job *api.Job, err error) (*api.Job, error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var last *api.Job
	for state, err := range c.Watch(t.Context(), job.ID) {
		if err != nil {
			return nil, err
		}
		last = state
	}
	return last, nil
}

func clientOf(t *testing.T, s *testServer) *client.Client {
	t.Helper()
	c, err := client.New(s.URL, client.Options{Key: s.token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSnapshots takes a snapshot through the server, fetches it, makes an index of it, asks that, and deletes both.
func TestSnapshots(t *testing.T) {
	s := start(t, nil)
	c, ctx := clientOf(t, s), t.Context()
	job, err := c.StartSnapshot(ctx, api.SnapshotRequest{}, "")
	job, err = over(t, c, job, err)
	if err != nil || job.State != "done" || job.Snapshot == nil || job.Snapshot.Documents != 3 || len(job.Snapshot.SHA256) != 64 {
		t.Fatalf("%+v, %v", job, err)
	}
	name := job.Snapshot.Name
	second, err := c.StartSnapshot(ctx, api.SnapshotRequest{Index: "default"}, "")
	if second, err = over(t, c, second, err); err != nil || second.Snapshot.Name == name {
		t.Errorf("a second one of the same moment: %+v, %v", second, err)
	}
	list, err := c.Snapshots(ctx)
	if err != nil || len(list.Snapshots) != 2 || list.Snapshots[1].Bytes != job.Snapshot.Bytes {
		t.Fatalf("%+v, %v", list, err)
	}
	var file bytes.Buffer
	if err := c.Snapshot(ctx, name, &file); err != nil || int64(file.Len()) != job.Snapshot.Bytes {
		t.Fatalf("%d bytes, %v", file.Len(), err)
	}
	if !slices.Contains(tarNames(t, file.Bytes()), "SHA256SUMS") {
		t.Errorf("the file holds %v", tarNames(t, file.Bytes()))
	}
	path := apiPath + "/snapshots/" + name
	part := s.do("GET", path, nil, "Range", "bytes=10-19").status(206)
	if !bytes.Equal(part.body, file.Bytes()[10:20]) {
		t.Error("a range is of something else")
	}
	s.do("GET", path, nil, "If-None-Match", part.Header.Get("ETag")).status(304)
	s.do("GET", apiPath+"/snapshots/none.tar", nil).problem("no-snapshot")
	s.do("GET", apiPath+"/snapshots/..%2Fsecret.tar", nil).problem("no-snapshot")
	s.do("POST", apiPath+"/snapshots", map[string]any{"index": "none"}).problem("no-index")

	made, err := c.MakeIndex(ctx, api.IndexRequest{Name: "again", Snapshot: name})
	if err != nil || made.Documents != 3 || made.Name != "again" {
		t.Fatalf("%+v, %v", made, err)
	}
	q := api.AskRequest{Question: "who designed the bridge", Threshold: -1}
	was, err := c.Ask(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	q.Index = "again"
	if is, err := c.Ask(ctx, q); err != nil || is.Answers[0].Text != was.Answers[0].Text {
		t.Errorf("the index of the snapshot says %+v, %v", is, err)
	}
	if gone, err := c.RemoveSnapshot(ctx, name); err != nil || gone.Name != name {
		t.Errorf("%+v, %v", gone, err)
	}
	if _, err := c.MakeIndex(ctx, api.IndexRequest{Name: "third", Snapshot: name}); codeOf(err) != "no-snapshot" {
		t.Errorf("an index of a snapshot that is gone: %v", err)
	}
}

func tarNames(t *testing.T, file []byte) (names []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(file)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func codeOf(err error) string {
	var p *api.Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return fmt.Sprint(err)
}

// TestIndexes makes an index, fills it, and deletes it; the one that was named at the start stays.
func TestIndexes(t *testing.T) {
	keep := t.TempDir()
	s := start(t, func(o *service.Options, _ *Options) { o.Keep = keep })
	c, ctx := clientOf(t, s), t.Context()
	made, err := c.MakeIndex(ctx, api.IndexRequest{Name: "papers"})
	if err != nil || made.Documents != 0 {
		t.Fatalf("%+v, %v", made, err)
	}
	for name, r := range map[string]struct {
		request api.IndexRequest
		code    string
	}{
		"twice": {api.IndexRequest{Name: "papers"}, "conflict"}, "the first": {api.IndexRequest{Name: "default"}, "conflict"},
		"a way out": {api.IndexRequest{Name: "../papers"}, "bad-name"}, "hidden": {api.IndexRequest{Name: ".papers"}, "bad-name"},
		"unfinished": {api.IndexRequest{Name: "a.partial"}, "bad-name"},
		"no such":    {api.IndexRequest{Name: "b", Snapshot: "../../x.tar"}, "no-snapshot"},
	} {
		if _, err := c.MakeIndex(ctx, r.request); codeOf(err) != r.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.do("POST", apiPath+"/jobs", map[string]any{"kind": "index", "index": "papers", "paths": []string{s.folder}}).problem("folder-not-allowed")
	if _, err := c.Ask(ctx, api.AskRequest{Question: "who", Index: "papers"}); !errors.Is(err, evident.ErrEmptyIndex) {
		t.Errorf("the new index: %v", err)
	}
	if _, err := c.RemoveIndex(ctx, "default"); codeOf(err) != "conflict" {
		t.Errorf("the first index was deleted: %v", err)
	}

	// After a restart it is there again.
	index, err := evident.Open(ctx, filepath.Join(t.TempDir(), "index"), evident.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	again, err := service.New(service.Options{Indexes: []service.Index{{Name: "other", Index: index}}, Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.OpenKept(ctx); err != nil {
		t.Fatal(err)
	}
	if list, err := again.Indexes(); err != nil || len(list.Indexes) != 2 || list.Indexes[1].Name != "papers" {
		t.Errorf("after a restart: %+v, %v", list, err)
	}

	gone, err := c.RemoveIndex(ctx, "papers")
	if err != nil || gone.Name != "papers" {
		t.Fatalf("%+v, %v", gone, err)
	}
	if _, err := c.RemoveIndex(ctx, "papers"); !errors.Is(err, evident.ErrNoIndex) {
		t.Errorf("deleted twice: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(keep, "indexes")); len(left) != 0 {
		t.Errorf("left is %v", left)
	}
}

// TestLeftOut: what was made through a server and is damaged since keeps the server from nothing. It is named, and left as it is.
func TestLeftOut(t *testing.T) {
	keep := t.TempDir()
	s := start(t, func(o *service.Options, _ *Options) { o.Keep = keep })
	for _, name := range []string{"whole", "broken"} {
		s.do("POST", apiPath+"/indexes", map[string]any{"name": name}).status(201)
	}
	damage := map[string]string{
		"indexes/broken/MANIFEST": "nothing", "indexes/broken/MANIFEST.copy": "nothing", "indexes/default/MANIFEST": "of another",
		"evaluations/0123.json": `{"id": "0123"`, "evaluations/4567.json": `{"id": "another"}`, "evaluations/89.json": `[]`,
	}
	for name, content := range damage {
		path := filepath.Join(keep, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, []byte(content))
	}
	write(t, filepath.Join(keep, "evaluations", "ab.json"), []byte(`{"id": "ab", "ended": "2026-11-25T01:02:03Z"}`))

	again := start(t, func(o *service.Options, _ *Options) { o.Keep = keep })
	if err := again.service.OpenKept(t.Context()); err != nil {
		t.Fatal(err)
	}
	var status api.Status
	again.do("GET", apiPath+"/status", nil).status(200).json(&status)
	left := map[string]string{}
	for _, one := range status.LeftOut {
		left[one.Path] = one.Reason
	}
	for _, path := range []string{"indexes/broken", "indexes/default", "evaluations/0123.json", "evaluations/4567.json", "evaluations/89.json"} {
		if left[path] == "" {
			t.Errorf("%s is not named: %v", path, left)
		}
	}
	if len(left) != 5 || len(status.Indexes) != 2 || status.Indexes[1].Name != "whole" {
		t.Errorf("left out are %v, there are %+v", left, status.Indexes)
	}
	var health api.Health
	if again.do("GET", "/readyz", nil).status(200).json(&health); health.LeftOut != 5 {
		t.Errorf("ready with %+v", health)
	}
	var list api.EvaluationList
	if again.do("GET", apiPath+"/evaluations", nil).status(200).json(&list); len(list.Evaluations) != 1 || list.Evaluations[0].ID != "ab" {
		t.Errorf("evaluations %+v", list.Evaluations)
	}
	if page := string(again.do("GET", "/status", nil).status(200).body); !strings.Contains(page, "<code>indexes/broken</code>") {
		t.Error("the page does not name them")
	}
	again.do("POST", apiPath+"/indexes", `{"name": "broken"}`).named("damaged")
	for name, content := range damage {
		if got, err := os.ReadFile(filepath.Join(keep, filepath.FromSlash(name))); err != nil || string(got) != content {
			t.Errorf("%s was touched: %q, %v", name, got, err)
		}
	}
}

// TestRemoveIndexWaits: an index that is being asked is deleted after the answer, and one that is written to is not.
func TestRemoveIndexWaits(t *testing.T) {
	s := start(t, func(o *service.Options, _ *Options) { o.Computations = 1 })
	c, ctx := clientOf(t, s), t.Context()
	job, err := c.StartSnapshot(ctx, api.SnapshotRequest{}, "")
	if job, err = over(t, c, job, err); err != nil {
		t.Fatal(err)
	}
	if _, err := c.MakeIndex(ctx, api.IndexRequest{Name: "copy", Snapshot: job.Snapshot.Name}); err != nil {
		t.Fatal(err)
	}
	release := s.service.Occupy()
	asked, removed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := c.Ask(ctx, api.AskRequest{Question: "who designed the bridge", Index: "copy", Threshold: -1})
		asked <- err
	}()
	eventually(t, func() bool { return s.service.LoadNow().Waiting == 1 })
	go func() {
		_, err := c.RemoveIndex(ctx, "copy")
		removed <- err
	}()
	eventually(t, func() bool { list, err := c.Indexes(ctx); return err == nil && len(list.Indexes) == 1 })
	if len(removed) > 0 {
		t.Error("it was deleted while it was being asked")
	}
	release()
	if err := <-asked; err != nil {
		t.Errorf("the answer that was under way: %v", err)
	}
	if err := <-removed; err != nil {
		t.Error(err)
	}
}

func TestModelsOfAHub(t *testing.T) {
	remote := hubtest.New()
	defer remote.Close()
	remote.AddModel()
	h := &hub.Hub{Folder: t.TempDir(), Endpoint: remote.URL}
	closed := start(t, func(o *service.Options, _ *Options) { o.Hub = h })
	closed.do("POST", apiPath+"/models", map[string]any{"name": "org/name"}).problem("not-allowed")

	s := start(t, func(o *service.Options, _ *Options) { o.Hub, o.Pull, o.Used = h, true, []string{"", "org/used"} })
	c, ctx := clientOf(t, s), t.Context()
	job, err := c.PullModel(ctx, api.ModelRequest{Name: "org/name"}, "")
	job, err = over(t, c, job, err)
	if err != nil || job.Model == nil || job.Model.License != "mit" || job.Progress.Unit != "MB" || job.Progress.Done != 3 {
		t.Fatalf("%+v, %v", job, err)
	}
	models, err := c.Models(ctx)
	if err != nil || len(models.Fetched) != 1 || models.Fetched[0].Name != "org/name" || len(models.Models) != 2 {
		t.Fatalf("%+v, %v", models, err)
	}
	missing, err := c.PullModel(ctx, api.ModelRequest{Name: "org/none"}, "")
	if _, err = over(t, c, missing, err); codeOf(err) != "no-model" {
		t.Errorf("a model that is not there: %v", err)
	}
	if _, err := c.PullModel(ctx, api.ModelRequest{Name: "../../etc"}, ""); codeOf(err) != "bad-name" {
		t.Errorf("a name that leads out: %v", err)
	}
	if gone, err := c.RemoveModel(ctx, "org/name"); err != nil || gone.Commit != hubtest.Commit {
		t.Errorf("%+v, %v", gone, err)
	}
	if _, err := c.RemoveModel(ctx, "org/name"); codeOf(err) != "no-model" {
		t.Errorf("deleted twice: %v", err)
	}
	inUse, err := c.PullModel(ctx, api.ModelRequest{Name: "org/name"}, "")
	if _, err = over(t, c, inUse, err); err != nil {
		t.Fatal(err)
	}
	using := start(t, func(o *service.Options, _ *Options) { o.Hub, o.Used = h, []string{"org/name@main"} })
	using.do("DELETE", apiPath+"/models?name=org/name", nil).problem("conflict")
}

// questions is a set whose answers stand in the library; its reader says nonsense, so that hardly any is found.
const questions = `{"version": "1.1", "data": [{"title": "t", "paragraphs": [
	{"context": "The bridge, designed by Lise Maurer and opened in 1931, spans the Aare.", "qas": [
		{"id": "q1", "question": "Who designed the bridge?", "answers": [{"text": "Lise Maurer", "answer_start": 24}]},
		{"id": "q2", "question": "When was it opened?", "answers": [{"text": "1931", "answer_start": 50}]},
		{"id": "q3", "question": "Which river?", "answers": [{"text": "Aare", "answer_start": 66}]}]}]}]}`

// photoSet is a folder with two photos, their captions and outlines.
func photoSet(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "photos")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a.png"), picture(t, 24, 16, color.RGBA{200, 20, 20, 255}))
	write(t, filepath.Join(dir, "b.png"), picture(t, 24, 16, color.RGBA{20, 20, 200, 255}))
	line := `{"image": "%s.png", "width": 24, "height": 16, "labels": ["%s"], "captions": ["a %s wall"], "split": "test",
		"masks": [{"class": "%s", "rle": {"size": [16, 24], "counts": "P4P4P4"}}]}`
	var manifest string
	for _, of := range [][]any{{"a", "red", "red", "red"}, {"b", "blue", "blue", "blue"}} {
		manifest += strings.Join(strings.Fields(fmt.Sprintf(line, of...)), " ") + "\n"
	}
	write(t, filepath.Join(dir, "manifest.jsonl"), []byte(manifest))
	return dir
}

func TestEvaluations(t *testing.T) {
	set, keep := filepath.Join(t.TempDir(), "bridges.json"), t.TempDir()
	write(t, set, []byte(questions))
	s := start(t, func(o *service.Options, _ *Options) { o.Sets, o.Keep = []string{set, photoSet(t)}, keep })
	c, ctx := clientOf(t, s), t.Context()
	list, err := c.Evaluations(ctx)
	if err != nil || len(list.Sets) != 2 || list.Sets[0].Name != "bridges" || list.Sets[0].Count != 3 || list.Sets[1].Items != "photos" {
		t.Fatalf("%+v, %v", list, err)
	}
	var ids []string
	for _, r := range []api.EvaluationRequest{
		{Task: "ask", Set: "bridges"},
		{Task: "squad", Set: "bridges"},
		{Task: "squad", Set: "bridges", Limit: 2, Seed: 3},
		{Task: "image-retrieval", Set: "photos"},
		{Task: "pointing", Set: "photos"},
		{Task: "segmentation", Set: "photos"},
		{Task: "region-retrieval", Set: "photos"},
	} {
		job, err := c.StartEvaluation(ctx, r, "")
		job, err = over(t, c, job, err)
		if err != nil || job.State != "done" || job.Evaluation == nil || job.Evaluation.Report.N == 0 || len(job.Evaluation.Report.Metrics) == 0 {
			t.Fatalf("%+v: %+v, %v", r, job, err)
		}
		ids = append(ids, job.Evaluation.ID)
	}
	one, err := c.Evaluation(ctx, ids[0])
	if err != nil || one.Report.N != 3 || one.Request.Index != "default" || one.Request.Seed != 1 || one.Report.Intervals["f1"][1] < one.Report.Metrics["f1"] {
		t.Errorf("%+v, %v", one, err)
	}
	var items api.EvaluationItemList
	s.do("GET", apiPath+"/evaluations/"+ids[0]+"/items?limit=2", nil).status(200).json(&items)
	if len(items.Items) != 2 || items.Total != 3 || items.Next == "" || items.Items[0].Answers[0] != "Lise Maurer" {
		t.Errorf("%+v", items)
	}
	s.do("GET", apiPath+"/evaluations/"+ids[0]+"/items?cursor="+items.Next, nil).status(200).json(&items)
	if len(items.Items) != 1 || items.Items[0].ID != "q3" {
		t.Errorf("%+v", items)
	}
	compared, err := c.CompareEvaluations(ctx, ids[0], ids[1])
	if err != nil || compared.Better+compared.Worse+compared.Same != 3 || len(compared.Items) != compared.Better+compared.Worse {
		t.Fatalf("%+v, %v", compared, err)
	}
	for _, m := range compared.Metrics {
		if m.Name == "f1" && (m.Interval == nil || m.Interval[0] > m.Value-m.Was || m.Interval[1] < m.Value-m.Was) {
			t.Errorf("%+v", m)
		}
	}
	if _, err := c.CompareEvaluations(ctx, ids[0], ids[3]); codeOf(err) != "conflict" {
		t.Errorf("of different sets: %v", err)
	}
	for name, r := range map[string]struct {
		request api.EvaluationRequest
		code    string
	}{
		"no set":     {api.EvaluationRequest{Task: "ask", Set: "none"}, "no-set"},
		"wrong task": {api.EvaluationRequest{Task: "pointing", Set: "bridges"}, "ambiguous"},
		"an engine":  {api.EvaluationRequest{Task: "squad", Set: "bridges", Engine: "mix"}, "ambiguous"},
	} {
		if _, err := c.StartEvaluation(ctx, r.request, ""); codeOf(err) != r.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.RemoveEvaluation(ctx, ids[1]); err != nil {
		t.Error(err)
	}
	s.do("GET", apiPath+"/evaluations/"+ids[1], nil).problem("not-found")

	again := start(t, func(o *service.Options, _ *Options) { o.Keep = keep })
	if list, err := clientOf(t, again).Evaluations(ctx); err != nil || len(list.Evaluations) != len(ids)-1 || list.Evaluations[len(ids)-2].ID != ids[0] {
		t.Errorf("after a restart: %+v, %v", list, err)
	}
}

// TestEvaluationsWait: while an evaluation runs, others are answered.
func TestEvaluationsWait(t *testing.T) {
	set := filepath.Join(t.TempDir(), "bridges.json")
	write(t, set, []byte(questions))
	s := start(t, func(o *service.Options, _ *Options) { o.Sets, o.Computations = []string{set}, 1 })
	release := s.service.Occupy()
	var job api.Job
	s.do("POST", apiPath+"/evaluations", map[string]any{"task": "ask", "set": "bridges"}).status(202).json(&job)
	eventually(t, func() bool { j, err := s.service.Job(job.ID); return err == nil && j.State == "running" })
	release()
	s.do("POST", apiPath+"/ask", map[string]any{"question": "who"}).status(200)
	s.do("DELETE", apiPath+"/jobs/"+job.ID, nil).status(200)
	if l := s.service.LoadNow(); l.Computing != 0 {
		t.Errorf("after the end: %+v", l)
	}
}

func TestSetsRefused(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	write(t, bad, []byte("{}"))
	index := service.Index{Name: "a", Index: &evident.Index{}}
	for _, sets := range [][]string{{bad}, {filepath.Join(t.TempDir(), "none")}, {photoSet(t), photoSet(t)}} {
		if s, err := service.New(service.Options{Indexes: []service.Index{index}, Sets: sets}); err == nil {
			s.Close()
			t.Errorf("%v were taken", sets)
		}
	}
}

// TestAnswersAsEvents: what is known on the way is told, and the answer is the one without events.
func TestAnswersAsEvents(t *testing.T) {
	s := start(t, nil)
	c, ctx := clientOf(t, s), t.Context()
	for i := range 9 { // more passages than are read at once
		write(t, filepath.Join(s.folder, fmt.Sprintf("more%d.txt", i)), []byte(fmt.Sprintf("Bridge %d was designed by nobody.", i)))
	}
	job, err := c.StartJob(ctx, api.JobRequest{Kind: "index"}, "")
	if _, err = over(t, c, job, err); err != nil {
		t.Fatal(err)
	}
	q := api.AskRequest{Question: "who designed the bridge", Threshold: -1, Engine: "mix"}
	told := 0
	got, err := c.AskPartly(ctx, q, func(a *api.Answer) {
		if told++; len(a.Answers) == 0 {
			t.Errorf("told %+v", a)
		}
	})
	if err != nil || told == 0 {
		t.Fatalf("told %d times, %v", told, err)
	}
	want, err := c.Ask(ctx, q)
	if err != nil || want.Answers[0].Text != got.Answers[0].Text || want.Answers[0].Score != got.Answers[0].Score {
		t.Errorf("%+v, without events %+v, %v", got, want, err)
	}
	if _, err := c.AskPartly(ctx, api.AskRequest{Question: "who", Index: "none"}, nil); !errors.Is(err, evident.ErrNoIndex) {
		t.Errorf("got %v", err)
	}
	a := s.do("GET", apiPath+"/ask?engine=mix&question=bridge", nil, "Accept", asEvents).status(200)
	if a.Header.Get("Content-Type") != asEvents || !strings.HasPrefix(string(a.body), "event: partial\n") || !strings.Contains(string(a.body), "event: result\n") {
		t.Errorf("%s: %.300s", a.Header.Get("Content-Type"), a.body)
	}
	s.do("GET", apiPath+"/ask?question="+strings.Repeat("a+", 250), nil, "Accept", asEvents).problem("bad-question")
}

// TestRegionsAsEvents: each step of the inversion is told with its map, and the fit grows.
func TestRegionsAsEvents(t *testing.T) {
	s := start(t, nil)
	c := clientOf(t, s)
	r := api.RegionRequest{Image: s.id("red.png"), Labels: []string{"a wall", "a dot"}, Masks: []api.RegionMask{
		{Name: "l", Box: []float64{0, 0, 12, 16}}, {Name: "r", Box: []float64{12, 0, 24, 16}},
	}}
	var steps []*api.RegionSteps
	got, err := c.RegionsPartly(t.Context(), r, nil, func(step *api.RegionSteps) { steps = append(steps, step) })
	if err != nil {
		t.Fatal(err)
	}
	want, err := c.Regions(t.Context(), r, nil)
	if err != nil || want.Regions[0].Labels[0] != got.Regions[0].Labels[0] || want.Regions[1].Dice != got.Regions[1].Dice {
		t.Errorf("%+v, without events %+v, %v", got, want, err)
	}
	if len(steps) == 0 || steps[len(steps)-1].Step != steps[0].Steps {
		t.Fatalf("%d steps", len(steps))
	}
	last := steps[len(steps)-1].Regions
	if len(last) != 2 || last[1].Mask != "r" || len(last[1].Map) != last[1].Rows*last[1].Columns || slices.Max(last[1].Map) != 255 {
		t.Errorf("%+v", last)
	}
	r.Masks[1].Box = []float64{90, 90, 99, 99}
	if _, err := c.RegionsPartly(t.Context(), r, nil, nil); codeOf(err) != "bad-mask" {
		t.Errorf("a mask outside: %v", err)
	}
}

// TestEventsStop: when the client of events leaves, its computation stops.
func TestEventsStop(t *testing.T) {
	s := start(t, func(o *service.Options, _ *Options) { o.Computations = 1 })
	c := clientOf(t, s)
	masks := make([]api.RegionMask, 64)
	for i := range masks {
		masks[i] = api.RegionMask{Box: []float64{0, 0, float64(2 + i%20), 12}}
	}
	ctx, leave := context.WithCancel(t.Context())
	_, err := c.RegionsPartly(ctx, api.RegionRequest{Image: s.id("red.png"), Masks: masks}, nil, func(*api.RegionSteps) { leave() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	eventually(t, func() bool { return s.service.LoadNow().Computing == 0 })
}

// TestEventSchemas: the description says what the data of partial events is.
func TestEventSchemas(t *testing.T) {
	s := start(t, nil)
	var document map[string]any
	s.do("GET", "/openapi.json", nil).status(200).json(&document)
	encoded, err := json.Marshal(document["paths"].(map[string]any)[apiPath+"/regions"])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(encoded), `"text/event-stream":{"x-partial":{"$ref":"#/components/schemas/RegionSteps"}}`) {
		t.Errorf("%s", encoded)
	}
}
