package vector

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"evident/internal/kernel"
)

const (
	listVectorsMin = 128 // a list's average length, at least: its codes come in blocks of 32
	samplePer      = 64  // vectors that a centroid is learned from
	listRounds     = 10  // of k-means
	listSeed       = 7
	chunkVectors   = 1024 // assigned as one piece of work
)

// listsOf is the number of lists for so many vectors: 2·√n where they are not too short then. A query
// looks at all centroids and at a share of the lists, so both have to grow slower than n; making lists
// takes n times their number.
func listsOf(n int) int {
	return max(1, min(int(2*math.Sqrt(float64(n))), n/listVectorsMin))
}

// vectors is what lists are made over: vectors of several segments, by number.
type vectors struct {
	sources []*segment
	refs    []rowRef
}

func (v *vectors) decode(dst []float32, i int) {
	source, row := v.refs[i].at()
	v.sources[source].fixed.decode(dst, row)
}

// trainLists learns so many centroids by k-means (Lloyd) from a sample. The result depends on the
// vectors and their order alone, not on the number of threads.
func trainLists(ctx context.Context, v *vectors, d, count int) (*lists, error) {
	random := rand.New(rand.NewPCG(listSeed, uint64(count)))
	sample := &vectors{sources: v.sources, refs: sampleOf(random, v.refs, count*samplePer)}
	centers := make([]float32, count*d)
	for i, at := range random.Perm(len(sample.refs))[:count] {
		sample.decode(centers[i*d:][:d], at)
	}
	to := make([]uint32, len(sample.refs))
	for range listRounds {
		if err := assign(ctx, sample, centers, d, to); err != nil {
			return nil, err
		}
		recenter(random, sample, centers, d, to)
	}
	l := &lists{centroids: fixed{d: d}}
	c := make([]float32, d)
	for i := range count {
		l.centroids.append(centers[i*d:][:d], true)
		l.centroids.decode(c, i)
		norm := 0.0
		for _, x := range c {
			norm += float64(x) * float64(x)
		}
		l.norms = append(l.norms, float32(norm))
	}
	return l, nil
}

// sampleOf draws up to n of the vectors.
func sampleOf(random *rand.Rand, refs []rowRef, n int) []rowRef {
	if n >= len(refs) {
		return refs
	}
	drawn := make([]rowRef, n)
	for i := range drawn { // one of each of n equal parts
		from, to := len(refs)*i/n, len(refs)*(i+1)/n
		drawn[i] = refs[from+random.IntN(to-from)]
	}
	return drawn
}

// recenter moves each center to the mean of its vectors. One without any takes the place of a
// vector chosen at random.
func recenter(random *rand.Rand, v *vectors, centers []float32, d int, to []uint32) {
	count := len(centers) / d
	sizes, x := make([]int, count), make([]float32, d)
	clear(centers)
	for i, list := range to {
		v.decode(x, i)
		sizes[list]++
		for j, value := range x {
			centers[int(list)*d+j] += value
		}
	}
	for list, size := range sizes {
		center := centers[list*d:][:d]
		if size == 0 {
			v.decode(center, random.IntN(len(to)))
			continue
		}
		for j := range center {
			center[j] /= float32(size)
		}
	}
}

// assign writes the number of the nearest center of every vector. Where the CPU multiplies bytes,
// distances are those of rounded vectors: which of two lists a vector between them goes to matters
// little, and it is four times as fast.
func assign(ctx context.Context, v *vectors, centers []float32, d int, to []uint32) error {
	set := kernel.Active()
	packed := newPackedCenters(set, centers, d)
	chunks := (len(to) + chunkVectors - 1) / chunkVectors
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), chunks) {
		workers.Go(func() {
			a := newAssigner(packed)
			for ctx.Err() == nil {
				from := int(next.Add(1)-1) * chunkVectors
				if from >= len(to) {
					return
				}
				a.assign(v, from, to[from:min(from+chunkVectors, len(to))])
			}
		})
	}
	workers.Wait()
	return ctx.Err()
}

