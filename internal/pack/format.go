package pack

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"runtime"
	"sync/atomic"

	"evident/internal/mapped"
	"evident/internal/parallel"
)

// The file, as docs/format/packed-weights.md tells it.
const (
	magic         = "evpack\r\n"
	formatVersion = 1
	preambleSize  = 128
	precisionSize = 16
	tableMax      = 64 << 20
)

// Where the fields of the preamble lie.
const (
	atVersion   = 8
	atLayout    = 12
	atIdentity  = 16
	atPrecision = 48
	atSize      = 64  // of the file, u64
	atBody      = 72  // where the first section begins, u64
	atTable     = 80  // bytes of the table, u64
	atChecksum  = 124 // u32, of all bytes before the first section but these four
)

// littleEndian says that numbers lie in memory as in the file.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is what a file must say of itself to be used.
type header struct {
	Layout    uint32
	Precision string
	Identity  identity
}

// entry is a section in the table.
type entry struct {
	Key
	Offset   int    `json:"offset"`
	Length   int    `json:"length"`
	Checksum uint32 `json:"crc32c"` // of the section and the padding behind it
}

// Reasons why a file is not used.
var (
	errDamaged = errors.New("damaged")
	errStale   = errors.New("made from other weights")
	errVersion = errors.New("of another version")
)

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// mapping is an open file whose every byte was checked. The memory is given back when nobody can reach
// the mapping any more.
type mapping struct {
	sections []section
}

// openFile maps the file at path and checks it, all sections included: nothing of a file is used
// before its checksum was found right.
func openFile(path string, want header) (*mapping, error) {
	file, err := mapped.Open(path)
	if err != nil {
		return nil, err
	}
	m := new(mapping)
	if err := m.read(aligned(file.Bytes()), want); err != nil {
		return nil, errors.Join(fmt.Errorf("packed weights %q: %w", path, err), file.Close())
	}
	// The slices do not keep the mapping: whoever holds one holds the Cache, which holds m.
	runtime.AddCleanup(m, func(file *mapped.File) { file.Close() }, file)
	return m, nil
}

// aligned returns data, or a copy of it where it does not begin on a cache line, as where a file could
// only be read.
func aligned(data []byte) []byte {
	if len(data) == 0 || isAligned(data) {
		return data
	}
	to := Bytes(len(data))
	copy(to, data)
	return to
}

func (m *mapping) read(data []byte, want header) error {
	entries, err := readHeader(data, want)
	if err != nil {
		return err
	}
	if err := verify(data, entries); err != nil {
		return err
	}
	for _, e := range entries {
		m.sections = append(m.sections, section{e.Key, data[e.Offset:][:e.Length:e.Length]})
	}
	return nil
}

func (m *mapping) find(k Key) ([]byte, bool) {
	for _, s := range m.sections {
		if s.equal(k) {
			return s.data, true
		}
	}
	return nil, false
}

// readHeader checks everything before the first section and where sections lie.
func readHeader(data []byte, want header) ([]entry, error) {
	if len(data) < preambleSize || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin as one", errDamaged)
	}
	number := binary.LittleEndian
	if v := number.Uint32(data[atVersion:]); v != formatVersion {
		return nil, fmt.Errorf("%w: format %d, not %d", errVersion, v, formatVersion)
	}
	size, body, table := number.Uint64(data[atSize:]), number.Uint64(data[atBody:]), number.Uint64(data[atTable:])
	if size != uint64(len(data)) || body > size || table > tableMax || preambleSize+table > body {
		return nil, fmt.Errorf("%w: %d bytes where %d are promised", errDamaged, len(data), size)
	}
	if headerSum(data[:body]) != number.Uint32(data[atChecksum:]) {
		return nil, fmt.Errorf("%w: the checksum of its header is wrong", errDamaged)
	}
	// The checksum was right, so from here on differences are meant.
	if v := number.Uint32(data[atLayout:]); v != want.Layout {
		return nil, fmt.Errorf("%w: layout %d, not %d", errVersion, v, want.Layout)
	}
	precision := string(bytes.TrimRight(data[atPrecision:atSize], "\x00"))
	if precision != want.Precision {
		return nil, fmt.Errorf("%w: in %q, not %q", errVersion, precision, want.Precision)
	}
	if identity(data[atIdentity:atPrecision]) != want.Identity {
		return nil, errStale
	}
	var entries []entry
	if err := json.Unmarshal(data[preambleSize:][:table], &entries); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return entries, checkPlaces(entries, int(body), len(data))
}

