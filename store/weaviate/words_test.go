//go:build cluster

package weaviate_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"evident/bm25"
	"evident/document"
	"evident/store"
	"evident/store/weaviate"
)

// How BM25 of a node differs from that of a folder. Both have the terms, k1 and b, and the formula
//
//	ln(1 + (N-n+½)/(n+½)) · tf / (tf + k1·(1 - b + b·length/average))
//
// and other numbers in it. The folder keeps a length in one byte, as Lucene does; Weaviate keeps it as it is. And
// Weaviate takes n, the passages with a term, and the average from its segments, in which a passage that was
// written twice is twice until they are merged. statistics measures both: what they give must be what a node
// answers, to rounding.

// roundingError is by how much a score may differ from what the formula gives: scores have 24 bits.
const roundingError = 2e-6

// occurrence is a term in a passage.
type occurrence struct{ tf, length float64 }

// saturated is the share of a term's weight that a passage gets.
func (o occurrence) saturated(average float64) float64 {
	const k1, b = 0.9, 0.4
	return o.tf / (o.tf + k1*(1-b+b*o.length/average))
}

// statistics are what a node multiplies with: its average length, and the weight of each term.
type statistics struct {
	average float64
	weights map[string]float64
}

// terms counts the terms of a passage.
type terms struct {
	tf     map[string]int
	length int
}

// words analyses passages of the exercise.
type words struct {
	documents map[string]*storedDocument
	analyzer  bm25.Analyzer
	known     map[string]*terms // by passageKey
}

func newWords(documents []*storedDocument) *words {
	w := &words{map[string]*storedDocument{}, bm25.DefaultAnalyzer(), map[string]*terms{}}
	for _, d := range documents {
		w.documents[d.Path] = d
	}
	return w
}

func (w *words) of(p store.Passage) *terms {
	if known := w.known[passageKey(p)]; known != nil {
		return known
	}
	of := &terms{tf: map[string]int{}}
	for _, text := range store.IndexedTexts(w.documents[p.Path].Document, document.Passage{Span: p.Span, Heading: p.Heading}) {
		for _, term := range w.analyzer.Terms(text) {
			of.tf[term]++
			of.length++
		}
	}
	w.known[passageKey(p)] = of
	return of
}

func (w *words) occurrence(p store.Passage, term string) occurrence {
	of := w.of(p)
	return occurrence{float64(of.tf[term]), float64(of.length)}
}

// single are questions of one term each, by term: a word that stands in one of the questions, or the term itself.
func (w *words) single(questions []string) map[string]string {
	found := map[string]string{}
	add := func(text string) {
		if terms := w.analyzer.Terms(text); len(terms) == 1 {
			found[terms[0]] = text
		}
	}
	for _, q := range questions {
		for _, term := range w.analyzer.Terms(q) {
			add(term)
		}
	}
	for _, q := range questions {
		for _, word := range strings.Fields(q) {
			add(word)
		}
	}
	return found
}

// scored is a term's occurrence in a passage, and the score that a node gives it.
type scored struct {
	occurrence
	score float64
}

// fitted returns the weight and the average length that give scores of one term: their reciprocals are
// p·(1 + k1·(1-b)/tf) + q·k1·b·length/tf with p = 1/weight and q = p/average. It fails where lengths are too much alike.
func fitted(all []scored) (weight, average float64, ok bool) {
	const k1, b = 0.9, 0.4
	var xx, xy, yy, xz, yz float64
	for _, o := range all {
		x, y, z := 1+k1*(1-b)/o.tf, k1*b*o.length/o.tf, 1/o.score
		xx, xy, yy, xz, yz = xx+x*x, xy+x*y, yy+y*y, xz+x*z, yz+y*z
	}
	determinant := xx*yy - xy*xy
	if determinant < 1e-3*xx*yy {
		return 0, 0, false
	}
	p, q := (xz*yy-yz*xy)/determinant, (yz*xx-xz*xy)/determinant
	return 1 / p, p / q, true
}

// statisticsOf asks a node for each term alone and computes from the scores what it multiplies with.
func statisticsOf(t *testing.T, s *weaviate.Snapshot, w *words, single map[string]string) *statistics {
	t.Helper()
	of := map[string][]scored{}
	var averages []float64
	for term, word := range single {
		for _, h := range must(s.Search(word, 100)) {
			of[term] = append(of[term], scored{w.occurrence(must(s.Passage(h.Passage)), term), float64(h.Score)})
		}
		if _, average, ok := fitted(of[term]); ok && len(of[term]) >= 20 {
			averages = append(averages, average)
		}
	}
	if len(averages) < 20 {
		t.Fatalf("only %d terms of %d tell the average length", len(averages), len(single))
	}
	slices.Sort(averages)
	found := &statistics{averages[len(averages)/2], map[string]float64{}}
	for term, all := range of {
		for i, o := range all {
			weight := o.score / o.saturated(found.average)
			if i == 0 {
				found.weights[term] = weight
			}
			if first := found.weights[term]; math.Abs(weight-first) > roundingError*first {
				t.Errorf("%q: the weight is %g by one passage and %g by another", term, first, weight)
				break
			}
		}
	}
	t.Logf("average length %.4f (by single terms between %.4f and %.4f)", found.average, averages[0], averages[len(averages)-1])
	return found
}

