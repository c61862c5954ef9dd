package region

import (
	"cmp"
	"context"
	"math"
	"slices"

	"evident/internal/cells"
	"evident/internal/mask"
	"evident/internal/picture"
	"evident/model/vit"
)

// ProposeOptions tunes [Seer.Propose]. The zero value is what finds things best.
type ProposeOptions struct {
	Count int // regions at most; 0 means 20
}

// Propose finds regions of a picture that could be things, without knowing any class: the most likely first. Neighbouring
// patches are merged step by step, always the two regions whose features are the most alike (Ward's
// criterion), and of all regions that stood on the way those are returned that stood longest, but none that is
// nearly another one. A picture without any structure gives few or none.
func (s *Seer) Propose(ctx context.Context, im *picture.Image, o ProposeOptions) ([]*mask.Mask, error) {
	tokens, err := s.tokens(ctx, im)
	if err != nil {
		return nil, err
	}
	t := grow(s.features(tokens), tokens.Height, tokens.Width)
	chosen := t.choose(cmp.Or(o.Count, 20))
	masks := make([]*mask.Mask, 0, len(chosen))
	for _, region := range chosen {
		if m := smooth(region.inside, t.height, t.width, im.Width, im.Height); !m.Empty() {
			masks = append(masks, m)
		}
	}
	return masks, nil
}

// features returns what is compared of each patch, [cells][D]: its token as the model's pool normalises it, scaled to
// length 1. Tokens of a pool that has no LayerNorm are taken as they are.
func (s *Seer) features(im *vit.Image) [][]float64 {
	d := s.model.Width
	patches := slices.Clone(im.Tokens[s.model.Prefix*d:])
	if pool, ok := s.model.Pool.(*vit.TokenPool); ok {
		pool.Norm.Forward(patches, len(patches)/d)
	}
	var all [][]float64
	for patch := range slices.Chunk(patches, d) {
		feature := make([]float64, d)
		for i, v := range vit.Normalise(patch) {
			feature[i] = float64(v)
		}
		all = append(all, feature)
	}
	return all
}

// smooth makes a mask of pixels of one of patches: inside is what is nearer to patches inside, between their centres.
func smooth(inside []bool, rows, columns, width, height int) *mask.Mask {
	field := make([]float32, len(inside))
	for i, in := range inside {
		if in {
			field[i] = 1
		}
	}
	m := &mask.Mask{Width: width, Height: height, Bits: make([]bool, width*height)}
	for i, v := range cells.Spread(field, rows, columns, height, width) {
		m.Bits[i] = v >= 0.5
	}
	return m
}

// tree is the merging of patches into one region.
type tree struct {
	height, width int
	nodes         []node // patches first, then each merger; the last is all
}

// node is a region of the tree.
type node struct {
	sum         []float64 // of the features
	size        int       // patches
	first, next int       // what it was merged of; -1 of a patch
	born, died  float64   // what its own merger cost, and the one that it went into
}

// edge joins two neighbouring regions.
type edge struct {
	a, b int
	cost float64
}

// grow merges patches [height·width] until one region is left.
func grow(features [][]float64, height, width int) *tree {
	t := &tree{height: height, width: width}
	for _, f := range features {
		t.nodes = append(t.nodes, node{sum: f, size: 1, first: -1, next: -1})
	}
	var edges []edge
	for at := range features {
		if at%width < width-1 {
			edges = append(edges, edge{at, at + 1, t.cost(at, at+1)})
		}
		if at+width < len(features) {
			edges = append(edges, edge{at, at + width, t.cost(at, at+width)})
		}
	}
	for len(edges) > 0 {
		cheapest := 0
		for i, e := range edges {
			if e.cost < edges[cheapest].cost {
				cheapest = i
			}
		}
		edges = t.merge(edges, edges[cheapest])
	}
	t.nodes[len(t.nodes)-1].died = math.Inf(1)
	return t
}

// cost is how much the squared distances of features to the means of their regions grow by a merger (Ward, 1963).
func (t *tree) cost(a, b int) float64 {
	x, y := &t.nodes[a], &t.nodes[b]
	n, m := float64(x.size), float64(y.size)
	sum := 0.0
	for i, v := range x.sum {
		d := v/n - y.sum[i]/m
		sum += d * d
	}
	return sum * n * m / (n + m)
}

// merge joins the two regions of an edge, and returns the edges that are left.
func (t *tree) merge(edges []edge, e edge) []edge {
	x, y := &t.nodes[e.a], &t.nodes[e.b]
	x.died, y.died = e.cost, e.cost
	joined := node{
		sum: slices.Clone(x.sum), size: x.size + y.size, first: e.a, next: e.b,
		born: max(e.cost, x.born, y.born), // a merger can be cheaper than one before it
	}
	for i, v := range y.sum {
		joined.sum[i] += v
	}
	number := len(t.nodes)
	t.nodes = append(t.nodes, joined)
	kept, known := edges[:0], map[int]bool{}
	var neighbours []int
	for _, o := range edges {
		a, b := o.a == e.a || o.a == e.b, o.b == e.a || o.b == e.b
		switch {
		case !a && !b:
			kept = append(kept, o)
		case a != b:
			other := o.a
			if a {
				other = o.b
			}
			if !known[other] {
				known[other] = true
				neighbours = append(neighbours, other)
			}
		}
	}
	for _, other := range neighbours {
		kept = append(kept, edge{other, number, t.cost(other, number)})
	}
	return kept
}

// candidate is a region that may be proposed.
type candidate struct {
	node   int
	score  float64
	inside []bool
	size   int // patches inside
}

// choose returns the best regions, none of which is nearly another.
func (t *tree) choose(count int) []candidate {
	const (
		smallest = 3   // patches
		largest  = 0.9 // of the picture
		nearly   = 0.7 // overlap, as IoU
	)
	var all []candidate
	for i := range t.nodes {
		n := &t.nodes[i]
		if n.size < smallest || float64(n.size) > largest*float64(t.height*t.width) || n.died <= n.born {
			continue
		}
		all = append(all, candidate{node: i, score: stood(n), size: n.size})
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	var chosen []candidate
	for _, c := range all {
		if len(chosen) == count {
			break
		}
		c.inside = t.inside(c.node)
		if !slices.ContainsFunc(chosen, func(o candidate) bool { return iou(&o, &c) > nearly }) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// stood is how long a region stood: how much dearer the merger that ended it was than its own.
func stood(n *node) float64 { return n.died - n.born }

// inside returns which patches a region has.
func (t *tree) inside(number int) []bool {
	inside := make([]bool, t.height*t.width)
	stack := []int{number}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if n := &t.nodes[at]; n.first >= 0 {
			stack = append(stack, n.first, n.next)
		} else {
			inside[at] = true
		}
	}
	return inside
}

// iou is the overlap of two regions.
func iou(a, b *candidate) float64 {
	both := 0
	for i, in := range a.inside {
		if in && b.inside[i] {
			both++
		}
	}
	return float64(both) / float64(a.size+b.size-both)
}
