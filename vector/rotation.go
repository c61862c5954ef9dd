package vector

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// rotation is an orthogonal map that spreads whatever a vector says over all its coordinates, which
// codes of one bit a coordinate and bytes with one scale a vector need. It is part of the format:
// the same for all segments of an index.
//
// It is some rounds of random signs and a Hadamard transform over the largest power of two that
// fits, in turn of the first and of the last coordinates.
type rotation struct {
	dim, padded int
	block       int         // of a transform
	signs       [][]float32 // [rounds][padded]: 1 or -1, over √block where the transform follows
}

const (
	rotationRounds = 4
	rotationSeed   = 0x65766964656e74 // part of the format
	widthStep      = 64               // padded is a multiple
)

// paddedWidth is the length of stored vectors.
func paddedWidth(dim int) int { return (dim + widthStep - 1) / widthStep * widthStep }

func newRotation(dim int) *rotation {
	r := &rotation{dim: dim, padded: paddedWidth(dim)}
	r.block = 1 << (bits.Len(uint(r.padded)) - 1)
	random := rand.New(rand.NewPCG(rotationSeed, uint64(dim)))
	scale := float32(1 / math.Sqrt(float64(r.block)))
	for round := range rotationRounds {
		signs := make([]float32, r.padded)
		from := r.from(round)
		for i := range signs {
			signs[i] = 1 - 2*float32(random.Uint32()&1)
			if i >= from && i < from+r.block {
				signs[i] *= scale
			}
		}
		r.signs = append(r.signs, signs)
	}
	return r
}

// from is the first coordinate that a round transforms.
func (r *rotation) from(round int) int { return (r.padded - r.block) * (round % 2) }

// apply writes the turned x [dim] to dst [padded].
func (r *rotation) apply(dst, x []float32) {
	copy(dst, x[:r.dim])
	clear(dst[r.dim:])
	for round, signs := range r.signs {
		for i, s := range signs {
			dst[i] *= s
		}
		hadamard(dst[r.from(round):][:r.block])
	}
}

// hadamard transforms x, whose length is a power of two, in place.
func hadamard(x []float32) {
	for half := 1; half < len(x); half *= 2 {
		for at := 0; at < len(x); at += 2 * half {
			low, high := x[at:at+half], x[at+half:at+2*half]
			for i, a := range low {
				b := high[i]
				low[i], high[i] = a+b, a-b
			}
		}
	}
}
