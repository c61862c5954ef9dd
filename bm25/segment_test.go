package bm25

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
)

// smallSegment has lists of one block and of several, and every kind of length.
func smallSegment(t testing.TB) []byte {
	z := newZipf(23, 97)
	return build(t, z.texts(389, 29)).data
}

// use reads everything a segment has; only its errors are of interest.
func use(s *Segment) error {
	x, err := NewIndex([]Part{{Segment: s, Deleted: []DocRange{{0, min(3, s.documents)}}}}, Params{})
	if err != nil {
		return err
	}
	for _, question := range []string{"w0", "w1 w0 w2 w0 w90", "w3 w5 w8 w13 w21 w34 nothing"} {
		hits, err := x.Search(question, 10)
		if err != nil {
			return err
		}
		for _, hit := range hits {
			if _, err := x.Explain(question, hit.Doc); err != nil {
				return err
			}
		}
	}
	var out bytes.Buffer
	if _, err := Merge(&out, []Part{{Segment: s}}); err != nil {
		return err
	}
	return s.Verify()
}

func TestSegmentFile(t *testing.T) {
	data := smallSegment(t)
	path := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := use(s); err != nil {
		t.Fatal(err)
	}
	if s.Len() != 389 || s.Size() != len(data) || s.Analyzer() != (Analyzer{}) {
		t.Errorf("%d documents, %d bytes, %v", s.Len(), s.Size(), s.Analyzer())
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path + "?"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file gives %v", err)
	}
}

// TestDamageGivesAnError flips a bit in every byte and cuts the file everywhere.
func TestDamageGivesAnError(t *testing.T) {
	whole := smallSegment(t)
	check := func(what string, data []byte) {
		t.Helper()
		s, err := ParseNamed("name", data)
		if err == nil {
			err = s.Verify()
		}
		var damage *DamagedError
		if !errors.As(err, &damage) || damage.Path != "name" {
			t.Fatalf("%s: error %v", what, err)
		}
	}
	data := bytes.Clone(whole)
	for at := range data {
		data[at] ^= 1 << (at % 8)
		check(fmt.Sprintf("byte %d of %d changed", at, len(data)), data)
		data[at] = whole[at]
	}
	for n := range len(whole) {
		check(fmt.Sprintf("cut to %d of %d bytes", n, len(whole)), whole[:n])
	}
}

// seal makes the checksums of a damaged segment right again, so that the damage gets past them.
func seal(data []byte) {
	if len(data) < headerLen+footerLen {
		return
	}
	le := binary.LittleEndian
	meta := le.Uint64(data[len(data)-footerLen:])
	sealAll := func() {
		if meta <= uint64(len(data)-12) {
			sum := crc32.Checksum(data[:headerLen], castagnoli)
			sum = crc32.Update(sum, castagnoli, data[meta:len(data)-12])
			le.PutUint32(data[len(data)-12:], sum)
		}
	}
	sealAll()
	s, err := Parse(data)
	if err != nil {
		return
	}
	old := make([]byte, 4)
	next := s.walk()
	for e, ok := next(); ok; e, ok = next() {
		if e.inline != nil || e.at > uint64(len(data)) || uint64(e.size) > uint64(len(data))-e.at {
			continue
		}
		le.PutUint32(old, e.sum)
		sum := crc32.Checksum(data[e.at:e.at+uint64(e.size)], castagnoli)
		if at := bytes.Index(data[meta:], old); at >= 0 && e.sum != sum { // the first such bytes: most often the right ones
			le.PutUint32(data[meta+uint64(at):], sum)
		}
	}
	sealAll()
}

// oldSegment is what version 1 of the format made of the texts of smallSegment.
func oldSegment(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/segment-1")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestOldSegmentsAreRead: a segment of version 1 answers, and merges, as one of this version.
func TestOldSegmentsAreRead(t *testing.T) {
	old, err := Parse(oldSegment(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Verify(); err != nil {
		t.Fatal(err)
	}
	fresh, err := Parse(smallSegment(t))
	if err != nil {
		t.Fatal(err)
	}
	z := newZipf(1, 97)
	for range 53 {
		terms := z.text(9)
		sameHits(t, fmt.Sprint(terms), search(t, newIndex(t, Params{}, Part{Segment: old}), terms, 31),
			search(t, newIndex(t, Params{}, Part{Segment: fresh}), terms, 31))
	}
	if merged := merge(t, []Part{{Segment: old}}); !bytes.Equal(merged.data, fresh.data) {
		t.Error("a merge of the old segment is not what is written now")
	}
	if fresh.Size() >= old.Size() {
		t.Errorf("%d bytes, version 1 took %d", fresh.Size(), old.Size())
	}
}

// TestSealedDamageIsHarmless changes bytes behind valid checksums: no error is promised then, but
// nothing may crash or run away.
func TestSealedDamageIsHarmless(t *testing.T) {
	for _, whole := range [][]byte{smallSegment(t), oldSegment(t)} {
		damageSealed(t, whole)
	}
}

func damageSealed(t *testing.T, whole []byte) {
	t.Helper()
	for at := 0; at < len(whole); at += 3 + at%31 { // FuzzParse goes on from here
		for _, flip := range []byte{0xff, 0x01, 0x80} {
			data := bytes.Clone(whole)
			data[at] ^= flip
			seal(data)
			if s, err := Parse(data); err == nil {
				_ = use(s)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(smallSegment(f))
	f.Add(oldSegment(f))
	f.Add(build(f, nil).data)
	f.Add(build(f, [][]string{{"w0"}, {}, {"w0", "w1", "w1"}}).data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := Parse(data); err == nil {
			_ = use(s)
		}
		data = bytes.Clone(data)
		seal(data)
		if s, err := Parse(data); err == nil {
			_ = use(s)
		}
	})
}

func TestPackedValues(t *testing.T) {
	for width := range 33 {
		for _, n := range []int{1, 7, 127, 128} {
			values := make([]uint32, n)
			for i := range values {
				values[i] = uint32(uint64(i*2654435761+i) & (1<<width - 1))
			}
			packed := appendPacked(nil, values, width)
			if len(packed) != packedLen(n, width) {
				t.Fatalf("%d values of %d bits take %d bytes, not %d",
					n, width, len(packed), packedLen(n, width))
			}
			got := make([]uint32, n)
			unpack(got, append(packed, make([]byte, listSlack)...), width)
			for i := range values {
				if got[i] != values[i] {
					t.Fatalf("width %d: value %d is %d, want %d", width, i, got[i], values[i])
				}
			}
		}
	}
}
