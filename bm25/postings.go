package bm25

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// blockLen is the number of postings in every block of a list but the last.
const blockLen = 128

// impactsMax bounds the pairs kept for one block; more are merged, which only loosens the bound.
const impactsMax = 12

// impact is a pair of term frequency and length code that no other posting of its block beats in
// both respects. The best score of the block is the best score of its impacts.
type impact struct {
	tf   uint32
	code byte
}

// frontier returns the undominated pairs of the postings, shortest length first, reusing space.
// best is scratch for the highest tf by length code and must be all zero; it is zeroed again.
func frontier(space []impact, best *[256]uint32, docs, tfs []uint32, codes []byte) []impact {
	low, high := 255, 0
	for i, doc := range docs {
		code := codes[doc]
		best[code] = max(best[code], tfs[i])
		low, high = min(low, int(code)), max(high, int(code))
	}
	space = space[:0]
	top := uint32(0)
	for code := low; code <= high; code++ {
		if best[code] > top {
			top = best[code]
			space = append(space, impact{top, byte(code)})
		}
		best[code] = 0
	}
	if extra := len(space) - impactsMax; extra > 0 {
		space[extra].code = space[0].code // the highest tf of the merged ones, the shortest length
		space = slices.Delete(space, 0, extra)
	}
	return space
}

// listWriter packs postings lists; its fields are scratch space kept between lists.
type listWriter struct {
	best    [256]uint32
	impacts []impact
	table   []byte
	body    []byte
}

// append packs one list at the end of dst and returns it; docs rise and codes are by document.
//
//	list    = impacts, table, blocks        table and block impacts only when there are ≥ 2 blocks
//	table   = per block: last document u32, offset of the block u32 (from the end of the table)
//	block   = width of gaps u8, width of (tf-1) u8, [impacts], gaps, (tf-1), both bit-packed
//	impacts = count u8, then per pair: length code u8, tf uvarint
//
// A gap is the distance to the previous document less one. Where it is not longer, a bitmap from the
// first document that the block could hold to its last stands for the gaps, and their width is asBitmap.
func (w *listWriter) append(dst []byte, docs, tfs []uint32, codes []byte) []byte {
	w.impacts = frontier(w.impacts, &w.best, docs, tfs, codes)
	dst = appendImpacts(dst, w.impacts)
	w.table, w.body = w.table[:0], w.body[:0]
	many := len(docs) > blockLen
	next := uint32(0) // the lowest document that can follow
	for start := 0; start < len(docs); start += blockLen {
		end := min(start+blockLen, len(docs))
		if many {
			w.table = binary.LittleEndian.AppendUint32(w.table, docs[end-1])
			w.table = binary.LittleEndian.AppendUint32(w.table, uint32(len(w.body)))
		}
		w.appendBlock(next, docs[start:end], tfs[start:end], codes, many)
		next = docs[end-1] + 1
	}
	return append(append(dst, w.table...), w.body...)
}

func (w *listWriter) appendBlock(next uint32, docs, tfs []uint32, codes []byte, impacts bool) {
	var gaps, counts [blockLen]uint32
	var gapBits, countBits uint32
	base := next
	for i, doc := range docs {
		gaps[i], counts[i] = doc-next, tfs[i]-1
		gapBits, countBits = gapBits|gaps[i], countBits|counts[i]
		next = doc + 1
	}
	gapWidth, countWidth := bits.Len32(gapBits), bits.Len32(countBits)
	// Of a list of one block the last document is not known beforehand, so it has no bitmap.
	bitmap := impacts && int(docs[len(docs)-1]-base)/8+1 <= packedLen(len(docs), gapWidth)
	if bitmap {
		w.body = append(w.body, asBitmap, byte(countWidth))
	} else {
		w.body = append(w.body, byte(gapWidth), byte(countWidth))
	}
	if impacts {
		w.impacts = frontier(w.impacts, &w.best, docs, tfs, codes)
		w.body = appendImpacts(w.body, w.impacts)
	}
	if bitmap {
		w.body = appendBitmap(w.body, base, docs)
	} else {
		w.body = appendPacked(w.body, gaps[:len(docs)], gapWidth)
	}
	w.body = appendPacked(w.body, counts[:len(docs)], countWidth)
}

// asBitmap stands in the place of the width of gaps.
const asBitmap = 0x80

// appendBitmap writes a bit for each document from base to the last of docs.
func appendBitmap(dst []byte, base uint32, docs []uint32) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, int(docs[len(docs)-1]-base)/8+1)...)
	for _, doc := range docs {
		dst[at+int(doc-base)/8] |= 1 << ((doc - base) % 8)
	}
	return dst
}

