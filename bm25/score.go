package bm25

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Params are the two constants of BM25. The zero value means K1 = 0.9, B = 0.4, the setting that
// passage retrieval over Wikipedia uses; Lucene's own default is 1.2 and 0.75.
type Params struct {
	K1 float32 // how slowly repetitions of a term stop counting; not negative
	B  float32 // how much long texts are held back; 0 not at all, 1 in full
}

// withDefaults replaces the zero value and refuses constants under which pruning would be wrong.
func (p Params) withDefaults() (Params, error) {
	if p == (Params{}) {
		return Params{K1: 0.9, B: 0.4}, nil
	}
	if !(p.K1 >= 0 && p.K1 <= math.MaxFloat32) || !(p.B >= 0 && p.B <= 1) {
		return p, fmt.Errorf("bm25: k1 = %v, b = %v: k1 must not be negative, b within 0..1", p.K1, p.B)
	}
	return p, nil
}

// ErrNoDocument is returned for a document number that the index does not hold.
var ErrNoDocument = errors.New("bm25: no such document")

// exactLengths is how many short lengths Lucene's one-byte norm stores exactly.
const exactLengths = 255 - (28<<3 | 7) // 255 - the code of the largest int

// encodeLength packs a length into one byte as Lucene's SmallFloat.intToByte4 does: lengths below
// 24 as they are, longer ones as 24 plus a float with four significant bits, rounded down.
func encodeLength(length uint32) byte {
	length = min(length, math.MaxInt32)
	if length < exactLengths {
		return byte(length)
	}
	rest := length - exactLengths
	shift := bits.Len32(rest) - 4
	if shift < 0 {
		return byte(exactLengths + rest)
	}
	return byte(exactLengths + (rest>>shift&7 | uint32(shift+1)<<3))
}

// decodedLength is the length that each code of encodeLength stands for.
var decodedLength = func() (table [256]uint32) {
	for code := range table {
		if code < exactLengths {
			table[code] = uint32(code)
			continue
		}
		packed := uint32(code - exactLengths)
		length := packed & 7
		if shift := int(packed>>3) - 1; shift >= 0 {
			length = (length | 8) << shift
		}
		table[code] = exactLengths + length
	}
	return table
}()

// statistics are the numbers of the whole collection that scores depend on.
type statistics struct {
	documents uint64 // documents with at least one term
	tokens    uint64 // sum of their lengths
}

// averageLength is the mean length, rounded to float32 as Lucene does.
func (s statistics) averageLength() float32 {
	if s.documents == 0 {
		return 1
	}
	return float32(float64(s.tokens) / float64(s.documents))
}

// idf is ln(1 + (N - df + 0.5) / (df + 0.5)), rounded to float32.
func (s statistics) idf(df uint64) float32 {
	n, d := float64(s.documents), float64(df)
	return float32(math.Log(1 + (n-d+0.5)/(d+0.5)))
}

// lengthTable holds 1 / (k1·(1 - b + b·length/average)) for each of the 256 lengths.
type lengthTable [256]float32

// newLengthTable evaluates the table in float32 and in Lucene's order. The conversions keep the
// compiler from fusing a multiplication with an addition, which would round once less.
func newLengthTable(p Params, average float32) *lengthTable {
	table := new(lengthTable)
	for code, length := range decodedLength {
		share := float32(float32(p.B*float32(length)) / average)
		table[code] = 1 / float32(p.K1*float32(float32(1-p.B)+share))
	}
	return table
}

// weight scores one term: everything that does not depend on the document.
type weight struct {
	value   float32      // idf · how often the question has the term
	inverse *lengthTable // by length code
}

// score is the share of a term that occurs tf times in a document of the given length code:
//
//	value · tf / (tf + k1·(1 - b + b·length/average))
//
// written as Lucene writes it, value - value/(1 + tf·inverse), which in float32 never falls when
// tf grows and never rises when the length does. The bounds of the pruned search rely on that.
func (w weight) score(tf uint32, code byte) float32 {
	return w.saturate(float32(float32(tf) * w.inverse[code]))
}

// saturate is the share of a term that occurs so many times norm.
func (w weight) saturate(times float32) float32 { return w.value - w.value/(1+times) }
