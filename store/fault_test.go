package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"evident/internal/durable"
	"evident/internal/faultdisk"
)

// step is what happens between two commits of the script: documents that are put, by number, with how
// many passages, and those that are removed.
type step struct {
	put    map[int]int
	remove []int
	reopen bool // the writer is closed before, and another takes over
}

// script has commits that add, replace and remove; a batch that ends up empty; a commit that merges, of
// which there are more than mergeFactor for; and writers that follow each other.
func script() []step {
	steps := []step{
		{put: map[int]int{0: 2, 1: 1, 2: 3}},
		{put: map[int]int{3: 1, 1: 2}},
		{put: map[int]int{4: 1}},
		{remove: []int{4}, put: map[int]int{5: 2}},
		{remove: []int{0}},
		{put: map[int]int{0: 4}, reopen: true},
	}
	for n := range 6 {
		steps = append(steps, step{put: map[int]int{10 + n: 1 + n%2, 2: n + 1}, reopen: n == 4})
	}
	return append(steps, step{remove: []int{1, 10, 11}, put: map[int]int{20: 1}})
}

// models are what the index holds after so many commits of the script.
func models(steps []step) []map[int]int {
	now := map[int]int{}
	all := []map[int]int{{}}
	for _, s := range steps {
		for _, number := range s.remove {
			delete(now, number)
		}
		maps.Copy(now, s.put)
		all = append(all, maps.Clone(now))
	}
	return all
}

// play carries out steps on the index in dir until one fails, and returns how many commits succeeded.
func play(t testing.TB, disk durable.FS, dir string, steps []step) (commits int, err error) {
	s, err := openOn(disk, dir)
	if errors.Is(err, ErrNoIndex) {
		s, err = createOn(disk, dir, Options{})
	}
	if err != nil {
		return 0, err
	}
	defer s.Close()
	w, err := s.Writer()
	if err != nil {
		return 0, err
	}
	defer func() { w.Close() }()
	for _, step := range steps {
		if step.reopen {
			if err := w.Close(); err != nil {
				return commits, err
			}
			if w, err = s.Writer(); err != nil {
				w = &Writer{}
				return commits, err
			}
		}
		if err := playStep(w, step); err != nil {
			return commits, err
		}
		commits++
	}
	return commits, nil
}

func playStep(w *Writer, s step) error {
	for _, number := range s.remove {
		w.Remove(fmt.Sprintf("dir/%d.md", number))
	}
	for number := range 30 { // in order: a map has none
		if n, ok := s.put[number]; ok {
			doc, passages := text(number, n)
			if err := w.Put(doc, passages, stat(number)); err != nil {
				return err
			}
		}
	}
	return w.Commit()
}

