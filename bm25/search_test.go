package bm25

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// exhaustive ranks by reading every posting of every term: the plain reading of the definition
// that the pruned search must equal to the bit.
func exhaustive(t testing.TB, x *Index, terms []string, k int) []Hit {
	t.Helper()
	query, err := x.prepare(terms)
	if err != nil {
		t.Fatal(err)
	}
	sums, found := make([]float64, x.docs), make([]bool, x.docs)
	var docs, tfs [blockLen]uint32
	for _, q := range query {
		for _, pl := range q.lists {
			p := x.parts[pl.part]
			for block := range pl.list.blocks() {
				n, ok := pl.list.decode(block, &docs, &tfs)
				if !ok {
					t.Fatalf("block %d of %q is damaged", block, q.term)
				}
				for i, doc := range docs[:n] {
					if !p.isDeleted(doc) {
						sums[p.base+doc] += float64(q.score(tfs[i], p.codes[doc]))
						found[p.base+doc] = true
					}
				}
			}
		}
	}
	var hits []Hit
	for doc, sum := range sums {
		if found[doc] {
			hits = append(hits, Hit{uint32(doc), float32(sum)})
		}
	}
	slices.SortStableFunc(hits, func(a, b Hit) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	return hits[:min(k, len(hits))]
}

// zipf draws texts from a vocabulary in which word r has a share of about 1/r.
type zipf struct {
	random *rand.Rand
	words  []float64 // cumulated shares
}

func newZipf(seed uint64, vocabulary int) *zipf {
	z := &zipf{random: rand.New(rand.NewPCG(seed, 7)), words: make([]float64, vocabulary)}
	sum := 0.0
	for r := range z.words {
		sum += 1 / float64(r+1)
		z.words[r] = sum
	}
	return z
}

func (z *zipf) word() string {
	at, _ := slices.BinarySearch(z.words, z.random.Float64()*z.words[len(z.words)-1])
	return fmt.Sprintf("w%d", at)
}

// text draws lengthMax words at most; now and then none, or many of one kind.
func (z *zipf) text(lengthMax int) []string {
	terms := make([]string, z.random.IntN(lengthMax+1))
	for i := range terms {
		if i > 0 && z.random.IntN(9) == 0 {
			terms[i] = terms[i-1]
		} else {
			terms[i] = z.word()
		}
	}
	return terms
}

func (z *zipf) texts(n, lengthMax int) [][]string {
	texts := make([][]string, n)
	for i := range texts {
		texts[i] = z.text(lengthMax)
	}
	return texts
}

// build makes a segment of analysed texts.
func build(t testing.TB, texts [][]string) *Segment {
	t.Helper()
	b := NewBuilder(Analyzer{})
	for _, terms := range texts {
		b.addTerms(terms)
	}
	s, err := b.Segment()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
	return s
}

func newIndex(t testing.TB, p Params, parts ...Part) *Index {
	t.Helper()
	x, err := NewIndex(parts, p)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func search(t testing.TB, x *Index, terms []string, k int) []Hit {
	t.Helper()
	hits, err := x.SearchTerms(terms, k)
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

func sameHits(t *testing.T, what string, got, want []Hit) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d hits, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: rank %d is %v, want %v", what, i+1, got[i], want[i])
		}
	}
}

var allParams = []Params{{}, {K1: 1.2, B: 0.75}, {K1: 0, B: 0.5}, {K1: 2, B: 1}, {K1: 1.5, B: 0}}

func TestPrunedEqualsExhaustive(t *testing.T) {
	for _, c := range []struct {
		name                         string
		documents, vocabulary, words int
	}{
		{"no document", 0, 11, 7},
		{"one document", 1, 11, 7},
		{"one block", 127, 53, 13},
		{"block boundary", 256, 3, 5},
		{"few words, long lists", 4001, 17, 31},
		{"many words", 7919, 5003, 61},
		{"very long documents", 211, 101, 4001},
	} {
		t.Run(c.name, func(t *testing.T) {
			z := newZipf(uint64(c.documents), c.vocabulary)
			segment := build(t, z.texts(c.documents, c.words))
			for _, params := range allParams {
				x := newIndex(t, params, Part{Segment: segment})
				for _, k := range []int{1, 2, 19, 101, 10007} {
					for range 11 {
						terms := z.text(12)
						sameHits(t, fmt.Sprintf("%v k=%d %v", params, k, terms),
							search(t, x, terms, k), exhaustive(t, x, terms, k))
					}
				}
			}
		})
	}
}

