package bm25

import "slices"

// noDoc is higher than every document number.
const noDoc = 1<<32 - 1

// Hit is a document and its score.
type Hit struct {
	Doc   uint32 // number in the index
	Score float32
}

// Search returns the k documents with the highest scores for the question, best first, equal
// scores by document number. The list is exact. Its error is a [*DamagedError] of a segment.
func (x *Index) Search(question string, k int) ([]Hit, error) {
	return x.SearchTerms(x.analyzer.Terms(question), k)
}

// SearchTerms is [Index.Search] for a question that is analysed already.
func (x *Index) SearchTerms(terms []string, k int) ([]Hit, error) {
	if k <= 0 {
		return nil, nil
	}
	query, err := x.prepare(terms)
	if err != nil || len(query) == 0 {
		return nil, err
	}
	best := &collector{k: min(k, int(x.live)), threshold: -1}
	for i, p := range x.parts {
		m := maxScore{part: p, best: best, shares: make([]float32, len(query))}
		for slot, q := range query {
			for _, pl := range q.lists {
				if pl.part == i {
					m.cursors = append(m.cursors, newCursor(slot, pl, q.weight))
				}
			}
		}
		if err := m.run(); err != nil {
			return nil, err
		}
	}
	return best.ranked(), nil
}

// collector keeps the best k hits in a heap whose root is the worst of them. Documents must be
// offered in increasing order: of equal scores, the earlier stays.
type collector struct {
	k         int
	heap      []Hit
	threshold float32 // only a score above it can enter; below 0 while there is room
}

func worse(a, b Hit) bool { return a.Score < b.Score || a.Score == b.Score && a.Doc > b.Doc }

func (c *collector) offer(h Hit) {
	if h.Score <= c.threshold {
		return
	}
	if len(c.heap) < c.k {
		c.heap = append(c.heap, h)
		for i := len(c.heap) - 1; i > 0 && worse(c.heap[i], c.heap[(i-1)/2]); i = (i - 1) / 2 {
			c.heap[i], c.heap[(i-1)/2] = c.heap[(i-1)/2], c.heap[i]
		}
	} else {
		c.heap[0] = h
		c.sink()
	}
	if len(c.heap) == c.k {
		c.threshold = c.heap[0].Score
	}
}

// sink restores the heap after its root was replaced.
func (c *collector) sink() {
	for i := 0; ; {
		child := 2*i + 1
		if child+1 < len(c.heap) && worse(c.heap[child+1], c.heap[child]) {
			child++
		}
		if child >= len(c.heap) || !worse(c.heap[child], c.heap[i]) {
			return
		}
		c.heap[i], c.heap[child] = c.heap[child], c.heap[i]
		i = child
	}
}

func (c *collector) ranked() []Hit {
	slices.SortFunc(c.heap, func(a, b Hit) int {
		if worse(b, a) {
			return -1
		}
		return 1
	})
	return c.heap
}

// maxScore is one run of MaxScore (Turtle and Flood 1995) with block bounds (Ding and Suel 2011,
// Mallia et al. 2017) over the lists of one part.
//
// The cursors are sorted by the highest score they can give. While the threshold rises, the first
// ones become optional: all of them together cannot lift a document into the best k. Candidates
// come from the others only, the essential ones; optional lists are looked up for a candidate as
// long as it can still win.
type maxScore struct {
	part      *part
	best      *collector
	cursors   []*cursor // by rising limit
	limits    []float64 // limits[i] is the sum of the limits of cursors[:i]
	essential int       // cursors[essential:] are
	shares    []float32 // of the candidate, by slot in the question
}

// slack makes up for the rounding of float64 sums taken in different orders; shares are float32.
const slack = 1 + 1e-12

// canWin reports whether a document whose shares add up to at most bound can enter the best k.
func (m *maxScore) canWin(bound float64) bool { return float32(bound*slack) > m.best.threshold }

func (m *maxScore) run() error {
	if len(m.cursors) == 0 {
		return nil
	}
	slices.SortStableFunc(m.cursors, func(a, b *cursor) int {
		switch {
		case a.limit < b.limit:
			return -1
		case a.limit > b.limit:
			return 1
		}
		return 0
	})
	m.limits = make([]float64, len(m.cursors)+1)
	for i, c := range m.cursors {
		m.limits[i+1] = m.limits[i] + float64(c.limit)
		c.seek(0)
	}
	m.raise()
	for m.essential < len(m.cursors) {
		doc := m.candidate()
		if doc == noDoc {
			break
		}
		if next := m.skip(doc); next > doc {
			for _, c := range m.cursors[m.essential:] {
				c.seek(next)
			}
			continue
		}
		m.evaluate(doc)
	}
	for _, c := range m.cursors {
		if c.broken {
			return m.part.brokenList(c.term)
		}
	}
	return nil
}

// raise makes optional every list that the threshold allows to.
func (m *maxScore) raise() {
	for m.essential < len(m.cursors) && !m.canWin(m.limits[m.essential+1]) {
		m.essential++
	}
}

// candidate is the lowest document at which an essential cursor stands.
func (m *maxScore) candidate() uint32 {
	doc := uint32(noDoc)
	for _, c := range m.cursors[m.essential:] {
		doc = min(doc, c.doc)
	}
	return doc
}

// skip returns the next document that can win when doc cannot by the bounds of the blocks, and
// doc when it can.
func (m *maxScore) skip(doc uint32) uint32 {
	if m.best.threshold < 0 {
		return doc
	}
	bound, next := m.limits[m.essential], uint32(noDoc)
	for _, c := range m.cursors[m.essential:] {
		if c.doc == doc {
			bound += float64(c.blockLimit())
			next = min(next, c.blockLast+1)
		} else {
			next = min(next, c.doc)
		}
	}
	if m.canWin(bound) {
		return doc
	}
	return next
}

// evaluate scores doc and offers it, and moves the essential cursors past it.
func (m *maxScore) evaluate(doc uint32) {
	if m.part.isDeleted(doc) {
		for _, c := range m.cursors[m.essential:] {
			c.seek(doc + 1)
		}
		return
	}
	code := m.part.codes[doc]
	sum := 0.0
	for _, c := range m.cursors[m.essential:] {
		if c.doc == doc {
			share := c.weight.score(c.tf(), code)
			m.shares[c.slot] = share
			sum += float64(share)
			c.seek(doc + 1)
		}
	}
	won := true
	for i := m.essential - 1; i >= 0; i-- {
		c := m.cursors[i]
		if won = m.canWin(sum + m.limits[i+1]); !won {
			break
		}
		if c.doc < doc {
			if c.skipTo(doc); !m.canWin(sum + m.limits[i] + float64(c.blockLimit())) {
				won = false
				break
			}
			c.seek(doc)
		}
		if c.doc == doc {
			share := c.weight.score(c.tf(), code)
			m.shares[c.slot] = share
			sum += float64(share)
		}
	}
	if won {
		m.best.offer(Hit{m.part.base + doc, m.total()})
		m.raise()
	}
	clear(m.shares)
}

// total adds the shares in the order of the question, so that the sum does not depend on the
// order in which the lists were read; Lucene too adds in float64 and rounds once.
func (m *maxScore) total() float32 {
	sum := 0.0
	for _, share := range m.shares {
		sum += float64(share)
	}
	return float32(sum)
}
