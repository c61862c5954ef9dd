package vector

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"evident/internal/durable"
)

// check compares everything an index finds with what it should hold.
func check(t *testing.T, x *Index, p population) {
	t.Helper()
	s, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, items := range p {
		n += len(items)
	}
	if groups := s.Groups(); len(groups) != len(p) || s.Stats().Vectors != n {
		t.Fatalf("%d groups with %d vectors, want %d with %d", len(groups), s.Stats().Vectors, len(p), n)
	}
	for _, q := range queries(77, s.Settings().Dim, 5) {
		q.Exact = true
		got, err := s.Search(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, q, got, p.search(q))
	}
}

// TestChanges: groups that are added, replaced and removed in many commits, with and without
// improvements between, are what is found, also after opening the folder anew.
func TestChanges(t *testing.T) {
	const dim = 20
	all := populate(31, 30000, dim, 25)
	for _, fine := range []bool{true, false} {
		settings := Settings{Dim: dim, Fine: fine, Tag: "a model", ListsFrom: 6000}
		x, err := Create(t.TempDir(), settings)
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		now, keys, steps := population{}, all.keys(), 0
		for round := range 12 {
			change(t, x, func(w *Writer) error {
				for _, key := range keys[100*round : 100*round+100] {
					now[key] = all[key]
					if err := w.Put(key, all[key]); err != nil {
						return err
					}
				}
				for _, key := range keys[30*round : 30*round+9] { // gone
					delete(now, key)
					if had := w.Has(key); w.Remove(key) != had || w.Has(key) {
						t.Errorf("%s is still there", key)
					}
				}
				for _, key := range keys[50*round : 50*round+5] { // replaced by less
					now[key] = all[key][:3]
					if err := w.Put(key, all[key][:3]); err != nil {
						return err
					}
				}
				return nil
			})
			if round%3 == 2 {
				steps += improve(t, x)
			}
		}
		if steps += improve(t, x); steps == 0 {
			t.Error("nothing was merged")
		}
		if fine {
			check(t, x, now)
		}
		again, err := Open(x.Dir())
		if err != nil {
			t.Fatal(err)
		}
		if fine {
			check(t, again, now)
		}
		s, err := again.Snapshot()
		if err != nil || s.Settings() != settings || !maps.Equal(s.Groups(), groupsOf(now)) {
			t.Errorf("settings %+v, %v; groups differ: %v", s.Settings(), err, !maps.Equal(s.Groups(), groupsOf(now)))
		}
		segments := s.Stats().Segments
		s.Release()
		again.Close()
		files, _ := filepath.Glob(filepath.Join(x.Dir(), "*"))
		if len(files) > 3+segments { // manifest and two locks
			t.Errorf("files are left over: %v", files)
		}
	}
}

func groupsOf(p population) map[string]bool {
	groups := map[string]bool{}
	for key := range p {
		groups[key] = true
	}
	return groups
}