func TestAnySplitRanksAlike(t *testing.T) {
	z := newZipf(3, 503)
	texts := z.texts(2311, 41)
	whole := newIndex(t, Params{}, Part{Segment: build(t, texts)})
	for _, pieces := range []int{2, 3, 7, 23} {
		var parts []Part
		for rest := texts; len(rest) > 0; {
			n := min(len(rest), z.random.IntN(2*len(texts)/pieces+1))
			if len(parts) == pieces-1 {
				n = len(rest)
			}
			parts = append(parts, Part{Segment: build(t, rest[:n])})
			rest = rest[n:]
		}
		split := newIndex(t, Params{}, parts...)
		for range 53 {
			terms := z.text(9)
			sameHits(t, fmt.Sprintf("%d segments, %v", len(parts), terms),
				search(t, split, terms, 29), search(t, whole, terms, 29))
		}
	}
}

func TestDeletionEqualsRebuild(t *testing.T) {
	z := newZipf(5, 307)
	for _, share := range []int{0, 1, 10, 50, 99, 100} {
		t.Run(fmt.Sprintf("%d percent", share), func(t *testing.T) {
			var parts []Part
			var kept [][]string
			var numbers []uint32 // of the kept ones, before
			documents := uint32(0)
			for _, n := range []int{1009, 1, 313} {
				texts := z.texts(n, 37)
				part := Part{Segment: build(t, texts)}
				for doc := range uint32(n) {
					if z.random.IntN(100) < share {
						part.Deleted = append(part.Deleted, DocRange{doc, doc + 1})
					} else {
						kept = append(kept, texts[doc])
						numbers = append(numbers, documents+doc)
					}
				}
				parts, documents = append(parts, part), documents+uint32(n)
			}
			rebuilt := newIndex(t, Params{}, Part{Segment: build(t, kept)})
			deleted := newIndex(t, Params{}, parts...)
			if deleted.Live() != len(kept) {
				t.Fatalf("%d live documents, want %d", deleted.Live(), len(kept))
			}
			merged := newIndex(t, Params{}, Part{Segment: merge(t, parts)})
			for range 41 {
				terms := z.text(9)
				want := search(t, rebuilt, terms, 31)
				sameHits(t, fmt.Sprintf("merged, %v", terms), search(t, merged, terms, 31), want)
				for i := range want {
					want[i].Doc = numbers[want[i].Doc]
				}
				sameHits(t, fmt.Sprintf("deleted, %v", terms), search(t, deleted, terms, 31), want)
			}
		})
	}
}

// TestDeletionsThatGrow: indexes over the same segments in which more and more is deleted, as generations of a
// store are, rank as if each were the first; and so does an earlier one afterwards.
func TestDeletionsThatGrow(t *testing.T) {
	z := newZipf(21, 101)
	texts := z.texts(2003, 31)
	segment := build(t, texts)
	var deleted [][]DocRange
	for step := range uint32(7) {
		var last []DocRange
		if step > 0 {
			last = deleted[step-1]
		}
		deleted = append(deleted, append(slices.Clone(last), DocRange{step * 251, step*251 + 3*step + 1}, DocRange{1999 - step, 2000 - step}))
	}
	for _, generation := range []int{0, 1, 3, 6, 2, 6, 0} {
		shared := newIndex(t, Params{}, Part{Segment: segment, Deleted: deleted[generation]})
		alone := newIndex(t, Params{}, Part{Segment: build(t, texts), Deleted: deleted[generation]})
		for range 23 {
			terms := z.text(9)
			sameHits(t, fmt.Sprintf("generation %d, %v", generation, terms), search(t, shared, terms, 31), search(t, alone, terms, 31))
		}
	}
}

