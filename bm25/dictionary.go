package bm25

import (
	"encoding/binary"
	"slices"
)

const (
	entryLen  = 20 // of version 1: list offset u64, list bytes u32, df u32, checksum of the list u32
	groupLen  = 16 // terms that share one place in the index of the dictionary
	inlineMax = 7  // a list of so many postings stands in the dictionary itself
)

// entry is a term in a dictionary.
type entry struct {
	number int
	name   []byte
	df     uint32
	inline []byte // the postings, to the end of the dictionary; nil for a list of its own
	at     uint64 // where the list begins in the segment
	size   uint32 // of the list in bytes
	sum    uint32 // its checksum
}

// dictionary finds terms. What cannot be read of one is passed over: its checksum was right, so only a
// file that was made to be wrong has such places.
type dictionary interface {
	// find returns a term, or false when no document has it.
	find(term string) (entry, bool)
	// walk returns a function that returns the terms in order, and false behind the last one or where
	// the dictionary cannot be read on. The name is valid until the next call.
	walk() func() (entry, bool)
}

// flatDictionary is that of version 1: arrays of offsets, entries and names.
type flatDictionary struct {
	terms                   int
	offsets, entries, names []byte
}

// name is a term's text; damage that the checksum missed gives an empty one.
func (d *flatDictionary) name(term int) []byte {
	start := binary.LittleEndian.Uint32(d.offsets[4*term:])
	end := binary.LittleEndian.Uint32(d.offsets[4*term+4:])
	if start > end || uint64(end) > uint64(len(d.names)) {
		return nil
	}
	return d.names[start:end]
}

func (d *flatDictionary) entry(term int) entry {
	le, raw := binary.LittleEndian, d.entries[term*entryLen:][:entryLen]
	return entry{
		number: term, name: d.name(term), df: le.Uint32(raw[12:]),
		at: le.Uint64(raw), size: le.Uint32(raw[8:]), sum: le.Uint32(raw[16:]),
	}
}

