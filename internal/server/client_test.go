package server

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"path/filepath"
	"testing"

	"evident"
	"evident/api"
	"evident/client"
	"evident/internal/service"
)

func TestClient(t *testing.T) {
	s := start(t, nil)
	c, err := client.New(s.URL+"/", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	answer, err := c.Ask(ctx, api.AskRequest{Question: "who designed the bridge", Threshold: -1})
	if err != nil || len(answer.Answers) == 0 {
		t.Fatalf("%+v, %v", answer, err)
	}
	e := answer.Answers[0].Evidence
	text, err := c.Text(ctx, "default", e.Source.ID)
	if err != nil || text[e.Text.Byte[0]:e.Text.Byte[1]] != e.Text.Exact {
		t.Errorf("the text does not hold the quotation: %v", err)
	}
	again, err := c.Evidence(ctx, "default", e.Source.ID, e.Text.Byte[0], e.Text.Byte[1])
	if err != nil || again.Text.Exact != e.Text.Exact {
		t.Errorf("evidence %+v, %v", again, err)
	}
	if d, err := c.Document(ctx, "default", e.Source.ID); err != nil || d.Source.SHA256 != e.Source.SHA256 {
		t.Errorf("document %+v, %v", d, err)
	}
	if found, err := c.Search(ctx, api.SearchRequest{Query: "crowns"}); err != nil || len(found.Hits) != 1 {
		t.Errorf("search %+v, %v", found, err)
	}
	paths := 0
	for d, err := range c.Documents(ctx, "default", api.DocumentQuery{Limit: 2}) {
		if err != nil || d.Path == "" {
			t.Fatal(err)
		}
		paths++
	}
	if paths != 5 {
		t.Errorf("%d documents", paths)
	}
	if status, err := c.Status(ctx); err != nil || !status.Ready {
		t.Errorf("status %+v, %v", status, err)
	}
	file := picture(t, 40, 24, image.Black)
	explained, err := c.Explain(ctx, api.ExplainRequest{Texts: []string{"a dot", "a dog"}, Each: true}, bytes.NewReader(file))
	if err != nil || len(explained.Maps) != 2 {
		t.Fatalf("explanation %+v, %v", explained, err)
	}
	overlay, err := c.Overlay(ctx, explained.ID, api.OverlayQuery{Layout: "heat", Side: 64, Bare: true})
	if _, decodeErr := png.Decode(bytes.NewReader(overlay)); err != nil || decodeErr != nil {
		t.Errorf("overlay %v, %v", err, decodeErr)
	}
	if like, err := c.SearchImages(ctx, api.ImageSearchRequest{Top: 1}, bytes.NewReader(file)); err != nil || len(like.Hits) != 1 {
		t.Errorf("like %+v, %v", like, err)
	}
	if v, err := c.Embed(ctx, api.EmbeddingRequest{Texts: []string{"a"}}, nil); err != nil || len(v.Vectors) != 1 {
		t.Errorf("vectors %+v, %v", v, err)
	}
}

// TestClientErrors: an error on this side is the one on the other.
func TestClientErrors(t *testing.T) {
	s := start(t, func(o *service.Options, _ *Options) { o.Computations, o.QueueMax = 1, 1 })
	c, err := client.New(s.URL, client.Options{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	var p *api.Problem
	if _, err = c.Document(t.Context(), "default", "0000000000000000"); !errors.Is(err, evident.ErrNoDocument) || !errors.As(err, &p) || p.Hint == "" {
		t.Errorf("got %v", err)
	}
	if _, err = c.Ask(t.Context(), api.AskRequest{Question: "who", Index: "none"}); !errors.Is(err, evident.ErrNoIndex) {
		t.Errorf("got %v", err)
	}
	if _, err = c.Explain(t.Context(), api.ExplainRequest{Texts: []string{"a"}}, bytes.NewReader([]byte("no"))); !errors.Is(err, api.ErrNotImage) {
		t.Errorf("got %v", err)
	}
	if _, err := client.New("127.0.0.1:8317", client.Options{}); err == nil {
		t.Error("an address without a scheme was taken")
	}
	locked, _, admin := withKeys(t)
	c, err = client.New(locked.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, api.ErrKey) {
		t.Errorf("got %v", err)
	}
	c, err = client.New(locked.URL, client.Options{Key: admin})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestClientJob(t *testing.T) {
	s := start(t, nil)
	c, err := client.New(s.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.folder, "new.txt"), []byte("The harbour was built in 1804."))
	job, err := c.StartJob(t.Context(), api.JobRequest{Kind: "index"}, "")
	if err != nil {
		t.Fatal(err)
	}
	var last *api.Job
	for state, err := range c.Watch(t.Context(), job.ID) {
		if err != nil {
			t.Fatal(err)
		}
		last = state
	}
	if last == nil || last.State != "done" || last.Result.Added != 1 {
		t.Errorf("it ended as %+v", last)
	}
	if again, err := c.Job(t.Context(), job.ID); err != nil || again.State != "done" {
		t.Errorf("job %+v, %v", again, err)
	}
	for _, err := range c.Watch(t.Context(), "000000000000000000") {
		if err == nil {
			t.Error("a job that is not there was watched")
		}
	}
}
