package bm25

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// The fixed parts of a segment file; docs/format/bm25-segment.md draws the whole.
const (
	segmentMagic   = "evbm25\r\n"
	segmentVersion = 2  // 1 had a flat dictionary and no bitmaps
	headerLen      = 16 // magic, version u32, zero u32
	footerLen      = 80
	nameLen        = 32 // the analyser's name, padded with zeros
)

// castagnoli is the polynomial of every checksum; processors have an instruction for it.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentWriter writes a segment in one pass: lists as they come, then what describes them.
type segmentWriter struct {
	out     io.Writer
	err     error
	written int64

	analyzer   Analyzer
	lengths    []uint32
	codes      []byte
	lists      listWriter
	space      []byte // the list being packed
	dictionary dictionaryWriter
}

func newSegmentWriter(out io.Writer, a Analyzer, lengths []uint32) *segmentWriter {
	w := &segmentWriter{out: out, analyzer: a, lengths: lengths, codes: make([]byte, len(lengths))}
	for doc, length := range lengths {
		w.codes[doc] = encodeLength(length)
	}
	w.write(header())
	return w
}

func header() []byte {
	h := append(make([]byte, 0, headerLen), segmentMagic...)
	h = binary.LittleEndian.AppendUint32(h, segmentVersion)
	return binary.LittleEndian.AppendUint32(h, 0)
}

func (w *segmentWriter) write(data []byte) {
	if w.err != nil {
		return
	}
	n, err := w.out.Write(data)
	w.written += int64(n)
	w.err = err
}

// add writes the list of the next term; terms come in increasing order, lists are not empty.
func (w *segmentWriter) add(term string, docs, tfs []uint32) {
	w.dictionary.begin(term, len(docs), uint64(w.written))
	if len(docs) <= inlineMax {
		w.dictionary.inline(docs, tfs)
	} else {
		w.space = w.lists.append(w.space[:0], docs, tfs, w.codes)
		w.dictionary.list(len(w.space), crc32.Checksum(w.space, castagnoli))
		w.write(w.space)
	}
	if len(w.space) > math.MaxInt32 || len(w.dictionary.data) > math.MaxUint32 {
		w.err = fmt.Errorf("bm25: segment too large at term %q", term)
	}
}

// finish writes the description and the footer and returns the size of the segment.
func (w *segmentWriter) finish() (int64, error) {
	le := binary.LittleEndian
	metaStart := w.written
	lengths := make([]byte, 0, 4*len(w.lengths))
	var tokens, filled uint64
	for _, length := range w.lengths {
		lengths = le.AppendUint32(lengths, length)
		tokens += uint64(length)
		if length > 0 {
			filled++
		}
	}
	footer := make([]byte, 0, footerLen)
	footer = le.AppendUint64(footer, uint64(metaStart))
	footer = le.AppendUint64(footer, tokens)
	footer = le.AppendUint32(footer, uint32(len(w.lengths)))
	footer = le.AppendUint32(footer, uint32(filled))
	footer = le.AppendUint32(footer, uint32(w.dictionary.terms))
	footer = le.AppendUint32(footer, uint32(len(w.dictionary.data)))
	var name [nameLen]byte
	copy(name[:], w.analyzer.Name())
	footer = append(footer, name[:]...)
	footer = le.AppendUint32(footer, 0)

	sum := crc32.Checksum(header(), castagnoli)
	for _, part := range [][]byte{w.codes, lengths, w.dictionary.starts, w.dictionary.data, footer} {
		sum = crc32.Update(sum, castagnoli, part)
		w.write(part)
	}
	w.write(append(le.AppendUint32(nil, sum), segmentMagic...))
	return w.written, w.err
}
