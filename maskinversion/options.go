package maskinversion

import (
	"errors"
	"fmt"
	"math"
)

// Options tunes [Image.Invert]. The zero value is the setting stored with the model, or that of the authors'
// code: ten steps of 0.1, without α or decay.
type Options struct {
	Steps  int     // taken; 0 means the model's own choice, else 10
	Rate   float64 // Adam's, by which each value of the vector moves at first; 0 means as Stride says
	Stride float64 // instead of Rate: the length of the first move as a share of the start's; 0 means the model's own choice
	Alpha  float64 // α; 0 means the model's own choice, else none; below 0 none
	Decay  float64 // of weights, in AdamW

	// Flat stops a mask early: once its loss has fallen by less than this over three steps. 0 never
	// stops, as the authors' code.
	Flat float64
	// Nudge is how far, as a share of its length, a start at which the loss is flat is moved; 0 means 0.05,
	// below 0 leaves it where it is.
	Nudge float64
	// Batch is the number of masks by which the authors' code would divide each mask's gradient; 0 means 1.
	Batch int

	Form      Form  // of the gradient
	MemoryMax int64 // bytes that a form may take beside the masks' own; 0 means 1 GiB

	// Progress, where it is set, is told of each step, by the goroutine that called Invert.
	Progress func(Progress)
}

// Progress is one step of an inversion.
type Progress struct {
	Step, Steps int       // the step just taken, from 1, and how many there will be at most
	Running     int       // masks that will move on
	Loss        []float64 // [K] of each mask when it was last looked at, before its move
	Dice        []float64 // [K] likewise, the overlap of mask and map

	// Maps are those that were last looked at, as of [Region]: [K][Height·Width]. They are the inversion's own and
	// change with its next step.
	Maps [][]float32
}

// Region is a mask's embedding.
type Region struct {
	Vector    []float32 // [E] where the last step ended, as long as it is
	Embedding []float32 // [E] Vector, scaled to length 1: what compares with texts and images
	Dice      float64   // 0…1: overlap of mask and map, (2·ΣXY + 1)/(ΣX + ΣY + 1), at the last step
	Loss      []float64 // of each step, before its move
	Steps     int       // taken: len(Loss)
	Nudged    bool      // the loss was flat at the start, which was moved before the first step

	// Map is LeGrad's of the last step, before its move as in the authors' code: [Height, Width] of the
	// image's grid, layers added, not scaled, never negative. [Image.Heatmap] makes pixels of it.
	Map []float32
}

// Form is how the gradient of a model that pools tokens is computed. All forms give the same, but for rounding.
type Form string

// The forms. Models that pool by attention have one alone, of as many values as heads, tokens and vector make.
//
// Auto is what the cost model finds fastest for one mask of the image and the number of steps: a mask's vector
// then has the same bits in whatever company. Fastest asks the model with the number of masks too.
const (
	Auto    Form = ""
	Fastest Form = "fastest"
	Direct  Form = "direct" // through the block, for each step and mask: nothing to set up
	Factor  Form = "factor" // by the gradient at each token's attention as a linear function of the vector
	Tensor  Form = "tensor" // by the whole gradient as a linear function of the vector: the paper's decomposition
)

// ParseForm returns the form of that name; "auto" is Auto.
func ParseForm(name string) (Form, error) {
	switch f := Form(name); f {
	case Auto, Fastest, Direct, Factor, Tensor:
		return f, nil
	case "auto":
		return Auto, nil
	}
	return "", fmt.Errorf("form %q is not known: there are auto, fastest, direct, factor, tensor", name)
}

// The defaults of the authors' code, and ours where it has none.
const (
	stepsDefault     = 10
	rateDefault      = 0.1
	nudgeDefault     = 0.05
	memoryMaxDefault = 1 << 30
	flatSteps        = 3 // over which a loss that does not fall is flat
)

// settled returns the options with nothing left open, for a vector of which the start is so long.
func (v *Inverter) settled(o Options, start []float32) (Options, error) {
	for name, value := range map[string]float64{
		"Rate": o.Rate, "Stride": o.Stride, "Alpha": o.Alpha, "Decay": o.Decay, "Flat": o.Flat, "Nudge": o.Nudge,
	} {
		if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 && name != "Alpha" && name != "Nudge" {
			return o, fmt.Errorf("%s of %g: it must be a number from 0 on", name, value)
		}
	}
	if o.Steps < 0 || o.Batch < 0 || o.MemoryMax < 0 {
		return o, fmt.Errorf("%d steps, a batch of %d and %d bytes: none may be below 0", o.Steps, o.Batch, o.MemoryMax)
	}
	if o.Rate > 0 && o.Stride > 0 {
		return o, errors.New("both Rate and Stride are set: they are one setting")
	}
	if _, err := ParseForm(string(o.Form)); err != nil {
		return o, err
	}
	own := v.model.Inversion
	o.Steps = first(o.Steps, own.Steps, stepsDefault)
	o.Batch = first(o.Batch, 1)
	o.MemoryMax = first(o.MemoryMax, memoryMaxDefault)
	o.Alpha = max(0, first(o.Alpha, own.Alpha))
	o.Nudge = max(0, first(o.Nudge, nudgeDefault))
	if o.Rate == 0 {
		o.Rate = first(o.Stride, own.Stride) * length(start) / math.Sqrt(float64(len(start)))
		o.Rate = first(o.Rate, rateDefault)
	}
	return o, nil
}

// first returns the first value that is not 0.
func first[T int | int64 | float64](values ...T) T {
	for _, v := range values {
		if v != 0 {
			return v
		}
	}
	return 0
}

// length is |x|.
func length(x []float32) float64 {
	squares := 0.0
	for _, v := range x {
		squares += float64(v) * float64(v)
	}
	return math.Sqrt(squares)
}
