package bm25

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"
)

// DocRange is a half-open range of document numbers within one segment.
type DocRange struct {
	Start, End uint32
}

// Part is one segment of an [Index] and the documents of it that are deleted.
type Part struct {
	Segment *Segment
	Deleted []DocRange // in any order; may overlap
}

// Index ranks the live documents of several segments as if they were one. Documents are numbered
// through all parts in order, deleted ones included. It is immutable and safe for concurrent use.
type Index struct {
	parts    []*part
	params   Params
	analyzer Analyzer
	stats    statistics
	lengths  *lengthTable
	docs     uint32 // numbered, deleted ones included
	live     uint32

	spare sync.Pool // of *maxScore: memory of searches that have ended
}

// part is a Part prepared for searching.
type part struct {
	*Segment
	base    uint32   // number of its first document in the index
	deleted []uint64 // bit set by document; nil when nothing is deleted
}

// NewIndex prepares the ranking over parts. All segments must have been analysed alike.
func NewIndex(parts []Part, params Params) (*Index, error) {
	params, err := params.withDefaults()
	if err != nil {
		return nil, err
	}
	x := &Index{params: params}
	for i, p := range parts {
		if i == 0 {
			x.analyzer = p.Segment.analyzer
		} else if p.Segment.analyzer != x.analyzer {
			return nil, fmt.Errorf("bm25: segments analysed as %q and %q cannot be ranked together",
				x.analyzer.Name(), p.Segment.analyzer.Name())
		}
		if err := x.addPart(p); err != nil {
			return nil, err
		}
	}
	x.lengths = newLengthTable(params, x.stats.averageLength())
	return x, nil
}

func (x *Index) addPart(p Part) error {
	s := p.Segment
	if uint64(x.docs)+uint64(s.documents) >= noDoc {
		return fmt.Errorf("bm25: more than %d documents in one index", noDoc-1)
	}
	prepared := &part{Segment: s, base: x.docs}
	stats, live := statistics{uint64(s.filled), s.tokens}, s.documents
	for _, r := range p.Deleted {
		if r.Start > r.End || r.End > s.documents {
			return fmt.Errorf("bm25: deleted documents %d to %d of a segment of %d",
				r.Start, r.End, s.documents)
		}
		if prepared.deleted == nil {
			prepared.deleted = make([]uint64, (s.documents+63)/64)
		}
		for doc := r.Start; doc < r.End; doc++ {
			if prepared.isDeleted(doc) {
				continue
			}
			prepared.deleted[doc>>6] |= 1 << (doc & 63)
			live--
			if n := s.length(doc); n > 0 {
				stats.documents--
				stats.tokens -= uint64(n)
			}
		}
	}
	x.parts = append(x.parts, prepared)
	x.docs += s.documents
	x.live += live
	x.stats.documents += stats.documents
	x.stats.tokens += stats.tokens
	return nil
}

// isDeleted reports whether a document does not count any more.
func (p *part) isDeleted(doc uint32) bool {
	return p.deleted != nil && p.deleted[doc>>6]>>(doc&63)&1 != 0
}

// countLive returns how many live documents have the term. What was counted for fewer deletions, in the
// index of an earlier generation, is the beginning: only documents deleted since are looked up.
func (p *part) countLive(e *entry, l *list) (uint32, error) {
	if p.deleted == nil {
		return l.df, nil
	}
	known, ok := p.counted.get(e.number)
	if ok && &known.deleted[0] == &p.deleted[0] {
		return known.live, nil
	}
	live, broken := l.df, false
	if ok && contains(p.deleted, known.deleted) {
		live, broken = p.discount(l, known)
	} else {
		var docs, tfs [blockLen]uint32
		for block := range l.blocks() {
			n, whole := l.decode(block, &docs, &tfs)
			if broken = !whole; broken {
				break
			}
			for _, doc := range docs[:n] {
				if p.isDeleted(doc) {
					live--
				}
			}
		}
	}
	if broken {
		return 0, p.brokenList(e.name)
	}
	p.counted.put(e.number, liveCount{live, p.deleted})
	return live, nil
}

// discount takes those documents off a count that were deleted since.
func (p *part) discount(l *list, known liveCount) (live uint32, broken bool) {
	var c cursor
	c.reset(&partList{list: *l}, weight{inverse: new(lengthTable)}, p.codes)
	live = known.live
	for i, now := range p.deleted {
		for since := now &^ known.deleted[i]; since != 0; since &= since - 1 {
			doc := uint32(64*i + bits.TrailingZeros64(since))
			if c.seek(doc); c.on && c.doc == doc {
				live--
			}
		}
	}
	return live, c.broken
}

// contains says whether all documents of a set are in another.
func contains(whole, some []uint64) bool {
	for i, set := range some {
		if set&^whole[i] != 0 {
			return false
		}
	}
	return true
}

// liveCount is how many documents have a term when some are deleted.
type liveCount struct {
	live    uint32
	deleted []uint64 // bit set by document
}

// liveCounts keeps the newest count of each term of a segment. It is safe for concurrent use.
type liveCounts struct {
	mu     sync.Mutex
	byTerm map[int]liveCount
}

func (c *liveCounts) get(term int) (liveCount, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.byTerm[term]
	return known, ok
}

func (c *liveCounts) put(term int, known liveCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byTerm == nil {
		c.byTerm = map[int]liveCount{}
	}
	c.byTerm[term] = known
}

// Len returns how many document numbers there are, deleted ones included.
func (x *Index) Len() int { return int(x.docs) }

// Live returns the number of documents that are not deleted.
func (x *Index) Live() int { return int(x.live) }

// Params returns the constants in use.
func (x *Index) Params() Params { return x.params }

// queryTerm is one distinct term of a question.
type queryTerm struct {
	term  string
	count int    // how often the question has it
	df    uint64 // live documents that have it
	weight
	lists []partList // by part; those without the term are left out
}

// partList is a term's postings in one part.
type partList struct {
	part int
	term []byte
	list list
}

// prepare looks the terms up, in the order of their first occurrence, and weighs them with the
// statistics of the whole index. Terms that no live document has are left out.
func (x *Index) prepare(terms []string) ([]queryTerm, error) {
	var query []queryTerm
	for _, term := range terms {
		same := func(t queryTerm) bool { return t.term == term }
		if i := slices.IndexFunc(query, same); i >= 0 {
			query[i].count++
			continue
		}
		query = append(query, queryTerm{term: term, count: 1})
	}
	known := query[:0]
	for _, q := range query {
		for i, p := range x.parts {
			e, ok := p.find(q.term)
			if !ok {
				continue
			}
			l, err := p.list(&e)
			if err != nil {
				return nil, err
			}
			live, err := p.countLive(&e, &l)
			if err != nil {
				return nil, err
			}
			q.df += uint64(live)
			q.lists = append(q.lists, partList{i, e.name, l})
		}
		if q.df == 0 {
			continue
		}
		q.weight = weight{float32(q.count) * x.stats.idf(q.df), x.lengths}
		known = append(known, q)
	}
	return known, nil
}
