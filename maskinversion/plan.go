package maskinversion

import (
	"math"

	"evident/internal/kernel"
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

// speed is what the cost model knows of a CPU, in seconds. Only ratios decide. bench/maskinversion/fit.py finds them
// from what bench/maskinversion/grid measured on one thread.
type speed struct {
	tall      float64 // a multiplication of a product with the block's weights
	gate      float64 // what goes on around a value of the block's inner width, on the way through
	attention float64 // a multiplication of a product with values or signs
	byFactor  float64 // one of a product with a factor
	byTensor  float64 // one of a product with a tensor
	weights   float64 // a byte of weights, read at each step
	read      float64 // a byte of a factor, at each step
	far       float64 // the same beyond what caches hold, on top
	spread    float64 // a byte of a tensor, at each step
	pack      float64 // a byte of a tensor beyond what caches hold, when it is set up
	many      float64 // a way through when a factor or tensor is set up, in ways through at a step
	token     float64 // what each token of a mask costs a step, whatever its width
}

// The constants differ between makes of CPUs more than between their tiers. Those of bf16 were found on one make and
// hold on another; those of fp32 lie between two makes, and choose up to a third too slow on either
// (docs/results.md).
var (
	// AVX-512; NEON and AVX2 are taken to have the same ratios.
	speedFP32 = speed{
		tall: 1.51e-11, gate: 2.35e-11, attention: 1.29e-11, byFactor: 3.01e-11, byTensor: 3.06e-11,
		weights: 8.95e-11, read: 1.21e-10, far: 4.72e-12, spread: 1.14e-10, pack: 6.75e-10, many: 1.25, token: 3.46e-07,
	}
	// AVX-512 with bf16.
	speedBF16 = speed{
		tall: 11e-12, attention: 11e-12, byFactor: 12.5e-12, byTensor: 16.5e-12,
		weights: 53e-12, read: 53e-12, spread: 82e-12, pack: 0.5e-9, many: 1.12, token: 0.35e-6,
	}
	// AMX.
	speedTiles = speed{
		tall: 3.21e-12, gate: 2.25e-10, attention: 3.25e-12, byFactor: 7.59e-12, byTensor: 1.17e-11,
		weights: 9.37e-11, read: 7.04e-11, far: 1.44e-10, spread: 8.39e-11, pack: 9.1e-10, many: 1.3, token: 3.02e-07,
	}
)

func speedOf(p nn.Precision) speed {
	switch {
	case p == nn.FP32:
		return speedFP32
	case kernel.Active().Tier() == kernel.AMXBF16:
		return speedTiles
	default:
		return speedBF16
	}
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
			layers: len(im.inverter.blocks), speed: speedOf(block.Precision()),
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
	layers                           int   // that are looked at
	factor, tensor                   int64 // bytes
	speed
}

// costs is the model: multiplications, what goes on around them, and bytes that pass through memory. What a step
// reads it reads while it multiplies, so the two are not simply added.
func (l layerSize) costs(masks int) map[Form]Cost {
	d, wide, n, e, k := float64(l.width), float64(l.wide), float64(l.tokens), float64(l.size), float64(masks)
	padded := float64((l.tokens + 31) / 32 * 32)
	factor, tensor := float64(l.factor), float64(l.tensor)
	weights := 16 * d * wide // bytes; in bf16 three quarters of it
	through, attended, around := n*wide*(d*l.tall+l.gate), n*n*d*l.attention, n*l.token
	beyond := max(0, factor-readAgain/float64(l.layers))
	return map[Form]Cost{
		Direct: {Step: k*(2*(through+attended)+around) + weights*l.weights},
		Factor: {
			SetUp:  e * through * l.many,
			Step:   k*(2*attended+around) + math.Hypot(2*k*n*d*e*l.byFactor, factor*l.read+beyond*l.far),
			Memory: l.factor,
		},
		Tensor: {
			SetUp:  e*(through*l.many+attended) + max(0, tensor-written)*l.pack,
			Step:   math.Hypot(2*k*e*float64(l.heads)*n*padded*l.byTensor, tensor*l.spread),
			Memory: l.tensor,
		},
	}
}

// What caches hold, in bytes, of all layers' factors that each step reads again, and of a tensor that is written.
const (
	readAgain = 80e6
	written   = 8e6
)
