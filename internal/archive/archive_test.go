package archive

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"evident/internal/durable"
)

var content = map[string][]byte{
	"MANIFEST": []byte("one"), "a/b": bytes.Repeat([]byte("two "), 1000), "empty": {},
}

var order = []string{"MANIFEST", "a/b", "empty"}

func write(t testing.TB, w *Writer) *Summary {
	t.Helper()
	for _, name := range order {
		if err := w.Put(name, content[name]); err != nil {
			t.Fatal(err)
		}
	}
	s, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func writeFile(t testing.TB) (string, *Summary) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.tar")
	w, err := NewFile(durable.Disk{}, path)
	if err != nil {
		t.Fatal(err)
	}
	return path, write(t, w)
}

// memory collects what is read.
type memory struct {
	bytes.Buffer
	files map[string][]byte
	name  string
}

func (m *memory) Close() error {
	m.files[m.name] = m.Bytes()
	return nil
}

func read(path string) (map[string][]byte, *Summary, error) {
	files := map[string][]byte{}
	s, err := Read(context.Background(), path, func(name string) (File, error) {
		return &memory{files: files, name: name}, nil
	})
	return files, s, err
}

func same(files map[string][]byte) bool { return maps.EqualFunc(files, content, bytes.Equal) }

func TestRoundTrip(t *testing.T) {
	file, wrote := writeFile(t)
	dir := t.TempDir()
	alsoWrote := write(t, NewFolder(durable.Disk{}, dir))
	if *wrote != *alsoWrote || wrote.Files != 3 || wrote.Bytes != 4003 {
		t.Errorf("%+v and %+v", wrote, alsoWrote)
	}
	for _, path := range []string{file, dir} {
		got, s, err := read(path)
		if err != nil || *s != *wrote || !same(got) {
			t.Errorf("%s: %+v, %v", path, s, err)
		}
	}
	again, _ := writeFile(t)
	one, _ := os.ReadFile(file)
	two, _ := os.ReadFile(again)
	if !bytes.Equal(one, two) {
		t.Error("the same files give another archive")
	}
}

// Whatever is changed or cut off a tar file: either it is refused as damaged, or it was of no account.
func TestEveryChangeOfAFileIsNoticed(t *testing.T) {
	path, _ := writeFile(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	check := func(what string, at int, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, _, err := read(path)
		var damage *durable.DamagedError
		switch {
		case errors.As(err, &damage):
			refused++
		case err != nil || !same(got):
			t.Fatalf("%s at %d of %d: %v", what, at, len(whole), err)
		}
	}
	for at := 0; at < len(whole); at += 5 {
		data := bytes.Clone(whole)
		data[at] ^= 0x11
		check("changed", at, data)
	}
	if refused < 4003/5 {
		t.Errorf("only %d of %d changes were refused", refused, len(whole))
	}
	for at := 0; at < len(whole)-2048; at += 41 {
		before := refused
		check("cut", at, whole[:at])
		if refused == before {
			t.Errorf("cut to %d of %d bytes, and nobody saw", at, len(whole))
		}
	}
}

func TestChangesOfAFolderAreNoticed(t *testing.T) {
	for what, change := range map[string]func(dir string) error{
		"a changed file": func(dir string) error { return os.WriteFile(filepath.Join(dir, "a/b"), []byte("x"), 0o600) },
		"a missing file": func(dir string) error { return os.Remove(filepath.Join(dir, "empty")) },
		"no list":        func(dir string) error { return os.Remove(filepath.Join(dir, sumsName)) },
		"an empty list":  func(dir string) error { return os.Truncate(filepath.Join(dir, sumsName), 0) },
		"a cut list":     func(dir string) error { return os.Truncate(filepath.Join(dir, sumsName), 99) },
		"a folder for a file": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "empty")), os.Mkdir(filepath.Join(dir, "empty"), 0o700))
		},
	} {
		dir := t.TempDir()
		write(t, NewFolder(durable.Disk{}, dir))
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		_, _, err := read(dir)
		var damage *durable.DamagedError
		if !errors.As(err, &damage) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := read(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no archive: %v", err)
	}
}

func TestNamesThatLeadOutAreRefused(t *testing.T) {
	for _, name := range []string{"../x", "/x", "", "a/../x", "a\nb"} {
		if err := NewFolder(durable.Disk{}, t.TempDir()).Put(name, nil); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	path, _ := writeFile(f)
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		files, _, err := read(path)
		for name := range files {
			if !fs.ValidPath(name) {
				t.Fatalf("a file is called %q (%v)", name, err)
			}
		}
	})
}

// FuzzList reads any bytes as the list of checksums of a folder: no file outside it is ever asked for.
func FuzzList(f *testing.F) {
	whole := f.TempDir()
	write(f, NewFolder(durable.Disk{}, whole))
	list, err := os.ReadFile(filepath.Join(whole, sumsName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(list)
	f.Add(bytes.Replace(list, []byte("a/b"), []byte("../b"), 1))
	f.Fuzz(func(t *testing.T, list []byte) {
		dir := t.TempDir()
		write(t, NewFolder(durable.Disk{}, dir))
		if err := os.WriteFile(filepath.Join(dir, sumsName), list, 0o600); err != nil {
			t.Fatal(err)
		}
		files, _, err := read(dir)
		for name, data := range files {
			if !fs.ValidPath(name) || err == nil && !bytes.Equal(data, content[name]) {
				t.Fatalf("%q, which has %d bytes (%v)", name, len(data), err)
			}
		}
	})
}
