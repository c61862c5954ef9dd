package pack

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// cached makes a model with a sound cache and returns both.
func cached(t testing.TB) (dir string, o Options, path string, sound []byte) {
	t.Helper()
	dir, o = writeModel(t, 1), Options{Dir: t.TempDir(), Precision: "bf16", Now: later}
	path = expect(t, "first", os.DirFS(dir), o, Made).Path
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return dir, o, path, sound
}

// wanted is the header of the cache that cached makes.
func wanted(t testing.TB, dir string, o Options) header {
	t.Helper()
	p := plan{folder: os.DirFS(dir), files: []string{"model.safetensors"}, now: o.Now}
	id, err := p.identify()
	if err != nil {
		t.Fatal(err)
	}
	return header{Layout: Layout, Precision: o.Precision, Identity: id}
}

// TestEveryFlippedByteIsSeen changes each byte of a file in turn, in one bit or in all.
func TestEveryFlippedByteIsSeen(t *testing.T) {
	dir, o, path, sound := cached(t)
	want := wanted(t, dir, o)
	spoilt := Bytes(len(sound))
	copy(spoilt, sound)
	if err := new(mapping).read(spoilt, want); err != nil {
		t.Fatal(err)
	}
	for i := range sound {
		mask := byte(1) << (i % 8)
		if i%9 == 8 {
			mask = 0xFF
		}
		spoilt[i] ^= mask
		if err := new(mapping).read(spoilt, want); err == nil {
			t.Fatalf("byte %d changed by %#x is not seen", i, mask)
		}
		spoilt[i] = sound[i]
	}
	// And through the whole: the outputs stay right, the file is made anew.
	for i := 0; i < len(sound); i += 1 + len(sound)/97 {
		spoilt := bytes.Clone(sound)
		spoilt[i] ^= 0x10
		write(t, path, spoilt)
		if r := expect(t, "spoilt", os.DirFS(dir), o, Made); r.Cause == nil || r.Path != path {
			t.Fatalf("byte %d: %v", i, r)
		}
		expect(t, "repaired", os.DirFS(dir), o, Used)
	}
}

