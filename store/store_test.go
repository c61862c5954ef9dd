package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"evident/document"
)

// text is a document of n passages about its number.
func text(number, n int) (*document.Document, []document.Passage) {
	var b strings.Builder
	doc := &document.Document{
		Path: fmt.Sprintf("dir/%d.md", number), Format: "md",
		Title: fmt.Sprint("Title ", number),
	}
	var passages []document.Passage
	for i := range n {
		start := b.Len()
		if i%3 == 0 {
			doc.Headings = append(doc.Headings,
				document.Mark{At: start, Label: fmt.Sprint("Part ", i), Level: 1 + i%2})
		}
		fmt.Fprintf(&b, "Passage number%d of document%d speaks of topic%d and of Zürich. ",
			i, number, (number*7+i)%13)
		span := document.ByteSpan{Start: start, End: b.Len() - 1}
		passages = append(passages, document.Passage{
			Span: span, Page: i,
			Heading: doc.Headings[len(doc.Headings)-1].Label,
		})
		doc.Blocks = append(doc.Blocks, span)
	}
	doc.Text = b.String()
	sum := sha256.Sum256([]byte(doc.Text))
	doc.SHA256 = hex.EncodeToString(sum[:])
	doc.Pages = []document.Mark{{At: 0, Label: "i"}, {At: len(doc.Text), Label: "ii"}}
	return doc, passages
}

func stat(number int) FileStat {
	return FileStat{Size: int64(number), MTimeNS: int64(-number), Inode: 5, SHA256: "ab"}
}

