package bm25

import (
	"bytes"
	"fmt"
	"io"
)

// Merge writes one segment with the live documents of parts, in their order and numbered anew.
// It ranks as the parts together did.
func Merge(w io.Writer, parts []Part) (int64, error) {
	index, err := NewIndex(parts, Params{})
	if err != nil {
		return 0, fmt.Errorf("merge segments: %w", err)
	}
	m := merger{index: index}
	var lengths []uint32
	for _, p := range index.parts {
		numbers := make([]uint32, p.documents)
		for doc := range p.documents {
			numbers[doc] = uint32(len(lengths))
			if !p.isDeleted(doc) {
				lengths = append(lengths, p.length(doc))
			}
		}
		m.numbers = append(m.numbers, numbers)
		m.walks = append(m.walks, p.walk())
		m.terms, m.read = append(m.terms, nil), append(m.read, 0)
		m.step(len(m.walks) - 1)
	}
	out := newSegmentWriter(w, index.analyzer, lengths)
	var term []byte // its own: the dictionaries go on meanwhile
	for {
		lowest := m.lowest()
		if lowest == nil {
			break
		}
		term = append(term[:0], lowest.name...)
		if err := m.gather(term); err != nil {
			return out.written, fmt.Errorf("merge segments: %w", err)
		}
		if len(m.docs) > 0 {
			out.add(string(term), m.docs, m.tfs)
		}
	}
	for i, p := range index.parts {
		if m.read[i] != int(p.terms) {
			err := p.damaged("its dictionary ends after %d of %d terms", m.read[i], p.terms)
			return out.written, fmt.Errorf("merge segments: %w", err)
		}
	}
	return out.finish()
}

// merger walks the dictionaries of several segments side by side.
type merger struct {
	index   *Index
	numbers [][]uint32 // by part and document: its new number; of no use for deleted ones
	walks   []func() (entry, bool)
	terms   []*entry // by part: the term it has come to; nil past the last
	read    []int    // by part: how many terms it has come past
	docs    []uint32 // postings of the current term
	tfs     []uint32
}

// step moves a dictionary on.
func (m *merger) step(part int) {
	if e, ok := m.walks[part](); ok {
		m.terms[part] = &e
	} else {
		m.terms[part] = nil
	}
}

// lowest is the lowest term that has not been merged; nil when there is none.
func (m *merger) lowest() *entry {
	var lowest *entry
	for _, e := range m.terms {
		if e != nil && (lowest == nil || bytes.Compare(e.name, lowest.name) < 0) {
			lowest = e
		}
	}
	return lowest
}

// gather collects the live postings of term and moves the dictionaries past it.
func (m *merger) gather(term []byte) error {
	var docs, tfs [blockLen]uint32
	m.docs, m.tfs = m.docs[:0], m.tfs[:0]
	for i, p := range m.index.parts {
		e := m.terms[i]
		if e == nil || !bytes.Equal(e.name, term) {
			continue
		}
		l, err := p.list(e)
		if err != nil {
			return err
		}
		for block := range l.blocks() {
			n, ok := l.decode(block, &docs, &tfs)
			if !ok {
				return p.brokenList(term)
			}
			for j, doc := range docs[:n] {
				if !p.isDeleted(doc) {
					m.docs = append(m.docs, m.numbers[i][doc])
					m.tfs = append(m.tfs, tfs[j])
				}
			}
		}
		m.read[i]++
		m.step(i)
	}
	return nil
}
