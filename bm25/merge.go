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
	m := merger{index: index, at: make([]int, len(index.parts))}
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
	}
	out := newSegmentWriter(w, index.analyzer, lengths)
	for {
		term, ok := m.lowest()
		if !ok {
			return out.finish()
		}
		if err := m.gather(term); err != nil {
			return out.written, fmt.Errorf("merge segments: %w", err)
		}
		if len(m.docs) > 0 {
			out.add(string(term), m.docs, m.tfs)
		}
	}
}

// merger walks the dictionaries of several segments side by side.
type merger struct {
	index   *Index
	numbers [][]uint32 // by part and document: its new number; of no use for deleted ones
	at      []int      // by part: the term it has come to
	docs    []uint32   // postings of the current term
	tfs     []uint32
}

// lowest is the lowest term that has not been merged.
func (m *merger) lowest() (term []byte, ok bool) {
	for i, p := range m.index.parts {
		if m.at[i] == int(p.terms) {
			continue
		}
		if name := p.name(m.at[i]); !ok || bytes.Compare(name, term) < 0 {
			term, ok = name, true
		}
	}
	return term, ok
}

// gather collects the live postings of term and moves the dictionaries past it.
func (m *merger) gather(term []byte) error {
	var docs, tfs [blockLen]uint32
	m.docs, m.tfs = m.docs[:0], m.tfs[:0]
	for i, p := range m.index.parts {
		if m.at[i] == int(p.terms) || !bytes.Equal(p.name(m.at[i]), term) {
			continue
		}
		l, err := p.list(m.at[i])
		if err != nil {
			return err
		}
		for block := range l.blocks() {
			n, ok := l.decode(block, &docs, &tfs)
			if !ok {
				return p.brokenList(m.at[i])
			}
			for j, doc := range docs[:n] {
				if !p.isDeleted(doc) {
					m.docs = append(m.docs, m.numbers[i][doc])
					m.tfs = append(m.tfs, tfs[j])
				}
			}
		}
		m.at[i]++
	}
	return nil
}
