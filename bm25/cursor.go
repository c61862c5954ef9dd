package bm25

// cursor walks one postings list. It decodes a block only when a document in it is asked for.
type cursor struct {
	list   list
	weight weight
	term   int     // number in the segment
	slot   int     // place in the question
	limit  float32 // highest score anywhere in the list
	broken bool    // a block was damaged; the cursor has ended early

	doc uint32 // where it stands; noDoc past the end

	block     int    // the block it stands in, or has skipped to
	blockLast uint32 // highest document of that block
	bounded   int    // the block for which bound holds, -1 for none
	bound     float32
	decoded   int // the block in docs and tfs, -1 for none
	n, at     int // number of postings decoded; index of doc among them
	docs, tfs [blockLen]uint32
}

func newCursor(slot int, pl partList, w weight) *cursor {
	c := &cursor{list: pl.list, weight: w, term: pl.term, slot: slot, bounded: -1, decoded: -1}
	c.limit = boundOf(pl.list.impacts, w)
	c.blockLast = pl.list.last(0)
	return c
}

// tf is the term frequency at doc.
func (c *cursor) tf() uint32 { return c.tfs[c.at] }

// skipTo moves to the first block that can hold target, without decoding it. The cursor's doc is
// then below target and no longer backed by a block: seek must follow before tf.
func (c *cursor) skipTo(target uint32) {
	for c.blockLast < target {
		c.block++
		if c.block >= c.list.blocks() {
			c.blockLast = noDoc
			return
		}
		c.blockLast = c.list.last(c.block)
	}
}

// blockLimit is the highest score in the block; past the end it is zero.
func (c *cursor) blockLimit() float32 {
	if c.bounded != c.block {
		c.bounded, c.bound = c.block, 0
		if c.block < c.list.blocks() {
			c.bound = c.list.bound(c.block, c.weight)
		}
	}
	return c.bound
}

// seek moves to the first document that is target or higher. It never moves back.
func (c *cursor) seek(target uint32) {
	if c.doc >= target && c.decoded >= 0 || c.doc == noDoc {
		return
	}
	for {
		c.skipTo(target)
		if c.block >= c.list.blocks() {
			c.doc = noDoc
			return
		}
		if c.decoded != c.block && !c.decode() {
			return
		}
		at := c.at
		for at+8 <= c.n && c.docs[at+7] < target {
			at += 8
		}
		for at < c.n && c.docs[at] < target {
			at++
		}
		if c.at = at; at < c.n {
			c.doc = c.docs[at]
			return
		}
		target = max(target, c.blockLast+1) // only a single block, whose last document is not known
		c.block, c.blockLast = c.list.blocks(), noDoc
	}
}

// decode unpacks the current block; when it is damaged the cursor ends.
func (c *cursor) decode() bool {
	n, ok := c.list.decode(c.block, &c.docs, &c.tfs)
	c.decoded, c.n, c.at = c.block, n, 0
	if !ok {
		c.broken, c.doc = true, noDoc
		c.block, c.blockLast = c.list.blocks(), noDoc
	}
	return ok
}
