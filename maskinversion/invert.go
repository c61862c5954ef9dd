package maskinversion

import (
	"context"
	"fmt"
	"math"
	"slices"

	"evident/model/vit"
)

// Invert returns an embedding for each mask. It is the same, to the bit, whatever the other masks are and on however
// many threads; only [Fastest] may choose another form where there are more masks, whose vectors are rounded
// otherwise. An error is a [*MaskError] where it is of one mask; once ctx ends it is that of ctx.
func (im *Image) Invert(ctx context.Context, masks []Mask, o Options) ([]Region, error) {
	o, err := im.inverter.settled(o, im.start)
	if err != nil {
		return nil, err
	}
	states, err := im.states(masks, o)
	if err != nil || len(masks) == 0 {
		return nil, err
	}
	form, err := im.form(len(masks), o)
	if err != nil {
		return nil, err
	}
	if err := im.setUp(ctx, form); err != nil {
		return nil, err
	}
	runs := im.begin(im.layerWays(form))
	running := states
	for step := 1; step <= o.Steps && len(running) > 0; step++ {
		for part := range slices.Chunk(running, im.together()) {
			if err := im.step(ctx, runs, part, o); err != nil {
				return nil, fmt.Errorf("step %d of %d: %w", step, o.Steps, err)
			}
		}
		running = slices.DeleteFunc(slices.Clone(running), func(s *state) bool { return s.stopped })
		if o.Progress != nil {
			o.Progress(progress(states, len(running), step, o.Steps))
		}
	}
	regions := make([]Region, len(states))
	for i, s := range states {
		regions[i] = s.region()
	}
	return regions, nil
}

func progress(states []*state, running, step, steps int) Progress {
	p := Progress{
		Step: step, Steps: steps, Running: running, Loss: make([]float64, len(states)),
		Dice: make([]float64, len(states)), Maps: make([][]float32, len(states)),
	}
	if step == steps {
		p.Running = 0
	}
	for i, s := range states {
		p.Loss[i], p.Dice[i], p.Maps[i] = s.losses[len(s.losses)-1], s.overlap, s.cells
	}
	return p
}

// together is how many masks take a step at once: what is remembered of each between there and back is as large as
// attention's signs.
func (im *Image) together() int {
	const bytesMax = 256 << 20
	n := im.inverter.model.Prefix + im.Height*im.Width
	heads := 1
	for _, l := range im.inverter.layers {
		heads = max(heads, im.inverter.model.Encoder.Layers[l].Heads)
	}
	return max(1, bytesMax/(len(im.layers)*heads*n*(n+31)/8))
}

// state is where one mask stands.
type state struct {
	target  *target
	vector  []float64 // e
	unit    []float64 // e₀/|e₀|
	adam    *adam
	nudged  bool
	stopped bool

	overlap float64
	cells   []float32 // the last map
	losses  []float64
}

// states checks masks and sets each at its start.
func (im *Image) states(masks []Mask, o Options) ([]*state, error) {
	states := make([]*state, len(masks))
	unit, size := make([]float64, len(im.start)), length(im.start)
	for i, v := range im.start {
		unit[i] = float64(v) / size
	}
	for i, m := range masks {
		t, err := newTarget(im.grid, m)
		if err != nil {
			return nil, &MaskError{Index: i, Err: err}
		}
		s := &state{target: t, unit: unit, adam: newAdam(o.Rate, o.Decay, len(unit))}
		if s.nudged = im.flat && o.Nudge > 0; s.nudged {
			s.vector = im.nudged(t, o.Nudge)
		} else {
			s.vector = make([]float64, len(unit))
			for j, v := range im.start {
				s.vector[j] = float64(v)
			}
		}
		states[i] = s
	}
	return states, nil
}

// step looks at the maps of some masks' vectors and moves them.
func (im *Image) step(ctx context.Context, runs []run, states []*state, o Options) error {
	rho, err := im.look(ctx, runs, states, o)
	if err != nil {
		return err
	}
	gradients, err := im.back(ctx, runs, rho, states, o)
	if err != nil {
		return err
	}
	for i, s := range states {
		if !s.stopped {
			s.adam.move(s.vector, gradients[i*len(s.vector):][:len(s.vector)])
		}
	}
	return nil
}

