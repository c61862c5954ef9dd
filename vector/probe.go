package vector

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"evident/internal/kernel"
)

// probed is a list that is looked at.
type probed struct {
	list  uint32
	score float32 // query·centroid
}

// probe looks at the lists of a segment whose centroids score highest. Lists beyond the number asked
// for are looked at only while fewer vectors than wanted were found, as when a query leaves most
// groups out.
func (w *search) probe(segment int) {
	s := w.segments[segment]
	if w.bits == nil {
		w.bits = newBitsQuery(w.rotated)
	}
	want := w.query.Lists
	if want <= 0 {
		want = max(16, s.lists.len()/16)
	}
	order := w.nearestLists(s, want)
	for _, p := range order[:min(want, len(order))] {
		w.lookAt(segment, p)
	}
	if len(w.best.lows) >= w.best.k {
		return
	}
	rest := order[min(want, len(order)):]
	slices.SortFunc(rest, byScore)
	for _, p := range rest {
		if len(w.best.lows) >= w.best.k {
			return
		}
		w.lookAt(segment, w.centroid(s, p.list))
	}
}

func byScore(a, b probed) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.list, b.list))
}

// nearestLists returns all lists, the want best first and in order, the others with rounded scores and in none.
func (w *search) nearestLists(s *segment, want int) []probed {
	c := &s.lists.centroids
	n := s.lists.len()
	w.sums.reserve(n)
	w.set.DotBytes(w.sums.a, w.fixed.high, c.high, c.d, n, w.fixed.highInit)
	order := make([]probed, n)
	for i, sum := range w.sums.a {
		order[i] = probed{uint32(i), float32(w.fixed.scale) * c.scale[i] * float32(sum)}
	}
	want = min(want, n)
	partition(order, want)
	best := order[:want]
	for i := range best {
		best[i] = w.centroid(s, best[i].list)
	}
	slices.SortFunc(best, byScore)
	return order
}

// partition puts the n lists with the highest scores first, in no order (quickselect).
func partition(order []probed, n int) {
	for low, high := 0, len(order); n > low && n < high; {
		pivot := order[low+(high-low)/2].score
		i, j := low, high-1
		for i <= j {
			for order[i].score > pivot {
				i++
			}
			for order[j].score < pivot {
				j--
			}
			if i <= j {
				order[i], order[j] = order[j], order[i]
				i++
				j--
			}
		}
		switch {
		case n <= j+1:
			high = j + 1
		case n >= i:
			low = i
		default:
			return
		}
	}
}

// centroid computes a list's score as exactly as its centroid is stored.
func (w *search) centroid(s *segment, list uint32) probed {
	var score [1]float32
	s.lists.centroids.products(score[:], w.set, w.fixed, []uint32{list}, &w.sums)
	return probed{list, score[0]}
}

// lookAt bounds the scores of a list's vectors from their codes and computes those that may be
// among the best, most promising first.
func (w *search) lookAt(segment int, p probed) {
	s := w.segments[segment]
	l := s.lists
	width := s.fixed.d / 8
	first, end := l.first[p.list], l.first[p.list+1]
	n, size := int(end-first), kernel.BitsBlockSize(width)
	if n == 0 {
		return
	}
	w.upper = slices.Grow(w.upper[:0], n*kernel.BitsBlock)[:n*kernel.BitsBlock]
	w.above = slices.Grow(w.above[:0], n)[:n]
	norm := w.fixed.norm
	apart := float64(norm*norm + l.norms[p.list] - 2*p.score) // ‖query - centroid‖²
	w.set.Estimates(w.upper, w.above, l.blocks[int(first)*size:int(end)*size], w.bits.table, n, width,
		&kernel.Estimate{
			Scale: w.bits.scale, Shift: w.bits.shift, Base: p.score, Weight: w.query.PriorWeight,
			Slack: codeErrors * float32(math.Sqrt(max(apart, 0))), Floor: w.best.floor(),
		})
	start, length := l.starts[p.list], l.starts[p.list+1]-l.starts[p.list]
	w.work.Scanned += int(length)
	w.rows = w.rows[:0]
	if rest := length % kernel.BitsBlock; rest > 0 { // what fills up the last block is no vector, also where it is damaged
		w.above[n-1] &= 1<<rest - 1
	}
	for block, mark := range w.above {
		for ; mark != 0; mark &= mark - 1 {
			w.rows = append(w.rows, uint32(block*kernel.BitsBlock+bits.TrailingZeros32(mark)))
		}
	}
	if len(w.rows) > compareBatch {
		slices.SortFunc(w.rows, func(a, b uint32) int { return cmp.Compare(w.upper[b], w.upper[a]) })
	}
	w.compare(segment, uint32(start))
}

// compareBatch is the number of vectors computed between two looks at the floor.
const compareBatch = 32

// compare computes the scores of w.rows, which count from vector start, while their bounds are above
// the floor.
func (w *search) compare(segment int, start uint32) {
	s := w.segments[segment]
	batch := make([]uint32, 0, compareBatch)
	for len(w.rows) > 0 {
		n := min(compareBatch, len(w.rows))
		batch = batch[:0]
		for _, row := range w.rows[:n] {
			if w.upper[row] > w.best.floor() && w.accepts(segment, start+row) {
				batch = append(batch, start+row)
			}
		}
		w.rows = w.rows[n:]
		s.fixed.roundedProducts(w.scores, w.set, w.fixed, batch, &w.sums)
		w.work.Compared += len(batch)
		for i, row := range batch {
			margin := float32(0)
			if s.fixed.low != nil {
				margin = stepErrors / float32(math.Sqrt(12)) * s.fixed.scale[row] * w.fixed.norm
			}
			score := w.scores[i] + w.query.PriorWeight*s.priors[row]
			w.best.offer(segment, row, score-margin, score+margin)
		}
	}
}
