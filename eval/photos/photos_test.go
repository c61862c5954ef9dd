package photos

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files of a small set; the manifest's first photo has two cats, a dog and the sky.
var files = map[string]string{
	"manifest.jsonl": `{"image": "a.png", "width": 3, "height": 2, "labels": ["cat"], "masks": [` +
		`{"class": "cat", "rle": {"size": [2, 3], "counts": [0, 1, 5]}}, ` +
		`{"class": "sky", "isthing": 0, "rle": {"size": [2, 3], "counts": [0, 6]}}, ` +
		`{"class": "dog", "isthing": 1, "rle": {"size": [2, 3], "counts": "42"}}, ` +
		`{"class": "cat", "rle": {"size": [2, 3], "counts": [1, 1, 4]}}]}` + "\n\n" +
		`{"image": "sub/b.png", "captions": ["a dog", "two dogs"], "split": "val", "class_index": 7, ` +
		`"boxes": [{"class": "dog", "box": [0, 1, 2, 3]}]}` + "\n",
	"a.png":     "first",
	"sub/b.png": "second",
}

func writeTar(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for file, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: "./" + file, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "set")
	for file, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestOpen: a folder and a tar file of the same files are the same set.
func TestOpen(t *testing.T) {
	for _, path := range []string{writeTar(t, "set.tar", files), writeFolder(t, files)} {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if s.Name != "set" || len(s.Photos) != 2 || s.Photos[1].Line != 2 || *s.Photos[1].Class != 7 {
			t.Fatalf("%s: %q, %+v", path, s.Name, s.Photos)
		}
		for i, want := range []string{"first", "second"} {
			for range 2 {
				if got, err := s.Read(&s.Photos[i]); string(got) != want || err != nil {
					t.Errorf("%s: photo %d is %q, %v", path, i, got, err)
				}
			}
		}
		regions, err := s.Photos[0].Regions()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range regions {
			got = append(got, fmt.Sprint(r.Name, " ", r.Area()))
		}
		if want := []string{"cat 2", "dog 2"}; !slices.Equal(got, want) {
			t.Errorf("%s: regions %v, want %v", path, got, want)
		}
		if b := s.Photos[1].Boxes; len(b) != 1 || b[0].Box != [4]float64{0, 1, 2, 3} {
			t.Errorf("%s: boxes %v", path, b)
		}
	}
}

func TestWrongSets(t *testing.T) {
	with := func(manifest string) map[string]string { return map[string]string{"manifest.jsonl": manifest} }
	for want, path := range map[string]string{
		"no manifest.jsonl":          writeFolder(t, map[string]string{"a.png": "x"}),
		"it has no manifest.jsonl":   writeTar(t, "a.tar", map[string]string{"a.png": "x"}),
		"line 1: no image":           writeFolder(t, with(`{"width": 3}`)),
		"line 2:":                    writeTar(t, "b.tar", with("{\"image\": \"a\"}\n{")),
		"is empty":                   writeTar(t, "c.tar", with("\n")),
		"does not fit":               writeFolder(t, with(`{"image": "a", "masks": [{"rle": {"size": [1, 1], "counts": [2]}}]}`)),
		"neither a folder nor a tar": filepath.Join(writeFolder(t, files), "a.png"),
		"no such file":               filepath.Join(t.TempDir(), "absent"),
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	leaving := with(`{"image": "../a.png"}`)
	for _, path := range []string{writeTar(t, "d.tar", leaving), writeFolder(t, leaving)} {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "a.png"), []byte("outside"), 0o644); err != nil {
			t.Fatal(err)
		}
		if data, err := s.Read(&s.Photos[0]); err == nil {
			t.Errorf("%s: a file outside of the set is read: %q", path, data)
		}
	}
	long := strings.Repeat("x", 2000)
	cut := writeTar(t, "e.tar", map[string]string{"a.png": long, "manifest.jsonl": long})
	if err := os.Truncate(cut, 3000); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cut); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("a tar file that ends early: %v", err)
	}
}

