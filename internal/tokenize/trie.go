package tokenize

import (
	"fmt"
	"math/bits"
)

// trie finds the longest vocabulary entry at a place in one walk. Its edges lie in one
// open-addressing table, so that a step is a multiplication and mostly one load.
type trie struct {
	edges []edge  // a power of two, at most half full
	shift uint    // 32 minus its logarithm
	ids   []int32 // by node; -1 where no entry ends
}

// edge leads from a node over a byte to a child. Node 0, the root, is nobody's child, so a zero
// child marks a free place.
type edge struct {
	from  uint32 // node<<8 | byte
	child uint32
}

const (
	trieRoot     = uint32(0)
	trieNodesMax = 1 << 24
)

// newTrie builds the trie of the entries, whose ids are their indices. Of equal entries the last
// one counts; empty ones are left out.
func newTrie(entries []string) (*trie, error) {
	total := 1
	for _, e := range entries {
		total += len(e)
		if total > trieNodesMax {
			return nil, fmt.Errorf("the vocabulary is larger than %d bytes", trieNodesMax)
		}
	}
	// Half the bytes of a real vocabulary are shared prefixes, and the table doubles when not.
	t := &trie{ids: make([]int32, 1, total/2+1)}
	t.ids[0] = -1
	t.resize(bits.Len(uint(total)))
	for id, e := range entries {
		if e == "" {
			continue
		}
		node := trieRoot
		for i := range len(e) {
			node = t.grow(node, e[i])
		}
		t.ids[node] = int32(id)
	}
	return t, nil
}

func (t *trie) resize(log int) {
	old := t.edges
	t.edges = make([]edge, 1<<log)
	t.shift = uint(32 - log)
	for _, e := range old {
		if e.child != 0 {
			*t.place(e.from) = e
		}
	}
}

// place returns the edge that leads on from, or the free one where it belongs.
func (t *trie) place(from uint32) *edge {
	for at := from * 0x9E3779B1 >> t.shift; ; at++ {
		e := &t.edges[int(at)&(len(t.edges)-1)]
		if e.child == 0 || e.from == from {
			return e
		}
	}
}

func (t *trie) grow(node uint32, b byte) uint32 {
	from := node<<8 | uint32(b)
	e := t.place(from)
	if e.child != 0 {
		return e.child
	}
	child := uint32(len(t.ids))
	*e = edge{from, child}
	t.ids = append(t.ids, -1)
	if 2*len(t.ids) > len(t.edges) {
		t.resize(33 - int(t.shift))
	}
	return child
}

// step returns the child of node over b, or 0.
func (t *trie) step(node uint32, b byte) uint32 {
	return t.place(node<<8 | uint32(b)).child
}

// longest returns the longest entry that starts at s[0] when the walk begins in node, and its
// length; the length is 0 when there is none.
func (t *trie) longest(node uint32, s []byte) (id int32, length int) {
	for i, b := range s {
		if node = t.step(node, b); node == 0 {
			break
		}
		if t.ids[node] >= 0 {
			id, length = t.ids[node], i+1
		}
	}
	return id, length
}
