package vector

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"sync/atomic"

	"evident/internal/durable"
	"evident/internal/kernel"
	"evident/internal/mapped"
	"evident/internal/pack"
)

// segment is an immutable run of vectors. With lists they stand in the order of the lists.
type segment struct {
	path string
	file *mapped.File // nil in memory
	refs atomic.Int32 // snapshots and improvers that use it

	fixed  fixed     // [n]
	norm   float32   // no ‖x‖ is larger
	priors []float32 // [n]
	ids    []uint64  // [n]
	group  []uint32  // [n]
	lists  *lists    // nil where the segment is scanned

	keyOffsets []uint32 // [groups+1]
	keyBytes   []byte
	parts      [sectionCount][]byte // of a mapped file
	sums       [sectionCount]uint32
}

// lists are the inverted lists of a segment.
type lists struct {
	centroids fixed
	norms     []float32 // [lists] ‖c‖²
	starts    []uint64  // [lists+1]: list i is vectors starts[i] … starts[i+1]
	first     []uint64  // [lists+1]: its blocks, likewise
	blocks    []byte    // of codes and factors, a list begins a block
}

func (l *lists) len() int { return len(l.norms) }

// count computes first from starts.
func (l *lists) count() {
	l.first = make([]uint64, len(l.starts))
	for i := 1; i < len(l.starts); i++ {
		n := l.starts[i] - l.starts[i-1]
		l.first[i] = l.first[i-1] + (n+kernel.BitsBlock-1)/kernel.BitsBlock
	}
}

func (s *segment) len() int    { return len(s.fixed.scale) }
func (s *segment) groups() int { return len(s.keyOffsets) - 1 }

// key is the key of a group. It is of use while the segment is.
func (s *segment) key(group uint32) string {
	return string(s.keyBytes[s.keyOffsets[group]:s.keyOffsets[group+1]])
}

func (s *segment) retain() { s.refs.Add(1) }

// release gives the mapping back when nobody uses it any more.
func (s *segment) release() {
	if s.refs.Add(-1) == 0 {
		s.file.Close()
	}
}

// The fixed parts of a segment file; docs/format/vector-index.md draws the whole.
const (
	segmentMagic   = "evvector"
	segmentVersion = 1
	segmentAlign   = 64 // of sections
	segmentHeader  = 16 // magic, version, zero
	segmentFields  = 40 // of the footer, behind the table of sections
	sectionEntry   = 24 // of that table
)

// The sections of a segment file, in order. The small ones are checked when it is opened, the
// others by verify.
const (
	sectionCentroidHigh = iota
	sectionCentroidLow
	sectionCentroidScale
	sectionCentroidNorm
	sectionStarts
	sectionKeyOffsets
	sectionKeys
	sectionBlocks
	sectionHigh
	sectionLow
	sectionScale
	sectionPrior
	sectionID
	sectionGroup
	sectionCount

	sectionsSmall = sectionBlocks
)

// openSegment maps a segment file and checks everything but the vectors themselves.
func openSegment(dir string, entry segmentEntry, d int, fine bool) (*segment, error) {
	path := filepath.Join(dir, entry.File)
	file, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open vector index: %w", err)
	}
	s := &segment{path: path, file: file, fixed: fixed{d: d}}
	data := file.Bytes()
	if int64(len(data)) != entry.Bytes {
		err = durable.Damaged(path, "it has %d bytes, the manifest says %d", len(data), entry.Bytes)
	} else if err = s.parse(data, fine); err == nil &&
		(s.len() != entry.Vectors || s.groups() != entry.Groups) {
		err = durable.Damaged(path, "it is not the file that the manifest means")
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	s.refs.Store(1)
	return s, nil
}

// parse finds the sections in the bytes of a file.
func (s *segment) parse(data []byte, fine bool) error {
	const footer = sectionCount*sectionEntry + segmentFields
	if len(data) < segmentHeader+footer || string(data[:8]) != segmentMagic ||
		string(data[len(data)-8:]) != segmentMagic {
		return durable.Damaged(s.path, "it does not begin and end as vectors")
	}
	le := binary.LittleEndian
	if v := le.Uint32(data[8:]); v != segmentVersion {
		return &durable.VersionError{Path: s.path, Got: int(v), Want: segmentVersion}
	}
	tail := data[len(data)-footer:]
	sum := durable.AddSum(durable.Sum(data[:segmentHeader]), tail[:footer-12])
	if sum != le.Uint32(tail[footer-12:]) {
		return durable.Damaged(s.path, "wrong checksum of its table of sections")
	}
	end := uint64(len(data) - footer)
	for i := range s.parts {
		entry := tail[i*sectionEntry:]
		at, size := le.Uint64(entry), le.Uint64(entry[8:])
		if at%segmentAlign != 0 || at > end || size > end-at {
			return durable.Damaged(s.path, "section %d lies outside", i)
		}
		s.parts[i], s.sums[i] = data[at:at+size:at+size], le.Uint32(entry[16:])
	}
	fields := tail[sectionCount*sectionEntry:]
	shape := segmentShape{
		vectors: le.Uint64(fields), lists: uint64(le.Uint32(fields[8:])), groups: uint64(le.Uint32(fields[12:])),
		d: uint64(le.Uint32(fields[16:])), fine: fine,
	}
	s.norm = math.Float32frombits(le.Uint32(fields[20:]))
	if err := s.checkSizes(shape); err != nil {
		return err
	}
	for i := range sectionsSmall {
		if err := s.verifySection(i); err != nil {
			return err
		}
	}
	return s.bind(shape)
}

