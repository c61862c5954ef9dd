package vector

import (
	"bufio"
	"encoding/binary"
	"errors"
	"math"

	"evident/internal/durable"
	"evident/internal/pack"
)

// draft is a segment that is going to be written: vectors of other segments, in a new order.
type draft struct {
	sources []*segment
	order   []rowRef // of the vectors
	group   []uint32 // [vectors] among keys
	keys    []string
	lists   *lists // centroids and starts; nil for none. Codes are made on the way
	d       int
	fine    bool
}

// rowRef names a vector of a source.
type rowRef uint64

func newRowRef(source int, row uint32) rowRef { return rowRef(source)<<32 | rowRef(row) }

func (r rowRef) at() (source, row int) { return int(r >> 32), int(uint32(r)) }

// write makes the file at path, which must not exist, waits until it is on the disk, and returns
// its size.
func (d *draft) write(disk durable.FS, path string) (int64, error) {
	f, err := disk.CreateNew(path, 0o600)
	if err != nil {
		return 0, err
	}
	w := &segmentWriter{out: bufio.NewWriterSize(f, 1<<20)}
	w.write(segmentFileHeader())
	d.sections(w)
	w.finish(len(d.order), d.listCount(), len(d.keys), d.d, d.norm())
	if w.err == nil {
		w.err = w.out.Flush()
	}
	if w.err == nil {
		w.err = f.Sync()
	}
	if err := errors.Join(w.err, f.Close()); err != nil {
		return 0, errors.Join(err, disk.Remove(path))
	}
	return w.at, nil
}

func segmentFileHeader() []byte {
	h := binary.LittleEndian.AppendUint32([]byte(segmentMagic), segmentVersion)
	return binary.LittleEndian.AppendUint32(h, 0)
}

func (d *draft) listCount() int {
	if d.lists == nil {
		return 0
	}
	return d.lists.len()
}

func (d *draft) norm() float32 {
	most := float32(0)
	for _, s := range d.sources {
		most = max(most, s.norm)
	}
	return most
}

// sections writes all sections in order.
func (d *draft) sections(w *segmentWriter) {
	w.begin(sectionCentroidHigh)
	if l := d.lists; l != nil {
		w.write(l.centroids.high)
		w.begin(sectionCentroidLow)
		w.write(l.centroids.low)
		w.begin(sectionCentroidScale)
		w.write(pack.Raw(l.centroids.scale))
		w.begin(sectionCentroidNorm)
		w.write(pack.Raw(l.norms))
		w.begin(sectionStarts)
		w.write(pack.Raw(l.starts))
	}
	d.writeKeys(w)
	w.begin(sectionBlocks)
	if d.lists != nil {
		d.writeBlocks(w)
	}
	d.each(w, sectionHigh, func(s *segment, row int) { w.write(s.fixed.high[row*d.d:][:d.d]) })
	if d.fine {
		d.each(w, sectionLow, func(s *segment, row int) { w.write(s.fixed.low[row*d.d:][:d.d]) })
	}
	d.each(w, sectionScale, func(s *segment, row int) { w.number(math.Float32bits(s.fixed.scale[row])) })
	d.each(w, sectionPrior, func(s *segment, row int) { w.number(math.Float32bits(s.priors[row])) })
	d.each(w, sectionID, func(s *segment, row int) {
		w.write(binary.LittleEndian.AppendUint64(w.scratch[:0], s.ids[row]))
	})
	w.begin(sectionGroup)
	w.write(pack.Raw(d.group))
}

// each writes something of every vector as a section.
func (d *draft) each(w *segmentWriter, section int, write func(s *segment, row int)) {
	w.begin(section)
	for _, ref := range d.order {
		source, row := ref.at()
		write(d.sources[source], row)
	}
}

func (d *draft) writeKeys(w *segmentWriter) {
	w.begin(sectionKeyOffsets)
	at := uint32(0)
	w.number(at)
	for _, key := range d.keys {
		at += uint32(len(key))
		w.number(at)
	}
	w.begin(sectionKeys)
	for _, key := range d.keys {
		w.write([]byte(key))
	}
}

// writeBlocks codes every vector, list by list.
func (d *draft) writeBlocks(w *segmentWriter) {
	block, x, c := newCodeBlock(d.d), make([]float32, d.d), make([]float32, d.d)
	flush := func() {
		if block.n > 0 {
			w.write(block.data)
			block.reset()
		}
	}
	for list := range d.lists.len() {
		d.lists.centroids.decode(c, list)
		for _, ref := range d.order[d.lists.starts[list]:d.lists.starts[list+1]] {
			source, row := ref.at()
			s := d.sources[source]
			s.fixed.decode(x, row)
			block.add(x, c, s.priors[row])
			if block.full() {
				flush()
			}
		}
		flush()
	}
}

// segmentWriter writes sections and notes where they are; after an error it does nothing.
type segmentWriter struct {
	out     *bufio.Writer
	at      int64
	err     error
	open    int // number of the open section + 1
	table   [sectionCount]struct{ at, size, sum uint64 }
	scratch [16]byte
}

// begin ends the section before and opens the next one.
func (w *segmentWriter) begin(section int) {
	w.open = 0
	w.write(make([]byte, -w.at&(segmentAlign-1)))
	w.table[section].at = uint64(w.at)
	w.open = section + 1
}

func (w *segmentWriter) write(data []byte) {
	if w.err != nil {
		return
	}
	n, err := w.out.Write(data)
	w.at, w.err = w.at+int64(n), err
	if w.open > 0 {
		t := &w.table[w.open-1]
		t.size += uint64(n)
		t.sum = uint64(durable.AddSum(uint32(t.sum), data[:n]))
	}
}

func (w *segmentWriter) number(v uint32) {
	w.write(binary.LittleEndian.AppendUint32(w.scratch[:0], v))
}

// finish writes the table of sections and the footer.
func (w *segmentWriter) finish(vectors, lists, groups, d int, norm float32) {
	w.open = 0
	w.write(make([]byte, -w.at&(segmentAlign-1)))
	le := binary.LittleEndian
	var tail []byte
	for _, t := range w.table {
		tail = le.AppendUint64(le.AppendUint64(tail, t.at), t.size)
		tail = le.AppendUint32(le.AppendUint32(tail, uint32(t.sum)), 0)
	}
	tail = le.AppendUint64(tail, uint64(vectors))
	for _, v := range []uint32{uint32(lists), uint32(groups), uint32(d), math.Float32bits(norm), 0} {
		tail = le.AppendUint32(tail, v)
	}
	sum := durable.AddSum(durable.Sum(segmentFileHeader()), tail)
	w.write(append(le.AppendUint32(tail, sum), segmentMagic...))
}