func appendImpacts(dst []byte, impacts []impact) []byte {
	dst = append(dst, byte(len(impacts)))
	for _, p := range impacts {
		dst = append(dst, p.code)
		dst = binary.AppendUvarint(dst, uint64(p.tf))
	}
	return dst
}

// appendPacked writes width bits of every value, lowest bit first, and fills the last byte up.
func appendPacked(dst []byte, values []uint32, width int) []byte {
	var pending uint64
	filled := 0
	for _, v := range values {
		pending |= uint64(v) << filled
		for filled += width; filled >= 8; filled -= 8 {
			dst = append(dst, byte(pending))
			pending >>= 8
		}
	}
	if filled > 0 {
		dst = append(dst, byte(pending))
	}
	return dst
}

// packedLen is the number of bytes appendPacked writes.
func packedLen(n, width int) int { return (n*width + 7) / 8 }

// unpack reads len(dst) values of width bits, at most 32. It loads eight bytes at a time, so src
// must reach eight bytes past the packed values; the caller has checked that.
func unpack(dst []uint32, src []byte, width int) {
	if width == 0 {
		clear(dst)
		return
	}
	mask := uint64(1)<<width - 1
	at := 0
	for i := range dst {
		dst[i] = uint32(binary.LittleEndian.Uint64(src[at>>3:]) >> (at & 7) & mask)
		at += width
	}
}

// list is one term's postings in a mapped segment. data reaches listSlack bytes past the list.
type list struct {
	documents uint32 // of the segment; every posting is below
	df        uint32
	inline    []byte // of a short list: all there is
	size      int    // bytes of the list proper
	data      []byte
	impacts   []byte // of the whole list, encoded
	table     []byte // empty when there is one block
	body      int    // offset of the first block in data
}

// listSlack is how far unpack may read past the end of a list.
const listSlack = 8

// parseList finds the parts of a list and checks that they lie within it.
func parseList(data []byte, size int, df, documents uint32) (list, bool) {
	l := list{documents: documents, df: df, size: size, data: data}
	n, ok := impactsLen(data[:size])
	if !ok || df == 0 || df > documents {
		return list{}, false
	}
	l.impacts, l.body = data[:n], n
	if df > blockLen {
		tableLen := l.blocks() * 8
		if size-n < tableLen {
			return list{}, false
		}
		l.table = data[n : n+tableLen]
		l.body += tableLen
	}
	return l, true
}

// blocks is the number of blocks.
func (l *list) blocks() int { return (int(l.df) + blockLen - 1) / blockLen }

// last is the highest document of a block; of a single block it is not known before decoding.
func (l *list) last(block int) uint32 {
	if len(l.table) == 0 {
		return l.documents - 1
	}
	return binary.LittleEndian.Uint32(l.table[block*8:])
}

// block returns the bytes of a block, to the end of the list and its slack, and their number
// without the slack.
func (l *list) block(block int) (data []byte, size int, ok bool) {
	at := l.body
	if len(l.table) > 0 {
		at += int(binary.LittleEndian.Uint32(l.table[block*8+4:]))
	}
	if at > l.size-2 {
		return nil, 0, false
	}
	return l.data[at:], l.size - at, true
}

// packedBlock is a block of a list, taken apart but not decoded.
type packedBlock struct {
	n          int
	base, last uint32 // documents that it can hold: both included; the last of a single block is not known
	single     bool
	gaps       []byte // reaches listSlack bytes past the gaps; a bitmap ends with its last byte
	gapWidth   int    // or asBitmap
	counts     []byte // tf less one, and listSlack bytes
	countWidth int
}

// open takes a block apart. It reports false when its parts do not lie within the list.
func (l *list) open(block int) (b packedBlock, ok bool) {
	data, size, ok := l.block(block)
	if !ok {
		return b, false
	}
	b.n, b.single = min(int(l.df)-block*blockLen, blockLen), len(l.table) == 0
	b.gapWidth, b.countWidth, b.last = int(data[0]), int(data[1]), l.last(block)
	if block > 0 {
		b.base = l.last(block-1) + 1
	}
	at := 2
	if !b.single {
		skip, ok := impactsLen(data[2:size])
		if !ok {
			return b, false
		}
		at += skip
	}
	gapBytes := packedLen(b.n, b.gapWidth)
	switch {
	case b.last < b.base || b.last >= l.documents || b.countWidth > 32:
		return b, false
	case b.gapWidth == asBitmap:
		gapBytes = int(b.last-b.base)/8 + 1
	case b.gapWidth > 32:
		return b, false
	}
	counts := at + gapBytes
	if counts+packedLen(b.n, b.countWidth) > size {
		return b, false
	}
	b.gaps, b.counts = data[at:], data[counts:]
	if b.gapWidth == asBitmap {
		b.gaps = data[at:counts]
		set := onesBefore(data[at:], 8*gapBytes)
		top := (b.last - b.base) % 8
		return b, !b.single && set == b.n && b.gaps[len(b.gaps)-1]>>top == 1
	}
	return b, true
}

