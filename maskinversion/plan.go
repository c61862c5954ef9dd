package maskinversion

import (
	"math"

	"evident/nn"
)

// Cost is what a form takes, by the cost model.
type Cost struct {
	SetUp  float64 // seconds, once an image
	Step   float64 // seconds, each step of all masks
	Memory int64   // bytes beside the masks' own
}

// Seconds is the whole time of so many steps.
func (c Cost) Seconds(steps int) float64 { return c.SetUp + float64(steps)*c.Step }

// Plan is how an inversion is going to be computed, and what each form would take.
type Plan struct {
	Form  Form
	Costs map[Form]Cost // empty of models that pool by attention: they have one form
}

// Plan says how so many masks would be inverted.
func (im *Image) Plan(masks int, o Options) (Plan, error) {
	o, err := im.inverter.settled(o, im.start)
	if err != nil {
		return Plan{}, err
	}
	if im.inverter.pool != nil {
		return Plan{Form: Direct}, nil
	}
	return im.plan(masks, o), nil
}

// speed is what the cost model knows of a CPU, in seconds. Only ratios decide: they were measured on one thread of
// a CPU with AVX-512 and bf16 (bench/maskinversion/grid).
type speed struct {
	tall      float64 // a multiplication of a product with the block's weights, with what goes on around it
	attention float64 // one of a product with values or signs
	factor    float64 // one of a product with a factor
	tensor    float64 // one of a product with a tensor
	read      float64 // a byte of weights or of a factor, at each step
	spread    float64 // a byte of a tensor, at each step
	pack      float64 // a byte of a tensor, when it is set up
}

var speeds = map[nn.Precision]speed{
	nn.FP32: {tall: 20e-12, attention: 20e-12, factor: 22e-12, tensor: 27e-12, read: 53e-12, spread: 82e-12, pack: 0.2e-9},
	nn.BF16: {tall: 11e-12, attention: 11e-12, factor: 12.5e-12, tensor: 18.5e-12, read: 53e-12, spread: 82e-12, pack: 0.3e-9},
}

// plan applies the cost model: of one mask, unless the fastest form for all is asked for.
func (im *Image) plan(masks int, o Options) Plan {
	if o.Form != Fastest {
		masks = 1
	}
	p := Plan{Form: Direct, Costs: map[Form]Cost{}}
	for i, block := range im.inverter.blocks {
		layer := &im.inverter.model.Encoder.Layers[im.inverter.layers[i]]
		for form, cost := range costs(block, layer, len(im.Vector), im.layers[i].point.Tokens, masks) {
			sum := p.Costs[form]
			p.Costs[form] = Cost{sum.SetUp + cost.SetUp, sum.Step + cost.Step, sum.Memory + cost.Memory}
		}
	}
	for _, form := range []Form{Factor, Tensor} {
		c := p.Costs[form]
		if c.Memory <= o.MemoryMax && c.Seconds(o.Steps) < p.Costs[p.Form].Seconds(o.Steps) {
			p.Form = form
		}
	}
	return p
}

// costs is the model of one layer: multiplications, and bytes that pass through memory. What a step reads it reads
// while it multiplies, so the two are not simply added.
func costs(block *nn.BlockRelevance, l *nn.EncoderLayer, size, tokens, masks int) map[Form]Cost {
	s := speeds[block.Precision()]
	d, wide, n, e, k := float64(l.QKV.In), float64(l.Up.Out), float64(tokens), float64(size), float64(masks)
	padded := float64((tokens + 31) / 32 * 32)
	weights := 16 * d * wide // bytes; in bf16 three quarters of it
	factor, tensor := block.FactorBytes(tokens, size), block.TensorBytes(tokens, size)
	through, attended := n*d*wide*s.tall, n*n*d*s.attention
	return map[Form]Cost{
		Direct: {Step: 2*k*(through+attended) + weights*s.read},
		Factor: {
			SetUp:  e * through * 1.1,
			Step:   math.Hypot(2*k*n*d*e*s.factor, float64(factor)*s.read) + 2*k*attended,
			Memory: factor,
		},
		Tensor: {
			SetUp:  e*(through*1.1+attended) + float64(tensor)*s.pack,
			Step:   math.Hypot(2*k*e*float64(l.Heads)*n*padded*s.tensor, float64(tensor)*s.spread),
			Memory: tensor,
		},
	}
}
