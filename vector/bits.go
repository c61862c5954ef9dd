package vector

import (
	"encoding/binary"
	"math"

	"evident/internal/kernel"
)

// A vector x in a list with centroid c is coded by the signs of its residual r = x - c, after the
// rotation. With s the vector of signs, ρ = ‖r‖ and L = Σ|r| = s·r (Gao and Long 2024, written for
// inner products and with the centroid taken out of the query as well):
//
//	query·x = query·c + r·c + r·(query - c)
//	r·(query - c) ≈ f·s·(query - c),   f = ρ²/L
//
// The estimate is unbiased over rotations; its error is at most ε·e·‖query - c‖ but for a share of
// vectors that falls fast with ε, with
//
//	e = ρ·√(d·ρ²/L² - 1)/√(d - 1)
//
// So the bound of a score needs, beside the code, f, g = r·c - f·s·c, e and the prior: four factors.

// codeBlock collects the codes and factors of up to 32 vectors, as [kernel.Set.Estimates] reads them.
type codeBlock struct {
	width int    // bytes of a code, d/8
	data  []byte // [width, 32] codes, then [4, 32] float32
	n     int
}

func newCodeBlock(d int) *codeBlock {
	b := &codeBlock{width: d / 8, data: make([]byte, kernel.BitsBlockSize(d/8))}
	b.reset()
	return b
}

// reset empties the block. A place without a vector has the bound -Inf.
func (b *codeBlock) reset() {
	clear(b.data)
	for i := range kernel.BitsBlock {
		b.set(1, i, math.Inf(-1))
	}
	b.n = 0
}

// full says that no vector fits any more.
func (b *codeBlock) full() bool { return b.n == kernel.BitsBlock }

// set writes a factor of vector i.
func (b *codeBlock) set(factor, i int, value float64) {
	at := kernel.BitsBlock*b.width + 4*(factor*kernel.BitsBlock+i)
	binary.LittleEndian.PutUint32(b.data[at:], math.Float32bits(float32(value)))
}

// add codes x [d] of the list with centroid c [d].
func (b *codeBlock) add(x, c []float32, prior float32) {
	var squares, absolute, withCentroid, signs float64
	lane := kernel.BitsLane(b.n)
	for p := range b.width {
		var code uint8
		for bit := range 8 {
			i := 8*p + bit
			r, centroid := float64(x[i])-float64(c[i]), float64(c[i])
			squares += r * r
			withCentroid += r * centroid
			if r > 0 {
				code |= 1 << bit
				absolute += r
				signs += centroid
			} else {
				absolute -= r
				signs -= centroid
			}
		}
		b.data[p*kernel.BitsBlock+lane] = code
	}
	factor, slack := 0.0, 0.0
	if absolute > 0 {
		d := float64(8 * b.width)
		factor = squares / absolute
		slack = math.Sqrt(squares * max(d*squares/(absolute*absolute)-1, 0) / (d - 1))
	}
	b.set(0, b.n, factor)
	b.set(1, b.n, withCentroid-factor*signs)
	b.set(2, b.n, slack)
	b.set(3, b.n, float64(prior))
	b.n++
}

// nibbleMax is the largest entry of a query's table: two must fit a byte.
const nibbleMax = 127

// bitsQuery is a query as codes are compared with it: for each nibble of a code the sum of the
// query's coordinates whose bit is set, in steps above the smallest such sum.
type bitsQuery struct {
	table        []uint8 // [2, width, 2, 16], see kernel.Set.Estimates
	scale, shift float32 // s·query = sum of entries · scale + shift
}

func newBitsQuery(q []float32) *bitsQuery {
	width := len(q) / 8
	b := &bitsQuery{table: make([]uint8, 2*width*kernel.BitsBlock)}
	total, least, widest := 0.0, 0.0, float32(0)
	var sums [16]float32
	each := func(use func(nibble int, lowest float32)) {
		for nibble := range 2 * width {
			use(nibble, nibbleSums(&sums, q[4*nibble:][:4]))
		}
	}
	each(func(nibble int, lowest float32) {
		least += float64(lowest)
		for _, v := range q[4*nibble:][:4] {
			total += float64(v)
		}
		for _, s := range sums {
			widest = max(widest, s-lowest)
		}
	})
	step := widest / nibbleMax
	b.scale, b.shift = 2*step, float32(2*least-total)
	if step == 0 {
		return b
	}
	each(func(nibble int, lowest float32) {
		entries := b.table[(nibble%2*width+nibble/2)*kernel.BitsBlock:][:kernel.BitsBlock]
		for i, s := range sums {
			entry := uint8(math.RoundToEven(float64((s - lowest) / step)))
			entries[i], entries[16+i] = entry, entry
		}
	})
	return b
}

// nibbleSums writes the sums of the coordinates whose bit is set in 0 … 15 and returns the smallest.
func nibbleSums(sums *[16]float32, q []float32) (lowest float32) {
	for i := range sums {
		sum := float32(0)
		for bit, v := range q {
			if i>>bit&1 != 0 {
				sum += v
			}
		}
		sums[i] = sum
		lowest = min(lowest, sum)
	}
	return lowest
}
