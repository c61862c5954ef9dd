package pack

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestChangedModelIsSeen changes a model in ways that leave little behind.
func TestChangedModelIsSeen(t *testing.T) {
	const name = "model.safetensors"
	long := func(b byte) []byte { return bytes.Repeat([]byte{b}, 3*edge) }
	stamps := func(t *testing.T, path string) time.Time {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	for what, change := range map[string]func(t *testing.T, dir string){
		"written again": func(t *testing.T, dir string) { write(t, filepath.Join(dir, name), long(2)) },
		"one byte in the middle, and dated back": func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			before := stamps(t, path)
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte{9}, edge+edge/2); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, before, before); err != nil {
				t.Fatal(err)
			}
		},
		"replaced, and dated back": func(t *testing.T, dir string) {
			path, aside := filepath.Join(dir, name), filepath.Join(dir, "aside")
			before := stamps(t, path)
			write(t, aside, long(2))
			if err := os.Chtimes(aside, before, before); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(aside, path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for clock, now := range map[string]func() time.Time{"settled": later, "fresh": time.Now} {
			t.Run(what+"/"+clock, func(t *testing.T) {
				dir, o := t.TempDir(), Options{Dir: t.TempDir(), Precision: "fp32", Now: now}
				write(t, filepath.Join(dir, name), long(1))
				p := plan{folder: os.DirFS(dir), files: []string{name}, now: now}
				first, err := p.identify()
				if err != nil {
					t.Fatal(err)
				}
				expect(t, "first", os.DirFS(dir), o, Made)
				expect(t, "second", os.DirFS(dir), o, Used)
				change(t, dir)
				if second, err := p.identify(); err != nil || first == second {
					t.Fatalf("the identity is the same: %v", err)
				}
				expect(t, "changed", os.DirFS(dir), o, Made)
			})
		}
	}
}

// TestAnotherModelOfTheSameName: a folder is put in the place of another, cache and all.
func TestAnotherModelOfTheSameName(t *testing.T) {
	root, o := t.TempDir(), Options{Dir: t.TempDir(), Precision: "fp32", Now: later}
	place, spare := filepath.Join(root, "model"), filepath.Join(root, "spare")
	for dir, seed := range map[string]byte{place: 1, spare: 2} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "model.safetensors"), bytes.Repeat([]byte{seed}, 1000))
	}
	r := expect(t, "first", os.DirFS(place), o, Made)
	if err := os.Rename(r.Path, filepath.Join(spare, filepath.Base(r.Path))); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(place); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(spare, place); err != nil {
		t.Fatal(err)
	}
	expect(t, "second", os.DirFS(place), o, Made) // load checks that the sections are its own
	expect(t, "third", os.DirFS(place), o, Used)
}

// TestModelChangedWhileRead: sections of the old bytes must not be kept under the new ones' identity.
func TestModelChangedWhileRead(t *testing.T) {
	dir, o := writeModel(t, 1), Options{Dir: t.TempDir(), Precision: "fp32", Now: later}
	c := Open(os.DirFS(dir), []string{"model.safetensors"}, o)
	if _, err := c.Section(keyOf(7), func() ([]byte, error) {
		write(t, filepath.Join(dir, "model.safetensors"), bytes.Repeat([]byte{2}, 1000))
		return contentOf(1, 7), nil
	}); err != nil {
		t.Fatal(err)
	}
	c.Keep()
	if r := c.Report(); r.State != Failed {
		t.Errorf("report %v", r)
	}
	expect(t, "then", os.DirFS(dir), o, Made)
}