// docs unpacks the documents. It reports false where they do not end as the table says.
func (b *packedBlock) docs(docs *[blockLen]uint32) bool {
	if b.gapWidth == asBitmap {
		n, i := 0, 0
		for ; i+8 <= len(b.gaps); i += 8 {
			for set := binary.LittleEndian.Uint64(b.gaps[i:]); set != 0; set &= set - 1 {
				docs[n&(blockLen-1)] = b.base + uint32(8*i+bits.TrailingZeros64(set))
				n++
			}
		}
		for ; i < len(b.gaps); i++ {
			for set := b.gaps[i]; set != 0; set &= set - 1 {
				docs[n&(blockLen-1)] = b.base + uint32(8*i+bits.TrailingZeros8(set))
				n++
			}
		}
		return true // their number was right
	}
	// The gaps are not negative, so if the last document is in range, all of them are.
	last := unpackRising(docs[:b.n], b.gaps, b.gapWidth, b.base)
	return last == uint64(b.last) || b.single && last <= uint64(b.last)
}

// unpackRising is [unpack] of gaps: it writes the numbers they lead to from base on, and returns the last.
func unpackRising(dst []uint32, src []byte, width int, base uint32) uint64 {
	next := uint64(base) - 1 // every gap leads one further
	mask := uint64(1)<<width - 1
	i, at := 0, 0
	if width <= fourInWord {
		for ; i+4 <= len(dst); i += 4 {
			four := binary.LittleEndian.Uint64(src[at>>3:]) >> (at & 7)
			first := next + 1 + four&mask
			second := first + 1 + four>>width&mask
			third := second + 1 + four>>(2*width)&mask
			next = third + 1 + four>>(3*width)&mask
			to := dst[i : i+4 : i+4]
			to[0], to[1], to[2], to[3] = uint32(first), uint32(second), uint32(third), uint32(next)
			at += 4 * width
		}
	}
	for ; i < len(dst); i++ {
		next += 1 + binary.LittleEndian.Uint64(src[at>>3:])>>(at&7)&mask
		dst[i] = uint32(next)
		at += width
	}
	return next
}

// fourInWord is the largest width of which four values lie in eight bytes, wherever in the first of them they begin.
const fourInWord = 14

// tf is the term frequency of the i-th posting.
func (b *packedBlock) tf(i int) uint32 {
	at := i * b.countWidth
	return uint32(binary.LittleEndian.Uint64(b.counts[at>>3:])>>(at&7)&(1<<b.countWidth-1)) + 1
}

// decode unpacks the documents and frequencies of a block and returns their number. It reports
// false when the block is damaged: then nothing may be used.
func (l *list) decode(block int, docs, tfs *[blockLen]uint32) (int, bool) {
	if l.inline != nil {
		return int(l.df), parseInline(l.inline, int(l.df), docs[:], tfs[:], l.documents)
	}
	b, ok := l.open(block)
	if !ok || !b.docs(docs) {
		return 0, false
	}
	unpack(tfs[:b.n], b.counts, b.countWidth)
	for i := range b.n {
		tfs[i]++
	}
	return b.n, true
}

// bound is the highest score that any posting of the block can have.
func (l *list) bound(block int, w weight) float32 {
	if len(l.table) == 0 {
		return boundOf(l.impacts, w)
	}
	data, size, ok := l.block(block)
	if !ok {
		return w.value // no score is higher; the damage shows when the block is decoded
	}
	return boundOf(data[2:size], w)
}

// boundOf is the highest score among encoded impacts.
func boundOf(data []byte, w weight) float32 {
	if len(data) == 0 {
		return w.value
	}
	most, at := float32(0), 1
	for range data[0] {
		if at+2 > len(data) {
			return w.value
		}
		code, tf := data[at], uint64(data[at+1])
		at += 2
		if tf >= 0x80 {
			value, n := binary.Uvarint(data[at-1:])
			if n <= 0 || value > 1<<32-1 {
				return w.value
			}
			tf = value
			at += n - 1
		}
		most = max(most, float32(float32(uint32(tf))*w.inverse[code]))
	}
	return w.saturate(most)
}

// impactsLen is the number of bytes that the impacts at the front of data take.
func impactsLen(data []byte) (int, bool) {
	if len(data) == 0 {
		return 0, false
	}
	at := 1
	for range data[0] {
		at++ // the length code
		for {
			if at >= len(data) {
				return 0, false
			}
			at++
			if data[at-1] < 0x80 {
				break
			}
		}
	}
	return at, true
}
