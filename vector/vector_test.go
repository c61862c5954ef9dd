package vector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"evident/internal/kernel"
)

// population is what an index should hold: vectors around some centers, in groups.
type population map[string][]Item

// populate draws n vectors of dim coordinates and unit length, per a group, around n/64 centers.
func populate(seed uint64, n, dim, per int) population {
	random := rand.New(rand.NewPCG(seed, 3))
	centers := make([][]float32, n/64+1)
	for i := range centers {
		centers[i] = direction(random, dim, nil, 0)
	}
	p := population{}
	for i := range n {
		key := fmt.Sprintf("group %05d", i/per)
		p[key] = append(p[key], Item{
			ID: uint64(i), Prior: float32(random.NormFloat64()) / 20,
			Vector: direction(random, dim, centers[random.IntN(len(centers))], 0.9),
		})
	}
	return p
}

// direction draws a unit vector near another one.
func direction(random *rand.Rand, dim int, near []float32, noise float64) []float32 {
	if near == nil {
		near, noise = make([]float32, dim), 1
	}
	x, norm := make([]float32, dim), 0.0
	for i := range x {
		v := float64(near[i]) + noise*random.NormFloat64()/math.Sqrt(float64(dim))
		x[i] = float32(v)
		norm += v * v
	}
	for i := range x {
		x[i] /= float32(math.Sqrt(norm))
	}
	return x
}

// keys are in order, so that an index does not depend on a map's.
func (p population) keys() []string {
	keys := make([]string, 0, len(p))
	for key := range p {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// search computes what an index should find, in float64.
func (p population) search(q *Query) []Hit {
	var hits []Hit
	for key, items := range p {
		if q.Accept != nil && !q.Accept(key) {
			continue
		}
		for _, item := range items {
			score := float64(q.PriorWeight) * float64(item.Prior)
			for i, v := range item.Vector {
				score += float64(v) * float64(q.Vector[i])
			}
			hits = append(hits, Hit{key, item.ID, float32(score)})
		}
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Group, b.Group), cmp.Compare(a.ID, b.ID))
	})
	return hits[:min(q.K, len(hits))]
}

