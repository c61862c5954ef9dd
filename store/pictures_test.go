package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"evident/document"
	"evident/internal/durable"
)

func pictureOf(number int) *document.Document {
	return &document.Document{
		Path: fmt.Sprintf("dir/%d.png", number), Format: "image/png",
		Picture: &document.Picture{
			Width: 3 * number, Height: 5 * number, Model: "m", Vector: []float32{float32(number), -0.5, 1e-20},
		},
	}
}

// Pictures live among documents through replacing, removing, merging and reopening.
func TestPictures(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	want := map[string]*document.Picture{}
	for i := 1; i <= 40; i++ { // small commits: batches are merged on the way
		p := pictureOf(i % 30)
		if err := w.Put(p, nil, stat(i)); err != nil {
			t.Fatal(err)
		}
		want[p.Path] = p.Picture
		put(t, w, i, 2)
		commit(t, w)
	}
	w.Remove("dir/7.png")
	delete(want, "dir/7.png")
	commit(t, w)
	again, err := Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, s := range []*Store{s, again} {
		snapshot, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer snapshot.Release()
		stats := snapshot.Stats()
		if stats.Pictures != len(want) || stats.Documents != 40 || stats.Passages != 80 || stats.Batches > 20 {
			t.Errorf("got %+v, want %d pictures and 40 documents", stats, len(want))
		}
		pictures, err := snapshot.Pictures()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]*document.Picture{}
		for _, p := range pictures {
			got[p.Path] = p.Picture
			if p.Format != "image/png" {
				t.Errorf("%s has format %q", p.Path, p.Format)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		doc, err := snapshot.Document("dir/8.png")
		if err != nil || !reflect.DeepEqual(doc.Picture, want["dir/8.png"]) || doc.Text != "" {
			t.Errorf("as a document: %+v, %v", doc, err)
		}
		if err := snapshot.Verify(); err != nil {
			t.Error(err)
		}
	}
}

// A batch of format 1 reads as before.
func TestBatchOfVersion1(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(oldIndex)); err != nil {
		t.Fatal(err)
	}
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.ID = "" // which manifests of that time did not have, nor sums
	for i := range m.Batches {
		m.Batches[i].Sum = 0
		name := filepath.Join(dir, m.Batches[i].File)
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint32(data[8:], 1)
		sealBatch(data)
		replace(t, name, data)
	}
	if err := errors.Join(m.write(durable.Disk{}, dir), os.Remove(filepath.Join(dir, copyName))); err != nil {
		t.Fatal(err)
	}
	old, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	holds(t, old, map[int]int{0: 3, 1: 3, 2: 3, 4: 3, 5: 3, 6: 3, 8: 2})
}

// A picture whose record is cut, or promises more than there is, is damage and no crash.
func TestPictureRecordsThatLie(t *testing.T) {
	whole := appendMarks(nil, pictureOf(3))
	for n := range len(whole) {
		doc := &document.Document{}
		err := parseMarks(whole[:n], doc)
		if err == nil && doc.Picture != nil {
			t.Errorf("the first %d of %d bytes pass for a picture", n, len(whole))
		}
	}
	doc := &document.Document{}
	if err := parseMarks(append(slices.Clone(whole), 0), doc); err == nil {
		t.Error("a byte too many passes")
	}
	huge := appendPicture(nil, &document.Picture{})
	huge = binary.AppendUvarint(huge[:len(huge)-1], 1<<40) // so many values
	if err := parseMarks(append([]byte{0, 0, 0}, huge...), &document.Document{}); err == nil {
		t.Error("a vector longer than the record passes")
	}
}
