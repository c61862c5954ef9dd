package nn

import (
	"fmt"
	"math"
)

// Kept is where a forward pass leaves what one layer computed, for those who explain or
// differentiate it. A field that is empty is not written; one of another length than stated panics.
// All of it is float32 in every precision. Weights are exact in every precision; where a product is of bf16,
// it takes each of them rounded, off by at most 2⁻⁸ of itself.
type Kept struct {
	Weights  []float32 // for each sequence of n tokens in turn softmax(q·kᵀ/√(d/h)), [h, n, n], a row a query
	Input    []float32 // [M, d] the stream before the layer
	QKV      []float32 // [M, 3d] queries, keys, values, each [h, d/h]; keys may lack their bias, which softmax does not see
	Attended []float32 // [M, d] the stream after attention, before the feed-forward block and its norm
	Raised   []float32 // [M, ff] Up's output, before the activation
	Output   []float32 // [M, d] the stream after the layer
}

// check panics unless every field that is set fits the layer and the batch.
func (k *Kept) check(layer int, l *EncoderLayer, d int, seqs Sequences) {
	m := seqs.Rows()
	for name, size := range map[string][2]int{
		"Weights": {len(k.Weights), l.Heads * seqs.squares()}, "Input": {len(k.Input), m * d},
		"QKV": {len(k.QKV), 3 * m * d}, "Attended": {len(k.Attended), m * d},
		"Raised": {len(k.Raised), m * l.Up.Out}, "Output": {len(k.Output), m * d},
	} {
		if size[0] != 0 && size[0] != size[1] {
			panic(fmt.Sprintf("nn: %s of layer %d has %d values, want %d", name, layer, size[0], size[1]))
		}
	}
}

// at returns the part of a group that begins with row first, before which lie so many squares.
func (k *Kept) at(l *EncoderLayer, d int, g group) Kept {
	if k == nil {
		return Kept{}
	}
	from := func(s []float32, at int) []float32 {
		if len(s) == 0 {
			return nil
		}
		return s[at:]
	}
	return Kept{
		Weights: from(k.Weights, g.before*l.Heads), Input: from(k.Input, g.first*d),
		QKV: from(k.QKV, 3*g.first*d), Attended: from(k.Attended, g.first*d),
		Raised: from(k.Raised, g.first*l.Up.Out), Output: from(k.Output, g.first*d),
	}
}

// keepRows copies m rows of n values, widened to float32, to rows end to end. Where nothing is to be kept
// it does nothing.
func (w *workspace) keepRows(dst []float32, src matrix, m, n int) {
	if dst == nil {
		return
	}
	const step = 32
	w.do((m+step-1)/step, float64(m*n)*4, func(_, item int) {
		for row := item * step; row < min(m, (item+1)*step); row++ {
			to := dst[row*n:][:n]
			if src.bf16 == nil {
				copy(to, src.f32[row*src.ld:])
				continue
			}
			fromBF16(to, src.bf16[row*src.ld:])
		}
	})
}

// fromBF16 converts bf16 to float32.
func fromBF16(dst []float32, src []uint16) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(src[i]) << 16)
	}
}

// checkKept panics unless every layer named exists and its slices fit.
func (e *Encoder) checkKept(seqs Sequences, keep map[int]*Kept) {
	for layer, k := range keep {
		if layer < 0 || layer >= len(e.Layers) {
			panic(fmt.Sprintf("nn: layer %d is to be kept, there are %d", layer, len(e.Layers)))
		}
		k.check(layer, &e.Layers[layer], e.Width, seqs)
	}
}
