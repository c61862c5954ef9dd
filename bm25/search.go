package bm25

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

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
	best := &collector{k: min(k, int(x.live)), threshold: -1, floor: -1}
	m, _ := x.spare.Get().(*maxScore)
	if m == nil {
		m = new(maxScore)
	}
	m.best = best
	for i, p := range x.parts {
		m.begin(p, i, query)
		if err := m.run(); err != nil {
			return nil, err // and m is not used again
		}
	}
	x.spare.Put(m)
	return best.ranked(), nil
}

// collector keeps the best k hits in a heap whose root is the worst of them. Documents must be
// offered in increasing order: of equal scores, the earlier stays.
type collector struct {
	k         int
	heap      []Hit
	threshold float32 // only a score above it can enter; below 0 while there is room
	floor     float64 // of sums: see canWin
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
		c.floor = float64(c.threshold) * (1 - slack)
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
// Mallia et al. 2017) over the lists of one part, a window of documents at a time.
//
// The cursors are sorted by the highest score they can give. While the threshold rises, the first
// ones become optional: all of them together cannot lift a document into the best k. Candidates
// come from the others only, the essential ones. In each window the same is done once more with the
// highest scores within it, from the bounds of the blocks; a window whose bounds do not add up is not
// opened at all. The essential lists of a window are added up one after the other, each in one loop;
// then the optional ones are looked up for the documents that can still win.
type maxScore struct {
	part      *part
	best      *collector
	cursors   []cursor
	order     []*cursor // by rising limit
	limits    []float64 // limits[i] is the sum of the limits of order[:i]
	essential int       // order[essential:] are

	local       []bounded // the cursors, by rising limit within the window
	localLimits []float64
	window      window
	found       []candidate
	numbers     [windowLen]uint16 // of candidates by document, one higher; zero but while a list is met
	met         [blockLen]meeting
}

// bounded is a cursor and its highest score within the window.
type bounded struct {
	*cursor
	limit float32
}

// candidate is a document and the sum of its shares so far.
type candidate struct {
	doc uint32
	sum float64
}

// meeting is a candidate that is in a block, and where in it.
type meeting struct{ number, at uint16 }

// windowLen is the most documents whose scores are added up at once.
const windowLen = 4096

// window is the sums of documents from start on.
//
// The sums of shares, which are float32, are exact in float64 as long as the largest share is less than
// 2²⁵ times the smallest, so that they do not depend on the order in which lists are read; with an idf
// between ln(1+1/2N) and ln 2N they are in all but the oddest collections. Lucene, too, adds in float64
// and rounds once.
type window struct {
	start uint32
	sums  [windowLen]float64
	set   [windowLen / 64]uint64
}

func (w *window) add(doc uint32, share float32) {
	at := (doc - w.start) % windowLen
	w.sums[at] += float64(share)
	w.set[at/64] |= 1 << (at % 64)
}

// slack makes up for the rounding of float64 sums of bounds.
const slack = 1e-12

// canWin reports whether a document whose shares add up to at most bound can enter the best k.
func (m *maxScore) canWin(bound float64) bool { return bound > m.best.floor }

// winning is 1 where canWin is true, and 0 otherwise, without a branch: in the loops over candidates it could not be
// foreseen. A difference that is not above zero has no sign, or is zero, so it is taken from the floor.
func winning(bound, floor float64) int { return int(math.Float64bits(floor-bound) >> 63) }

// begin takes up the lists of a part.
func (m *maxScore) begin(p *part, number int, query []queryTerm) {
	m.part, m.cursors, m.order = p, slices.Grow(m.cursors[:0], len(query))[:0], m.order[:0]
	for i := range query {
		q := &query[i]
		for j := range q.lists {
			if pl := &q.lists[j]; pl.part == number {
				m.cursors = m.cursors[:len(m.cursors)+1]
				m.cursors[len(m.cursors)-1].reset(pl, q.weight, p.codes)
			}
		}
	}
	for i := range m.cursors {
		m.order = append(m.order, &m.cursors[i])
	}
	slices.SortStableFunc(m.order, func(a, b *cursor) int { return cmp.Compare(a.limit, b.limit) })
	m.limits = append(m.limits[:0], 0)
	for i, c := range m.order {
		m.limits = append(m.limits, m.limits[i]+float64(c.limit))
	}
	m.essential = 0
}

func (m *maxScore) run() error {
	for {
		for m.essential < len(m.order) && !m.canWin(m.limits[m.essential+1]) {
			m.essential++
		}
		from := m.next()
		if from == noDoc {
			break
		}
		to := m.windowEnd(from)
		if m.bound(from, to) {
			m.score(from, to)
		}
		for _, c := range m.order[m.essential:] {
			c.pass(to)
		}
	}
	for i := range m.cursors {
		if c := &m.cursors[i]; c.broken {
			return m.part.brokenList(c.term)
		}
	}
	return nil
}

// next is the lowest document that an essential cursor may come to.
func (m *maxScore) next() uint32 {
	doc := uint32(noDoc)
	for _, c := range m.order[m.essential:] {
		doc = min(doc, c.doc)
	}
	return doc
}

// windowEnd chooses a window from a document on: as long as can be where several lists are added up, for shorter ones
// are not worth their bounds; to the end of the block where one list is essential.
func (m *maxScore) windowEnd(from uint32) uint32 {
	if m.essential+1 < len(m.order) {
		return min(from+windowLen, m.part.documents)
	}
	c := m.order[m.essential]
	c.skipTo(from)
	return min(m.part.documents, max(c.blockLast, c.blockLast+1))
}

// smallShare is the share of the threshold below which lists, all of them together, are bounded by their limits
// anywhere: looking at their blocks takes longer than it spares.
const smallShare = 0.1

// bound sorts the cursors by their limits within a window and reports whether a document can win in it.
func (m *maxScore) bound(from, to uint32) bool {
	m.local = m.local[:0]
	sum := 0.0
	for i, c := range m.order {
		limit := c.limit
		if m.limits[i+1] > smallShare*float64(m.best.threshold) && m.best.threshold >= 0 {
			limit = c.limitWithin(from, to)
		}
		m.local = append(m.local, bounded{c, limit})
		sum += float64(limit)
	}
	if !m.canWin(sum) {
		return false
	}
	sortByLimit(m.local)
	m.localLimits = append(m.localLimits[:0], 0)
	for i, c := range m.local {
		m.localLimits = append(m.localLimits, m.localLimits[i]+float64(c.limit))
	}
	return true
}

// sortByLimit sorts a few cursors that are nearly in order.
func sortByLimit(all []bounded) {
	for i := 1; i < len(all); i++ {
		b, at := all[i], i
		for ; at > 0 && all[at-1].limit > b.limit; at-- {
			all[at] = all[at-1]
		}
		all[at] = b
	}
}

// score offers all documents of a window that can win.
func (m *maxScore) score(from, to uint32) {
	optional := 0
	for optional < len(m.local) && !m.canWin(m.localLimits[optional+1]) {
		optional++
	}
	if m.found = m.found[:0]; optional+1 == len(m.local) {
		m.collectOne(m.local[optional].cursor, from, to, m.localLimits[optional])
	} else {
		m.window.start = from
		for _, c := range m.local[optional:] {
			c.addTo(&m.window, from, to, m.part.codes)
		}
		m.collect(int(to-from+63)/64, m.localLimits[optional])
	}
	for i := optional - 1; i >= 0 && len(m.found) > 0; i-- {
		m.lookUp(&m.local[i], m.localLimits[i])
	}
	for _, f := range m.found {
		if !m.part.isDeleted(f.doc) {
			m.best.offer(Hit{m.part.base + f.doc, float32(f.sum)})
		}
	}
}

// collect takes the documents of the window that can win when others add no more than rest, and clears it; words
// are those of set that the window has.
func (m *maxScore) collect(words int, rest float64) {
	w, floor := &m.window, m.best.floor
	n := 0
	for i, set := range w.set[:words] {
		w.set[i] = 0
		m.found = slices.Grow(m.found[:n], 64)[:n+64]
		for ; set != 0; set &= set - 1 {
			at := (64*i + bits.TrailingZeros64(set)) % windowLen
			m.found[n] = candidate{w.start + uint32(at), w.sums[at]}
			n += winning(w.sums[at]+rest, floor)
			w.sums[at] = 0
		}
	}
	m.found = m.found[:n]
}

// collectOne is collect for a single list.
func (m *maxScore) collectOne(c *cursor, from, to uint32, rest float64) {
	codes := m.part.codes
	for c.seek(from); c.doc < to; c.seek(c.doc + 1) {
		c.unpack()
		at := c.at
		for ; at < c.packed.n && c.docs[at] < to; at++ {
			doc := c.docs[at]
			share := float64(c.weight.score(c.tfAt(at), codes[doc]))
			if m.canWin(share + rest) {
				m.found = append(m.found, candidate{doc, share})
			}
		}
		c.at, c.doc = at-1, c.docs[at-1]
	}
}

// lookUp adds the share of a list to the candidates, and drops those that cannot win any more when the
// lists after it add no more than rest.
func (m *maxScore) lookUp(c *bounded, rest float64) {
	codes, floor := m.part.codes, m.best.floor
	if m.mayMeet(c.cursor) {
		m.meet(c.cursor, rest)
		return
	}
	kept := 0
	for _, f := range m.found {
		if c.doc < f.doc || c.doc == f.doc && !c.on {
			if c.skipTo(f.doc); c.opened != c.block && !m.canWin(f.sum+rest+float64(c.blockLimit())) {
				continue
			}
			c.find(f.doc)
		}
		if c.doc == f.doc && c.on {
			f.sum += float64(c.weight.score(c.tf(), codes[f.doc]))
		}
		m.found[kept] = f
		kept += winning(f.sum+rest, floor)
	}
	m.found = m.found[:kept]
}

// meetPostings is how many postings are gone through in the time in which one candidate is looked up.
const meetPostings = 12

// mayMeet says whether going through the postings from the first candidate to the last takes less time than looking
// the candidates up.
func (m *maxScore) mayMeet(c *cursor) bool {
	n := len(m.found)
	span := m.found[n-1].doc - m.found[0].doc
	return span < windowLen &&
		uint64(span)*uint64(c.list.df) < meetPostings*uint64(n)*uint64(c.list.documents)
}

// meet is lookUp by going through the postings of the list, where the candidates are within windowLen. It has no
// branches that depend on which documents meet.
func (m *maxScore) meet(c *cursor, rest float64) {
	codes, floor := m.part.codes, m.best.floor
	first, end := m.found[0].doc, m.found[len(m.found)-1].doc+1
	for i, f := range m.found {
		m.numbers[(f.doc-first)%windowLen] = uint16(i) + 1
	}
	for c.seek(first); c.doc < end; c.seek(c.doc + 1) {
		c.unpack()
		docs := c.docs[:c.packed.n]
		at, n := c.at, 0
		for ; at < len(docs) && docs[at] < end; at++ {
			number := m.numbers[(docs[at]-first)%windowLen]
			m.met[n%blockLen] = meeting{number, uint16(at)}
			n += int((uint32(number) + math.MaxUint16) >> 16) // 1 but for 0
		}
		for _, here := range m.met[:n] {
			f := &m.found[here.number-1]
			f.sum += float64(c.weight.score(c.tfAt(int(here.at)), codes[f.doc]))
		}
		c.at, c.doc = at-1, docs[at-1]
	}
	kept := 0
	for _, f := range m.found {
		m.numbers[(f.doc-first)%windowLen] = 0
		m.found[kept] = f
		kept += winning(f.sum+rest, floor)
	}
	m.found = m.found[:kept]
}

// addTo adds the shares of the documents from from to before to, and moves past them.
func (c *cursor) addTo(w *window, from, to uint32, codes []byte) {
	for c.seek(from); c.doc < to; c.seek(c.doc + 1) {
		c.unpack()
		c.at = c.addBlock(w, to, codes) - 1
		c.doc = c.docs[c.at]
	}
}

// addBlock is addTo within the open block. It returns the index that it ended before.
func (c *cursor) addBlock(w *window, to uint32, codes []byte) int {
	weight, docs := c.weight, c.docs[:c.packed.n]
	if c.list.inline != nil {
		for at := c.at; ; at++ {
			if at >= len(docs) || docs[at] >= to {
				return at
			}
			w.add(docs[at], weight.score(c.tfs[at], codes[docs[at]]))
		}
	}
	counts, width := c.packed.counts, c.packed.countWidth
	mask := uint64(1)<<width - 1
	for at := c.at; ; at++ {
		if at >= len(docs) || docs[at] >= to {
			return at
		}
		bit := at * width
		tf := uint32(binary.LittleEndian.Uint64(counts[bit>>3:])>>(bit&7)&mask) + 1
		w.add(docs[at], weight.score(tf, codes[docs[at]]))
	}
}