// checkPlaces makes sure that sections follow each other, so that their checksums cover the file.
func checkPlaces(entries []entry, body, size int) error {
	if len(entries) == 0 || entries[0].Offset != body {
		return fmt.Errorf("%w: no section at %d", errDamaged, body)
	}
	for i, e := range entries {
		end := sectionEnd(entries, i, size)
		if e.Offset%line != 0 || e.Length < 0 || e.Offset > size || end > size || e.Length > end-e.Offset {
			return fmt.Errorf("%w: section %q lies at %d, %d bytes long", errDamaged, e.Name, e.Offset, e.Length)
		}
	}
	return nil
}

// sectionEnd returns where the bytes of a section's checksum end.
func sectionEnd(entries []entry, i, size int) int {
	if i+1 < len(entries) {
		return entries[i+1].Offset
	}
	return size
}

// verify compares all sections with their checksums, on all cores: it is the larger part of a start.
func verify(data []byte, entries []entry) error {
	var bad atomic.Int64
	bad.Store(-1)
	parallel.Each(len(entries), func(i int) {
		e := &entries[i]
		if crc32.Checksum(data[e.Offset:sectionEnd(entries, i, len(data))], castagnoli) != e.Checksum {
			bad.Store(int64(i))
		}
	})
	if i := bad.Load(); i >= 0 {
		return fmt.Errorf("%w: the checksum of %q is wrong", errDamaged, entries[i].Name)
	}
	return nil
}

// headerSum is the checksum of all bytes before the first section but its own.
func headerSum(head []byte) uint32 {
	sum := crc32.Checksum(head[:atChecksum], castagnoli)
	return crc32.Update(sum, castagnoli, head[preambleSize:])
}

// encode returns all bytes before the first section, and the bytes of padding behind each section.
func encode(h header, sections []section) (head []byte, padding []int, err error) {
	if len(h.Precision) > precisionSize {
		return nil, nil, fmt.Errorf("precision %q has no room", h.Precision)
	}
	entries := make([]entry, len(sections))
	// The table names offsets, whose digits make it longer: it gets room for the longest.
	const entrySpare = 64
	for i, s := range sections {
		entries[i] = entry{Key: s.Key, Length: len(s.data)}
	}
	draft, err := json.Marshal(entries)
	if err != nil {
		return nil, nil, err
	}
	body := alignUp(preambleSize+len(draft)+entrySpare*len(entries), page)
	offsets, size, err := place(sections, body)
	if err != nil {
		return nil, nil, err
	}
	padding = make([]int, len(sections))
	for i, s := range sections {
		entries[i].Offset = offsets[i]
		padding[i] = size - offsets[i] - len(s.data)
		if i+1 < len(sections) {
			padding[i] = offsets[i+1] - offsets[i] - len(s.data)
		}
		sum := crc32.Checksum(s.data, castagnoli)
		entries[i].Checksum = crc32.Update(sum, castagnoli, make([]byte, padding[i]))
	}
	table, err := json.Marshal(entries)
	if err != nil {
		return nil, nil, err
	}
	head = make([]byte, body)
	copy(head, magic)
	number := binary.LittleEndian
	number.PutUint32(head[atVersion:], formatVersion)
	number.PutUint32(head[atLayout:], h.Layout)
	copy(head[atIdentity:], h.Identity[:])
	copy(head[atPrecision:], h.Precision)
	number.PutUint64(head[atSize:], uint64(size))
	number.PutUint64(head[atBody:], uint64(body))
	number.PutUint64(head[atTable:], uint64(len(table)))
	copy(head[preambleSize:], table)
	number.PutUint32(head[atChecksum:], headerSum(head))
	return head, padding, nil
}
