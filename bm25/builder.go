package bm25

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Builder collects texts in memory and writes them as one segment. Documents are numbered from 0
// in the order in which they are added. A Builder is not safe for concurrent use.
type Builder struct {
	analyzer Analyzer
	surfaces map[string]int32 // folded word → term number; stopWord for words that are left out
	numbers  map[string]int32 // term → number
	terms    []string         // by number

	lastDoc  []uint32 // by term: the document it was last seen in, plus one
	lastSpot []int    // by term: index into postings of that occurrence
	postings []posting
	lengths  []uint32 // by document, in terms
	starts   []int    // by document: where its postings begin
	tokens   uint64
}

// posting is one term of one document, in the order of documents.
type posting struct {
	term, tf uint32
}

// stopWord marks a surface form that has no term.
const stopWord = -1

// NewBuilder returns an empty Builder whose texts are analysed by a.
func NewBuilder(a Analyzer) *Builder {
	return &Builder{analyzer: a, surfaces: map[string]int32{}, numbers: map[string]int32{}}
}

// Add appends a document whose terms are those of the given texts, one after the other, and
// returns its number within the segment.
func (b *Builder) Add(texts ...string) uint32 {
	doc := uint32(len(b.lengths))
	b.starts = append(b.starts, len(b.postings))
	length := uint32(0)
	for _, text := range texts {
		eachWord(text, func(_ int, word []byte) {
			term, ok := b.surfaces[string(word)]
			if !ok {
				term = b.addSurface(string(word))
			}
			if term != stopWord {
				b.count(term, doc)
				length++
			}
		})
	}
	b.lengths = append(b.lengths, length)
	b.tokens += uint64(length)
	return doc
}

// addTerms appends a document given by its terms.
func (b *Builder) addTerms(terms []string) uint32 {
	doc := uint32(len(b.lengths))
	b.starts = append(b.starts, len(b.postings))
	for _, term := range terms {
		b.count(b.number(term), doc)
	}
	b.lengths = append(b.lengths, uint32(len(terms)))
	b.tokens += uint64(len(terms))
	return doc
}

// count notes one more occurrence of term in the newest document.
func (b *Builder) count(term int32, doc uint32) {
	if b.lastDoc[term] == doc+1 {
		b.postings[b.lastSpot[term]].tf++
		return
	}
	b.lastDoc[term], b.lastSpot[term] = doc+1, len(b.postings)
	b.postings = append(b.postings, posting{uint32(term), 1})
}

// addSurface finds the term of a word that was not seen before.
func (b *Builder) addSurface(word string) int32 {
	term := b.analyzer.term(word)
	number := int32(stopWord)
	if term != "" {
		number = b.number(term)
	}
	b.surfaces[word] = number
	return number
}

func (b *Builder) number(term string) int32 {
	number, ok := b.numbers[term]
	if !ok {
		number = int32(len(b.terms))
		b.numbers[term] = number
		b.terms = append(b.terms, term)
		b.lastDoc = append(b.lastDoc, 0)
		b.lastSpot = append(b.lastSpot, 0)
	}
	return number
}

// Len returns the number of documents added.
func (b *Builder) Len() int { return len(b.lengths) }

// Postings returns how many postings are held; memory grows by about 8 bytes with each.
func (b *Builder) Postings() int { return len(b.postings) }

// WriteTo writes the segment; the format is described in docs/format/bm25-segment.md.
func (b *Builder) WriteTo(w io.Writer) (int64, error) {
	if len(b.lengths) > math.MaxInt32 {
		return 0, fmt.Errorf("bm25: %d documents in one segment, the most is %d",
			len(b.lengths), math.MaxInt32)
	}
	order := make([]int32, len(b.terms))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int { return strings.Compare(b.terms[x], b.terms[y]) })
	docs, tfs, first := b.invert(order)

	out := newSegmentWriter(w, b.analyzer, b.lengths)
	for i, number := range order {
		out.add(b.terms[number], docs[first[i]:first[i+1]], tfs[first[i]:first[i+1]])
	}
	return out.finish()
}

// invert sorts the postings by term, in the given order of terms, with a counting sort: those of
// the i-th term are at first[i] to first[i+1].
func (b *Builder) invert(order []int32) (docs, tfs []uint32, first []int) {
	spot := make([]int, len(b.terms)) // by term: where its next posting goes
	for _, p := range b.postings {
		spot[p.term]++
	}
	first = make([]int, len(order)+1)
	for i, number := range order {
		first[i+1] = first[i] + spot[number]
		spot[number] = first[i]
	}
	docs, tfs = make([]uint32, len(b.postings)), make([]uint32, len(b.postings))
	for doc, start := range b.starts {
		end := len(b.postings)
		if doc+1 < len(b.starts) {
			end = b.starts[doc+1]
		}
		for _, p := range b.postings[start:end] {
			at := spot[p.term]
			docs[at], tfs[at] = uint32(doc), p.tf
			spot[p.term]++
		}
	}
	return docs, tfs, first
}

// Segment returns what was added as a segment in memory.
func (b *Builder) Segment() (*Segment, error) {
	var out bytes.Buffer
	if _, err := b.WriteTo(&out); err != nil {
		return nil, err
	}
	return Parse(out.Bytes())
}
