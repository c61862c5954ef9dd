package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"evident/document"
	"evident/internal/durable"
)

// smallIndex writes an index with a deletion and returns its folder.
func smallIndex(t testing.TB) string {
	s := create(t)
	w := writer(t, s)
	for number := range 7 {
		put(t, w, number, 3)
	}
	commit(t, w)
	w.Remove("dir/3.md")
	put(t, w, 8, 2)
	commit(t, w)
	if err := errors.Join(w.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	return s.Dir()
}

// readAll uses an index in every way and returns what it says, or the first error.
func readAll(dir string) (string, error) {
	s, err := Open(dir)
	if err != nil {
		return "", err
	}
	defer s.Close()
	var out strings.Builder
	for _, question := range []string{"passage", "number1 of document2", "zurich topic3"} {
		hits, err := s.Search(question, 10)
		if err != nil {
			return "", err
		}
		for _, hit := range hits {
			p, err := s.Passage(hit.Passage)
			if err != nil {
				return "", err
			}
			fmt.Fprintln(&out, hit, p)
		}
	}
	files, err := s.Files()
	if err != nil {
		return "", err
	}
	for number := range 9 {
		path := fmt.Sprintf("dir/%d.md", number)
		doc, err := s.Document(path)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return "", err
		}
		fmt.Fprintln(&out, doc, files[path])
	}
	return out.String(), s.Verify()
}

// TestDamageIsNamed changes and cuts every file at many places: reading must give an error that
// names the file, and never a crash or another answer.
func TestDamageIsNamed(t *testing.T) {
	dir := smallIndex(t)
	want, err := readAll(dir)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() == lockName || entry.Name() == copyName { // which reading needs not
			continue
		}
		path := filepath.Join(dir, entry.Name())
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, data []byte) {
			t.Helper()
			replace(t, path, data)
			got, err := readAll(dir)
			var damage *DamagedError
			var version *VersionError
			switch {
			case errors.As(err, &damage) && damage.Path == path:
			case errors.As(err, &version) && version.Path == path:
			case err == nil && got == want && bytes.Equal(data, whole):
			default:
				t.Fatalf("%s, %s: error %v, answer as before: %v", entry.Name(), what, err, got == want)
			}
		}
		for at := 0; at < len(whole); at += 1 + len(whole)/997 {
			data := bytes.Clone(whole)
			data[at] ^= 1 << (at % 8)
			check(fmt.Sprintf("byte %d changed", at), data)
		}
		for _, n := range []int{0, 1, 15, len(whole) / 2, len(whole) - 1} {
			check(fmt.Sprintf("cut to %d bytes", n), whole[:n])
		}
		check("lengthened", append(bytes.Clone(whole), 0))
		replace(t, path, whole)
	}
	if got, err := readAll(dir); err != nil || got != want {
		t.Fatalf("after repair: %v", err)
	}
}

// replace puts a new file in the place of path, for a mapped file must not be changed.
func replace(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// sealBatch makes the checksums of chunks and tables of a damaged batch right again.
func sealBatch(data []byte) {
	if len(data) < headerLen+footerLen {
		return
	}
	le := binary.LittleEndian
	footer := data[len(data)-footerLen:]
	if chunks := chunkEntry * int(le.Uint32(footer[32:])); le.Uint32(data[8:]) >= 3 && chunks <= len(data)-footerLen-8 {
		table := data[len(data)-footerLen-8-chunks:][:chunks+8]
		t := &textReader{}
		if t.open(data, min(le.Uint64(footer), uint64(len(data))), table) == nil {
			for entry := table; len(entry) > 8; entry = entry[chunkEntry:] {
				from, to := le.Uint64(entry), t.end
				if len(entry) > chunkEntry+8 {
					to = le.Uint64(entry[chunkEntry:])
				}
				if from <= to && to <= t.end {
					le.PutUint32(entry[8:], crc32.Checksum(data[from:to], castagnoli))
				}
			}
		}
	}
	meta := le.Uint64(data[len(data)-footerLen+8:])
	if meta <= uint64(len(data)-12) {
		sum := crc32.Checksum(data[:headerLen], castagnoli)
		sum = crc32.Update(sum, castagnoli, data[meta:len(data)-12])
		le.PutUint32(data[len(data)-12:], sum)
	}
}

// useBatch reads everything that a batch of these bytes has.
func useBatch(data []byte) {
	b := &batch{path: "name", data: data}
	if b.parse() != nil {
		return
	}
	for doc := range min(b.documents, 100) {
		if r, err := b.record(doc); err == nil {
			_, _ = b.document(&r)
			_, _ = b.passageRanges([]docRange{{doc, b.documents}})
			text, _ := b.text(&r, document.ByteSpan{End: int(r.textLen)})
			_ = parseMarks(r.marks, &document.Document{Text: string(text)})
		}
	}
	for number := range min(b.passages, 100) {
		_, _, _, _ = b.passage(number)
	}
	_ = b.verify()
}

// TestSealedDamageIsHarmless changes bytes behind valid checksums: no error is promised then, but
// nothing may crash.
func TestSealedDamageIsHarmless(t *testing.T) {
	for at := range len(batchBytes(t)) {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			data := batchBytes(t)
			data[at] ^= flip
			sealBatch(data)
			useBatch(data)
		}
	}
}