// operations counts what the whole script asks of the disk.
func operations(t testing.TB, steps []step) int {
	t.Helper()
	disk, dir := faultdisk.New(t), t.TempDir()
	commits, err := play(t, disk, dir, steps)
	if err != nil || commits != len(steps) {
		t.Fatalf("%d commits, %v", commits, err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if stats, _ := s.Stats(); stats.Generation < uint32(len(steps)+2) {
		t.Fatalf("generation %d after %d commits: nothing was merged", stats.Generation, len(steps))
	}
	return disk.Done
}

// stride leaves most operations out of a short test.
func stride() int {
	if testing.Short() {
		return 11
	}
	return 1
}

// slowest notes the longest time that opening took.
type slowest struct{ time.Duration }

func (s *slowest) open(t testing.TB, dir string) *Store {
	t.Helper()
	begun := time.Now()
	store, err := Open(dir)
	s.Duration = max(s.Duration, time.Since(begun))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// stands requires that the index in dir is what one of two numbers of commits left, and returns which.
func (s *slowest) stands(t testing.TB, dir string, commits, orCommits int, all []map[int]int) int {
	t.Helper()
	store := s.open(t, dir)
	defer store.Close()
	files, err := store.Files()
	if err != nil {
		t.Fatal(err)
	}
	now := map[string]int{}
	for path := range files {
		doc, err := store.Document(path)
		if err != nil {
			t.Fatal(err)
		}
		now[path] = len(doc.Blocks) // one for each passage
	}
	for n := commits; n <= orCommits && n < len(all); n++ {
		want := map[string]int{}
		for number, passages := range all[n] {
			want[fmt.Sprintf("dir/%d.md", number)] = passages
		}
		if maps.Equal(now, want) {
			holds(t, store, all[n])
			return n
		}
	}
	t.Fatalf("%d commits were acknowledged, but the index holds %v", commits, now)
	return 0
}

// TestPowerCutAfterEveryOperation lets the power go after each operation of the script, in each of
// several ways to lose what was not synced: what was acknowledged is there, whole, at most the commit
// under way as well, and the index can be written to.
func TestPowerCutAfterEveryOperation(t *testing.T) {
	steps := script()
	all, total := models(steps), operations(t, steps)
	var time slowest
	cuts, both := 0, [2]int{}
	for at := 1; at <= total; at += stride() {
		disk, dir := faultdisk.New(t), t.TempDir()
		disk.At, disk.Cut = at, true
		commits, err := play(t, disk, dir, steps)
		if err == nil && commits < len(steps) {
			t.Fatalf("operation %d: %d commits and no error", at, commits)
		}
		for kind := range faultdisk.Kinds {
			rest := disk.Left(dir, kind)
			if _, err := Open(rest); errors.Is(err, ErrNoIndex) && commits == 0 {
				cuts++
				continue // it was not even made
			}
			n := time.stands(t, rest, commits, commits+1, all)
			both[n-commits]++
			if _, err := play(t, faultdisk.Hasty{}, rest, steps[n:]); err != nil {
				t.Fatalf("operation %d, %d: going on: %v", at, kind, err)
			}
			time.stands(t, rest, len(steps), len(steps), all)
			cuts++
		}
	}
	if both[0] == 0 || both[1] == 0 {
		t.Errorf("%v: never before, or never after a commit: this tested nothing", both)
	}
	t.Logf("%d operations, %d cuts: %d with the last commit gone, %d with it there; slowest opening %v",
		total, cuts, both[0], both[1], time.Duration)
	if time.Duration.Seconds() > 1 {
		t.Errorf("opening took %v", time.Duration)
	}
}

// TestEveryOperationFails lets each operation fail once, and in another run fail with all after it, as
// on a full disk: the index stays what the last commit left or becomes what this one makes it, the writer
// says so, and the next writer goes on. In the end the power goes: all that was acknowledged has lasted.
func TestEveryOperationFails(t *testing.T) {
	steps := script()
	all, total := models(steps), operations(t, steps)
	var time slowest
	failed := 0
	for at := 1; at <= total; at += stride() {
		for _, forever := range []bool{false, true} {
			disk, dir := faultdisk.New(t), t.TempDir()
			disk.At, disk.Forever = at, forever
			commits, err := play(t, disk, dir, steps)
			if err == nil { // what failed was of no account: a copy, or a file that is in nobody's way
				time.stands(t, dir, commits, commits, all)
			} else if failed++; !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("operation %d: the error is %v", at, err)
			}
			for kind := range faultdisk.Kinds { // should the power go now
				if commits > 0 {
					time.stands(t, disk.Left(dir, kind), commits, commits+1, all)
				}
			}
			disk.On() // there is room again
			n := 0
			if _, err := Open(dir); !errors.Is(err, ErrNoIndex) || commits > 0 {
				n = time.stands(t, dir, commits, commits+1, all)
			}
			if _, err := play(t, disk, dir, steps[n:]); err != nil {
				t.Fatalf("operation %d: going on: %v", at, err)
			}
			time.stands(t, dir, len(steps), len(steps), all)
			for kind := range faultdisk.Kinds {
				time.stands(t, disk.Left(dir, kind), len(steps), len(steps), all)
			}
		}
	}
	if failed < total/stride() {
		t.Errorf("only %d of %d failures were seen", failed, total)
	}
	t.Logf("%d operations, each failed once and for good: %d errors", total, failed)
}

// TestRepairSurvivesPowerCuts cuts the power after, or lets fail, each operation of a repair: the damaged
// file is still there, under one name or the other, and a second repair gives what the first would have.
func TestRepairSurvivesPowerCuts(t *testing.T) {
	files := readFolder(t, patientIndex(t, 0))
	name := "00000001.batch"
	footer := files[name][len(files[name])-footerLen:]
	files[name] = flipped(files[name], int(binary.LittleEndian.Uint64(footer))+1) // the segment is made anew
	for at := 1; ; at++ {
		for _, cut := range []bool{true, false} {
			disk, dir := faultdisk.New(t), t.TempDir()
			writeFolder(t, dir, files)
			disk.Adopt(dir)
			disk.At, disk.Cut = at, cut
			_, err := repairOn(context.Background(), disk, dir)
			if err == nil && disk.Done < at {
				if at < 20 {
					t.Errorf("a repair of only %d operations", disk.Done)
				}
				return
			}
			disk.On()
			for kind := range faultdisk.Kinds {
				rest := disk.Left(dir, kind)
				keepsDamage(t, rest, name, files[name])
				if _, err := Repair(context.Background(), rest); err != nil {
					t.Fatalf("operation %d, %d: %v", at, kind, err)
				}
				s, err := Open(rest)
				if err != nil {
					t.Fatal(err)
				}
				holds(t, s, patientDocuments)
				s.Close()
				keepsDamage(t, rest, name, files[name])
			}
		}
	}
}

// keepsDamage requires that a damaged file is somewhere below dir.
func keepsDamage(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	places, err := filepath.Glob(filepath.Join(dir, AsideFolder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range append(places, dir) {
		if got, ok := readFolder(t, place)[name]; ok && string(got) == string(data) {
			return
		}
	}
	t.Fatalf("the damaged file is gone from %s", dir)
}
