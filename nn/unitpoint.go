package nn

import "math"

// UnitPoint is where a vector f stands on its way to length 1, f/|f|.
type UnitPoint struct {
	unit   []float64 // f̂ = f/|f|
	length float64   // |f|
}

// UnitAt returns the way back from the length 1 of f.
func UnitAt(f []float32) *UnitPoint {
	squares := 0.0
	for _, v := range f {
		squares += float64(v) * float64(v)
	}
	p := &UnitPoint{unit: make([]float64, len(f)), length: math.Sqrt(squares)}
	if p.length == 0 {
		return p
	}
	for i, v := range f {
		p.unit[i] = float64(v) / p.length
	}
	return p
}

// Back writes what of a gradient t at f/|f| reaches f, (t - f̂·(f̂·t))/|f|. Of a vector of zeros, which has
// no direction to turn, nothing does.
func (p *UnitPoint) Back(dst, t []float32) {
	if p.length == 0 {
		clear(dst)
		return
	}
	along := 0.0
	for i, u := range p.unit {
		along += u * float64(t[i])
	}
	for i, u := range p.unit {
		dst[i] = float32((float64(t[i]) - u*along) / p.length)
	}
}

// Unit returns f/|f|; zeros where f has no direction.
func (p *UnitPoint) Unit() []float64 { return p.unit }
