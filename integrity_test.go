package evident

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evident/internal/durable"
	"evident/store"
	"evident/vector"
)

// wholeIndex is an index of n documents with vectors beside them, as phrases lie there.
func wholeIndex(t *testing.T, n int) (docs, dir string) {
	t.Helper()
	docs, dir = t.TempDir(), filepath.Join(t.TempDir(), "idx")
	for i := range n {
		text := fmt.Sprintf("The bridge number%d of %d spans the Aare.", i, n)
		if err := os.WriteFile(filepath.Join(docs, fmt.Sprint(i, ".txt")), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addAll(t, docs, dir)
	entries, err := entriesOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := vector.Create(filepath.Join(dir, phraseFolder), vector.Settings{Dim: 3, Fine: true})
	if err != nil {
		t.Fatal(err)
	}
	defer vectors.Close()
	w, err := vectors.Writer()
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		items := []vector.Item{{ID: uint64(i), Vector: []float32{1, float32(i), float32(n)}}}
		if err := w.Put(e.SHA256+":1:0", items); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return docs, dir
}

func addAll(t *testing.T, docs, dir string) *AddReport {
	t.Helper()
	index, err := Open(context.Background(), dir, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	report, err := index.Add(context.Background(), []string{docs}, AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// filesBelow returns the files of a folder by their path in it, locks left out.
func filesBelow(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "LOCK" {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestRepairEveryFileOfAnIndex breaks each file in each way. The check names the file, the repair leaves
// an index that is whole, keeps the damaged file, and after indexing again nothing is missing.
func TestRepairEveryFileOfAnIndex(t *testing.T) {
	docs, whole := wholeIndex(t, 5)
	_, other := wholeIndex(t, 4)
	files, others := filesBelow(t, whole), filesBelow(t, other)
	if len(files) != 6 {
		t.Fatalf("the files of an index are %v", slices.Sorted(maps.Keys(files)))
	}
	for name, content := range files {
		flip := bytes.Clone(content)
		flip[len(flip)/2] ^= 4
		for what, data := range map[string][]byte{
			"flipped byte": flip, "truncated": content[:len(content)/2], "missing": nil,
			"zeroed": make([]byte, len(content)), "of another index": others[name],
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "idx")
				copyFiles(t, dir, files)
				path := filepath.Join(dir, filepath.FromSlash(name))
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if data != nil {
					if err := os.WriteFile(path, data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				mends(t, docs, dir, name, what, data)
			})
		}
	}
}

// harmless are changes that leave a whole index: what can be done without may be missing, and which
// folders a catalogue names is the user's.
var harmless = []string{
	"MANIFEST.copy missing", "catalog.json missing", "catalog.json of another index",
}

func mends(t *testing.T, docs, dir, name, what string, data []byte) {
	ctx := context.Background()
	found, err := CheckIndex(ctx, dir, IntegrityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	isFile := func(f IndexFault) bool { return f.File == name && f.Remedy != "" && f.Detail != "" }
	expected := slices.Contains(harmless, name+" "+what)
	if name == "phrases/MANIFEST" && what == "of another index" { // then its segment does not fit
		isFile = func(f IndexFault) bool { return strings.HasPrefix(f.File, phraseFolder) }
	}
	if expected != found.Whole() || !expected && !slices.ContainsFunc(found.Faults, isFile) {
		t.Fatalf("the faults are %+v", found.Faults)
	}
	done, err := RepairIndex(ctx, dir, IntegrityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if data != nil && !expected {
		kept, err := os.ReadFile(filepath.Join(done.Aside, filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(kept, data) {
			t.Errorf("the damaged file was not kept: %v", err)
		}
	}
	if done.Phrases != strings.HasPrefix(name, phraseFolder) {
		t.Errorf("phrases are said to be lost: %v", done.Phrases)
	}
	after, err := CheckIndex(ctx, dir, IntegrityOptions{})
	if err != nil || !after.Whole() {
		t.Fatalf("after the repair: %+v, %v", after, err)
	}
	if report := addAll(t, docs, dir); report.Documents != 5 || report.Added != len(done.ReadAgain)+done.ReadUnnamed {
		t.Errorf("after indexing again: %+v; the repair listed %v and %d", report, done.ReadAgain, done.ReadUnnamed)
	}
	index, err := Open(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	for i := range 5 {
		hits, err := index.Search(ctx, fmt.Sprintf("number%d", i), SearchOptions{})
		if err != nil || len(hits) != 1 {
			t.Errorf("document %d: %d hits, %v", i, len(hits), err)
		}
	}
}

func copyFiles(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Every byte of a catalogue counts.
func TestCatalogIsChecked(t *testing.T) {
	dir := t.TempDir()
	c := newCatalog()
	c.Roots = []catalogRoot{{Path: `/a,"crc32c":"`, Absolute: true}}
	c.Skips["/a/b"] = skipRecord{Size: 7, Reason: "empty"}
	if err := c.save(durable.Disk{}, dir); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, catalogName))
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseCatalog(content)
	if err != nil || !slices.Equal(got.Roots, c.Roots) || !maps.Equal(got.Skips, c.Skips) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range content {
		broken := bytes.Clone(content)
		broken[i] ^= 1
		if _, err := parseCatalog(broken); err == nil {
			t.Errorf("byte %d changed and nobody saw", i)
		}
	}
	if _, err := parseCatalog([]byte(`{"version":2,"roots":null,"skips":{}}`)); err != nil {
		t.Errorf("a catalogue of an older program: %v", err)
	}
}

func TestCommonFolder(t *testing.T) {
	for want, paths := range map[string][]string{
		"": nil, "/a": {"/a/x", "/a/b/y"}, "/a/b": {"/a/b/x"}, "/": {"/a/x", "/ab/y"},
	} {
		var entries []store.Entry
		for _, path := range paths {
			entries = append(entries, store.Entry{Path: path})
		}
		if got := commonFolder(entries); got != want {
			t.Errorf("of %v: %q, want %q", paths, got, want)
		}
	}
}

func FuzzCatalog(f *testing.F) {
	f.Add([]byte(`{"version":2,"roots":[{"path":"/a","absolute":true}],"skips":{"/a/b":{"size":7}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		signed := slices.Concat(body, []byte(catalogSumField+catalogSum(body)+catalogSumEnd))
		for _, content := range [][]byte{body, signed} {
			if c, err := parseCatalog(content); err == nil && c.Skips == nil {
				t.Error("a catalogue without a list of skips")
			}
		}
	})
}
