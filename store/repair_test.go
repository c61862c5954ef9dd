package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// patientDocuments are those of damagedIndex, and their passages.
var patientDocuments = map[int]int{0: 3, 1: 3, 2: 3, 4: 3, 5: 3, 6: 3, 8: 2, 9: 4, 10: 1}

// patientIndex has three batches, the first of them with a deletion and a replacement.
func patientIndex(t testing.TB, seed int) string {
	t.Helper()
	s := create(t)
	w := writer(t, s)
	for number := range 7 {
		put(t, w, number, 3+seed)
	}
	commit(t, w)
	w.Remove("dir/3.md")
	put(t, w, 8, 2+seed)
	commit(t, w)
	put(t, w, 9, 4+seed)
	put(t, w, 10, 1+seed)
	put(t, w, 1, 3+seed)
	commit(t, w)
	if err := errors.Join(w.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	return s.Dir()
}

// damages are the ways in which a file is broken; a nil result means that it is removed.
var damages = map[string]func(whole, other []byte) []byte{
	"flipped at the start": func(whole, _ []byte) []byte { return flipped(whole, 3) },
	"flipped in a third":   func(whole, _ []byte) []byte { return flipped(whole, len(whole)/3) },
	"flipped in the half":  func(whole, _ []byte) []byte { return flipped(whole, len(whole)/2) },
	"flipped at the end":   func(whole, _ []byte) []byte { return flipped(whole, len(whole)-2) },
	"truncated":            func(whole, _ []byte) []byte { return whole[:len(whole)*2/3] },
	"empty":                func(_, _ []byte) []byte { return []byte{} },
	"zeroed":               func(whole, _ []byte) []byte { return make([]byte, len(whole)) },
	"of another index":     func(_, other []byte) []byte { return other },
	"missing":              func(_, _ []byte) []byte { return nil },
}

func flipped(whole []byte, at int) []byte {
	data := bytes.Clone(whole)
	data[at] ^= 0x10
	return data
}

// TestRepairEveryFile breaks every file of an index in every way: the check must name it, the repair
// must leave a whole index that has lost nothing but what it lists, and keep the damaged file.
func TestRepairEveryFile(t *testing.T) {
	dir, other := patientIndex(t, 0), patientIndex(t, 1)
	files := readFolder(t, dir)
	others := readFolder(t, other)
	lost := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for what, damage := range damages {
			data := damage(files[name], others[name])
			t.Run(name+" "+what, func(t *testing.T) {
				broken := t.TempDir()
				writeFolder(t, broken, files)
				if data == nil {
					if err := os.Remove(filepath.Join(broken, name)); err != nil {
						t.Fatal(err)
					}
				} else {
					replace(t, filepath.Join(broken, name), data)
				}
				lost += checkAndRepair(t, broken, name, data)
			})
		}
	}
	if lost == 0 {
		t.Error("no document was ever lost: this tested nothing")
	}
}

