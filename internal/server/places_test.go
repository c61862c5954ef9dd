package server

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evident"
	"evident/internal/filelock"
	"evident/internal/service"
)

// TestPlaces: problems of every kind that has to do with the server's disk name the index, or the file, and never where
// it lies. The harness looks into every answer of every test for such a place.
func TestPlaces(t *testing.T) {
	t.Run("an empty index", func(t *testing.T) {
		s := emptyServer(t)
		for path, body := range map[string]string{
			"/ask": `{"question":"who designed the bridge"}`, "/search/images": `{"query":"red"}`, "/jobs": `{"kind":"index"}`,
		} {
			s.do("POST", apiPath+path, body).named("empty-index")
		}
		s.do("POST", apiPath+"/ask", `{"question":"who designed the bridge","engine":"phrase"}`).named("")
		s.do("GET", "/ask?q=who+designed+the+bridge", nil).status(http.StatusUnprocessableEntity)
	})
	t.Run("a damaged index", func(t *testing.T) {
		s := start(t, nil)
		s.do("POST", apiPath+"/indexes", map[string]any{"name": "copy", "snapshot": s.done("POST", apiPath+"/snapshots", `{}`).Snapshot.Name}).status(201)
		spoil(t, s.index)
		for _, path := range []string{
			"/ask?question=bridge", "/search?query=bridge", "/indexes/default/documents", "/indexes/default/documents/" + s.id("valley.txt"),
			"/indexes/default/documents/" + s.id("valley.txt") + "/text",
		} {
			if a := s.do("GET", apiPath+path, nil); a.StatusCode >= 400 {
				a.named("damaged")
			}
		}
		if job := s.ended("POST", apiPath+"/jobs", `{"kind":"index"}`); job.State == "failed" && job.Error.Code == "internal" {
			t.Errorf("a damaged index is called %s", job.Error.Detail)
		}
	})
	t.Run("a locked index", func(t *testing.T) {
		s := start(t, nil)
		lock, err := filelock.Take(filepath.Join(s.index, "LOCK"))
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release()
		write(t, filepath.Join(s.folder, "late.txt"), []byte("The lighthouse was lit in 1877."))
		job := s.ended("POST", apiPath+"/jobs", `{"kind":"index"}`)
		if job.State != "failed" || job.Error.Code != "locked" || !strings.Contains(job.Error.Detail, `"default"`) {
			t.Errorf("the job ended so: %+v", job.Error)
		}
	})
	t.Run("no models", func(t *testing.T) {
		none := t.TempDir()
		index, err := evident.Open(t.Context(), filepath.Join(t.TempDir(), "index"), evident.Options{
			Create: true, Model: os.DirFS(none), Vision: evident.VisionOptions{Model: os.DirFS(none)},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { index.Close() })
		folder := t.TempDir()
		write(t, filepath.Join(folder, "valley.txt"), []byte(library["valley.txt"]))
		if _, err := index.Add(t.Context(), []string{folder}, evident.AddOptions{}); err != nil {
			t.Fatal(err)
		}
		s := unready(t, func(o *service.Options, _ *Options) {
			o.Indexes[0].Index, o.Folders, o.Used = index, []string{folder}, []string{none}
		})
		s.hidden = append(s.hidden, none)
		s.do("GET", "/readyz", nil).status(http.StatusServiceUnavailable)
		s.do("GET", apiPath+"/status", nil).status(200)
		s.do("POST", apiPath+"/ask", `{"question":"who designed the bridge"}`).named("no-model")
		s.do("POST", apiPath+"/embeddings", `{"texts":["a"]}`).named("no-model")
	})
	t.Run("a folder that cannot be written", func(t *testing.T) {
		keep := filepath.Join(t.TempDir(), "keep")
		write(t, keep, nil)
		s := start(t, func(o *service.Options, _ *Options) {
			o.Indexes, o.Sets = o.Indexes[:1], nil
			o.Keep = filepath.Join(keep, "below")
		})
		s.do("POST", apiPath+"/snapshots", `{}`).named("")
		s.do("POST", apiPath+"/indexes", `{"name":"papers"}`).named("")
	})
	t.Run("a document whose file is gone", func(t *testing.T) {
		s := start(t, nil)
		id := s.id("red.png")
		if err := os.Remove(filepath.Join(s.folder, "red.png")); err != nil {
			t.Fatal(err)
		}
		s.do("GET", apiPath+"/indexes/default/documents/"+id+"/image", nil).named("")
	})
}

// named demands a problem, of a code where one is given, that names no place of the server's disk.
func (a *answer) named(code string) {
	a.t.Helper()
	if a.StatusCode < 400 {
		a.t.Errorf("%s %s: status %d", a.Request.Method, a.Request.URL.Path, a.StatusCode)
	}
	if code != "" {
		a.problem(code)
	}
}

// spoil damages every file of an index, in place.
func spoil(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.batch"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no files: %v", folder, err)
	}
	for _, name := range files {
		file, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		info, err := file.Stat()
		if err == nil {
			_, err = file.WriteAt(make([]byte, info.Size()/2), info.Size()/3)
		}
		if err = errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