// look compares the maps of some masks' vectors with the masks, and returns ∂loss/∂relevance [T, N].
func (im *Image) look(ctx context.Context, runs []run, states []*state, o Options) ([]float32, error) {
	size, cells, prefix := len(im.start), im.Height*im.Width, im.inverter.model.Prefix
	n, count := prefix+cells, len(states)
	vectors := make([]float32, 0, count*size)
	for _, s := range states {
		vectors = append(vectors, s.direction()...)
	}
	apart := count
	if alone := vectors[:size]; same(vectors, alone) { // as at the first step
		vectors, apart = alone, 1
	}
	maps, err := im.relevance(ctx, runs, vectors, apart)
	if err != nil {
		return nil, err
	}
	rho, slope := make([]float32, count*n), make([]float64, cells)
	for i, s := range states {
		s.look(maps[i%apart*cells:][:cells], slope, o)
		for cell, v := range slope {
			if im.blank == nil || !im.blank[cell] {
				rho[i*n+prefix+cell] = float32(v / float64(o.Batch))
			}
		}
	}
	return rho, nil
}

// back returns ∂loss/∂e [T, E] of vectors that were looked at.
func (im *Image) back(ctx context.Context, runs []run, rho []float32, states []*state, o Options) ([]float64, error) {
	size := len(im.start)
	sum, one := make([]float64, len(states)*size), make([]float32, len(states)*size)
	for _, r := range runs {
		if err := r.back(ctx, rho, one); err != nil {
			return nil, err
		}
		for i, v := range one {
			sum[i] += float64(v)
		}
	}
	for i, s := range states {
		s.turn(sum[i*size:][:size], o)
	}
	return sum, nil
}

// same reports whether all vectors are one.
func same(vectors, alone []float32) bool {
	for v := range slices.Chunk(vectors, len(alone)) {
		if !slices.Equal(v, alone) {
			return false
		}
	}
	return true
}

func (s *state) length() float64 {
	squares := 0.0
	for _, v := range s.vector {
		squares += v * v
	}
	return math.Sqrt(squares)
}

// direction returns e/|e|.
func (s *state) direction() []float32 {
	size := s.length()
	t := make([]float32, len(s.vector))
	for i, v := range s.vector {
		t[i] = float32(v / size)
	}
	return t
}

// look compares a map with the mask, and writes ∂loss/∂cells without the regularisation's part.
func (s *state) look(cells []float32, slope []float64, o Options) {
	s.cells = append(s.cells[:0], cells...)
	s.overlap = s.target.dice(cells, slope)
	along, size := 0.0, s.length()
	for i, v := range s.vector {
		along += s.unit[i] * v / size
	}
	s.losses = append(s.losses, 1-s.overlap+o.Alpha*(1-along))
	if last := len(s.losses) - 1; o.Flat > 0 && last >= flatSteps {
		s.stopped = s.losses[last-flatSteps]-s.losses[last] < o.Flat
	}
}

// turn makes of ∂loss/∂(e/|e|) without the regularisation's part ∂loss/∂e, in place.
func (s *state) turn(gradient []float64, o Options) {
	size, along := s.length(), 0.0
	for i, v := range s.vector {
		gradient[i] -= o.Alpha * s.unit[i] / float64(o.Batch)
		along += gradient[i] * v / size
	}
	for i, v := range s.vector {
		gradient[i] = (gradient[i] - along*v/size) / size
	}
}

// region is what came of the mask.
func (s *state) region() Region {
	r := Region{
		Vector: make([]float32, len(s.vector)), Dice: s.overlap, Loss: s.losses, Steps: len(s.losses),
		Nudged: s.nudged, Map: s.cells,
	}
	for i, v := range s.vector {
		r.Vector[i] = float32(v)
	}
	r.Embedding = vit.Normalise(slices.Clone(r.Vector))
	return r
}
