package evident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// write puts files, path and content in turn, below dir.
func write(t *testing.T, dir string, files ...string) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// newIndex makes an empty index in a folder of its own.
func newIndex(t *testing.T) *Index {
	t.Helper()
	x, err := Open(t.Context(), filepath.Join(t.TempDir(), "data"), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// add brings x up to date with dir and fails the test on an error.
func add(t *testing.T, x *Index, dir string) *AddReport {
	t.Helper()
	report, err := x.Add(t.Context(), []string{dir}, AddOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// tally is what a report says in one line.
func tally(r *AddReport) string {
	return fmt.Sprintf("%d documents: %d added, %d changed, %d unchanged, %d removed, %d skipped",
		r.Documents, r.Added, r.Changed, r.Unchanged, r.Removed, len(r.Skipped))
}

func wantTally(t *testing.T, r *AddReport, want string) {
	t.Helper()
	if got := tally(r); got != want {
		t.Errorf("report: %s\nwant:   %s", got, want)
	}
}

func TestAddFollowsTheFolder(t *testing.T) {
	dir, x := t.TempDir(), newIndex(t)
	write(t, dir, "a.txt", "The bridge spans the Aare.", "b/c.txt", "Lise Maurer designed it.",
		"b/empty.txt", "", "b/.hidden.txt", "not seen", "junk.bin", "\x00\x01\x02\xff\xfe\x00junk")
	wantTally(t, add(t, x, dir), "2 documents: 2 added, 0 changed, 0 unchanged, 0 removed, 2 skipped")
	wantTally(t, add(t, x, dir), "2 documents: 0 added, 0 changed, 2 unchanged, 0 removed, 2 skipped")

	write(t, dir, "a.txt", "The bridge spans the river Aare.", "d.txt", "It opened in 1931.")
	if err := os.Remove(filepath.Join(dir, "b/c.txt")); err != nil {
		t.Fatal(err)
	}
	wantTally(t, add(t, x, dir), "2 documents: 1 added, 1 changed, 0 unchanged, 1 removed, 2 skipped")

	// A document that turns into something unreadable leaves the index.
	write(t, dir, "d.txt", "\x00\x01\x02\xff\xfe\x00\x00\x00 no longer text")
	wantTally(t, add(t, x, dir), "1 documents: 0 added, 0 changed, 1 unchanged, 1 removed, 3 skipped")
	hits, err := x.Search(t.Context(), "river", SearchOptions{})
	if err != nil || len(hits) != 1 || hits[0].Path != filepath.Join(dir, "a.txt") {
		t.Errorf("hits %+v, error %v", hits, err)
	}
}

func TestAddKeepsOtherFolders(t *testing.T) {
	one, two, x := t.TempDir(), t.TempDir(), newIndex(t)
	write(t, one, "a.txt", "The bridge spans the Aare.")
	write(t, two, "a.txt", "The tower stands in Bern.")
	add(t, x, one)
	wantTally(t, add(t, x, two), "2 documents: 1 added, 0 changed, 0 unchanged, 0 removed, 0 skipped")
	wantTally(t, add(t, x, filepath.Join(one, "a.txt")),
		"2 documents: 0 added, 0 changed, 1 unchanged, 0 removed, 0 skipped")
}

func TestAddLeavesItsOwnFilesAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.txt", "The bridge spans the Aare.")
	x, err := Open(t.Context(), filepath.Join(dir, "data"), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	add(t, x, dir)
	wantTally(t, add(t, x, dir), "1 documents: 0 added, 0 changed, 1 unchanged, 0 removed, 0 skipped")
}

func TestAddListsWhatItCannotRead(t *testing.T) {
	dir, x := t.TempDir(), newIndex(t)
	write(t, dir, "a.txt", "The bridge spans the Aare.",
		"large.txt", strings.Repeat("many words ", 200_000))
	if err := os.Symlink("nowhere", filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	report, err := x.Add(t.Context(), []string{dir}, AddOptions{FileBytesMax: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, s := range report.Skipped {
		reasons = append(reasons, filepath.Base(s.Path)+": "+s.Reason)
	}
	want := []string{"large.txt: larger than the limit of 1 MiB", "link.txt: link to nothing"}
	if !slices.Equal(reasons, want) {
		t.Errorf("skipped %q, want %q", reasons, want)
	}
	// With another limit a skipped file is tried again.
	wantTally(t, add(t, x, dir), "2 documents: 1 added, 0 changed, 1 unchanged, 0 removed, 1 skipped")
}

func TestAddOfNothingThere(t *testing.T) {
	x := newIndex(t)
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	_, err := x.Add(t.Context(), []string{nowhere}, AddOptions{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), nowhere) {
		t.Errorf("error %v", err)
	}
	wantTally(t, add(t, x, t.TempDir()),
		"0 documents: 0 added, 0 changed, 0 unchanged, 0 removed, 0 skipped")
	if _, err := x.Ask(t.Context(), "who?", AskOptions{}); !errors.Is(err, ErrEmptyIndex) {
		t.Errorf("ask of an empty index: %v", err)
	}
}

// An interrupted run keeps what it read, and the next one goes on from there.
func TestAddInterrupted(t *testing.T) {
	dir, x := t.TempDir(), newIndex(t)
	const files = 37
	for i := range files {
		write(t, dir, fmt.Sprintf("%02d.txt", i), fmt.Sprintf("Bridge number %d spans a river.", i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	report, err := x.Add(ctx, []string{dir}, AddOptions{Workers: 3, Progress: func(p Progress) {
		if p.Done == 11 {
			cancel()
		}
		if p.Total != files {
			t.Errorf("progress says %d files", p.Total)
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if report.Documents != 11 || report.Added != 11 {
		t.Errorf("kept: %s", tally(report))
	}
	wantTally(t, add(t, x, dir), fmt.Sprintf(
		"%d documents: %d added, 0 changed, 11 unchanged, 0 removed, 0 skipped", files, files-11))
}

// Neither the number of workers nor the order of the folders changes what is found.
func TestAddIsDeterministic(t *testing.T) {
	dir := t.TempDir()
	for i := range 23 {
		write(t, dir, fmt.Sprintf("%d/%02d.txt", i%3, i),
			strings.Repeat(fmt.Sprintf("Bridge %d spans river %d. ", i, i%7), i+1))
	}
	var first []Hit
	for i, o := range []struct {
		workers int
		paths   []string
	}{{1, []string{dir}}, {7, []string{dir}}, {2, []string{dir + "/2", dir + "/0", dir + "/1"}}} {
		x := newIndex(t)
		if _, err := x.Add(t.Context(), o.paths, AddOptions{Workers: o.workers}); err != nil {
			t.Fatal(err)
		}
		hits, err := x.Search(t.Context(), "which bridge spans river 5", SearchOptions{Top: 4})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = hits
		}
		if fmt.Sprint(hits) != fmt.Sprint(first) {
			t.Errorf("run %d found\n%v\nnot\n%v", i, hits, first)
		}
	}
}

func TestAddWaitsForNobody(t *testing.T) {
	dir, x := t.TempDir(), newIndex(t)
	write(t, dir, "a.txt", "The bridge spans the Aare.")
	add(t, x, dir)
	w, err := x.storage.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	add(t, x, dir) // nothing to write: the lock is not needed
	write(t, dir, "b.txt", "Another.")
	if _, err := x.Add(t.Context(), []string{dir}, AddOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("error %v, want ErrLocked", err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, ErrNoIndex) {
		t.Errorf("no index: %v", err)
	}
	data := filepath.Join(dir, "data")
	x, err := Open(t.Context(), data, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "docs/a.txt", "The bridge spans the Aare.")
	add(t, x, filepath.Join(dir, "docs"))
	x.Close()
	damage := func(pattern string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(data, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v %v", pattern, files, err)
		}
		if err := os.WriteFile(files[0], []byte("no such thing"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	damage("catalog.json") // advice only
	if x, err = Open(t.Context(), data, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Status(); err != nil {
		t.Errorf("status: %v", err)
	}
	x.Close()
	damage("MANIFEST")
	if _, err := Open(t.Context(), data, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
}

func TestStaleAndShow(t *testing.T) {
	dir, x := t.TempDir(), newIndex(t)
	text := "# Bridges\n\nÜber die Aare.\n"
	write(t, dir, "one/notes.md", text, "two/notes.md", "# Towers\n")
	add(t, x, dir)
	d, err := x.Show(t.Context(), "one/notes.md")
	if err != nil {
		t.Fatal(err)
	}
	if d.Text != text || d.Format != "md" || d.Source.Stale || len(d.Headings) != 1 {
		t.Errorf("shown %+v", d)
	}
	_, err = x.Show(t.Context(), "notes.md")
	if err == nil || !strings.Contains(err.Error(), "2 documents") {
		t.Errorf("an ambiguous ending: %v", err)
	}
	if _, err := x.Show(t.Context(), "absent.md"); !errors.Is(err, ErrNoDocument) {
		t.Errorf("an absent document: %v", err)
	}
	write(t, dir, "one/notes.md", text+"More.\n")
	if d, err = x.Show(t.Context(), "one/notes.md"); err != nil || !d.Source.Stale || d.Text != text {
		t.Errorf("after a change: %+v, %v", d, err)
	}
}

func TestTimeLeft(t *testing.T) {
	p := Progress{BytesDone: 10, BytesAll: 40, Elapsed: 5 * time.Second}
	if got := timeLeft(p); got != 15*time.Second {
		t.Errorf("time left %v, want 15s", got)
	}
	if got := timeLeft(Progress{BytesAll: 40, Elapsed: time.Minute}); got != 0 {
		t.Errorf("before anything is done: %v", got)
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		path, folder string
		want         bool
	}{
		{"/a/b", "/a", true},
		{"/a", "/a", true},
		{"/ab", "/a", false},
		{"/a", "/a/b", false},
		{"/a/b", "/", true},
		{"/", "/", true},
	} {
		if got := within(c.path, c.folder); got != c.want {
			t.Errorf("within(%q, %q) = %v", c.path, c.folder, got)
		}
	}
}

// BenchmarkAddUnchanged looks at 1,000 files that did not change.
func BenchmarkAddUnchanged(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		path := filepath.Join(dir, fmt.Sprintf("%d", i%10), fmt.Sprintf("%03d.txt", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("some words ", i)), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	data := filepath.Join(b.TempDir(), "data")
	x, err := Open(b.Context(), data, Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := x.Add(b.Context(), []string{dir}, AddOptions{}); err != nil {
		b.Fatal(err)
	}
	x.Close()
	for b.Loop() { // as the program does it: open, look, close
		x, err := Open(b.Context(), data, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if r, err := x.Add(b.Context(), []string{dir}, AddOptions{}); err != nil || r.Unchanged != 999 {
			b.Fatal(r, err)
		}
		x.Close()
	}
}