// batchBytes returns a small batch file.
func batchBytes(t testing.TB) []byte {
	t.Helper()
	smallBatch.once.Do(func() {
		batches, err := filepath.Glob(filepath.Join(smallIndex(t), "*"+batchSuffix))
		if err != nil || len(batches) == 0 {
			t.Fatal("no batch", err)
		}
		if smallBatch.data, err = os.ReadFile(batches[len(batches)-1]); err != nil {
			t.Fatal(err)
		}
	})
	return bytes.Clone(smallBatch.data)
}

var smallBatch struct {
	once sync.Once
	data []byte
}

// oldIndex is what smallIndex was when batches were of format 2.
const oldIndex = "testdata/index-batch-2"

// TestOldBatchesAreRead: an index of batches of format 2 says what one of this format says, and a writer
// goes on with it.
func TestOldBatchesAreRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(oldIndex)); err != nil {
		t.Fatal(err)
	}
	want, err := readAll(smallIndex(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readAll(dir); err != nil || got != want {
		t.Fatalf("%v: it says\n%s\nnot\n%s", err, got, want)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := writer(t, s)
	for range mergeFactor { // and merges them with new ones
		put(t, w, 3, 2)
		commit(t, w)
	}
	holds(t, s, map[int]int{0: 3, 1: 3, 2: 3, 3: 2, 4: 3, 5: 3, 6: 3, 8: 2})
}

func FuzzBatch(f *testing.F) {
	f.Add(batchBytes(f))
	old, err := os.ReadFile(filepath.Join(oldIndex, "00000001.batch"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(old)
	f.Fuzz(func(_ *testing.T, data []byte) {
		useBatch(data)
		data = bytes.Clone(data)
		sealBatch(data)
		useBatch(data)
	})
}

func TestMissingBatchIsNamed(t *testing.T) {
	dir := smallIndex(t)
	batches, _ := filepath.Glob(filepath.Join(dir, "*"+batchSuffix))
	if err := os.Remove(batches[0]); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir)
	var damage *DamagedError
	if !errors.As(err, &damage) || !strings.Contains(err.Error(), filepath.Base(batches[0])) {
		t.Fatalf("a missing batch gives %v", err)
	}
}

func TestOtherVersionIsNamed(t *testing.T) {
	dir := smallIndex(t)
	path := filepath.Join(dir, manifestName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, path, bytes.Replace(data, []byte("format 1"), []byte("format 2"), 1))
	_, err = Open(dir)
	var version *VersionError
	if !errors.As(err, &version) || version.Got != 2 || version.Want != 1 {
		t.Fatalf("format 2 gives %v", err)
	}
}

// A commit that cannot be written leaves the index as it was.
func TestFailedCommitChangesNothing(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	put(t, w, 1, 2)
	commit(t, w)
	put(t, w, 2, 2)
	// A folder in the place where the new manifest is written aside.
	if err := os.Mkdir(filepath.Join(s.Dir(), manifestName+".new"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err == nil {
		t.Fatal("the commit succeeded")
	}
	doc, parts := text(3, 1)
	if err := w.Put(doc, parts, FileStat{}); err == nil {
		t.Fatal("a failed writer goes on")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.Dir(), manifestName+".new")); err != nil {
		t.Fatal(err)
	}
	holds(t, s, map[int]int{1: 2})
	w = writer(t, s)
	put(t, w, 2, 2)
	commit(t, w)
	holds(t, s, map[int]int{1: 2, 2: 2})
}

func FuzzParseManifest(f *testing.F) {
	data, err := os.ReadFile(filepath.Join(smallIndex(f), manifestName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("evident index, format 1, crc32c 00000000\n{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, body, _ := bytes.Cut(data, []byte("\n"))
		for _, data := range [][]byte{data, durable.Sign(manifestKind, formatVersion, body)} {
			m, err := parseManifest("m", data)
			if (m == nil) == (err == nil) {
				t.Fatalf("%v, %v", m, err)
			}
			if err == nil {
				for _, b := range m.Batches { // what is done with every entry
					_ = liveDocuments(b) + levelOf(b)
				}
			}
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	doc, passages := text(3, 5)
	r, err := newRecord(doc, passages, stat(3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := parseRecord(data); err == nil {
			doc.Text = strings.Repeat("x", 99)
			doc.Pages, doc.Headings, doc.Blocks = nil, nil, nil
			_ = parseMarks(r.marks, doc)
		}
	})
}
