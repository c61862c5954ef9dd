// Package legrad draws where an image matches a text (Bousselham et al., "LeGrad: An Explainability Method for
// Vision Transformers via Feature Formation Sensitivity", arXiv:2404.03214): the gradient of the score with
// respect to each layer's attention map, clipped, averaged and added over layers.
//
// The score of layer l reads the mean of its tokens: s = t · f/|f|, f = P·LN(z̄), z̄ = the mean over all N
// tokens of the block's output, class token included, t the text's vector of length 1; whichever tokens the
// model itself pools. Of a model that pools by attention the score reads what the pool makes of the block's
// output, and the map is that of the pool's own attention. Everything is closed form: one pass of the
// image serves any number of texts, and nothing is differentiated by tape.
//
// What the paper leaves open, and we chose: the layers are the model's own choice (the reference's code
// takes the last two, the paper adds all); layers are added raw and scaled once at the end, for scaling
// each would let a flat layer speak as loudly as a sharp one.
package legrad

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"evident/model/vit"
	"evident/nn"
)

// Explainer draws maps of one vision tower. It is safe for concurrent use.
type Explainer struct {
	tower  *vit.Tower
	layers []int

	pool   vit.AttentionPool   // whose attention is explained; nil where it is the blocks'
	head   *MeanHead           // what the score reads, and
	blocks []*nn.BlockGradient // the way back through each layer, where it is the blocks'
	kept   sync.Pool           // of []float32: what passes left behind, for the next ones
}

// Options tunes an [Explainer]. The zero value is what the authors' code does.
type Options struct {
	Layers    []int        // whose maps are added; none means the last two
	Precision nn.Precision // of the gradient's products; Auto is bf16 where native, whatever the tower's: maps differ by less than 1 %
}

// New prepares an explainer of a tower.
func New(tower *vit.Tower, opts Options) (*Explainer, error) {
	layers, err := chosen(opts.Layers, len(tower.Encoder.Layers))
	if err != nil {
		return nil, err
	}
	e := &Explainer{tower: tower, layers: layers}
	switch pool := tower.Pool.(type) {
	case vit.AttentionPool:
		e.pool = pool
		return e, nil
	case *vit.TokenPool:
		e.head = NewMeanHead(pool)
	default:
		return nil, fmt.Errorf("maps of a tower that pools by %T are not known", pool)
	}
	precision := opts.Precision
	if precision == nn.Auto {
		precision = nn.BF16 // float32 where the CPU does not multiply it
	}
	for _, layer := range e.layers {
		block := nn.NewBlockGradient(&tower.Encoder.Layers[layer], precision)
		block.Threads = tower.Encoder.Threads
		e.blocks = append(e.blocks, block)
	}
	return e, nil
}

// chosen returns the layers asked for in order, each once; without any the last two.
func chosen(layers []int, count int) ([]int, error) {
	if len(layers) == 0 {
		layers = []int{max(0, count-2), count - 1}
	}
	layers = slices.Clone(layers)
	slices.Sort(layers)
	for _, layer := range layers {
		if layer < 0 || layer >= count {
			return nil, fmt.Errorf("there is no layer %d: the model has layers 0 to %d", layer, count-1)
		}
	}
	return slices.Compact(layers), nil
}

// Layers returns the layers whose maps are added, in order.
func (e *Explainer) Layers() []int { return slices.Clone(e.layers) }

// Image is an encoded image, ready to be explained for any text.
type Image struct {
	Height, Width int       // of the grid, in patches
	Vector        []float32 // [E] as the tower gives it
	Embedding     []float32 // [E] Vector, scaled to length 1

	explainer *Explainer
	layers    []layer
}

// layer is where an image stands in one layer.
type layer struct {
	point *nn.Point  // of the block, and
	score *MeanScore // at its output; or
	pool  vit.AttentionPoint
}

// Encode runs the tower once on pixels [3, height, width], normalised as the model wants them.
func (e *Explainer) Encode(ctx context.Context, pixels []float32, height, width int) (*Image, error) {
	keep, free := e.keep(e.tower.Tokens(height, width))
	defer free()
	encoded, err := e.tower.EncodeKeep(ctx, pixels, height, width, keep)
	if err != nil {
		return nil, err
	}
	im := &Image{
		Height: encoded.Height, Width: encoded.Width, Vector: encoded.Vector, Embedding: encoded.Embedding, explainer: e,
	}
	for i, l := range e.layers {
		at, err := e.at(ctx, i, keep[l])
		if err != nil {
			return nil, err
		}
		im.layers = append(im.layers, at)
	}
	return im, nil
}