func merge(t testing.TB, parts []Part) *Segment {
	t.Helper()
	var out bytes.Buffer
	if _, err := Merge(&out, parts); err != nil {
		t.Fatal(err)
	}
	s, err := Parse(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
	return s
}

// A segment is a function of its documents: merging pieces gives the file that building the whole
// gives, byte for byte.
func TestMergeEqualsBuild(t *testing.T) {
	z := newZipf(9, 401)
	texts := z.texts(1511, 43)
	whole := build(t, texts)
	merged := merge(t, []Part{
		{Segment: build(t, texts[:977])},
		{Segment: build(t, nil)},
		{Segment: build(t, texts[977:])},
	})
	if !bytes.Equal(whole.data, merged.data) {
		t.Fatalf("%d bytes merged, %d built, and they differ", len(merged.data), len(whole.data))
	}
}

func TestScoreIsTheFormula(t *testing.T) {
	z := newZipf(13, 211)
	x := newIndex(t, Params{K1: 1.3, B: 0.6}, Part{Segment: build(t, z.texts(307, 19))})
	s := x.parts[0]
	average := float64(s.tokens) / float64(s.filled)
	next := s.walk()
	for e, ok := next(); ok; e, ok = next() {
		l, err := s.list(&e)
		if err != nil {
			t.Fatal(err)
		}
		name := string(e.name)
		n, df := float64(s.filled), float64(l.df)
		idf := math.Log(1 + (n-df+0.5)/(df+0.5))
		for _, hit := range search(t, x, []string{name}, 1000) {
			var c cursor
			c.reset(&partList{list: l}, weight{1, x.lengths}, s.codes)
			c.seek(hit.Doc)
			// All lengths here are below 24, where the byte is exact.
			norm := 1.3 * (1 - 0.6 + 0.6*float64(s.length(hit.Doc))/average)
			want := idf * float64(c.tf()) / (float64(c.tf()) + norm)
			if math.Abs(want-float64(hit.Score)) > 2e-6*want {
				t.Fatalf("%s in %d: %v, the formula gives %v", name, hit.Doc, hit.Score, want)
			}
		}
	}
}

func TestExplainIsTheScore(t *testing.T) {
	z := newZipf(17, 199)
	part := Part{Segment: build(t, z.texts(509, 59)), Deleted: []DocRange{{3, 17}}}
	x := newIndex(t, Params{}, part, Part{Segment: build(t, z.texts(101, 23))})
	for range 31 {
		question := strings.Join(z.text(9), " ")
		hits, err := x.Search(question, 13)
		if err != nil {
			t.Fatal(err)
		}
		for _, hit := range hits {
			e, err := x.Explain(question, hit.Doc)
			if err != nil {
				t.Fatal(err)
			}
			if float32(e.Value) != hit.Score {
				t.Fatalf("document %d of %q: ranked by %v, explained as %v",
					hit.Doc, question, hit.Score, e.Value)
			}
			sum := 0.0
			for _, d := range e.Details {
				sum += d.Value
				value, tf, norm := d.Details[0].Value, d.Details[1].Value, d.Details[2].Value
				if math.Abs(value*tf/(tf+norm)-d.Value) > 1e-5*d.Value {
					t.Fatalf("%s: %v from %v, %v, %v", d.Label, d.Value, value, tf, norm)
				}
			}
			if float32(sum) != hit.Score {
				t.Fatalf("the shares add up to %v, the score is %v", sum, hit.Score)
			}
		}
	}
	for _, doc := range []uint32{3, 16, 610, noDoc} {
		if _, err := x.Explain("w1", doc); err == nil {
			t.Errorf("document %d is explained though it is not there", doc)
		}
	}
}

func TestLengthByte(t *testing.T) {
	previous := -1
	for length := range uint32(1 << 18) {
		code := encodeLength(length)
		if int(code) < previous {
			t.Fatalf("length %d has code %d, below its predecessor's", length, code)
		}
		previous = int(code)
		if d := decodedLength[code]; d > length || encodeLength(d) != code {
			t.Fatalf("length %d has code %d, which stands for %d", length, code, d)
		}
	}
	// From Lucene 9.12.3, SmallFloat.byte4ToInt.
	for code, want := range map[int]uint32{
		23: 23, 24: 24, 40: 40, 41: 42, 48: 56, 64: 152,
		100: 3096, 128: 32792, 200: 16777240, 255: 2013265944,
	} {
		if decodedLength[code] != want {
			t.Errorf("code %d stands for %d, want %d", code, decodedLength[code], want)
		}
	}
	if code := encodeLength(math.MaxUint32); code != 255 {
		t.Errorf("the longest text has code %d", code)
	}
}

func TestParamsAreChecked(t *testing.T) {
	nan := float32(math.NaN())
	for _, p := range []Params{
		{-1, 0.5},
		{1, -0.1},
		{1, 1.1},
		{nan, 0},
		{1, nan},
		{float32(math.Inf(1)), 0},
	} {
		if _, err := NewIndex(nil, p); err == nil {
			t.Errorf("%v is accepted", p)
		}
	}
}

// durations are times of single operations.
type durations []time.Duration

// quantile returns the share-th time in milliseconds.
func (d durations) quantile(share float64) float64 {
	slices.Sort(d)
	return float64(d[min(int(share*float64(len(d))), len(d)-1)]) / float64(time.Millisecond)
}