// TestCoarse: without the low plane scores are off by half a step of a byte, and no more.
func TestCoarse(t *testing.T) {
	p := populate(3, 400, 96, 4)
	x := newIndex(t, p, Settings{Dim: 96}, 1)
	same := 0
	for _, q := range queries(4, 96, 8) {
		q.K = 10
		got, err := x.Search(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		same += overlapOf(got, p.search(q))
	}
	if same < 74 {
		t.Errorf("%d of 80 found", same)
	}
}

// TestUncommittedIsLost: a writer that ends without a commit leaves nothing, not even files, and one
// that dies leaves files which the next one removes.
func TestUncommittedIsLost(t *testing.T) {
	p := populate(41, 50, 8, 5)
	x := newIndex(t, p, Settings{Dim: 8, Fine: true}, 1)
	w, err := x.Writer()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Put("new", p[p.keys()[0]]); err != nil {
		t.Fatal(err)
	}
	w.Remove(p.keys()[1])
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, x, p)
	if err := w.Put("late", nil); err == nil {
		t.Error("a closed writer takes more")
	}
	left := []string{"00000099.vectors", "00000001.aside", "MANIFEST.new"}
	for _, name := range left {
		if err := os.WriteFile(filepath.Join(x.Dir(), name), []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	improve(t, x)
	change(t, x, func(*Writer) error { return nil })
	check(t, x, p)
	for _, name := range left[:2] {
		if _, err := os.Stat(filepath.Join(x.Dir(), name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left over: %v", name, err)
		}
	}
}

// TestSearchDuringImprovement: while lists are trained and segments merged, every search answers from
// a whole state, a snapshot stays as it is, and what is changed meanwhile is not lost.
func TestSearchDuringImprovement(t *testing.T) {
	const dim = 24
	p := populate(51, 9000, dim, 10)
	x := newIndex(t, p, Settings{Dim: dim, Fine: true, ListsFrom: 3000}, 9)
	before, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	keys := p.keys()
	asked := queries(52, dim, 4)
	for _, q := range asked {
		q.Exact, q.Accept = true, func(group string) bool { return group > keys[20] }
	}
	done := make(chan struct{})
	var workers sync.WaitGroup
	workers.Go(func() {
		defer close(done)
		for changed := true; changed; {
			var err error
			if changed, err = x.Improve(context.Background()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	workers.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			q := asked[i%len(asked)]
			got, err := x.Search(context.Background(), q)
			if err == nil {
				err = mismatch(q, got, p.search(q))
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for _, key := range keys[:10] {
		change(t, x, func(w *Writer) error {
			w.Remove(key)
			return nil
		})
	}
	workers.Wait()
	got, err := before.Search(context.Background(), &Query{Vector: asked[0].Vector, K: 12, Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, asked[0], got, p.search(&Query{Vector: asked[0].Vector, K: 12}))
	before.Release()
	for _, key := range keys[:10] {
		delete(p, key)
	}
	improve(t, x)
	check(t, x, p)
}

// TestDeletedWhileRewritten: what is removed between the choice of segments and the new file's
// naming is removed from it as well, a whole source included.
func TestDeletedWhileRewritten(t *testing.T) {
	p := populate(61, 120, 8, 10)
	x := newIndex(t, p, Settings{Dim: 8, Fine: true}, 4)
	base, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer base.Release()
	keys := p.keys()
	gone := append(slices.Clone(keys[:3]), keys[7]) // all of the first segment, one of the third
	change(t, x, func(w *Writer) error {
		for _, key := range gone {
			w.Remove(key)
			delete(p, key)
		}
		return nil
	})
	if err := x.rewrite(context.Background(), base, 0, 3); err != nil {
		t.Fatal(err)
	}
	check(t, x, p)
	s, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if n := s.Stats().Segments; n != 2 {
		t.Errorf("%d segments, want 2", n)
	}
}

// TestLocks: one writer at a time, and the next one when it is done.
func TestLocks(t *testing.T) {
	x := newIndex(t, population{}, Settings{Dim: 2}, 1)
	w, err := x.Writer()
	if err != nil {
		t.Fatal(err)
	}
	var held *LockedError
	if _, err := x.Writer(); !errors.As(err, &held) {
		t.Errorf("a second writer: %v", err)
	}
	if _, err := Create(x.Dir(), Settings{Dim: 2}); err == nil {
		t.Error("a second index in the same folder")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(x.Dir(), Settings{Dim: 2}); !errors.Is(err, ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNoIndex) {
		t.Errorf("got %v, want ErrNoIndex", err)
	}
	x.Close()
	if _, err := x.Search(context.Background(), &Query{Vector: []float32{1, 2}, K: 1}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// TestDamage: a byte that changed is found, in the parts that others point into when the index is
// opened, anywhere else by Verify; and no search of a damaged file breaks down.
func TestDamage(t *testing.T) {
	p := populate(71, 600, 16, 6)
	x := newIndex(t, p, Settings{Dim: 16, Fine: true, ListsFrom: 200}, 1)
	improve(t, x)
	files, _ := filepath.Glob(filepath.Join(x.Dir(), "*"+segmentSuffix))
	if len(files) != 1 {
		t.Fatalf("segments %v", files)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	padding := 0
	for at := 0; at < len(whole); at += 1 + len(whole)/997 {
		broken := slices.Clone(whole)
		broken[at] ^= 0x40
		err := openBytes(t, broken)
		var damage *durable.DamagedError
		var version *durable.VersionError
		switch {
		case err == nil:
			padding++
		case !errors.As(err, &damage) && !errors.As(err, &version):
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	if padding > 40 { // bytes between sections, of which nobody reads any
		t.Errorf("%d changes were not found", padding)
	}
	for _, n := range []int{0, 1, 100, len(whole) / 2, len(whole) - 1} {
		if openBytes(t, whole[:n]) == nil {
			t.Errorf("cut to %d bytes and nobody saw", n)
		}
	}
}

// openBytes opens an index whose only segment has these bytes, searches it and verifies it.
func openBytes(t *testing.T, data []byte) error {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "00000001.vectors"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	m := &manifest{Generation: 1, Settings: Settings{Dim: 16, Fine: true}, NextFile: 2, Segments: []segmentEntry{
		{File: "00000001.vectors", Bytes: int64(len(data)), Vectors: 600, Groups: 100, Lists: 4},
	}}
	if err := m.write(durable.Disk{}, dir); err != nil {
		t.Fatal(err)
	}
	x, err := Open(dir)
	if err != nil {
		return err
	}
	defer x.Close()
	for _, exact := range []bool{true, false} {
		if _, err := x.Search(context.Background(), &Query{Vector: make([]float32, 16), K: 5, Exact: exact}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	return s.Verify()
}

func FuzzManifest(f *testing.F) {
	m := &manifest{Generation: 1, Settings: Settings{Dim: 3}, Segments: []segmentEntry{{File: "1.vectors", Groups: 4}}}
	dir := f.TempDir()
	if err := m.write(durable.Disk{}, dir); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("evident vectors, format 1, crc32c 00000000\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, body, _ := strings.Cut(string(data), "\n")
		for _, data := range [][]byte{data, durable.Sign(manifestKind, manifestVersion, []byte(body))} {
			m, err := parseManifest("m", data)
			if err == nil && (m.Dim < 1 || m.Dim > dimMax) {
				t.Errorf("accepted %+v", m)
			}
		}
	})
}