// packedCenters are the columns of a product, and half their squared lengths: the nearest center of
// x has the largest x·c - ‖c‖²/2.
type packedCenters struct {
	set           *kernel.Set
	d, count      int
	panels        int
	bytes         []int8    // [panels][d/4][32][4] where bytes are multiplied
	floats        []float32 // [panels][d][32] elsewhere
	scales, shift []float32 // [panels·32]
	offsets       []int32   // [panels·32]
}

func newPackedCenters(set *kernel.Set, centers []float32, d int) *packedCenters {
	p := &packedCenters{set: set, d: d, count: len(centers) / d}
	p.panels = (p.count + kernel.Columns - 1) / kernel.Columns
	columns := p.panels * kernel.Columns
	p.scales, p.shift, p.offsets = make([]float32, columns), make([]float32, columns), make([]int32, columns)
	if set.HasInt8() {
		p.bytes = make([]int8, columns*d)
	} else {
		p.floats = make([]float32, columns*d)
	}
	for panel := range p.panels {
		column := panel * kernel.Columns
		rows := min(kernel.Columns, p.count-column)
		from := centers[column*d:]
		if p.bytes != nil {
			kernel.PackInt8(p.bytes[column*d:], p.scales[column:], p.offsets[column:], from, d, rows, d)
		} else {
			set.PackF32(p.floats[column*d:], from, d, rows, d)
		}
	}
	for i := range p.shift {
		p.shift[i] = float32(math.Inf(-1)) // a column without a center
		if i < p.count {
			norm := 0.0
			for _, x := range centers[i*d:][:d] {
				norm += float64(x) * float64(x)
			}
			p.shift[i] = float32(-norm / 2)
		}
	}
	return p
}

// assigner is the memory of one worker.
type assigner struct {
	*packedCenters
	rows   []uint8 // [tile, d]
	floats []float32
	scales []float32 // [tile]
	sums   []int32   // [tile, 32]
	scores []float32 // [tile, 32]
	best   []float32 // [tile]
}

func newAssigner(p *packedCenters) *assigner {
	n := p.set.TileRows()
	return &assigner{
		packedCenters: p, rows: make([]uint8, n*p.d), floats: make([]float32, n*p.d),
		scales: make([]float32, n), best: make([]float32, n),
		sums: make([]int32, n*kernel.Columns), scores: make([]float32, n*kernel.Columns),
	}
}

// assign finds the lists of vectors from, from+1, …, a tile of rows at a time.
func (a *assigner) assign(v *vectors, from int, to []uint32) {
	for at := 0; at < len(to); at += a.set.TileRows() {
		n := min(a.set.TileRows(), len(to)-at)
		for i := range n {
			source, row := v.refs[from+at+i].at()
			f := &v.sources[source].fixed
			a.best[i] = float32(math.Inf(-1))
			if a.bytes != nil {
				copy(a.rows[i*a.d:][:a.d], f.high[row*a.d:])
				a.scales[i] = f.scale[row]
			} else {
				f.decode(a.floats[i*a.d:][:a.d], row)
			}
		}
		for panel := range a.panels {
			a.tile(panel, n)
			for i := range n {
				for j, score := range a.scores[i*kernel.Columns:][:kernel.Columns] {
					if score > a.best[i] {
						a.best[i], to[at+i] = score, uint32(panel*kernel.Columns+j)
					}
				}
			}
		}
	}
}

// tile computes the scores of n rows with the centers of a panel.
func (a *assigner) tile(panel, n int) {
	column := panel * kernel.Columns
	if a.bytes == nil {
		a.set.TileF32(a.scores, kernel.Columns, a.floats, a.d, a.packedCenters.floats[column*a.d:],
			a.shift[column:], n, a.d, 1)
		return
	}
	a.set.TileInt8(a.sums, kernel.Columns, a.rows, a.d, a.bytes[column*a.d:], a.offsets[column:],
		n, a.d/kernel.Quad, 1)
	a.set.Dequantise(a.scores, kernel.Columns, a.sums, a.scales, a.packedCenters.scales[column:], a.shift[column:], n)
}
