package bm25

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync/atomic"

	"evident/internal/durable"
	"evident/internal/mapped"
)

// DamagedError says that a file does not hold what was written to it.
type DamagedError = durable.DamagedError

// Segment is an immutable inverted index of some documents. It is safe for concurrent use.
//
// Opening one checks the sizes and the checksum of everything but the postings, which takes time
// in proportion to the vocabulary; each postings list is checked when it is first read. A damaged
// segment therefore gives a [*DamagedError], at once or from a search, and never a wrong list.
type Segment struct {
	path     string
	file     *mapped.File // nil when the bytes are the caller's
	analyzer Analyzer

	documents, filled, terms uint32
	tokens                   uint64

	data    []byte // the whole segment
	meta    int    // where the lists end
	codes   []byte // length code by document
	lengths []byte // u32 by document
	dictionary

	checked []atomic.Uint32 // one bit by term: its list has passed the checksum
	counted liveCounts      // of indexes in which documents of it are deleted
}

// Open maps the segment at path. Close it when no [Index] uses it any more.
func Open(path string) (*Segment, error) {
	file, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	s, err := ParseNamed(path, file.Bytes())
	if err != nil {
		file.Close()
		return nil, err
	}
	s.file = file
	return s, nil
}

// Parse reads a segment from memory. The bytes must stay as they are while it is in use.
func Parse(data []byte) (*Segment, error) { return ParseNamed("", data) }

// ParseNamed is [Parse] for bytes that lie in the file at path, which errors then name.
func ParseNamed(path string, data []byte) (*Segment, error) {
	s := &Segment{path: path, data: data}
	if err := s.parse(); err != nil {
		return nil, err
	}
	s.checked = make([]atomic.Uint32, (s.terms+31)/32)
	return s, nil
}

func (s *Segment) damaged(format string, args ...any) error {
	return durable.Damaged(s.path, format, args...)
}

func (s *Segment) parse() error {
	if len(s.data) < headerLen+footerLen {
		return s.damaged("%d bytes are too few for a segment", len(s.data))
	}
	if string(s.data[:8]) != segmentMagic || string(s.data[len(s.data)-8:]) != segmentMagic {
		return s.damaged("it does not begin and end as a BM25 segment")
	}
	le := binary.LittleEndian
	version := le.Uint32(s.data[8:])
	if version < 1 || version > segmentVersion {
		return s.damaged("segment version %d, this program reads versions 1 to %d", version, segmentVersion)
	}
	footer := s.data[len(s.data)-footerLen:]
	meta := le.Uint64(footer)
	s.tokens = le.Uint64(footer[8:])
	s.documents, s.filled = le.Uint32(footer[16:]), le.Uint32(footer[20:])
	s.terms = le.Uint32(footer[24:])
	nameBytes := le.Uint32(footer[28:])

	rest := len(s.data) - footerLen
	tables := 4*uint64(groupsOf(int(s.terms))) + uint64(nameBytes)
	if version == 1 {
		tables = 4*(uint64(s.terms)+1) + entryLen*uint64(s.terms) + uint64(nameBytes)
	}
	if meta < headerLen || meta > uint64(rest) || uint64(rest)-meta != 5*uint64(s.documents)+tables {
		return s.damaged("its sections do not add up to its %d bytes", len(s.data))
	}
	s.meta = int(meta)
	sum := crc32.Checksum(s.data[:headerLen], castagnoli)
	sum = crc32.Update(sum, castagnoli, s.data[s.meta:len(s.data)-12])
	if sum != le.Uint32(s.data[len(s.data)-12:]) {
		return s.damaged("wrong checksum of the dictionary")
	}
	at := s.data[s.meta:rest]
	take := func(n int) (part []byte) {
		part, at = at[:n], at[n:]
		return part
	}
	s.codes, s.lengths = take(int(s.documents)), take(4*int(s.documents))
	if terms := int(s.terms); version == 1 {
		s.dictionary = &flatDictionary{terms, take(4 * (terms + 1)), take(entryLen * terms), at}
	} else {
		s.dictionary = &groupedDictionary{terms, take(4 * groupsOf(terms)), at}
	}
	var err error
	s.analyzer, err = AnalyzerNamed(string(bytes.TrimRight(footer[32:32+nameLen], "\x00")))
	if err != nil {
		return s.damaged("%v", err)
	}
	return nil
}

// Close gives the mapping back. The segment and every Index over it must not be used any more.
func (s *Segment) Close() error { return s.file.Close() }

// Len returns the number of documents, deleted ones included.
func (s *Segment) Len() int { return int(s.documents) }

// Terms returns the number of different terms.
func (s *Segment) Terms() int { return int(s.terms) }

// Size returns the number of bytes.
func (s *Segment) Size() int { return len(s.data) }

// Analyzer returns the analyser with which the texts were analysed.
func (s *Segment) Analyzer() Analyzer { return s.analyzer }

// length is the number of terms of a document.
func (s *Segment) length(doc uint32) uint32 { return binary.LittleEndian.Uint32(s.lengths[4*doc:]) }

// list returns the postings of a term and checks them when they are read for the first time.
func (s *Segment) list(e *entry) (list, error) {
	if e.inline != nil {
		var docs, tfs [inlineMax]uint32
		if e.df == 0 || !parseInline(e.inline, int(e.df), docs[:], tfs[:], s.documents) {
			return list{}, s.brokenList(e.name)
		}
		return list{documents: s.documents, df: e.df, inline: e.inline}, nil
	}
	if e.at > uint64(s.meta) || uint64(e.size) > uint64(s.meta)-e.at {
		return list{}, s.damaged("the postings of %q lie outside", e.name)
	}
	data := s.data[e.at : e.at+uint64(e.size)+listSlack]
	bit := uint32(1) << (e.number & 31)
	if s.checked[e.number>>5].Load()&bit == 0 {
		if crc32.Checksum(data[:e.size], castagnoli) != e.sum {
			return list{}, s.damaged("wrong checksum of the postings of %q", e.name)
		}
		s.checked[e.number>>5].Or(bit)
	}
	l, ok := parseList(data, int(e.size), e.df, s.documents)
	if !ok {
		return list{}, s.brokenList(e.name)
	}
	return l, nil
}

// brokenList is the error for postings that cannot be what was written.
func (s *Segment) brokenList(term []byte) error {
	return s.damaged("the postings of %q are inconsistent", term)
}

// Verify checks every postings list, not only those that searches have read.
func (s *Segment) Verify() error {
	var docs, tfs [blockLen]uint32
	next, read := s.walk(), 0
	for e, ok := next(); ok; e, ok = next() {
		read++
		l, err := s.list(&e)
		if err != nil {
			return err
		}
		for block := range l.blocks() {
			if _, ok := l.decode(block, &docs, &tfs); !ok {
				return s.brokenList(e.name)
			}
		}
	}
	if read != int(s.terms) {
		return s.damaged("its dictionary ends after %d of %d terms", read, s.terms)
	}
	return nil
}