func create(t testing.TB) *Store {
	t.Helper()
	s, err := Create(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func writer(t testing.TB, s *Store) *Writer {
	t.Helper()
	w, err := s.Writer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func put(t testing.TB, w *Writer, number, passages int) {
	t.Helper()
	doc, parts := text(number, passages)
	if err := w.Put(doc, parts, stat(number)); err != nil {
		t.Fatal(err)
	}
}

func commit(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

// holds requires exactly the documents of the given numbers, each with n[number] passages.
func holds(t testing.TB, s *Store, n map[int]int) {
	t.Helper()
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	passages := 0
	for number, count := range n {
		want, parts := text(number, count)
		got, err := s.Document(want.Path)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("document %d is\n%+v, want\n%+v", number, got, want)
		}
		if files[want.Path] != stat(number) {
			t.Fatalf("file of document %d is %+v", number, files[want.Path])
		}
		passages += len(parts)
	}
	stats, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(n) || stats.Documents != len(n) || stats.Passages != passages {
		t.Fatalf("%d files, %+v; want %d documents of %d passages",
			len(files), stats, len(n), passages)
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

// finds requires that searching for a word that only one passage has returns that passage.
func finds(t testing.TB, s *Store, number, passage int) {
	t.Helper()
	hits, err := s.Search(fmt.Sprintf("what says number%d of document%d", passage, number), 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(hits) == 0 {
		t.Fatalf("nothing found for document %d", number)
	}
	p, err := s.Passage(hits[0].Passage)
	if err != nil {
		t.Fatal(err)
	}
	doc, parts := text(number, passage+1)
	want := doc.Text[parts[passage].Span.Start:parts[passage].Span.End]
	if p.Path != doc.Path || p.Text != want || p.Passage != parts[passage] || p.Format != "md" {
		t.Fatalf("found %+v, want passage %d of %s", p, passage, doc.Path)
	}
}

func TestPutReplaceRemove(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	holds(t, s, nil)
	for number := range 5 {
		put(t, w, number, 3+number)
	}
	holds(t, s, nil) // nothing before the commit
	commit(t, w)
	holds(t, s, map[int]int{0: 3, 1: 4, 2: 5, 3: 6, 4: 7})
	finds(t, s, 3, 5)

	put(t, w, 2, 11)
	put(t, w, 2, 2) // the second of one commit counts
	put(t, w, 9, 1)
	if !w.Remove("dir/0.md") || w.Remove("dir/0.md") || w.Remove("never") {
		t.Fatal("Remove does not tell what it removed")
	}
	commit(t, w)
	want := map[int]int{1: 4, 2: 2, 3: 6, 4: 7, 9: 1}
	holds(t, s, want)
	finds(t, s, 2, 1)
	if _, err := s.Document("dir/0.md"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("a removed document gives %v", err)
	}

	put(t, w, 11, 1)
	if err := w.Close(); err != nil { // without commit
		t.Fatal(err)
	}
	again, err := Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	holds(t, again, want)
	batches, _ := filepath.Glob(filepath.Join(s.Dir(), "*"+batchSuffix))
	if stats, _ := again.Stats(); stats.Batches != len(batches) {
		t.Fatalf("%d batches, but the files %v", stats.Batches, batches)
	}
}

func TestDocumentWithoutPassages(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	put(t, w, 1, 0)
	put(t, w, 2, 0)
	commit(t, w)
	holds(t, s, map[int]int{1: 0, 2: 0})
	w.Remove("dir/1.md")
	w.Remove("dir/2.md")
	commit(t, w)
	holds(t, s, nil)
	if hits, err := s.Search("passage", 5); err != nil || len(hits) != 0 {
		t.Fatalf("%v, %v from an empty index", hits, err)
	}
}

func TestSnapshotStays(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	put(t, w, 1, 2)
	commit(t, w)
	old, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer old.Release()
	hits, err := old.Search("document1", 1)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()

	w.Remove("dir/1.md")
	commit(t, w)
	for number := range 20 { // enough for a merge, which removes files
		put(t, w, number+2, 1)
		commit(t, w)
	}
	if p, err := old.Passage(hits[0].Passage); err != nil || p.Path != "dir/1.md" {
		t.Fatalf("the old snapshot gives %v, %v", p, err)
	}
	if _, err := s.Passage(hits[0].Passage); !errors.Is(err, ErrStale) {
		t.Fatalf("a passage of an old generation gives %v", err)
	}
	holds(t, reader, map[int]int{1: 2})
	if changed, err := reader.Refresh(); err != nil || !changed {
		t.Fatalf("refresh: %v, %v", changed, err)
	}
	if changed, err := reader.Refresh(); err != nil || changed {
		t.Fatalf("second refresh: %v, %v", changed, err)
	}
	finds(t, reader, 7, 0)
}

func TestManySmallCommits(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	random := rand.New(rand.NewPCG(1, 2))
	want := map[int]int{}
	commits := 701
	if testing.Short() {
		commits = 101
	}
	most := 0
	for range commits {
		number := random.IntN(211)
		if _, ok := want[number]; ok && random.IntN(3) == 0 {
			w.Remove(fmt.Sprintf("dir/%d.md", number))
			delete(want, number)
		} else {
			want[number] = 1 + random.IntN(5)
			put(t, w, number, want[number])
		}
		commit(t, w)
		stats, err := s.Stats()
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, stats.Batches)
	}
	holds(t, s, want)
	for number, n := range want {
		finds(t, s, number, n-1)
	}
	if most > 2*mergeFactor {
		t.Errorf("up to %d batches at once", most)
	}
}

func TestPassagesOfOneDocumentAreConsecutive(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	for number := range 19 {
		put(t, w, number, 1+number%4)
		commit(t, w)
	}
	now, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer now.Release()
	for number := range 19 {
		doc, parts := text(number, 1+number%4)
		ids, err := now.PassagesOf(doc.Path)
		if err != nil || len(ids) != len(parts) {
			t.Fatalf("%v, %v", ids, err)
		}
		for i, id := range ids {
			p, err := now.Passage(id)
			if err != nil || p.Path != doc.Path || p.Passage != parts[i] || id != ids[0]+PassageID(i) {
				t.Fatalf("passage %d of document %d: %+v, %v", i, number, p, err)
			}
		}
	}
}

func TestOpenAndCreateErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); !errors.Is(err, ErrNoIndex) {
		t.Errorf("an empty folder gives %v", err)
	}
	if _, err := Open(filepath.Join(dir, "absent")); !errors.Is(err, ErrNoIndex) {
		t.Errorf("no folder gives %v", err)
	}
	if _, err := Create(dir, Options{Analyzer: "nonsense"}); err == nil {
		t.Error("an unknown analyser is accepted")
	}
	s, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, Options{}); !errors.Is(err, ErrExists) {
		t.Errorf("a second Create gives %v", err)
	}
	w := writer(t, s)
	_, err = s.Writer()
	var locked *LockedError
	if !errors.Is(err, ErrLocked) || !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("a second writer gives %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = writer(t, s)
	doc, parts := text(1, 2)
	parts[1].Span.End = len(doc.Text) + 1
	if err := w.Put(doc, parts, FileStat{}); err == nil {
		t.Error("a passage outside the text is accepted")
	}
	doc, parts = text(1, 2)
	doc.SHA256 = strings.Repeat("0", 64)
	if err := w.Put(doc, parts, FileStat{}); err == nil {
		t.Error("a wrong hash is accepted")
	}
	s.Close()
	if _, err := s.Search("a", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed store gives %v", err)
	}
}

func TestStaleLockIsNoLock(t *testing.T) {
	s := create(t)
	// What a writer that was killed leaves behind.
	if err := os.WriteFile(filepath.Join(s.Dir(), lockName), []byte("999999\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := writer(t, s)
	put(t, w, 1, 1)
	commit(t, w)
	holds(t, s, map[int]int{1: 1})
}
