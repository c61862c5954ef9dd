package legrad

import (
	"slices"

	"evident/model/vit"
	"evident/nn"
)

// descent follows the model's own score, the cosine of the image's vector and a text, from the tokens that the
// last block puts out back through blocks. In float32, whatever the tower multiplies in.
type descent struct {
	*reading
	head   *MeanHead
	blocks map[int]*nn.BlockBackward
}

// newDescent prepares the way back to the earliest of a reading's layers.
func newDescent(r *reading) (*descent, error) {
	if err := r.needsPool(); err != nil {
		return nil, err
	}
	d := &descent{reading: r, head: NewMeanHead(r.pool), blocks: map[int]*nn.BlockBackward{}}
	for l := len(r.tower.Encoder.Layers) - 1; l >= r.layers[0]; l-- {
		d.blocks[l] = nn.NewBlockBackward(&r.tower.Encoder.Layers[l])
		d.blocks[l].Threads = r.tower.Encoder.Threads
	}
	return d, nil
}

// newLastDescent is newDescent for a method that reads the last block alone.
func newLastDescent(tower *vit.Tower, opts MethodOptions) (*descent, error) {
	r, err := newReading(tower, opts, true)
	if err != nil {
		return nil, err
	}
	return newDescent(r)
}

// reads is all that the way back needs; a [drawer]'s.
func (d *descent) reads(layer int) keeps {
	deep := d.blocks[layer] != nil
	return keeps{weights: deep, input: deep, qkv: deep, attended: deep, raised: deep}
}

// top returns ∂s/∂(the last block's output) [N, D] for s = t · e/|e|, e the image's vector.
func (d *descent) top(p *pass, text []float32) []float32 {
	width, prefix := d.tower.Width, d.tower.Prefix
	gradient := make([]float32, p.n*width)
	add := func(from, to int, g []float32) {
		for i := from; i < to; i++ {
			for j, v := range g {
				gradient[i*width+j] += v
			}
		}
	}
	class := func() *MeanScore { return d.head.At(p.tokens[:width]) }
	mean := func(from int) *MeanScore { return d.head.At(vit.MeanToken(p.tokens[from*width:], width)) }
	switch d.pool.Of {
	case vit.Class:
		add(0, 1, class().Gradients(text, 1))
	case vit.Mean:
		add(0, p.n, mean(0).Gradients(text, p.n))
	case vit.Patches:
		add(prefix, p.n, mean(prefix).Gradients(text, p.n-prefix))
	case vit.ClassAndMean: // e = c + m of length 1 each: a text turns their sum first
		turned := turn(d.pool.Vector(p.tokens), text)
		add(0, 1, class().Gradients(turned, 1))
		add(0, p.n, mean(0).Gradients(turned, p.n))
	case vit.NormPatches: // normalised before the mean: each patch its own way back
		turned := turn(d.pool.Vector(p.tokens), text)
		for i := prefix; i < p.n; i++ {
			add(i, i+1, d.head.At(p.tokens[i*width:][:width]).through(turned, p.n-prefix))
		}
	}
	return gradient
}

// turn returns ∂(t · e/|e|)/∂e, the part of a text t that turns a vector e; zeros where e has no direction.
func turn(e, t []float32) []float32 {
	turned := make([]float32, len(e))
	nn.UnitAt(e).Back(turned, t)
	return turned
}

// through takes a gradient [E] at f = P·LN(z) back to z, for a token that is one of n in a mean.
func (s *MeanScore) through(gradient []float32, n int) []float32 {
	y := slices.Clone(gradient)
	if s.head.back != nil {
		y = make([]float32, len(s.head.norm.Gain))
		s.head.back.Forward(y, gradient, 1)
	}
	s.norm.Back(y)
	for i := range y {
		y[i] /= float32(n)
	}
	return y
}