func TestTruncatedAndExtended(t *testing.T) {
	dir, o, path, sound := cached(t)
	want := wanted(t, dir, o)
	for n := range sound {
		short := Bytes(n)
		copy(short, sound)
		if err := new(mapping).read(short, want); !errors.Is(err, errDamaged) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	for what, data := range map[string][]byte{
		"empty": nil, "half": sound[:len(sound)/2], "longer": append(bytes.Clone(sound), 0),
		"twice": append(bytes.Clone(sound), sound...), "zeros": make([]byte, len(sound)),
	} {
		write(t, path, data)
		if r := expect(t, what, os.DirFS(dir), o, Made); !errors.Is(r.Cause, errDamaged) {
			t.Errorf("%s: %v", what, r.Cause)
		}
		expect(t, what+", repaired", os.DirFS(dir), o, Used)
	}
}

// TestOtherVersions: files that are sound, but of another time.
func TestOtherVersions(t *testing.T) {
	dir, o, path, _ := cached(t)
	want := wanted(t, dir, o)
	sections := []section{{keyOf(7), contentOf(9, 7)}} // not what would be computed
	for what, c := range map[string]struct {
		change func(*header)
		format uint32
		cause  error
	}{
		"layout":    {change: func(h *header) { h.Layout++ }, cause: errVersion},
		"precision": {change: func(h *header) { h.Precision = "fp32" }, cause: errVersion},
		"identity":  {change: func(h *header) { h.Identity[31]++ }, cause: errStale},
		"format":    {change: func(*header) {}, format: formatVersion + 1, cause: errVersion},
	} {
		h := want
		c.change(&h)
		var file bytes.Buffer
		head, padding, err := encode(h, sections)
		if err != nil {
			t.Fatal(err)
		}
		if c.format > 0 {
			binary.LittleEndian.PutUint32(head[atVersion:], c.format)
			binary.LittleEndian.PutUint32(head[atChecksum:], headerSum(head))
		}
		if err := writeAll(&file, head, sections, padding); err != nil {
			t.Fatal(err)
		}
		write(t, path, file.Bytes())
		if r := expect(t, what, os.DirFS(dir), o, Made); !errors.Is(r.Cause, c.cause) {
			t.Errorf("%s: %v", what, r.Cause)
		}
	}
}

// TestPlacesAreChecked: a table that is wrong although its checksum is right.
func TestPlacesAreChecked(t *testing.T) {
	dir, o, _, sound := cached(t)
	want := wanted(t, dir, o)
	number := binary.LittleEndian
	length := number.Uint64(sound[atTable:])
	var entries []entry
	if err := json.Unmarshal(sound[preambleSize:][:length], &entries); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func([]entry) []entry{
		"none":      func([]entry) []entry { return nil },
		"moved":     func(e []entry) []entry { e[0].Offset += line; return e },
		"crooked":   func(e []entry) []entry { e[2].Offset++; return e },
		"before":    func(e []entry) []entry { e[2].Offset = 0; return e },
		"behind":    func(e []entry) []entry { e[4].Offset = alignUp(len(sound), line) + line; return e },
		"far":       func(e []entry) []entry { e[4].Offset = 1 << 62; return e },
		"long":      func(e []entry) []entry { e[4].Length = 1 << 62; return e },
		"negative":  func(e []entry) []entry { e[1].Length = -1; return e },
		"negative2": func(e []entry) []entry { e[1].Offset = -line; return e },
		"overlap":   func(e []entry) []entry { e[1].Length += 2 * page; return e },
	} {
		changed := change(append([]entry(nil), entries...))
		table, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		spoilt := bytes.Clone(sound)
		body := number.Uint64(spoilt[atBody:])
		copy(spoilt[preambleSize:], table)
		number.PutUint64(spoilt[atTable:], uint64(len(table)))
		number.PutUint32(spoilt[atChecksum:], headerSum(spoilt[:body]))
		if err := new(mapping).read(aligned(spoilt), want); !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzDamage spoils a file at random, in several places: it is either refused, or its sections are right.
func FuzzDamage(f *testing.F) {
	dir, o, _, sound := cached(f)
	want := wanted(f, dir, o)
	f.Add(uint64(1), uint8(1), uint16(0))
	f.Add(uint64(2), uint8(40), uint16(9))
	f.Fuzz(func(t *testing.T, seed uint64, changes uint8, cut uint16) {
		random := rand.New(rand.NewPCG(seed, 1))
		data := Bytes(max(0, len(sound)-int(cut)))
		copy(data, sound)
		for range changes {
			if len(data) > 0 {
				data[random.IntN(len(data))] = byte(random.Uint32())
			}
		}
		m := new(mapping)
		if err := m.read(data, want); err != nil {
			return
		}
		for i, s := range m.sections {
			if !s.equal(keyOf(sizes[i])) || !bytes.Equal(s.data, contentOf(1, sizes[i])) {
				t.Fatalf("section %d is wrong and was taken", i)
			}
		}
	})
}

// FuzzTable puts any bytes in the place of the table, under checksums that are right.
func FuzzTable(f *testing.F) {
	const body, size = 4096, 8192
	want, number := header{Layout: Layout, Precision: "bf16"}, binary.LittleEndian
	sum := crc32.Checksum(make([]byte, size-body), castagnoli)
	for _, table := range []string{
		`[{"name":"a","form":"b","shape":[3,5],"offset":4096,"length":15,"crc32c":%d}]`,
		`[{"name":"a","form":"b","offset":4096,"length":4096,"crc32c":%d}]`,
	} {
		f.Add(fmt.Appendf(nil, table, sum))
	}
	f.Add([]byte(`[{"offset":4096,"crc32c":0},{"offset":4160,"length":-7}]`))
	f.Fuzz(func(t *testing.T, table []byte) {
		if len(table) > body-preambleSize {
			return
		}
		head, _, err := encode(want, []section{{Key{}, Bytes(0)}})
		if err != nil || len(head) != body {
			t.Fatalf("%d bytes of header: %v", len(head), err)
		}
		clear(head[preambleSize:])
		copy(head[preambleSize:], table)
		number.PutUint64(head[atTable:], uint64(len(table)))
		number.PutUint64(head[atSize:], size)
		number.PutUint32(head[atChecksum:], headerSum(head))
		data := Bytes(size)
		copy(data, head)
		m := new(mapping)
		if m.read(data, want) != nil {
			return
		}
		for _, s := range m.sections {
			if !isAligned(s.data) || crc32.Checksum(s.data, castagnoli) != crc32.Checksum(make([]byte, len(s.data)), castagnoli) {
				t.Fatalf("section %q has %d bytes that are not of the body", s.Name, len(s.data))
			}
		}
	})
}

// TestUnfinishedFilesAreRemoved: those of writers that were killed, not those of writers at work.
func TestUnfinishedFilesAreRemoved(t *testing.T) {
	dir, o := writeModel(t, 1), Options{Dir: t.TempDir(), Precision: "bf16"}
	old, young := filepath.Join(dir, "evident-bf16.packed.1.new"), filepath.Join(dir, "evident-bf16.packed.2.new")
	other := filepath.Join(dir, "evident-bf16.packed.html")
	for _, path := range []string{old, young, other} {
		write(t, path, []byte("x"))
	}
	hours := time.Now().Add(-2 * leftoverAge)
	for _, path := range []string{old, other} {
		if err := os.Chtimes(path, hours, hours); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "first", os.DirFS(dir), o, Made)
	if _, err := os.Stat(old); err == nil {
		t.Error("the old one is still there")
	}
	for _, path := range []string{young, other} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
