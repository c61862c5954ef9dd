package tokenize

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// charsmap is SentencePiece's table of normalisation, NFKC with additions as a rule: a double-array
// trie (Aoe 1989, as Darts lays it out) from a character, or a few in a row, to what replaces it.
type charsmap struct {
	units []uint32
	text  string // replacements, each ended by a zero byte
	most  int    // bytes of the longest replacement
}

// newCharsmap reads a precompiled_charsmap: the bytes of the trie as a little-endian uint32, the
// trie, the replacements.
func newCharsmap(blob []byte) (*charsmap, error) {
	if len(blob) < 4 {
		return nil, errors.New("precompiled_charsmap has no length of its trie")
	}
	size := int64(binary.LittleEndian.Uint32(blob))
	blob = blob[4:]
	if size%4 != 0 || size == 0 || size > int64(len(blob)) {
		return nil, fmt.Errorf("precompiled_charsmap has a trie of %d bytes in %d", size, len(blob))
	}
	m := &charsmap{units: make([]uint32, size/4), text: string(blob[size:])}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(blob[4*i:])
	}
	if !utf8.ValidString(m.text) {
		return nil, errors.New("precompiled_charsmap has replacements that are not UTF-8")
	}
	for part := range strings.SplitSeq(m.text, "\x00") {
		m.most = max(m.most, len(part))
	}
	return m, nil
}

// The bits of a unit of the trie.
const (
	unitLeaf  = 1 << 8
	unitValue = 1<<31 - 1
	unitLabel = 1<<31 | 0xFF
)

// unitOffset is how far the children of a unit lie.
func unitOffset(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

// replacement returns what stands in the table for the shortest beginning of s that it knows. That the
// shortest counts, and replaces all of s, is how the reference reads the table; models were
// trained with SentencePiece's own reading, which differs on rare clusters only.
func (m *charsmap) replacement(s string) (string, bool) {
	node := unitOffset(m.units[0])
	for i := 0; i < len(s) && s[i] != 0; i++ {
		node ^= uint32(s[i])
		if int(node) >= len(m.units) {
			return "", false
		}
		unit := m.units[node]
		if unit&unitLabel != uint32(s[i]) {
			return "", false
		}
		node ^= unitOffset(unit)
		if int(node) >= len(m.units) {
			return "", false
		}
		if unit&unitLeaf == 0 {
			continue
		}
		at := int(m.units[node] & unitValue)
		if at > len(m.text) {
			return "", false
		}
		text, _, _ := strings.Cut(m.text[at:], "\x00")
		return text, true
	}
	return "", false
}

// clusterMax is the length in bytes below which a grapheme cluster is looked up as a whole.
const clusterMax = 6

// normalise replaces cluster by cluster where the table knows one, else character by character.
func (m *charsmap) normalise(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for clusters := graphemes.FromString(text); clusters.Next(); {
		cluster := clusters.Value()
		if len(cluster) < clusterMax {
			if with, ok := m.replacement(cluster); ok {
				b.WriteString(with)
				continue
			}
		}
		for len(cluster) > 0 {
			_, size := utf8.DecodeRuneInString(cluster)
			character := cluster[:size]
			if with, ok := m.replacement(character); ok {
				b.WriteString(with)
			} else {
				b.WriteString(character)
			}
			cluster = cluster[size:]
		}
	}
	return b.String()
}
