package legrad

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"evident/model/vit"
	"evident/nn"
)

// Method draws where in an image a text is seen: LeGrad, or one of those it is compared with. It is safe for
// concurrent use.
type Method interface {
	// Maps returns for each text, a vector [E] of length 1, one value a patch, [height/Patch, width/Patch]; larger
	// is more relevant. Values compare within one map only: scale with [MinMax]. Pixels are [3, height, width],
	// normalised as the model wants them.
	Maps(ctx context.Context, pixels []float32, height, width int, texts [][]float32) ([][]float32, error)
}

// Rows says which queries' attention a map reads. The papers read the class token's, for their models pool it.
type Rows string

// The rows.
const (
	PooledRows Rows = ""     // each as much as its token counts in the image's vector: of a class token model its row
	ClassRow   Rows = "cls"  // the class token's
	MeanRows   Rows = "mean" // all alike
)

// MethodOptions tunes [NewMethod]. The zero value is what the method's own paper does.
type MethodOptions struct {
	Layers    []int        // of LeGrad (none: the last two), rollout and Chefer (none: all): which take part
	Rows      Rows         // of attention, attentioncam, rollout and chefer
	Precision nn.Precision // of LeGrad's products; the others' gradients are float32
	Empty     []float32    // the vector of [EmptyText], where LeGrad's maps are to be corrected with it; nil for not
}

// methods makes each method by its name.
var methods = map[string]func(*vit.Tower, MethodOptions) (drawer, error){
	"legrad":       newLeGrad,
	"attention":    newRawAttention,
	"rollout":      newRollout,
	"gradcam":      newGradCAM,
	"attentioncam": newAttentionCAM,
	"chefer":       newChefer,
	"similarity":   newSimilarity,
	"maskclip":     newMaskCLIP,
}

// MethodNames returns the names that [NewMethod] knows, LeGrad's first.
func MethodNames() []string {
	names := []string{"legrad"}
	for name := range methods {
		if name != names[0] {
			names = append(names, name)
		}
	}
	slices.Sort(names[1:])
	return names
}

// NewMethod prepares a method for a tower. A tower whose pool a method cannot go back through is an error.
func NewMethod(name string, tower *vit.Tower, opts MethodOptions) (Method, error) {
	prepare, ok := methods[name]
	if !ok {
		return nil, fmt.Errorf("unknown method %q: there are %s", name, strings.Join(MethodNames(), ", "))
	}
	d, err := prepare(tower, opts)
	if err != nil {
		return nil, fmt.Errorf("method %s: %w", name, err)
	}
	return &method{tower, d}, nil
}

// reading is what the methods beside LeGrad share: a tower, the blocks they read, and how much each query's row
// counts.
type reading struct {
	tower  *vit.Tower
	pool   *vit.TokenPool // nil where the tower has another
	layers []int          // in order
	rows   Rows
}

// newReading checks the options. lastOnly is of methods that read the last block alone.
func newReading(tower *vit.Tower, opts MethodOptions, lastOnly bool) (*reading, error) {
	r := &reading{tower: tower, rows: opts.Rows}
	r.pool, _ = tower.Pool.(*vit.TokenPool)
	count := len(tower.Encoder.Layers)
	for l := range count {
		r.layers = append(r.layers, l)
	}
	switch {
	case count == 0:
		return nil, fmt.Errorf("the model has no blocks")
	case lastOnly:
		if len(opts.Layers) > 0 {
			return nil, fmt.Errorf("it reads the last block alone: layers cannot be chosen")
		}
		r.layers = r.layers[count-1:]
	case len(opts.Layers) > 0:
		layers, err := chosen(opts.Layers, count)
		if err != nil {
			return nil, err
		}
		r.layers = layers
	}
	switch opts.Rows {
	case PooledRows, MeanRows:
	case ClassRow:
		if tower.Prefix == 0 {
			return nil, fmt.Errorf("the model has no class token whose row could be read")
		}
	default:
		return nil, fmt.Errorf("rows %q are not known", opts.Rows)
	}
	return r, nil
}

// needsPool is the error of a tower without a [vit.TokenPool], for methods that need one.
func (r *reading) needsPool() error {
	if r.pool == nil {
		return fmt.Errorf("it needs a model that pools tokens, this one pools by %T", r.tower.Pool)
	}
	return nil
}

// weights is how much the row of each of n tokens counts; together 1.
func (r *reading) weights(n int) []float64 {
	w := make([]float64, n)
	spread := func(from int, share float64) {
		for i := from; i < n; i++ {
			w[i] += share / float64(n-from)
		}
	}
	of := vit.Mean
	if r.pool != nil {
		of = r.pool.Of
	}
	switch {
	case r.rows == ClassRow, r.rows == PooledRows && of == vit.Class:
		w[0] = 1
	case r.rows == MeanRows, of == vit.Mean:
		spread(0, 1)
	case of == vit.ClassAndMean:
		w[0] = 0.5
		spread(0, 0.5)
	default: // of the patches alone
		spread(r.tower.Prefix, 1)
	}
	return w
}

// reads is the weights of the layers read; a [drawer]'s.
func (r *reading) reads(layer int) keeps {
	return keeps{weights: slices.Contains(r.layers, layer)}
}

// patches returns the patches' part of a value a token, as a map.
func (r *reading) patches(values []float64) []float32 {
	m := make([]float32, 0, len(values)-r.tower.Prefix)
	for _, v := range values[r.tower.Prefix:] {
		m = append(m, float32(v))
	}
	return m
}

// forAll gives every text the same map: of methods that know nothing of texts. Each gets its own copy.
func forAll(texts [][]float32, m []float32) [][]float32 {
	maps := make([][]float32, len(texts))
	for t := range maps {
		maps[t] = slices.Clone(m)
	}
	return maps
}