// segmentShape is what the sizes of sections follow from.
type segmentShape struct {
	vectors, lists, groups, d uint64
	fine                      bool
}

// checkSizes compares the sections' sizes with what the file says of itself.
func (s *segment) checkSizes(shape segmentShape) error {
	n, l, d := shape.vectors, shape.lists, shape.d
	if d != uint64(s.fixed.d) || n > math.MaxUint32 || l > n {
		return durable.Damaged(s.path, "%d vectors of %d bytes in %d lists", n, d, l)
	}
	low, starts := uint64(0), uint64(0)
	if shape.fine {
		low = n * d
	}
	if l > 0 {
		starts = 8 * (l + 1)
	}
	for section, want := range map[int]uint64{
		sectionCentroidHigh: l * d, sectionCentroidLow: l * d,
		sectionCentroidScale: 4 * l, sectionCentroidNorm: 4 * l, sectionStarts: starts,
		sectionKeyOffsets: 4 * (shape.groups + 1),
		sectionHigh:       n * d, sectionLow: low, sectionScale: 4 * n,
		sectionPrior: 4 * n, sectionID: 8 * n, sectionGroup: 4 * n,
	} {
		if got := uint64(len(s.parts[section])); got != want {
			return durable.Damaged(s.path, "section %d has %d bytes, not %d", section, got, want)
		}
	}
	return nil
}

// bind lets the segment's slices be those of the file, and checks what other places point into.
func (s *segment) bind(shape segmentShape) error {
	n, l := int(shape.vectors), int(shape.lists)
	s.fixed.high = s.parts[sectionHigh]
	if shape.fine {
		s.fixed.low = s.parts[sectionLow]
	}
	s.fixed.scale, _ = pack.View[float32](s.parts[sectionScale], n)
	s.priors, _ = pack.View[float32](s.parts[sectionPrior], n)
	s.group, _ = pack.View[uint32](s.parts[sectionGroup], n)
	s.ids, _ = pack.View[uint64](s.parts[sectionID], n)
	s.keyOffsets, _ = pack.View[uint32](s.parts[sectionKeyOffsets], int(shape.groups)+1)
	s.keyBytes = s.parts[sectionKeys]
	last := uint32(0)
	for _, at := range s.keyOffsets {
		if at < last || uint64(at) > uint64(len(s.keyBytes)) {
			return durable.Damaged(s.path, "a group's key lies outside")
		}
		last = at
	}
	if l == 0 {
		return nil
	}
	lists := &lists{centroids: fixed{
		d: s.fixed.d, high: s.parts[sectionCentroidHigh], low: s.parts[sectionCentroidLow],
	}, blocks: s.parts[sectionBlocks]}
	lists.centroids.scale, _ = pack.View[float32](s.parts[sectionCentroidScale], l)
	lists.norms, _ = pack.View[float32](s.parts[sectionCentroidNorm], l)
	lists.starts, _ = pack.View[uint64](s.parts[sectionStarts], l+1)
	for i, at := range lists.starts {
		if i > 0 && at < lists.starts[i-1] || at > shape.vectors {
			return durable.Damaged(s.path, "list %d begins at vector %d of %d", i, at, n)
		}
	}
	lists.count()
	blocks := lists.first[l] * uint64(kernel.BitsBlockSize(s.fixed.d/8))
	if lists.starts[0] != 0 || lists.starts[l] != shape.vectors || uint64(len(lists.blocks)) != blocks {
		return durable.Damaged(s.path, "its lists do not hold its %d vectors", n)
	}
	s.lists = lists
	return nil
}

func (s *segment) verifySection(i int) error {
	if durable.Sum(s.parts[i]) != s.sums[i] {
		return durable.Damaged(s.path, "wrong checksum of section %d", i)
	}
	return nil
}

// verify checks everything.
func (s *segment) verify() error {
	for i := range s.parts {
		if err := s.verifySection(i); err != nil {
			return err
		}
	}
	for row, group := range s.group {
		if int(group) >= s.groups() {
			return durable.Damaged(s.path, "vector %d is of group %d of %d", row, group, s.groups())
		}
	}
	return nil
}
