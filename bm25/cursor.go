package bm25

import (
	"encoding/binary"
	"math/bits"
)

// cursor walks one postings list. It unpacks a block only when a document in it is asked for, and
// frequencies only when they are asked for.
type cursor struct {
	list   list
	weight weight
	term   []byte
	limit  float32 // highest score anywhere in the list
	broken bool    // a block was damaged; the cursor has ended early

	doc uint32 // where it stands, if on; else no posting below is left. noDoc past the end
	on  bool   // doc is a posting, and at its index in the open block

	block     int    // the block it stands in, or has skipped to
	blockLast uint32 // highest document of that block
	bounds    [boundsKept]blockBound

	opened int // the block in packed and docs, -1 for none
	packed packedBlock
	at     int               // index of doc, or of a lower one
	docs   [blockLen]uint32  // of the open block, unless it is a bitmap still
	tfs    [inlineMax]uint32 // of a short list
}

// boundsKept is how many bounds of blocks are remembered: windows overlap.
const boundsKept = 8

// blockBound is the highest score in a block; its number is one higher, so that 0 is none.
type blockBound struct {
	number int32
	bound  float32
}

// reset begins to walk a list.
func (c *cursor) reset(pl *partList, w weight, codes []byte) {
	c.list, c.weight, c.term = pl.list, w, pl.term
	c.broken, c.doc, c.on, c.block, c.opened, c.at = false, 0, false, 0, -1, 0
	c.bounds = [boundsKept]blockBound{}
	c.blockLast = c.list.last(0)
	if c.list.inline == nil {
		c.limit = boundOf(c.list.impacts, w)
		return
	}
	n := int(c.list.df)
	parseInline(c.list.inline, n, c.docs[:], c.tfs[:], c.list.documents) // was checked before
	c.opened, c.limit = 0, 0
	c.packed = packedBlock{n: n}
	for i, doc := range c.docs[:n] {
		c.limit = max(c.limit, w.score(c.tfs[i], codes[doc]))
	}
	c.bounds[0] = blockBound{1, c.limit}
}

// tf is the term frequency at doc, where the cursor must be on.
func (c *cursor) tf() uint32 { return c.tfAt(c.at) }

func (c *cursor) tfAt(i int) uint32 {
	if c.list.inline != nil {
		return c.tfs[i]
	}
	return c.packed.tf(i)
}

// skipTo moves to the first block that can hold target, without opening it.
func (c *cursor) skipTo(target uint32) {
	if c.blockLast >= target {
		return
	}
	// Blocks low and below end before target; high is the first that is known not to, or the end.
	blocks := c.list.blocks()
	low, high := c.block, blocks
	for step := 1; low+step < blocks; step *= 2 {
		if c.list.last(low+step) >= target {
			high = low + step
			break
		}
		low += step
	}
	for low+1 < high {
		if middle := (low + high) / 2; c.list.last(middle) < target {
			low = middle
		} else {
			high = middle
		}
	}
	c.block, c.blockLast = high, noDoc
	if high < blocks {
		c.blockLast = c.list.last(high)
	}
}

// pass makes target the lowest document that may follow. It moves on within an open block only.
func (c *cursor) pass(target uint32) {
	switch {
	case c.doc >= target:
	case c.opened == c.block && c.blockLast >= target:
		c.seek(target)
	default:
		if c.doc, c.on = target, false; target > c.list.last(c.list.blocks()-1) {
			c.doc = noDoc
		}
	}
}

// blockLimit is the highest score in the block; past the end it is zero.
func (c *cursor) blockLimit() float32 {
	if c.block >= c.list.blocks() {
		return 0
	}
	return c.boundAt(c.block)
}

// boundAt is the highest score in a block.
func (c *cursor) boundAt(block int) float32 {
	b := &c.bounds[block%boundsKept]
	if b.number != int32(block+1) {
		*b = blockBound{int32(block + 1), c.list.bound(block, c.weight)}
	}
	return b.bound
}

// windowBlocks is how many blocks are looked at to bound the scores of a stretch of documents.
const windowBlocks = 4

