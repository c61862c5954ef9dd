package vector

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"evident/internal/kernel"
)

// Query says what is looked for. The zero value of all but Vector and K is a plain search.
type Query struct {
	Vector      []float32 // [Dim]
	K           int       // hits wanted
	PriorWeight float32   // priors count so much; 0 leaves them out

	// Lists is the number of inverted lists that are looked at in each segment that has some; 0 means
	// a sixteenth of them, and at least 16. More find more and take longer.
	Lists int

	// Exact scans every vector, lists or not.
	Exact bool

	// Accept, if not nil, says which groups may be found. It is asked about those that would be, once in
	// each segment, so it may take its time.
	Accept func(group string) bool
}

// Hit is a vector that was found.
type Hit struct {
	Group string
	ID    uint64
	Score float32 // query·vector + PriorWeight·prior
}

// Work counts what a search did.
type Work struct {
	Scanned  int // vectors whose code, or bytes, were looked at
	Compared int // vectors whose score was computed from their high plane
	Refined  int // vectors whose score was computed from both planes
}

// Bounds of errors, in units of their size.
const (
	// codeErrors is ε of bits.go, the paper's: a score exceeds its bound in one of 40 vectors
	// (TestEstimates). Such a vector is lost only if it is also among the best.
	codeErrors = 1.9
	// stepErrors is the same of rounding to the high plane, where the typical error of a coordinate
	// is a step over √12.
	stepErrors = 4
)

// Search returns the hits with the highest scores, best first, equal scores by group and ID.
// Segments without lists are searched exactly.
func (s *Snapshot) Search(ctx context.Context, q *Query) ([]Hit, error) {
	hits, _, err := s.SearchCounting(ctx, q)
	return hits, err
}

// SearchCounting is [Snapshot.Search] and says what it did.
func (s *Snapshot) SearchCounting(ctx context.Context, q *Query) ([]Hit, Work, error) {
	if len(q.Vector) != s.manifest.Dim {
		return nil, Work{}, fmt.Errorf("search: a query of %d coordinates in an index of %d",
			len(q.Vector), s.manifest.Dim)
	}
	if q.K <= 0 {
		return nil, Work{}, nil
	}
	w := newSearch(s, q)
	for i, segment := range s.segments {
		if err := ctx.Err(); err != nil {
			return nil, w.work, err
		}
		if segment.lists == nil || q.Exact {
			w.scan(i)
		} else {
			w.probe(i)
		}
	}
	return w.hits(), w.work, nil
}

// search is one search at work.
type search struct {
	*Snapshot
	query   *Query
	set     *kernel.Set
	fixed   *fixedQuery
	rotated []float32
	bits    *bitsQuery // made for the first segment with lists
	best    collector
	work    Work
	answers [][]answer // of the query's Accept, by segment and group; nil where it was not asked yet

	sums   sums
	scores []float32
	upper  []float32
	above  []uint32
	rows   []uint32
}

func newSearch(s *Snapshot, q *Query) *search {
	w := &search{Snapshot: s, query: q, set: kernel.Active(), best: collector{k: q.K}, answers: make([][]answer, len(s.segments))}
	w.rotated = make([]float32, s.rotation.padded)
	s.rotation.apply(w.rotated, q.Vector)
	w.fixed = newFixedQuery(w.rotated)
	w.scores = make([]float32, scanChunk)
	return w
}

// accepts says whether a vector may be found.
func (w *search) accepts(segment int, row uint32) bool {
	s := w.segments[segment]
	group := s.group[row]
	if int(group) >= s.groups() { // damage: never a wrong group
		return false
	}
	if w.deleted[segment] != nil && w.deleted[segment][group] {
		return false
	}
	if w.query.Accept == nil {
		return true
	}
	if w.answers[segment] == nil {
		w.answers[segment] = make([]answer, s.groups())
	}
	a := &w.answers[segment][group]
	if *a == unasked {
		if *a = no; w.query.Accept(s.key(group)) {
			*a = yes
		}
	}
	return *a == yes
}

// answer is what Accept said of a group: many vectors of one are looked at.
type answer uint8

const (
	unasked answer = iota
	no
	yes
)

// scanChunk is the number of vectors multiplied at once.
const scanChunk = 1024

// scan looks at every vector of a segment. Products with high planes bound the scores: by what
// rounding to them can do at most, so that nothing that is among the best is missed.
func (w *search) scan(segment int) {
	s := w.segments[segment]
	f := &s.fixed
	w.sums.reserve(scanChunk)
	rounded := float32(0) // of one step of scale
	if f.low != nil {
		rounded = w.fixed.norm * float32(math.Sqrt(float64(f.d))) / 2
	}
	weight := w.query.PriorWeight
	for from := 0; from < s.len(); from += scanChunk {
		n := min(scanChunk, s.len()-from)
		w.set.DotBytes(w.sums.a, w.fixed.high, f.high[from*f.d:], f.d, n, w.fixed.highInit)
		floor := w.best.floor()
		for i, sum := range w.sums.a[:n] {
			row := from + i
			scale := f.scale[row]
			score := float32(w.fixed.scale)*scale*float32(sum) + weight*s.priors[row]
			margin := scale*rounded + w.fixed.highError*s.norm
			if score+margin >= floor && w.accepts(segment, uint32(row)) {
				w.best.offer(segment, uint32(row), score-margin, score+margin)
				floor = w.best.floor()
			}
		}
		w.work.Scanned += n
		w.work.Compared += n
	}
}

// hits computes the scores of all candidates and returns the best.
func (w *search) hits() []Hit {
	all := w.best.all
	floor := w.best.floor()
	all = slices.DeleteFunc(all, func(f found) bool { return f.high < floor })
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.row, b.row))
	})
	w.work.Refined = len(all)
	hits := make([]Hit, 0, len(all))
	for len(all) > 0 {
		segment := all[0].segment
		n := slices.IndexFunc(all, func(f found) bool { return f.segment != segment })
		if n < 0 {
			n = len(all)
		}
		w.rows = w.rows[:0]
		for _, f := range all[:n] {
			w.rows = append(w.rows, f.row)
		}
		s := w.segments[segment]
		scores := make([]float32, n)
		s.fixed.products(scores, w.set, w.fixed, w.rows, &w.sums)
		for i, row := range w.rows {
			score := scores[i] + w.query.PriorWeight*s.priors[row]
			hits = append(hits, Hit{Group: s.key(s.group[row]), ID: s.ids[row], Score: score})
		}
		all = all[n:]
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Group, b.Group), cmp.Compare(a.ID, b.ID))
	})
	return hits[:min(len(hits), w.query.K)]
}
