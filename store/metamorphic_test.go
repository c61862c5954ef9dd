package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"evident/internal/faultdisk"
	"evident/internal/unprivileged"
)

// life is one way in which an index came to hold what it holds.
type life struct {
	seed    uint64 // of the order of documents
	commit  int    // documents between two commits
	restart int    // commits between two writers; 0 means one for all
	detours bool   // documents come in another version first, and others that go again
}

// lived makes an index of the documents 0 to n-1 in that way.
func (l life) lived(t *testing.T, n int) *Store {
	t.Helper()
	s := create(t)
	s.fs = faultdisk.Hasty{}
	random := rand.New(rand.NewPCG(l.seed, 1))
	order := random.Perm(n)
	w := writer(t, s)
	commits := 0
	for i, number := range order {
		if l.detours {
			put(t, w, number, 1+(number+1)%4)
			put(t, w, n+number, 2)
			if random.IntN(2) == 0 {
				commit(t, w)
			}
			w.Remove(fmt.Sprintf("dir/%d.md", n+number))
		}
		put(t, w, number, 1+number%4)
		if (i+1)%l.commit == 0 {
			commit(t, w)
			if commits++; l.restart > 0 && commits%l.restart == 0 {
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				w = writer(t, s)
			}
		}
	}
	commit(t, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// answers are what an index says to some questions: passages and scores, those of one score in the order
// of their texts, because they are ranked by when they came.
func answers(t *testing.T, s *Store) []string {
	t.Helper()
	var all []string
	for _, question := range []string{
		"passage", "what is topic5 of Zürich", "number2 of document17", "document4 topic7 title", "nothing such",
	} {
		hits, err := s.Search(question, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, h := range hits {
			p, err := s.Passage(h.Passage)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, fmt.Sprintf("%08.5f %s %+v %s %s", h.Score, p.Path, p.Passage, p.SHA256, p.Text))
		}
		if !slices.IsSortedFunc(hits, func(a, b Hit) int { return cmp.Compare(b.Score, a.Score) }) {
			t.Errorf("%q: the hits are not in the order of their scores", question)
		}
		slices.Sort(found)
		all = append(all, strings.Join(found, "\n"))
	}
	return all
}

// TestHowAnIndexCameToBeChangesNoAnswer: the order of documents, how many go into a commit, merges,
// restarts of the writer, versions that were replaced and documents that were removed.
func TestHowAnIndexCameToBeChangesNoAnswer(t *testing.T) {
	const documents = 41
	plain := life{commit: documents}.lived(t, documents)
	want := answers(t, plain)
	wantFiles, err := plain.Files()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(want[0], "dir/40.md") || want[4] != "" {
		t.Fatalf("the questions ask nothing: %q", want)
	}
	for name, l := range map[string]life{
		"another order":             {seed: 2, commit: documents},
		"a commit a document":       {commit: 1}, // merges on the way
		"another order, in threes":  {seed: 3, commit: 3},
		"a writer a commit":         {seed: 4, commit: 5, restart: 1},
		"detours":                   {seed: 5, commit: documents, detours: true},
		"detours, a commit a piece": {seed: 6, commit: 1, restart: 7, detours: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := l.lived(t, documents)
			compare := func(s *Store) {
				t.Helper()
				for i, got := range answers(t, s) {
					if got != want[i] {
						t.Errorf("question %d: got\n%s\nwant\n%s", i, got, want[i])
					}
				}
				files, err := s.Files()
				if err != nil || !maps.Equal(files, wantFiles) {
					t.Errorf("the files differ: %v", err)
				}
			}
			compare(s)
			again, err := Open(s.Dir())
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			compare(again)
			if err := again.Verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReadOnlyFolderIsLeftAsItIs: without the right to write an index can be asked, and a writer is an
// error that says so.
func TestReadOnlyFolderIsLeftAsItIs(t *testing.T) {
	dir := smallIndex(t)
	if err := unprivileged.Here(); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	before := readFolder(t, dir)
	if err := errors.Join(os.Remove(filepath.Join(dir, lockName)), os.Chmod(dir, 0o555)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Writer(); !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
		t.Errorf("a writer of a read-only folder gives %v", err)
	}
	if hits, err := s.Search("passage", 3); err != nil || len(hits) != 3 {
		t.Errorf("%d hits, %v", len(hits), err)
	}
	if !reflect.DeepEqual(readFolder(t, dir), before) {
		t.Error("the folder has changed")
	}
}
