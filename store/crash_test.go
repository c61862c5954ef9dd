package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"evident/internal/faultdisk"
)

// What a child process does is told in its environment: crashDir names the index it writes to until it
// is killed, readDir the one it reads.
const (
	crashDir = "EVIDENT_TEST_CRASH_DIR"
	readDir  = "EVIDENT_TEST_READ_DIR"
)

func TestMain(m *testing.M) {
	child := map[string]func(string) error{crashDir: writeForever, readDir: readForever}
	for name, run := range child {
		if dir := os.Getenv(name); dir != "" {
			if err := run(dir); err != nil {
				fmt.Println("error:", err)
			}
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// crashDocuments is how many different documents the writing process has.
const crashDocuments = 53

// crashCommit is what the n-th commit does: one document is put, every third time another is removed.
func crashCommit(n int) (put, passages, remove int) {
	put, passages, remove = n%crashDocuments, 1+n%5, -1
	if other := (5*n + 1) % crashDocuments; n%3 == 0 && other != put {
		remove = other
	}
	return put, passages, remove
}

// crashModel is what the index holds after n commits: by document the number of its commit.
func crashModel(n int) map[int]int {
	model := map[int]int{}
	for c := 1; c <= n; c++ {
		put, _, remove := crashCommit(c)
		model[put] = c
		delete(model, remove)
	}
	return model
}

// writeForever commits, beginning where an earlier process ended, and prints the number of each commit
// when it is done.
func writeForever(dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	w, err := s.Writer()
	if err != nil {
		return err
	}
	files, err := s.Files()
	if err != nil {
		return err
	}
	commits := 0
	for _, file := range files {
		commits = max(commits, int(file.Size))
	}
	for {
		commits++
		number, n, remove := crashCommit(commits)
		w.Remove(fmt.Sprintf("dir/%d.md", remove))
		doc, passages := text(number, n)
		if err := w.Put(doc, passages, FileStat{Size: int64(commits)}); err != nil {
			return err
		}
		if err := w.Commit(); err != nil {
			return err
		}
		fmt.Println(commits)
	}
}

// TestKilledWriterLosesNothingCommitted kills a writing process at random moments, while it starts and
// while it writes, commits and merges. What it had acknowledged must be there, whole, and opened within a
// second; at most the one commit after that may be there too.
func TestKilledWriterLosesNothingCommitted(t *testing.T) {
	rounds := faultdisk.Kills(t)
	s := create(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	acknowledged, more := 0, 0
	var opening slowest
	for round := range rounds {
		after := random.IntN(4) // commits; at 0 it may not even have begun
		pause := time.Duration(random.IntN(20_000)) * time.Microsecond
		acknowledged = max(acknowledged, faultdisk.KillWriter(t, crashDir+"="+s.Dir(), after, pause))
		reopened := opening.open(t, s.Dir())
		n := checkCrashed(t, reopened, acknowledged)
		more += n - acknowledged
		acknowledged = n
		w := writer(t, reopened) // the dead process holds no lock, and its unfinished files go
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		stats, err := reopened.Stats()
		if err != nil {
			t.Fatal(err)
		}
		batches, _ := filepath.Glob(filepath.Join(s.Dir(), "*"+batchSuffix))
		if len(batches) != stats.Batches {
			t.Fatalf("round %d: %d batches, but the files %v", round, stats.Batches, batches)
		}
		reopened.Close()
	}
	if acknowledged < rounds/2 {
		t.Fatalf("only %d commits in %d rounds: this tested nothing", acknowledged, rounds)
	}
	if opening.Duration > time.Second {
		t.Errorf("opening took %v", opening.Duration)
	}
	t.Logf("%d kills, %d commits: none that was acknowledged is lost, %d are there that were not; slowest opening %v (seed %d)",
		rounds, acknowledged, more, opening.Duration, seed)
}

// checkCrashed requires what the acknowledged commits left, or one more, and returns how many it were.
func checkCrashed(t *testing.T, s *Store, acknowledged int) int {
	t.Helper()
	if err := s.Verify(); err != nil {
		t.Fatalf("after %d commits: %v", acknowledged, err)
	}
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	commits := 0
	for _, file := range files {
		commits = max(commits, int(file.Size))
	}
	if commits != acknowledged && commits != acknowledged+1 {
		t.Fatalf("%d commits are there, %d were acknowledged", commits, acknowledged)
	}
	model := crashModel(commits)
	if len(files) != len(model) {
		t.Fatalf("%d documents after %d commits, want %d", len(files), commits, len(model))
	}
	for number, commit := range model {
		_, n, _ := crashCommit(commit)
		want, _ := text(number, n)
		got, err := s.Document(want.Path)
		if err != nil || got.Text != want.Text || files[want.Path].Size != int64(commit) {
			t.Fatalf("document %d after %d commits: %v, of commit %d, want that of %d",
				number, commits, err, files[want.Path].Size, commit)
		}
	}
	return commits
}