// checkAndRepair returns how many documents were lost.
func checkAndRepair(t *testing.T, dir, name string, data []byte) int {
	t.Helper()
	ctx := context.Background()
	before := readFolder(t, dir)
	found, err := Check(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if name == copyName && data == nil { // an index of an older program: whole
		if len(found.Faults) > 0 {
			t.Fatalf("%+v", found.Faults)
		}
		return 0
	}
	if !slices.ContainsFunc(found.Faults, func(f Fault) bool { return f.File == name && f.Missing == (data == nil) }) {
		t.Fatalf("the faults are %+v", found.Faults)
	}
	if after := readFolder(t, dir); !maps.EqualFunc(before, after, bytes.Equal) {
		t.Fatal("the check changed something")
	}
	done, err := Repair(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if data != nil { // the damaged file is kept
		kept, err := os.ReadFile(filepath.Join(done.Aside, name))
		if err != nil || !bytes.Equal(kept, data) || !slices.Contains(done.Moved, name) {
			t.Fatalf("put aside: %v, %v", done.Moved, err)
		}
	}
	lost := map[string]bool{}
	unnamed := 0
	for _, f := range done.Faults {
		unnamed += f.LostUnnamed
		for _, path := range f.Lost {
			lost[path] = true
		}
	}
	holdsButLost(t, dir, lost, unnamed)
	again, err := Repair(ctx, dir)
	if err != nil || len(again.Faults) > 0 || again.Aside != "" {
		t.Fatalf("a second repair: %+v, %v", again, err)
	}
	return len(lost) + unnamed
}

// holdsButLost requires all documents but those that were lost, and that these can be put again.
func holdsButLost(t *testing.T, dir string, lost map[string]bool, unnamed int) {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(patientDocuments)
	for number := range patientDocuments {
		path := fmt.Sprintf("dir/%d.md", number)
		_, there := files[path]
		switch {
		case there && lost[path]:
			t.Fatalf("%s is said to be lost, but is there", path)
		case !there && lost[path]:
			delete(want, number)
		case !there:
			delete(want, number)
			unnamed--
		}
	}
	if unnamed != 0 {
		t.Fatalf("%d more documents are said to be lost than are", unnamed)
	}
	w := writer(t, s)
	if _, ok := files["dir/3.md"]; ok { // removed, and back for want of a manifest: as good as ever
		w.Remove("dir/3.md")
		commit(t, w)
	}
	holds(t, s, want)
	for number, passages := range patientDocuments {
		put(t, w, number, passages)
	}
	commit(t, w)
	holds(t, s, patientDocuments)
	for number, passages := range patientDocuments {
		finds(t, s, number, passages-1)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is damaged in a batch decides what is lost: nothing when it is the segment, those documents that
// share it when it is a chunk of texts, all when it is the table.
func TestRepairLosesNoMoreThanItMust(t *testing.T) {
	files := readFolder(t, patientIndex(t, 0))
	name := "00000001.batch"
	whole := files[name]
	footer := whole[len(whole)-footerLen:]
	texts, meta := int(binary.LittleEndian.Uint64(footer)), int(binary.LittleEndian.Uint64(footer[8:]))
	for _, c := range []struct {
		where string
		at    int
		lost  int
	}{
		{"the texts", headerLen + 1, 5},
		{"the header of the segment", texts + 1, 0},
		{"the postings", texts + 20, 0},
		{"the dictionary", meta - 100, 0},
		{"the end of the segment", meta - 1, 0},
		{"the document table", meta + 50, 5},
		{"the footer", len(whole) - 20, 5},
	} {
		t.Run(c.where, func(t *testing.T) {
			dir := t.TempDir()
			writeFolder(t, dir, files)
			replace(t, filepath.Join(dir, name), flipped(whole, c.at))
			if got := checkAndRepair(t, dir, name, flipped(whole, c.at)); got != c.lost {
				t.Errorf("%d documents are lost, want %d", got, c.lost)
			}
		})
	}
}

// TestDamagedChunkLosesItsOwnTexts: of a batch of many chunks only those documents are lost that have a part
// in the damaged one.
func TestDamagedChunkLosesItsOwnTexts(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	const documents, passages = 50, 29
	for number := range documents {
		put(t, w, number, passages)
	}
	commit(t, w)
	if err := errors.Join(w.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(s.Dir(), "00000001.batch")
	b, err := mapBatch(name)
	if err != nil || b.parseTables() != nil {
		t.Fatal(err)
	}
	if b.packed.count() < 4 {
		t.Fatalf("%d chunks: too few", b.packed.count())
	}
	second := binary.LittleEndian.Uint64(b.packed.chunks[chunkEntry:])
	want := map[int]int{}
	for doc := range b.documents {
		r, err := b.record(doc)
		if err != nil {
			t.Fatal(err)
		}
		if r.textStart+r.textLen <= chunkLen || r.textStart >= 2*chunkLen {
			want[int(doc)] = passages
		}
	}
	whole := bytes.Clone(b.data)
	b.release()
	replace(t, name, flipped(whole, int(second)))
	done, err := Repair(context.Background(), s.Dir())
	if err != nil || len(done.Faults) != 1 || len(done.Faults[0].Lost) != documents-len(want) {
		t.Fatalf("%+v, %v: want %d documents lost", done, err, documents-len(want))
	}
	if len(want) == 0 || len(want) == documents {
		t.Fatalf("%d of %d documents: this tested nothing", len(want), documents)
	}
	repaired, err := Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer repaired.Close()
	holds(t, repaired, want)
}

// Without any manifest the batches say what there is: the newest version of each document.
func TestRepairWithoutAnyManifest(t *testing.T) {
	dir := patientIndex(t, 0)
	for _, name := range []string{manifestName, copyName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var damage *DamagedError
	if _, err := Open(dir); !errors.As(err, &damage) {
		t.Fatalf("open: %v", err)
	}
	if _, err := Create(dir, Options{}); !errors.As(err, &damage) {
		t.Fatalf("an index was made over one that lost its manifest: %v", err)
	}
	if lost := checkAndRepair(t, dir, manifestName, nil); lost != 0 {
		t.Errorf("%d documents are lost", lost)
	}
}

// A batch of another index that has the same name, size and counts is not taken for the one that the
// manifest means.
func TestTwinOfABatchIsNoticed(t *testing.T) {
	var batches [2][]byte
	var dirs [2]string
	for i, number := range []int{11, 24} { // texts of one length, with the same topics
		s := create(t)
		w := writer(t, s)
		put(t, w, number, 3)
		commit(t, w)
		dirs[i], batches[i] = s.Dir(), readFolder(t, s.Dir())["00000001.batch"]
	}
	if len(batches[0]) != len(batches[1]) {
		t.Fatalf("%d and %d bytes: no twins", len(batches[0]), len(batches[1]))
	}
	replace(t, filepath.Join(dirs[0], "00000001.batch"), batches[1])
	var damage *DamagedError
	if _, err := Open(dirs[0]); !errors.As(err, &damage) {
		t.Errorf("open: %v", err)
	}
	found, err := Check(context.Background(), dirs[0])
	if err != nil || len(found.Faults) != 1 || found.Faults[0].LostUnnamed != 1 {
		t.Errorf("check: %+v, %v", found, err)
	}
}

// A manifest of an older generation, or of another index, must not let a writer remove what the newest
// one is made of.
func TestWriterRefusesAnOlderManifest(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	put(t, w, 1, 1)
	commit(t, w)
	old, err := os.ReadFile(filepath.Join(s.Dir(), manifestName))
	if err != nil {
		t.Fatal(err)
	}
	put(t, w, 2, 1)
	commit(t, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(s.Dir(), manifestName), old)
	reopened, err := Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer reopened.Close()
	var damage *DamagedError
	if _, err := reopened.Writer(); !errors.As(err, &damage) || filepath.Base(damage.Path) != manifestName {
		t.Fatalf("a writer over an older manifest gives %v", err)
	}
	if _, err := Repair(context.Background(), s.Dir()); err != nil {
		t.Fatal(err)
	}
	fresh, err := Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	holds(t, fresh, map[int]int{1: 1, 2: 1})
}

func TestCheckOfNoIndex(t *testing.T) {
	dir := t.TempDir()
	for _, call := range []func() error{
		func() error { _, err := Check(context.Background(), dir); return err },
		func() error { _, err := Repair(context.Background(), dir); return err },
	} {
		if err := call(); !errors.Is(err, ErrNoIndex) {
			t.Errorf("got %v", err)
		}
	}
	if left := readFolder(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", slices.Collect(maps.Keys(left)))
	}
}

func TestRepairWaitsForNoWriter(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	defer w.Close()
	if _, err := Repair(context.Background(), s.Dir()); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}

// readFolder returns the files of a folder by name, without the lock.
func readFolder(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		if entry.IsDir() || entry.Name() == lockName || strings.HasSuffix(entry.Name(), ".new") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = data
	}
	return files
}

func writeFolder(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