// TestParts: no photo is chosen by and reported on, whatever the set.
func TestParts(t *testing.T) {
	for name, want := range map[string][3]int{
		"coco-seg": {48, 8, 40}, "voc2007-boxes": {24, 12, 60}, "mine": {96, 0, 0},
	} {
		s := &Set{Name: name, Photos: make([]Photo, 96)}
		for i := range s.Photos {
			s.Photos[i].Line = i
		}
		var got [3]int
		seen := map[int]bool{}
		for i, part := range []Part{Test, Choose, Train} {
			photos, err := s.Select(part, 0, 1)
			if (err != nil) != (want[i] == 0) {
				t.Errorf("%s %s: %v", name, part, err)
			}
			got[i] = len(photos)
			for _, p := range photos {
				if seen[p.Line] {
					t.Errorf("%s: line %d has two parts", name, p.Line)
				}
				seen[p.Line] = true
			}
		}
		if got != want {
			t.Errorf("%s: %v photos of test, choose, train; want %v", name, got, want)
		}
	}
	s := &Set{Name: "coco-seg", Photos: []Photo{
		{Split: "test"}, {Line: 1, Split: "train"}, {Line: 2, Split: "val"}, {Line: 3}, {Line: 5, Split: "spare"},
	}}
	for part, line := range map[Part]int{Test: 0, Train: 1, Choose: 2} {
		if photos, err := s.Select(part, 0, 1); err != nil || len(photos) != 1 || photos[0].Line != line {
			t.Errorf("a split goes before a line: %s has %v, %v", part, photos, err)
		}
	}
	if _, err := ParsePart("half"); err == nil {
		t.Error(`"half" is a part`)
	}
}

// TestSelect: a draw is the same for one seed and in order.
func TestSelect(t *testing.T) {
	s := &Set{Photos: make([]Photo, 50)}
	for i := range s.Photos {
		s.Photos[i].Line = i
	}
	draw := func(seed uint64) (drawn []int) {
		photos, err := s.Select(All, 7, seed)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range photos {
			drawn = append(drawn, p.Line)
			if i > 0 && drawn[i] <= drawn[i-1] {
				t.Errorf("not in order: %v", drawn)
			}
		}
		return drawn
	}
	a, b, c := draw(1), draw(1), draw(2)
	if len(a) != 7 || !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Errorf("drawn %v, %v and, with another seed, %v", a, b, c)
	}
}

func TestSpoken(t *testing.T) {
	if Spoken("tvmonitor") != "tv monitor" || Spoken("hot dog") != "hot dog" {
		t.Error("class names are said wrongly")
	}
}

// memory is a set in memory.
type memory map[string]string

func (m memory) Close() error { return nil }

func (m memory) open(name string) (io.ReadCloser, int64, error) {
	text, ok := m[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(strings.NewReader(text)), int64(len(text)), nil
}

// FuzzManifest: whatever a manifest says, reading it ends, and a region has the pixels that it claims.
func FuzzManifest(f *testing.F) {
	f.Add(files["manifest.jsonl"])
	f.Add(`{"image": "a", "masks": [{"rle": {"size": [1000000, 1000000], "counts": [1000000000000]}}]}`)
	f.Add("{\"image\": \"\"}\n\n{}")
	f.Fuzz(func(t *testing.T, manifest string) {
		s := &Set{files: memory{"manifest.jsonl": manifest}}
		if err := s.readManifest(); err != nil {
			return
		}
		for i := range s.Photos {
			regions, err := s.Photos[i].Regions()
			if err != nil {
				continue
			}
			for _, r := range regions {
				if len(r.Bits) != r.Width*r.Height {
					t.Fatalf("a region of %d x %d has %d pixels", r.Width, r.Height, len(r.Bits))
				}
			}
		}
	})
}

// FuzzTar: no tar file does more than fail to open.
func FuzzTar(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "manifest.jsonl", Mode: 0o644, Size: 14})
	_, _ = w.Write([]byte(`{"image": "a"}`))
	_ = w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "set.tar")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			return
		}
		defer s.Close()
		for i := range s.Photos {
			_, _ = s.Read(&s.Photos[i])
		}
	})
}
