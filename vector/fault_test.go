package vector

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"evident/internal/durable"
	"evident/internal/faultdisk"
)

// step is what happens between two commits of the script: groups that are put, with so many vectors, and
// those that are removed; or, instead, an improvement.
type step struct {
	put     map[int]int
	remove  []int
	improve bool
}

// script has commits that add, replace and remove, segments that end up empty, and improvements: one that
// merges, one that makes lists, one that drops what was deleted.
func script() []step {
	steps := []step{
		{put: map[int]int{0: 3, 1: 40, 2: 0}},
		{put: map[int]int{3: 7, 1: 150}},
		{improve: true}, // makes lists
		{put: map[int]int{4: 2}},
		{remove: []int{4}, put: map[int]int{5: 1}},
	}
	for n := range mergeFactor {
		steps = append(steps, step{put: map[int]int{10 + n: 1 + n, 3: n}})
	}
	return append(steps, step{improve: true}, step{remove: []int{1, 10}, put: map[int]int{6: 9}}, step{improve: true})
}

// models are what the index holds after so many steps: by group the number of its vectors.
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

const faultDim = 12

func faultGroup(number int) string { return fmt.Sprintf("group %02d", number) }

// play carries out steps on the index in dir until one fails, and returns how many succeeded.
func play(disk durable.FS, dir string, steps []step) (done int, err error) {
	x, err := openOn(disk, dir)
	if errors.Is(err, ErrNoIndex) {
		x, err = createOn(disk, dir, Settings{Dim: faultDim, Fine: true, ListsFrom: 130})
	}
	if err != nil {
		return 0, err
	}
	defer x.Close()
	for _, s := range steps {
		if err := playStep(x, s); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

func playStep(x *Index, s step) (err error) {
	for changed := s.improve; changed; {
		if changed, err = x.Improve(context.Background()); err != nil {
			return err
		}
	}
	if s.improve {
		return nil
	}
	w, err := x.Writer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for _, number := range s.remove {
		w.Remove(faultGroup(number))
	}
	for number := range 30 { // in order: a map has none
		n, ok := s.put[number]
		if !ok {
			continue
		}
		items := make([]Item, n)
		for i := range items {
			v := make([]float32, faultDim)
			v[(number+i)%faultDim], v[i%5] = 1, float32(i)/99
			items[i] = Item{ID: uint64(i), Vector: v}
		}
		if err := w.Put(faultGroup(number), items); err != nil {
			return err
		}
	}
	return w.Commit()
}

// stands requires that the index in dir is whole and what one of the two numbers of steps left, and
// returns the earlier of the numbers it may be, for an improvement changes nothing that can be seen: whoever goes on from
// there repeats at most an improvement, and leaves out none that makes a commit last which failed at its end.
func stands(t *testing.T, dir string, done, orDone int, all []map[int]int) int {
	t.Helper()
	x, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	s, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
	hits, err := s.Search(context.Background(), &Query{Vector: make([]float32, faultDim), K: 10_000, Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	now := map[string]int{}
	for group := range s.Groups() {
		now[group] = 0
	}
	for _, h := range hits {
		now[h.Group]++
	}
	for n := done; n <= min(orDone, len(all)-1); n++ {
		want := map[string]int{}
		for number, vectors := range all[n] {
			want[faultGroup(number)] = vectors
		}
		if maps.Equal(now, want) {
			return n
		}
	}
	t.Fatalf("%d steps succeeded, but the index holds %v, not %v", done, now, all[min(done, len(all)-1)])
	return 0
}

func operations(t *testing.T, steps []step) int {
	t.Helper()
	disk, dir := faultdisk.New(t), t.TempDir()
	if done, err := play(disk, dir, steps); err != nil || done != len(steps) {
		t.Fatalf("%d steps, %v", done, err)
	}
	x, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	s, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if stats := s.Stats(); stats.Generation < uint32(len(steps)) || stats.Segments > 3 {
		t.Fatalf("%+v after %d steps: little was improved", stats, len(steps))
	}
	return disk.Done
}

// stride leaves most operations out of a short test.
func stride() int {
	if testing.Short() {
		return 7
	}
	return 1
}

// TestPowerCutAfterEveryOperation lets the power go after each operation of the script, in each of several
// ways to lose what was not synced: what a commit acknowledged is there, whole, and the index can be
// written to and improved.
func TestPowerCutAfterEveryOperation(t *testing.T) {
	steps := script()
	all, total := models(steps), operations(t, steps)
	cuts := 0
	for at := 1; at <= total; at += stride() {
		disk, dir := faultdisk.New(t), t.TempDir()
		disk.At, disk.Cut = at, true
		done, err := play(disk, dir, steps)
		if err == nil && done < len(steps) {
			t.Fatalf("operation %d: %d steps and no error", at, done)
		}
		for kind := range faultdisk.Kinds {
			cuts++
			rest, n := disk.Left(dir, kind), 0
			if _, err := Open(rest); !errors.Is(err, ErrNoIndex) || done > 0 {
				n = stands(t, rest, done, done+1, all)
			}
			if _, err := play(faultdisk.Hasty{}, rest, steps[n:]); err != nil {
				t.Fatalf("operation %d, %d: going on: %v", at, kind, err)
			}
			stands(t, rest, len(steps), len(steps), all)
		}
	}
	t.Logf("%d operations, %d cuts", total, cuts)
}

// TestEveryOperationFails lets each operation fail once, and in another run fail with all after it, as on a
// full disk: the index is what the last step left or what this one makes of it, and the next writer goes
// on. Should the power go then, all that was acknowledged has lasted.
func TestEveryOperationFails(t *testing.T) {
	steps := script()
	all, total := models(steps), operations(t, steps)
	failed := 0
	for at := 1; at <= total; at += stride() {
		for _, forever := range []bool{false, true} {
			disk, dir := faultdisk.New(t), t.TempDir()
			disk.At, disk.Forever = at, forever
			done, err := play(disk, dir, steps)
			if err == nil { // what failed was of no account: a file that is in nobody's way
				stands(t, dir, done, done, all)
			} else if failed++; !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("operation %d: the error is %v", at, err)
			}
			for kind := range faultdisk.Kinds {
				if done > 0 {
					stands(t, disk.Left(dir, kind), done, done+1, all)
				}
			}
			disk.On()
			n := 0
			if _, err := Open(dir); !errors.Is(err, ErrNoIndex) || done > 0 {
				n = stands(t, dir, done, done+1, all)
				beginWriting(t, disk, dir) // and so a commit that failed at its very end lasts
			}
			if _, err := play(disk, dir, steps[n:]); err != nil {
				t.Fatalf("operation %d: going on: %v", at, err)
			}
			for kind := range faultdisk.Kinds {
				stands(t, disk.Left(dir, kind), len(steps), len(steps), all)
			}
		}
	}
	if failed < total/stride() {
		t.Errorf("only %d of %d failures were seen", failed, total)
	}
	t.Logf("%d operations, each failed once and for good: %d errors", total, failed)
}

// beginWriting takes the writer and gives it back: what a writer finds, it lets last.
func beginWriting(t *testing.T, disk durable.FS, dir string) {
	t.Helper()
	x, err := openOn(disk, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	w, err := x.Writer()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// sealSegment makes the checksums of a damaged segment right again.
func sealSegment(data []byte) {
	const footer = sectionCount*sectionEntry + segmentFields
	if len(data) < segmentHeader+footer {
		return
	}
	le, tail := binary.LittleEndian, data[len(data)-footer:]
	for i := range sectionCount {
		entry := tail[i*sectionEntry:]
		if at, size := le.Uint64(entry), le.Uint64(entry[8:]); at <= uint64(len(data)) && size <= uint64(len(data))-at {
			le.PutUint32(entry[16:], durable.Sum(data[at:at+size]))
		}
	}
	le.PutUint32(tail[footer-12:], durable.AddSum(durable.Sum(data[:segmentHeader]), tail[:footer-12]))
}

// useSegment reads everything that a segment of these bytes has.
func useSegment(data []byte) {
	const dim = faultDim
	rotation := newRotation(dim)
	s := &segment{path: "name", fixed: fixed{d: rotation.padded}}
	s.refs.Store(1)
	if s.parse(data, true) != nil {
		return
	}
	_ = s.verify()
	now := &Snapshot{
		manifest: &manifest{Settings: Settings{Dim: dim, Fine: true}, Segments: []segmentEntry{{File: "name"}}}, rotation: rotation,
		segments: []*segment{s}, deleted: [][]bool{nil},
	}
	now.refs.Store(1)
	for _, exact := range []bool{true, false} {
		q := &Query{Vector: make([]float32, dim), K: 5, Exact: exact, PriorWeight: 1}
		q.Vector[3] = 1
		_, _ = now.Search(context.Background(), q)
	}
	_ = now.Groups()
	_ = newMerging(now, 0, 1)
}

// FuzzSegment reads any bytes as a segment, with the checksums they come with and with right ones: there is
// an error or a wrong answer, never a crash.
func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	if _, err := play(faultdisk.Hasty{}, dir, script()); err != nil {
		f.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		data = bytes.Clone(data) // and so aligned
		useSegment(data)
		sealSegment(data)
		useSegment(data)
	})
}
