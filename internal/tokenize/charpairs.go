package tokenize

import (
	"sync"
	"unicode/utf8"
)

// charPairs is byte-pair encoding over characters, as SentencePiece has it: characters that are no
// pieces fall back to their bytes, or are unknown.
type charPairs struct {
	ids       map[string]int32 // pieces that text may be cut into
	merges    merges
	unknown   int32 // -1: what is unknown vanishes
	fuse      bool  // neighbours that are unknown are one
	whole     bool  // ignore_merges: a text that is a piece is that piece
	bytes     *bytePieces
	scratches sync.Pool
}

// newCharPairs makes a model of a vocabulary; pieces that are hidden are not found in text.
func newCharPairs(t table, m *jsonModel, pairs [][2]string, hidden map[int32]bool) (*charPairs, error) {
	all, err := newMerges(t, pairs)
	if err != nil {
		return nil, err
	}
	for pair, to := range all {
		if hidden[to.id] {
			delete(all, pair)
		}
	}
	c := &charPairs{
		ids: make(map[string]int32, len(t.ids)), merges: all, unknown: -1, fuse: m.FuseUnk, whole: m.IgnoreMerges,
	}
	for piece, id := range t.ids {
		if !hidden[id] {
			c.ids[piece] = id
		}
	}
	if m.UnkToken != nil {
		if c.unknown, err = t.need(*m.UnkToken); err != nil {
			return nil, err
		}
	}
	if m.ByteFallback {
		c.bytes = newBytePieces(c.ids)
	}
	c.scratches.New = func() any { return new(pieces) }
	return c, nil
}

// append appends the ids of text.
func (c *charPairs) append(dst []int32, text string) []int32 {
	if id, ok := c.ids[text]; ok && c.whole {
		return append(dst, id)
	}
	p := c.scratches.Get().(*pieces)
	defer c.scratches.Put(p)
	p.ids = c.characters(p.ids[:0], text)
	c.merges.join(p)
	for i := int32(0); int(i) < len(p.ids); i = p.next[i] {
		dst = append(dst, p.ids[i])
	}
	return dst
}

// characters appends the ids of the characters of text. What is unknown comes after the bytes of those
// that fall back, as in the reference, where only some bytes have pieces.
func (c *charPairs) characters(ids []int32, text string) []int32 {
	pending := false // an unknown one that is not yet in ids
	for at, size := 0, 0; at < len(text); at += size {
		_, size = utf8.DecodeRuneInString(text[at:])
		character := text[at : at+size]
		id, ok := c.ids[character]
		switch {
		case ok:
			if pending {
				ids, pending = append(ids, c.unknown), false
			}
			ids = append(ids, id)
		case c.bytes.cover(character):
			for i := range size {
				ids = append(ids, c.bytes[character[i]])
			}
		case c.unknown >= 0:
			if pending && !c.fuse {
				ids = append(ids, c.unknown)
			}
			pending = true
		}
	}
	if pending {
		ids = append(ids, c.unknown)
	}
	return ids
}
