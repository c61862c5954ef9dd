package pack

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestPlaceBesideTheModelIsTaken: the cache goes to the cache folder, and is found there.
func TestPlaceBesideTheModelIsTaken(t *testing.T) {
	dir, o := writeModel(t, 1), Options{Dir: filepath.Join(t.TempDir(), "cache"), Precision: "fp32", Now: later}
	beside := filepath.Join(dir, "evident-fp32.packed")
	if err := os.MkdirAll(filepath.Join(beside, "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := expect(t, "first", os.DirFS(dir), o, Made)
	if filepath.Dir(r.Path) != o.Dir || !strings.HasSuffix(r.Path, "-fp32.packed") {
		t.Errorf("written to %s", r.Path)
	}
	expect(t, "second", os.DirFS(dir), o, Used)
	for _, name := range list(t, dir) {
		if strings.HasSuffix(name, unfinished) {
			t.Errorf("%s was left", name)
		}
	}
}

func TestReadOnlyFolder(t *testing.T) {
	dir, o := writeModel(t, 1), Options{Dir: t.TempDir(), Precision: "fp32", Now: later}
	for _, folder := range []string{dir, o.Dir} {
		if err := os.Chmod(folder, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(folder, 0o700) })
	}
	if f, err := os.CreateTemp(dir, ""); err == nil {
		f.Close()
		t.Skip("NOT TESTED: this user may write to read-only folders")
	}
	if r := expect(t, "both read-only", os.DirFS(dir), o, Failed); r.Cause == nil {
		t.Error("no cause")
	}
	if err := os.Chmod(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	expect(t, "the model read-only", os.DirFS(dir), o, Made)
	expect(t, "the model read-only, again", os.DirFS(dir), o, Used)
}

// TestNoPlaceAtAll: neither folder takes a file, whoever asks.
func TestNoPlaceAtAll(t *testing.T) {
	dir := writeModel(t, 1)
	blocked := filepath.Join(t.TempDir(), "file")
	write(t, blocked, nil)
	if err := os.MkdirAll(filepath.Join(dir, "evident-fp32.packed", "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: filepath.Join(blocked, "cache"), Precision: "fp32", Now: later}
	for range 2 {
		if r := expect(t, "no place", os.DirFS(dir), o, Failed); r.Cause == nil || r.Path != "" {
			t.Errorf("report %v", r)
		}
	}
}

// TestWhoMayRead: beside a model, whoever may read the model.
func TestWhoMayRead(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o644, 0o755} {
		dir, o := writeModel(t, 1), Options{Dir: t.TempDir(), Precision: "fp32", Now: later}
		if err := os.Chmod(filepath.Join(dir, "model.safetensors"), mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(expect(t, "first", os.DirFS(dir), o, Made).Path)
		if err != nil || info.Mode().Perm() != mode&0o644 {
			t.Errorf("a model of mode %v has a cache of mode %v, %v", mode, info.Mode(), err)
		}
	}
}

// TestConcurrentLoads: many loads of one process begin without a file and end with one.
func TestConcurrentLoads(t *testing.T) {
	dir, o := writeModel(t, 1), Options{Dir: t.TempDir(), Precision: "fp32", Now: later}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 5 {
				if r, _ := load(t, os.DirFS(dir), o); r.State != Made && r.State != Used {
					t.Errorf("report %v", r)
				}
			}
		})
	}
	all.Wait()
	expect(t, "then", os.DirFS(dir), o, Used)
}
