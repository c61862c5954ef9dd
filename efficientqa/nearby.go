package efficientqa

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"evident/bm25"
)

// A phrase has a sparse vector beside its dense one, as in DenSPI (Seo et al. 2019, arXiv:1906.05807): one coordinate for
// each word that stands near it. A question's sparse vector has its words' rarity. Both are made without the other, and
// their inner product adds to that of the dense vectors. Dense vectors of 384 numbers know the sense of what is said
// about a phrase, the sparse ones in which words.
//
// Chosen on held-out training questions (docs/results.md).
const (
	nearReach  = 24.0 // words over which nearness falls to 1/e
	otherFades = 0.5  // what a word of another sentence counts
	withinHurt = 0.5  // what a word of the phrase itself counts against it: questions seldom hold their answer
)

// nearAnalyzer makes the words of both sides.
var nearAnalyzer = bm25.Analyzer{Stem: true, StopWords: true}

// Nearby knows the words of a passage.
type Nearby struct {
	starts    []int            // byte of each word
	sentences []int            // number of the sentence of each
	places    map[string][]int // words by their term
}

// NewNearby reads a passage.
func NewNearby(passage string) *Nearby { return newNearby(passage, nearAnalyzer.Places(passage)) }

// NearbyTo reads of a passage what a question's sparse vector can be compared with: [Nearby.Score] of that question is
// the same as with [NewNearby], much sooner.
func NearbyTo(passage string, question []WordWeight) *Nearby {
	terms := make([]string, len(question))
	for i, w := range question {
		terms[i] = w.Term
	}
	return newNearby(passage, nearAnalyzer.PlacesOf(passage, terms))
}

func newNearby(passage string, places []bm25.Place) *Nearby {
	n := &Nearby{places: map[string][]int{}}
	sentence := 0
	for i, p := range places {
		if i > 0 && endsSentence(passage[n.starts[i-1]:p.Start], passage[p.Start]) {
			sentence++
		}
		n.starts, n.sentences = append(n.starts, p.Start), append(n.sentences, sentence)
		if p.Term != "" {
			n.places[p.Term] = append(n.places[p.Term], i)
		}
	}
	return n
}

// endsSentence says whether a sentence ends between two words: at a full stop, question or exclamation mark before white
// space that no lower-case letter follows.
func endsSentence(between string, next byte) bool {
	mark := strings.IndexAny(between, ".!?")
	return mark >= 0 && strings.ContainsAny(between[mark:], " \t\n\r") && !('a' <= next && next <= 'z')
}

// Terms returns the distinct words of the passage, sorted.
func (n *Nearby) Terms() []string { return slices.Sorted(maps.Keys(n.places)) }

// Weight is the coordinate of a term in the sparse vector of the phrase at bytes [start, end) of the passage: how near
// the nearest place of the term is, less a penalty for each place within the phrase.
func (n *Nearby) Weight(term string, start, end int) float64 {
	first, last := n.at(start), n.at(end-1)
	nearest, within := 0.0, 0.0
	for _, i := range n.places[term] {
		if first <= i && i <= last {
			within++
			continue
		}
		near := math.Exp(-float64(max(first-i, i-last)) / nearReach)
		if n.sentences[i] != n.sentences[first] {
			near *= otherFades
		}
		nearest = max(nearest, near)
	}
	return nearest - withinHurt*within
}

// at returns the number of the word at a byte, or of the last word before it.
func (n *Nearby) at(position int) int {
	after, _ := slices.BinarySearch(n.starts, position+1)
	return max(0, after-1)
}

// Score is the inner product of a question's sparse vector with that of the phrase at bytes [start, end).
func (n *Nearby) Score(question []WordWeight, start, end int) float64 {
	sum := 0.0
	for _, w := range question {
		sum += w.Weight * n.Weight(w.Term, start, end)
	}
	return sum
}

// WordWeight is a coordinate of a question's sparse vector.
type WordWeight struct {
	Term   string
	Weight float64
}

// Frequencies are in how many of so many passages terms stand; terms that stand in few are left out.
type Frequencies struct {
	Passages int
	Of       map[string]int
}

// rarest is in how many passages a term is taken to stand that is left out.
const rarest = 2

// ReadFrequencies reads the number of passages from the first line and a term with its number from each of the others.
func ReadFrequencies(r io.Reader) (*Frequencies, error) {
	f := &Frequencies{Of: map[string]int{}}
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		term, count, _ := strings.Cut(lines.Text(), " ")
		if number == 1 {
			term, count = "", term
		}
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("line %d: %q is no number of passages", number, count)
		}
		if number == 1 {
			f.Passages = n
		} else {
			f.Of[term] = n
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if f.Passages == 0 {
		return nil, errors.New("the number of passages is missing")
	}
	return f, nil
}

// Question returns a question's sparse vector, by term: for each of its words ln(passages/(1 + passages with it)), from 0
// on.
func (f *Frequencies) Question(question string) []WordWeight {
	terms := nearAnalyzer.Terms(question)
	slices.Sort(terms) // sums of floats depend on their order
	var weights []WordWeight
	for _, term := range slices.Compact(terms) {
		count, ok := f.Of[term]
		if !ok {
			count = rarest
		}
		weights = append(weights, WordWeight{term, max(0, math.Log(float64(f.Passages)/float64(1+count)))})
	}
	return weights
}