// limitWithin is at least the highest score of any posting from from to before to.
func (c *cursor) limitWithin(from, to uint32) float32 {
	if c.doc >= to {
		return 0
	}
	c.skipTo(max(from, c.doc))
	limit, last := c.blockLimit(), c.blockLast
	for block := c.block + 1; last < to-1 && block < c.list.blocks(); block++ {
		if block-c.block >= windowBlocks || limit == c.limit {
			return c.limit
		}
		limit, last = max(limit, c.boundAt(block)), c.list.last(block)
	}
	return limit
}

// seek moves to the first document that is target or higher. It never moves back.
func (c *cursor) seek(target uint32) {
	if c.on && c.doc >= target || c.doc == noDoc {
		return
	}
	target = max(target, c.doc)
	c.skipTo(target)
	if c.block >= c.list.blocks() || c.opened != c.block && !c.open() {
		c.end()
		return
	}
	if c.packed.gapWidth == asBitmap {
		c.seekBit(target)
		return
	}
	at, n := c.at, c.packed.n
	for at+8 <= n && c.docs[at+7] < target {
		at += 8
	}
	if at+8 <= n { // without branches: which of the eight it is cannot be foreseen
		for _, doc := range c.docs[at : at+8 : at+8] {
			at += int((uint64(doc) - uint64(target)) >> 63)
		}
	}
	for at < n && c.docs[at] < target {
		at++
	}
	if at == n { // only in a single block, whose last document was not known
		c.end()
		return
	}
	c.at, c.doc, c.on = at, c.docs[at], true
}

// find moves to target if it is a posting, and otherwise to some place that no posting lies before. In a bitmap that is
// one look, where seek would go on to the next.
func (c *cursor) find(target uint32) {
	if c.opened != c.block || c.blockLast < target || c.packed.gapWidth != asBitmap || target < c.packed.base {
		c.seek(target)
		return
	}
	bit := int(target - c.packed.base)
	c.doc, c.on = target, c.packed.gaps[bit/8]>>(bit%8)&1 != 0
	if c.on {
		c.at = onesBefore(c.packed.gaps, bit)
	}
}

// end moves past the last document.
func (c *cursor) end() {
	c.doc, c.on, c.block, c.blockLast = noDoc, false, c.list.blocks(), noDoc
}

// open takes the current block apart; when it is damaged the cursor ends.
func (c *cursor) open() bool {
	var ok bool
	c.opened, c.at = c.block, 0
	c.packed, ok = c.list.open(c.block)
	if ok && c.packed.gapWidth != asBitmap {
		ok = c.packed.docs(&c.docs)
	}
	c.broken = !ok
	return ok
}

// unpack makes all documents of the open block known, of a bitmap too.
func (c *cursor) unpack() {
	if c.packed.gapWidth == asBitmap {
		c.packed.docs(&c.docs) // cannot fail: the bitmap was checked
		c.packed.gapWidth = 0
	}
}

// seekBit is seek within a bitmap, whose highest bit is the last document of its block.
func (c *cursor) seekBit(target uint32) {
	bitmap := c.packed.gaps
	from := uint32(0)
	if target > c.packed.base {
		from = target - c.packed.base
	}
	i := int(from / 8)
	rest := bitmap[i] >> (from % 8) << (from % 8)
	for rest == 0 {
		i++
		rest = bitmap[i]
	}
	bit := bits.TrailingZeros8(rest)
	c.doc, c.on = c.packed.base+uint32(8*i+bit), true
	c.at = onesBefore(bitmap, 8*i+bit)
}

// onesBefore counts the bits of a bitmap before one.
func onesBefore(bitmap []byte, bit int) int {
	n, whole := 0, bit/64
	for i := range whole {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(bitmap[8*i:]))
	}
	for i := 8 * whole; i < bit/8; i++ {
		n += bits.OnesCount8(bitmap[i])
	}
	return n + bits.OnesCount8(bitmap[bit/8]&(1<<(bit%8)-1))
}
