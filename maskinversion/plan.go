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
	byFactor  float64 // one of a product with a factor
	byTensor  float64 // one of a product with a tensor
	read      float64 // a byte of weights or of a factor, at each step
	spread    float64 // a byte of a tensor, at each step
	pack      float64 // a byte of a tensor beyond what caches hold, when it is set up
	token     float64 // what each token of a mask costs a step, whatever its width
}

var speeds = map[nn.Precision]speed{
	nn.FP32: {
		tall: 21e-12, attention: 21e-12, byFactor: 24e-12, byTensor: 28e-12,
		read: 53e-12, spread: 82e-12, pack: 0.5e-9, token: 0.35e-6,
	},
	nn.BF16: {
		tall: 11e-12, attention: 11e-12, byFactor: 12.5e-12, byTensor: 16.5e-12,
		read: 53e-12, spread: 82e-12, pack: 0.5e-9, token: 0.35e-6,
	},
}

// plan applies the cost model: of one mask, unless the fastest form for all is asked for.
func (im *Image) plan(masks int, o Options) Plan {
	if o.Form != Fastest {
		masks = 1
	}
	sum := map[Form]Cost{}
	for i, block := range im.inverter.blocks {
		l := &im.inverter.model.Encoder.Layers[im.inverter.layers[i]]
		tokens := im.layers[i].point.Tokens
		for form, cost := range (layerSize{
			width: l.QKV.In, wide: l.Up.Out, heads: l.Heads, tokens: tokens, size: len(im.start),
			factor: block.FactorBytes(tokens, len(im.start)), tensor: block.TensorBytes(tokens, len(im.start)),
			speed: speeds[block.Precision()],
		}).costs(masks) {
			s := sum[form]
			sum[form] = Cost{s.SetUp + cost.SetUp, s.Step + cost.Step, s.Memory + cost.Memory}
		}
	}
	return Plan{Form: cheapest(sum, o.Steps, o.MemoryMax), Costs: sum}
}

// cheapest returns the form that takes the least time of those that fit the memory.
func cheapest(costs map[Form]Cost, steps int, memoryMax int64) Form {
	best := Direct
	for _, form := range []Form{Factor, Tensor} {
		if c := costs[form]; c.Memory <= memoryMax && c.Seconds(steps) < costs[best].Seconds(steps) {
			best = form
		}
	}
	return best
}

// layerSize is what the costs of a layer depend on.
type layerSize struct {
	width, wide, heads, tokens, size int   // D, F, h, N, E
	factor, tensor                   int64 // bytes
	speed
}

// costs is the model: multiplications, and bytes that pass through memory. What a step reads it reads while it
// multiplies, so the two are not simply added.
func (l layerSize) costs(masks int) map[Form]Cost {
	d, wide, n, e, k := float64(l.width), float64(l.wide), float64(l.tokens), float64(l.size), float64(masks)
	padded := float64((l.tokens + 31) / 32 * 32)
	weights := 16 * d * wide // bytes; in bf16 three quarters of it
	through, attended := n*d*wide*l.tall, n*n*d*l.attention
	around, cached := n*l.token, 8e6
	return map[Form]Cost{
		Direct: {Step: 2*k*(through+attended) + k*around + weights*l.read},
		Factor: {
			SetUp:  e * through * 1.12,
			Step:   math.Hypot(2*k*n*d*e*l.byFactor, float64(l.factor)*l.read) + k*(2*attended+around),
			Memory: l.factor,
		},
		Tensor: {
			SetUp:  e*(through*1.12+attended) + max(0, float64(l.tensor)-cached)*l.pack,
			Step:   math.Hypot(2*k*e*float64(l.heads)*n*padded*l.byTensor, float64(l.tensor)*l.spread),
			Memory: l.tensor,
		},
	}
}