// keep returns room for what a pass of n tokens leaves behind in each layer, and what gives it back: points
// hold nothing of it, except those of an attention pool, which keep their layer's output.
func (e *Explainer) keep(n int) (keep map[int]*nn.Kept, free func()) {
	keep = make(map[int]*nn.Kept, len(e.layers))
	d := e.tower.Width
	if e.pool != nil {
		for _, l := range e.layers {
			keep[l] = &nn.Kept{Output: make([]float32, n*d)}
		}
		return keep, func() {}
	}
	size := 0
	for _, l := range e.layers {
		size += n * (5*d + e.tower.Encoder.Layers[l].Up.Out)
	}
	all, _ := e.kept.Get().(*[]float32)
	if all == nil || len(*all) < size {
		all = new([]float32)
		*all = make([]float32, size)
	}
	rest := *all
	take := func(n int) (part []float32) {
		part, rest = rest[:n:n], rest[n:]
		return part
	}
	for _, l := range e.layers {
		keep[l] = &nn.Kept{
			QKV: take(3 * n * d), Attended: take(n * d), Output: take(n * d),
			Raised: take(n * e.tower.Encoder.Layers[l].Up.Out),
		}
	}
	return keep, func() { e.kept.Put(all) }
}

// at prepares the gradient of the i-th layer at what the pass kept of it.
func (e *Explainer) at(ctx context.Context, i int, kept *nn.Kept) (at layer, err error) {
	if e.pool != nil {
		at.pool, err = e.pool.At(ctx, kept.Output)
		return at, err
	}
	if at.point, err = e.blocks[i].At(ctx, kept, len(kept.Output)/e.tower.Width); err != nil {
		return at, err
	}
	at.score = e.head.At(vit.MeanToken(kept.Output, e.tower.Width))
	return at, nil
}

// Relevance returns for each text, a vector [E] of length 1, how much the attention to each patch raises its
// score: [len(texts), Height, Width], not scaled, never negative, added over layers. Values of one image
// compare between texts.
func (im *Image) Relevance(ctx context.Context, texts [][]float32) ([][]float32, error) {
	layers, err := im.LayerRelevance(ctx, texts)
	if err != nil {
		return nil, err
	}
	sum := layers[0]
	for _, maps := range layers[1:] {
		for t, m := range maps {
			for i, v := range m {
				sum[t][i] += v
			}
		}
	}
	return sum, nil
}

// LayerRelevance is [Image.Relevance] before it is added: [layers, len(texts), Height, Width].
func (im *Image) LayerRelevance(ctx context.Context, texts [][]float32) ([][][]float32, error) {
	tower := im.explainer.tower
	size, cells := tower.Size(), im.Height*im.Width
	n := tower.Prefix + cells
	joined := make([]float32, 0, len(texts)*size)
	for t, text := range texts {
		if len(text) != size {
			return nil, fmt.Errorf("text %d has a vector of %d values, the model's have %d", t, len(text), size)
		}
		joined = append(joined, text...)
	}
	layers := make([][][]float32, len(im.layers))
	for i := range im.layers {
		all := make([]float32, len(texts)*n)
		if err := im.relevance(ctx, i, joined, all, n); err != nil {
			return nil, err
		}
		layers[i] = make([][]float32, len(texts))
		for t := range texts {
			layers[i][t] = all[t*n+tower.Prefix : (t+1)*n : (t+1)*n]
		}
	}
	return layers, nil
}

// relevance writes the i-th layer's relevance [T, N] for texts [T, E].
func (im *Image) relevance(ctx context.Context, i int, texts, relevance []float32, n int) error {
	l := &im.layers[i]
	if l.pool != nil {
		return l.pool.Relevance(ctx, texts, relevance)
	}
	return im.explainer.blocks[i].Relevance(ctx, l.point, l.score.Gradients(texts, n), relevance)
}
