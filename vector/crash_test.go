package vector

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"evident/internal/faultdisk"
)

// crashDir names, in its environment, the index that a process writes to until it is killed.
const crashDir = "EVIDENT_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := writeForever(dir); err != nil {
			fmt.Println("error:", err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// crashStep is what the n-th commit does, from 1. Group 29 has as many vectors as there were commits, modulo a
// number, so that no two commits in a row leave the same.
func crashStep(n int) step {
	s := step{put: map[int]int{n % 23: 1 + n%7}, remove: []int{(5*n + 1) % 23}}
	if s.remove[0] == n%23 {
		s.remove = nil
	}
	s.put[29] = crashCount(n)
	return s
}

// crashCount is never 0, which would be no commit at all.
func crashCount(n int) int { return 1 + n%97 }

// crashModel is what the index holds after n commits.
func crashModel(n int) map[int]int {
	model := map[int]int{}
	for c := 1; c <= n; c++ {
		s := crashStep(c)
		for _, number := range s.remove {
			delete(model, number)
		}
		for number, vectors := range s.put {
			model[number] = vectors
		}
	}
	return model
}

// writeForever goes on where the index is, with an improvement now and then, and prints the number of each commit
// when it is done. The setting is the number of the last one that there is, and the folder.
func writeForever(setting string) error {
	var dir string
	var commits int
	if _, err := fmt.Sscanf(setting, "%d %s", &commits, &dir); err != nil {
		return err
	}
	x, err := Open(dir)
	if err != nil {
		return err
	}
	for {
		commits++
		if err := playStep(x, crashStep(commits)); err != nil {
			return err
		}
		fmt.Println(commits)
		if commits%5 == 0 {
			if err := playStep(x, step{improve: true}); err != nil {
				return err
			}
		}
	}
}

// TestKilledWriterLosesNothingCommitted kills a process at random moments, while it starts, writes, commits, merges
// and makes lists. What it had acknowledged must be there, whole, and opened within a second; at most the one commit
// after that may be there too.
func TestKilledWriterLosesNothingCommitted(t *testing.T) {
	rounds := faultdisk.Kills(t)
	dir := t.TempDir()
	x, err := Create(dir, Settings{Dim: faultDim, Fine: true, ListsFrom: 130})
	if err != nil {
		t.Fatal(err)
	}
	x.Close()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	commits, more := 0, 0
	slowest := time.Duration(0)
	for range rounds {
		after := random.IntN(7) // commits; at 0 it may not even have begun
		pause := time.Duration(random.IntN(20_000)) * time.Microsecond
		acknowledged := max(commits, faultdisk.KillWriter(t, fmt.Sprintf("%s=%d %s", crashDir, commits, dir), after, pause))
		begun := time.Now()
		reopened, err := Open(dir)
		slowest = max(slowest, time.Since(begun))
		if err != nil {
			t.Fatal(err)
		}
		reopened.Close()
		all := make([]map[int]int, acknowledged+2)
		all[acknowledged], all[acknowledged+1] = crashModel(acknowledged), crashModel(acknowledged+1)
		commits = stands(t, dir, acknowledged, acknowledged+1, all)
		more += commits - acknowledged
	}
	if commits < rounds/2 {
		t.Fatalf("only %d commits in %d rounds: this tested nothing", commits, rounds)
	}
	if slowest > time.Second {
		t.Errorf("opening took %v", slowest)
	}
	t.Logf("%d kills, %d commits: none that was acknowledged is lost, %d are there that were not; slowest opening %v (seed %d)",
		rounds, commits, more, slowest, seed)
}

// TestHowAnIndexCameToBeChangesNoAnswer: the order of groups, how many go into a commit, improvements, and opening
// the folder anew change neither what is found nor its score.
func TestHowAnIndexCameToBeChangesNoAnswer(t *testing.T) {
	const dim = 16
	p := populate(71, 4000, dim, 20)
	for name, l := range map[string]struct {
		seed    uint64 // of the order
		commit  int    // groups in a commit
		improve int    // commits between improvements; 0 means never
	}{
		"one commit":                  {1, 1 << 30, 0},
		"another order":               {2, 1 << 30, 0},
		"many commits":                {3, 11, 0},
		"many commits, improved":      {4, 7, 3},
		"another order, improved now": {5, 60, 1},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := Create(t.TempDir(), Settings{Dim: dim, Fine: true, ListsFrom: 1500})
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			keys := p.keys()
			rand.New(rand.NewPCG(l.seed, 2)).Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			commits := 0
			for first := 0; first < len(keys); first += l.commit {
				change(t, x, func(w *Writer) error {
					var all []error
					for _, key := range keys[first:min(first+l.commit, len(keys))] {
						all = append(all, w.Put(key, p[key]))
					}
					return errors.Join(all...)
				})
				if commits++; l.improve > 0 && commits%l.improve == 0 {
					improve(t, x)
				}
			}
			check(t, x, p)
			again, err := Open(x.Dir())
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			check(t, again, p)
		})
	}
}
