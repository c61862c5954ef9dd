package legrad

import (
	"context"
	"errors"
	"fmt"

	"evident/model/vit"
	"evident/nn"
)

// drawer draws from one pass of an image through the tower.
type drawer interface {
	// reads says what the pass must keep of a block.
	reads(layer int) keeps
	// draw returns a map for each text. It leaves the pass as it is.
	draw(ctx context.Context, p *pass, texts [][]float32) ([][]float32, error)
}

// keeps names what is kept of a block; see [nn.Kept].
type keeps struct{ weights, input, qkv, attended, raised, output bool }

func (k keeps) or(o keeps) keeps {
	return keeps{
		k.weights || o.weights, k.input || o.input, k.qkv || o.qkv, k.attended || o.attended, k.raised || o.raised,
		k.output || o.output,
	}
}

// pass is one image run through the tower.
type pass struct {
	n             int // N
	height, width int // of the grid, in patches
	tokens        []float32
	kept          map[int]*nn.Kept
}

// method is a [Method] that draws from a pass.
type method struct {
	tower *vit.Tower
	drawer
}

// Maps implements [Method].
func (m *method) Maps(
	ctx context.Context, pixels []float32, height, width int, texts [][]float32,
) ([][]float32, error) {
	maps, err := MapsOf(ctx, []Method{m}, pixels, height, width, texts)
	if err != nil {
		return nil, err
	}
	return maps[0], nil
}

// MapsOf is [Method.Maps] of several methods of one tower, [len(methods)][len(texts)], with one pass of the image for
// all of them. The maps are those that each draws alone, to the bit.
func MapsOf(
	ctx context.Context, methods []Method, pixels []float32, height, width int, texts [][]float32,
) ([][][]float32, error) {
	drawers, tower := make([]drawer, len(methods)), (*vit.Tower)(nil)
	for i, one := range methods {
		m, ok := one.(*method)
		if !ok || tower != nil && m.tower != tower {
			return nil, errors.New("maps of methods that NewMethod did not make of one tower cannot share a pass")
		}
		drawers[i], tower = m.drawer, m.tower
	}
	if tower == nil {
		return nil, nil
	}
	for t, text := range texts {
		if len(text) != tower.Size() {
			return nil, fmt.Errorf("text %d has a vector of %d values, the model's have %d", t, len(text), tower.Size())
		}
	}
	p, err := run(ctx, tower, drawers, pixels, height, width)
	if err != nil {
		return nil, err
	}
	maps := make([][][]float32, len(drawers))
	for i, d := range drawers {
		if maps[i], err = d.draw(ctx, p, texts); err != nil {
			return nil, err
		}
	}
	return maps, nil
}

// run encodes an image and keeps what the drawers read.
func run(
	ctx context.Context, tower *vit.Tower, drawers []drawer, pixels []float32, height, width int,
) (*pass, error) {
	p := &pass{
		n: tower.Tokens(height, width), height: height / tower.Patch, width: width / tower.Patch,
		kept: map[int]*nn.Kept{},
	}
	room := func(wanted bool, width int) []float32 {
		if !wanted {
			return nil
		}
		return make([]float32, p.n*width)
	}
	for l := range tower.Encoder.Layers {
		block, d := &tower.Encoder.Layers[l], tower.Width
		var k keeps
		for _, one := range drawers {
			k = k.or(one.reads(l))
		}
		if k != (keeps{}) {
			p.kept[l] = &nn.Kept{
				Weights: room(k.weights, block.Heads*p.n), Input: room(k.input, d), QKV: room(k.qkv, 3*d),
				Attended: room(k.attended, d), Raised: room(k.raised, block.Up.Out), Output: room(k.output, d),
			}
		}
	}
	im, err := tower.EncodeKeep(ctx, pixels, height, width, p.kept)
	if err != nil {
		return nil, err
	}
	p.tokens = im.Tokens
	return p, nil
}

// explainer makes an [Explainer] a drawer.
type explainer struct {
	*Explainer
	empty []float32 // nil where maps are not corrected
}

func newLeGrad(tower *vit.Tower, opts MethodOptions) (drawer, error) {
	e, err := New(tower, Options{Layers: opts.Layers, Precision: opts.Precision})
	if err != nil {
		return nil, err
	}
	if opts.Rows != PooledRows {
		return nil, errors.New("it reads every row of attention alike")
	}
	if opts.Empty != nil && len(opts.Empty) != tower.Size() {
		return nil, fmt.Errorf("the empty text has a vector of %d values, the model's have %d", len(opts.Empty), tower.Size())
	}
	return &explainer{e, opts.Empty}, nil
}

func (e *explainer) reads(layer int) keeps {
	for _, l := range e.layers {
		if l == layer {
			deep := e.pool == nil
			return keeps{output: true, qkv: deep, attended: deep, raised: deep}
		}
	}
	return keeps{}
}

func (e *explainer) draw(ctx context.Context, p *pass, texts [][]float32) ([][]float32, error) {
	im := &Image{Height: p.height, Width: p.width, explainer: e.Explainer}
	for i, l := range e.layers {
		at, err := e.at(ctx, i, p.kept[l])
		if err != nil {
			return nil, err
		}
		im.layers = append(im.layers, at)
	}
	if e.empty != nil {
		return im.CorrectedRelevance(ctx, texts, e.empty)
	}
	return im.Relevance(ctx, texts)
}
