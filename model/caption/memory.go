package caption

import (
	"fmt"
	"math"
	"slices"

	"evident/model/vit"
)

// Projection is how a vector is replaced by texts' vectors.
type Projection struct {
	Memory      []string // the kinds of texts that count, of those that the decoder remembers
	Temperature float64  // of the softmax over cosines
}

// memory holds vectors of texts of several kinds.
type memory struct {
	rows  []float32 // [M, E] of length 1
	size  int       // E
	kinds []memoryKind
}

// memoryKind is texts of one kind: rows [first, last) of the memory.
type memoryKind struct {
	name        string
	first, last int
}

// of returns the rows of a kind; nil where there is none of that name.
func (m *memory) of(kind string) []float32 {
	for _, k := range m.kinds {
		if k.name == kind {
			return m.rows[k.first*m.size : k.last*m.size]
		}
	}
	return nil
}

// project returns Σ softmax(m·v / τ)·m over the texts that count, of length 1 (DeCap, eq. 3).
func (m *memory) project(vector []float32, p Projection) []float32 {
	var logits []float64
	for _, kind := range p.Memory {
		rows := m.of(kind)
		for row := range slices.Chunk(rows, m.size) {
			logits = append(logits, dot(row, vector)/p.Temperature)
		}
	}
	largest, at := slices.Max(logits), 0
	sums := make([]float64, m.size)
	for _, kind := range p.Memory {
		for row := range slices.Chunk(m.of(kind), m.size) {
			weight := math.Exp(logits[at] - largest)
			for j, x := range row {
				sums[j] += weight * float64(x)
			}
			at++
		}
	}
	mean := make([]float32, m.size)
	for j, x := range sums {
		mean[j] = float32(x)
	}
	return vit.Normalise(mean)
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

// check says what is wrong with a reading.
func (r *Reading) check(d *Decoder) error {
	const beamsMax = 64
	if r.Beams < 1 || r.Beams > beamsMax || !(r.LengthPower >= 0 && r.LengthPower <= 2) {
		return fmt.Errorf("a search with %d beams and lengths to the power of %g", r.Beams, r.LengthPower)
	}
	for kind, p := range r.Projections {
		if len(p.Memory) == 0 || !(p.Temperature > 0 && p.Temperature <= 10) {
			return fmt.Errorf("a %s is projected on %q with a temperature of %g", Kind(kind), p.Memory, p.Temperature)
		}
		for _, name := range p.Memory {
			if len(d.memory.of(name)) == 0 {
				return fmt.Errorf("a %s is projected on %q, of which nothing is remembered", Kind(kind), name)
			}
		}
	}
	return nil
}