// score is what the formula gives a passage.
func (s *statistics) score(of *terms, question []string) (score float64, known bool) {
	for _, term := range question {
		if of.tf[term] == 0 {
			continue
		}
		weight, ok := s.weights[term]
		if !ok {
			return 0, false
		}
		score += weight * occurrence{float64(of.tf[term]), float64(of.length)}.saturated(s.average)
	}
	return score, true
}

// passagesWith is in how many passages a node believes a term to be, by the term's weight.
func passagesWith(weight float64, passages int) float64 {
	return (float64(passages)+1)/math.Exp(weight) - 0.5
}

// compareWords compares the ten best passages by BM25 of each node with the folder's, and with the formula.
func (x *exercise) compareWords(t *testing.T) {
	time.Sleep(10 * time.Second) // what was written last is flushed: see TestFreshDocuments
	w := newWords(x.documents)
	single := w.single(x.questions)
	for _, n := range x.nodes {
		s := must(weaviate.Open(t.Context(), parse(t, address("exercise", n)), weaviate.Options{}))
		defer s.Close()
		snapshot := must(s.Snapshot(t.Context()))
		node := statisticsOf(t, snapshot, w, single)
		x.compareCounts(t, n, node, single)
		x.compareWordsOf(t, n, snapshot, w, node)
	}
}

// compareCounts compares the passages with a term as a node counts them with those there are: it may count one as
// often as it was written, never leave one out.
func (x *exercise) compareCounts(t *testing.T, n *node, node *statistics, single map[string]string) {
	most, exact, broken := 1.0, 0, 0.0
	for term, weight := range node.weights {
		hits := must(x.embedded.Search(single[term], 1))
		if len(hits) == 0 {
			t.Fatalf("%q is in no passage of the folder", term)
		}
		weighed := must(x.embedded.Explain(single[term], hits[0].Passage)).Details[0].Details[0]
		there := weighed.Details[0].Value
		counted := passagesWith(weight, passagesOf(x.documents))
		if counted < there*(1-1e-3)-0.1 {
			t.Errorf("node %d: %q is in %g passages, the node counts %g", n.number, term, there, counted)
		}
		if math.Abs(counted-there) < 0.1+1e-3*there {
			exact++
		}
		if there < 1000 {
			broken = max(broken, math.Abs(counted-math.Round(counted)))
		}
		most = max(most, counted/there)
	}
	t.Logf("node %d: of %d terms it counts the passages of %d as they are, at most %.2f times as many; off a whole number by %.2g",
		n.number, len(node.weights), exact, most, broken)
}

func (x *exercise) compareWordsOf(t *testing.T, n *node, s *weaviate.Snapshot, w *words, node *statistics) {
	shared, found, identical, unknown, lacking := 0, 0, 0, 0, 0
	worst, lacked := 0.0, 0.0
	var took []time.Duration
	for _, q := range x.questions {
		begun := time.Now()
		got := must(rankingOf(s.Search, s.Passage, q, 10))
		took = append(took, time.Since(begun))
		folder := must(rankingOf(x.embedded.Search, x.embedded.Passage, q, 10))
		if slices.Equal(got.keys, folder.keys) {
			identical++
		}
		for _, key := range got.keys {
			if found++; slices.Contains(folder.keys, key) {
				shared++
			}
		}
		terms := w.analyzer.Terms(q)
		if slices.ContainsFunc(terms, func(term string) bool { return node.weights[term] == 0 }) {
			unknown++
			continue
		}
		last := math.Inf(1)
		for _, h := range must(s.Search(q, 10)) {
			want, _ := node.score(w.of(must(s.Passage(h.Passage))), terms)
			worst = max(worst, math.Abs(float64(h.Score)-want)/want)
			last = min(last, float64(h.Score))
		}
		lacks := false
		for _, h := range must(x.embedded.Search(q, 200)) {
			p := must(x.embedded.Passage(h.Passage))
			want, _ := node.score(w.of(p), terms)
			if want > last*(1+10*roundingError) && !slices.Contains(got.keys, passageKey(p)) {
				lacks, lacked = true, max(lacked, want/last-1)
			}
		}
		if lacks {
			lacking++
		}
	}
	t.Logf("node %d: of %d lists %d are those of the folder, and %.4f of all passages; p50 %.1f ms", n.number,
		len(x.questions), identical, float64(shared)/float64(found), milliseconds(took))
	t.Logf("node %d: scores are those of the formula to within %.2g; %d lists lack a passage that it ranks higher, by up to %.2g; %d not told",
		n.number, worst, lacking, lacked, unknown)
	if worst > 10*roundingError {
		t.Errorf("node %d: scores differ by %g of themselves from the formula's", n.number, worst)
	}
	// Weaviate skips blocks of postings by bounds of their scores, and leaves out a passage now and then: among 100,000 the
	// same one in two runs.
	if 100*lacking > len(x.questions) {
		t.Errorf("node %d: %d of %d lists lack a passage", n.number, lacking, len(x.questions))
	}
}