func (d *flatDictionary) find(term string) (entry, bool) {
	low, high := 0, d.terms
	for low < high {
		middle := int(uint(low+high) >> 1)
		if string(d.name(middle)) < term {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == d.terms || string(d.name(low)) != term {
		return entry{}, false
	}
	return d.entry(low), true
}

func (d *flatDictionary) walk() func() (entry, bool) {
	next := 0
	return func() (entry, bool) {
		if next == d.terms {
			return entry{}, false
		}
		next++
		return d.entry(next - 1), true
	}
}

// groupedDictionary is that of version 2: groups of [groupLen] terms, each group readable on its own.
//
//	group = place of its first list uvarint, terms
//	term  = bytes shared with the term before uvarint, other bytes uvarint, these, df uvarint, postings
//
// The postings are inline, see [appendInline], where df is at most [inlineMax]; for others the bytes of
// the list uvarint and its checksum u32 stand in their place, and the list follows that of the term before.
type groupedDictionary struct {
	terms  int
	starts []byte // u32 by group: where it begins in data
	data   []byte
}

func groupsOf(terms int) int { return (terms + groupLen - 1) / groupLen }

// groupWalk reads the terms of a dictionary from one group on.
type groupWalk struct {
	*groupedDictionary
	rest []byte // of data
	next int    // number of the next term
	at   uint64 // of the next list
	name []byte
}

// group begins to read at a group.
func (d *groupedDictionary) group(group int) groupWalk {
	start := binary.LittleEndian.Uint32(d.starts[4*group:])
	rest := d.data[min(uint64(start), uint64(len(d.data))):]
	at, n := binary.Uvarint(rest)
	if n <= 0 {
		return groupWalk{groupedDictionary: d, next: d.terms}
	}
	return groupWalk{groupedDictionary: d, rest: rest[n:], next: group * groupLen, at: at}
}

// first is the lowest term of a group.
func (d *groupedDictionary) first(group int) []byte {
	w := d.group(group)
	shared, n := binary.Uvarint(w.rest)
	length, m := binary.Uvarint(w.rest[max(n, 0):])
	if n <= 0 || m <= 0 || shared != 0 || length > uint64(len(w.rest)-n-m) {
		return nil
	}
	return w.rest[n+m:][:length]
}

// number reads a number of the dictionary; ok is false at its end.
func (w *groupWalk) number() (v uint64, ok bool) {
	if len(w.rest) > 0 && w.rest[0] < 0x80 {
		v = uint64(w.rest[0])
		w.rest = w.rest[1:]
		return v, true
	}
	v, n := binary.Uvarint(w.rest)
	if n <= 0 {
		return 0, false
	}
	w.rest = w.rest[n:]
	return v, true
}

// term reads the next term.
func (w *groupWalk) term() (entry, bool) {
	if w.next >= w.terms {
		return entry{}, false
	}
	shared, ok := w.number()
	length, alsoOK := w.number()
	if !ok || !alsoOK || shared > uint64(len(w.name)) || length > uint64(len(w.rest)) {
		return entry{}, false
	}
	w.name = append(w.name[:shared], w.rest[:length]...)
	w.rest = w.rest[length:]
	df, ok := w.number()
	if !ok || df > 1<<32-1 {
		return entry{}, false
	}
	e := entry{number: w.next, name: w.name, df: uint32(df)}
	w.next++
	if df <= inlineMax {
		e.inline = w.rest
		return e, w.skipInline(int(df))
	}
	size, ok := w.number()
	if !ok || size > 1<<32-1 || len(w.rest) < 4 {
		return entry{}, false
	}
	e.at, e.size, e.sum = w.at, uint32(size), binary.LittleEndian.Uint32(w.rest)
	w.rest = w.rest[4:]
	w.at += size
	return e, true
}

// skipInline passes over the postings of a short list.
func (w *groupWalk) skipInline(df int) bool {
	for range df {
		gap, ok := w.number()
		if ok && gap&1 == 0 {
			_, ok = w.number()
		}
		if !ok {
			return false
		}
	}
	return true
}

func (d *groupedDictionary) find(term string) (entry, bool) {
	low, high := 0, groupsOf(d.terms) // the last group whose first term is not above
	for low < high {
		middle := int(uint(low+high) >> 1)
		if string(d.first(middle)) <= term {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		return entry{}, false
	}
	for w := d.group(low - 1); w.next < low*groupLen; {
		e, ok := w.term()
		if !ok || string(e.name) > term {
			break
		}
		if string(e.name) == term {
			e.name = slices.Clone(e.name)
			return e, true
		}
	}
	return entry{}, false
}

func (d *groupedDictionary) walk() func() (entry, bool) {
	if d.terms == 0 {
		return func() (entry, bool) { return entry{}, false }
	}
	w := d.group(0)
	return func() (entry, bool) {
		if w.next < d.terms && w.next%groupLen == 0 {
			w = d.group(w.next / groupLen)
		}
		return w.term()
	}
}

// dictionaryWriter collects the terms of a segment, in increasing order.
type dictionaryWriter struct {
	groupedDictionary
	last []byte
}

// begin appends what every term begins with; listAt is where the next list will begin.
func (w *dictionaryWriter) begin(term string, df int, listAt uint64) {
	shared := 0
	if w.terms%groupLen == 0 {
		w.starts = binary.LittleEndian.AppendUint32(w.starts, uint32(len(w.data)))
		w.data = binary.AppendUvarint(w.data, listAt)
	} else {
		for shared < min(len(term), len(w.last)) && term[shared] == w.last[shared] {
			shared++
		}
	}
	w.data = binary.AppendUvarint(w.data, uint64(shared))
	w.data = binary.AppendUvarint(w.data, uint64(len(term)-shared))
	w.data = append(w.data, term[shared:]...)
	w.data = binary.AppendUvarint(w.data, uint64(df))
	w.last = append(w.last[:0], term...)
	w.terms++
}

// inline ends a term whose postings stand in the dictionary.
func (w *dictionaryWriter) inline(docs, tfs []uint32) { w.data = appendInline(w.data, docs, tfs) }

// list ends a term with a list of its own.
func (w *dictionaryWriter) list(size int, sum uint32) {
	w.data = binary.AppendUvarint(w.data, uint64(size))
	w.data = binary.LittleEndian.AppendUint32(w.data, sum)
}

// appendInline encodes a short list: of each posting twice the distance to the document before less one,
// and one more where tf is 1; else tf follows.
func appendInline(dst []byte, docs, tfs []uint32) []byte {
	next := uint32(0)
	for i, doc := range docs {
		gap := uint64(doc-next) << 1
		if tfs[i] == 1 {
			dst = binary.AppendUvarint(dst, gap|1)
		} else {
			dst = binary.AppendUvarint(dst, gap)
			dst = binary.AppendUvarint(dst, uint64(tfs[i]))
		}
		next = doc + 1
	}
	return dst
}

// parseInline decodes the postings of a short list and checks that they are in range.
func parseInline(data []byte, df int, docs, tfs []uint32, documents uint32) bool {
	w := groupWalk{rest: data}
	next := uint64(0)
	for i := range df {
		gap, ok := w.number()
		tf := uint64(1)
		if ok && gap&1 == 0 {
			tf, ok = w.number()
		}
		next += gap >> 1
		if !ok || next >= uint64(documents) || tf == 0 || tf > 1<<32-1 {
			return false
		}
		docs[i], tfs[i] = uint32(next), uint32(tf)
		next++
	}
	return true
}