// newIndex makes an index of the groups, committed in so many parts.
func newIndex(t testing.TB, p population, settings Settings, parts int) *Index {
	t.Helper()
	x, err := Create(t.TempDir(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	keys := p.keys()
	for part := range parts {
		put(t, x, p, keys[len(keys)*part/parts:len(keys)*(part+1)/parts])
	}
	return x
}

func put(t testing.TB, x *Index, p population, keys []string) {
	t.Helper()
	change(t, x, func(w *Writer) error {
		for _, key := range keys {
			if err := w.Put(key, p[key]); err != nil {
				return err
			}
		}
		return nil
	})
}

func change(t testing.TB, x *Index, with func(*Writer) error) {
	t.Helper()
	w, err := x.Writer()
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(with(w), w.Commit(), w.Close())
	if err != nil {
		t.Fatal(err)
	}
}

// improve runs Improve until there is nothing to do and returns the number of steps.
func improve(t testing.TB, x *Index) int {
	t.Helper()
	for steps := 0; ; steps++ {
		changed, err := x.Improve(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !changed {
			return steps
		}
	}
}

// expect checks that hits are those of a population.
func expect(t *testing.T, q *Query, got, want []Hit) {
	t.Helper()
	if err := mismatch(q, got, want); err != nil {
		t.Fatal(err)
	}
}

// mismatch compares hits to within the error of a score: four times what rounding unit vectors of 64
// coordinates, after the rotation, to 16 bits costs at random. A hit may stand in for another one of
// the same score.
func mismatch(q *Query, got, want []Hit) error {
	norm := 0.0
	for _, v := range q.Vector {
		norm += float64(v) * float64(v)
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d hits, want %d", len(got), len(want))
	}
	for i := range got {
		if d := math.Abs(float64(got[i].Score - want[i].Score)); d > 2e-5*math.Sqrt(norm) {
			return fmt.Errorf("hit %d is %v, want %v", i, got[i], want[i])
		}
	}
	return nil
}

func queries(seed uint64, dim, n int) []*Query {
	random := rand.New(rand.NewPCG(seed, 4))
	all := make([]*Query, n)
	for i := range all {
		all[i] = &Query{Vector: direction(random, dim, nil, 0), K: 1 + i%13}
		if i%2 == 1 {
			all[i].PriorWeight = 1
		}
		if i%3 == 2 {
			for j := range all[i].Vector {
				all[i].Vector[j] *= 7.5 // lengths are the caller's affair
			}
		}
	}
	return all
}

// TestSearchIsExact: segments without lists, and lists with Exact, find what a float64 scan finds, on
// every tier, in every shape.
func TestSearchIsExact(t *testing.T) {
	for _, tier := range []kernel.Tier{kernel.Generic, kernel.AVX2, kernel.AVX512, kernel.Best()} {
		restore, err := kernel.Force(tier)
		if err != nil {
			t.Logf("%v", err)
			continue
		}
		for _, c := range []struct {
			n, dim, parts int
			listed        bool
		}{{1, 1, 1, false}, {5, 3, 2, false}, {257, 67, 3, false}, {1300, 129, 2, true}, {700, 383, 1, true}} {
			t.Run(fmt.Sprintf("%s-%d-of-%d-in-%d", tier, c.n, c.dim, c.parts), func(t *testing.T) {
				p := populate(1, c.n, c.dim, 3)
				settings := Settings{Dim: c.dim, Fine: true}
				if c.listed {
					settings.ListsFrom = 100
				}
				x := newIndex(t, p, settings, c.parts)
				if steps := improve(t, x); c.listed != (steps > 0) {
					t.Fatalf("%d steps of improvement", steps)
				}
				for _, q := range queries(2, c.dim, 9) {
					q.Exact = true
					got, err := x.Search(context.Background(), q)
					if err != nil {
						t.Fatal(err)
					}
					expect(t, q, got, p.search(q))
				}
			})
		}
		restore()
	}
}

// TestSameOnEveryTier: products of bytes are whole numbers, so scores are the same to the last bit.
func TestSameOnEveryTier(t *testing.T) {
	p := populate(5, 900, 100, 4)
	x := newIndex(t, p, Settings{Dim: 100, Fine: true, ListsFrom: 500}, 1)
	improve(t, x)
	q := queries(6, 100, 1)[0]
	q.K, q.Lists = 25, 1000
	want, err := x.Search(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	for tier := kernel.Generic; tier <= kernel.Best(); tier++ {
		restore, err := kernel.Force(tier)
		if err != nil {
			continue
		}
		got, err := x.Search(context.Background(), q)
		restore()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", tier, got, err, want)
		}
	}
}

// TestRecall: lists with codes find what an exact scan finds, but for a few; looking at every list
// loses almost nothing to the codes.
func TestRecall(t *testing.T) {
	const n, dim, k = 12000, 384, 10
	p := populate(11, n, dim, 20)
	x := newIndex(t, p, Settings{Dim: dim, Fine: true, ListsFrom: 1000}, 1)
	improve(t, x)
	s, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if stats := s.Stats(); stats.Listed != n || stats.Resident > 100*n {
		t.Errorf("%d vectors in lists, %d bytes resident", stats.Listed, stats.Resident)
	}
	random := rand.New(rand.NewPCG(12, 1))
	keys := p.keys()
	for _, c := range []struct {
		lists int
		bar   float64
	}{{0, 0.95}, {1 << 20, 0.995}} {
		same, scanned, compared := 0, 0, 0
		const asked = 30
		for range asked {
			near := p[keys[random.IntN(len(keys))]][0].Vector
			q := &Query{Vector: direction(random, dim, near, 0.6), K: k, PriorWeight: 1, Lists: c.lists}
			got, work, err := s.SearchCounting(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			scanned, compared = scanned+work.Scanned, compared+work.Compared
			same += overlapOf(got, p.search(q))
		}
		recall := float64(same) / (asked * k)
		t.Logf("%d lists: recall@%d %.3f, %d scanned and %d compared a query", c.lists, k, recall,
			scanned/asked, compared/asked)
		if recall < c.bar {
			t.Errorf("%d lists: recall %.3f, want %.3f", c.lists, recall, c.bar)
		}
		if c.lists == 0 && scanned/asked > n/3 {
			t.Errorf("%d of %d vectors scanned: lists leave too little out", scanned/asked, n)
		}
	}
}

func overlapOf(a, b []Hit) int {
	ids := map[uint64]bool{}
	for _, h := range b {
		ids[h.ID] = true
	}
	n := 0
	for _, h := range a {
		if ids[h.ID] {
			n++
		}
	}
	return n
}

// TestAccept: what a query leaves out is not found, and everything else is, also where almost all is
// left out.
func TestAccept(t *testing.T) {
	p := populate(21, 3000, 48, 5)
	for _, listsFrom := range []int{0, 100} {
		x := newIndex(t, p, Settings{Dim: 48, Fine: true, ListsFrom: listsFrom}, 2)
		improve(t, x)
		for _, few := range []int{1, 30} {
			for _, q := range queries(22, 48, 6) {
				q.K, q.Lists = 2+few, 4
				q.Accept = func(group string) bool { return strings.HasSuffix(group, "3") && (few == 1 || group < "group 00020") }
				got, err := x.Search(context.Background(), q)
				if err != nil {
					t.Fatal(err)
				}
				want := p.search(q)
				if len(got) != len(want) {
					t.Fatalf("%d hits, want %d", len(got), len(want))
				}
				for _, h := range got {
					if !q.Accept(h.Group) {
						t.Errorf("%v was left out", h)
					}
				}
				if few == 30 { // fewer than a list's worth: all lists are looked at
					expect(t, q, got, want)
				}
			}
		}
	}
}

// TestEdges: queries without an answer, of another size, or of nothing.
func TestEdges(t *testing.T) {
	x := newIndex(t, population{}, Settings{Dim: 5}, 1)
	ctx := context.Background()
	if hits, err := x.Search(ctx, &Query{Vector: make([]float32, 5), K: 3}); err != nil || len(hits) != 0 {
		t.Errorf("an empty index: %v, %v", hits, err)
	}
	put(t, x, population{"zeros": {{ID: 1, Vector: make([]float32, 5)}}, "nothing": nil}, []string{"zeros", "nothing"})
	hits, err := x.Search(ctx, &Query{Vector: []float32{1, 0, 0, 0, 0}, K: 3})
	if err != nil || len(hits) != 1 || hits[0] != (Hit{"zeros", 1, 0}) {
		t.Errorf("a vector of zeros: %v, %v", hits, err)
	}
	if hits, err := x.Search(ctx, &Query{Vector: make([]float32, 5)}); err != nil || hits != nil {
		t.Errorf("no hits wanted: %v, %v", hits, err)
	}
	if _, err := x.Search(ctx, &Query{Vector: make([]float32, 4), K: 1}); err == nil {
		t.Error("a query of another length is answered")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := x.Search(ended, &Query{Vector: make([]float32, 5), K: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// TestPutLeavesVectorsAlone: vectors that lie in one array stay as they were.
func TestPutLeavesVectorsAlone(t *testing.T) {
	x := newIndex(t, population{}, Settings{Dim: 2}, 1)
	values := []float32{1, 2, 3, 4}
	change(t, x, func(w *Writer) error {
		return w.Put("g", []Item{{Vector: values[:2], Prior: 9}, {ID: 1, Vector: values[2:], Prior: 9}})
	})
	if !slices.Equal(values, []float32{1, 2, 3, 4}) {
		t.Errorf("put changed %v", values)
	}
}

func TestPutRefuses(t *testing.T) {
	x := newIndex(t, population{}, Settings{Dim: 2}, 1)
	change(t, x, func(w *Writer) error {
		nan := float32(math.NaN())
		for name, item := range map[string]Item{
			"length": {Vector: []float32{1}}, "vector": {Vector: []float32{1, nan}},
			"prior": {Vector: []float32{1, 1}, Prior: float32(math.Inf(1))},
		} {
			if err := w.Put("g", []Item{item}); err == nil {
				t.Errorf("a wrong %s is accepted", name)
			}
		}
		return nil
	})
}
