// Package nn holds the layers of transformer encoders: each is built once from plain weights
// and then runs forward on any number of sequences laid end to end, without padding. Of pre-norm blocks it
// also knows the way back that LeGrad takes.
//
// Shapes: M is the number of tokens of all sequences together, d the model width, h the heads.
package nn

import (
	"fmt"

	"evident/internal/kernel"
)

// Precision is the arithmetic of the matrix products. Residual stream, LayerNorm and softmax
// are float32 in every precision.
type Precision uint8

// The precisions. Auto is BF16 where the CPU multiplies it natively, FP32 elsewhere. Int8 has to be
// asked for: bytes with one scale a token and one an output column, 1.5 times as fast as bf16 and
// five to ten times less exact (docs/results.md); attention stays as in Auto. Where the CPU
// multiplies no bytes, Int8 is Auto.
const (
	Auto Precision = iota
	FP32
	BF16
	Int8
)

// Native is the precision in which this CPU computes what p asks for: FP32, BF16 or Int8.
func (p Precision) Native() Precision {
	set := kernel.Active()
	switch {
	case p == Int8 && set.HasInt8():
		return Int8
	case p != FP32 && set.HasBF16():
		return BF16
	}
	return FP32
}

// String names a precision as options and files do.
func (p Precision) String() string {
	return [...]string{Auto: "auto", FP32: "fp32", BF16: "bf16", Int8: "int8"}[p]
}

// Activation is the function between the two products of a feed-forward block.
type Activation uint8

// The activations found in checkpoints.
const (
	GELU      Activation = iota // x·Φ(x), with erf
	GELUTanh                    // its tanh approximation
	QuickGELU                   // x·σ(1.702x)
	ReLU
)

// Sequences says where each sequence begins and ends in a batch of M rows:
// sequence i is rows [s[i], s[i+1]). It always begins with 0 and ends with M.
type Sequences []int

// Rows returns M, the rows of all sequences together.
func (s Sequences) Rows() int { return s[len(s)-1] }

// Check panics unless s starts at 0 and never decreases.
func (s Sequences) Check() {
	if len(s) == 0 || s[0] != 0 {
		panic(fmt.Sprintf("nn: sequences %v do not start at 0", s))
	}
	for i := 1; i < len(s); i++ {
		if s[i] < s[i-1] {
			panic(fmt.Sprintf("nn: sequences %v decrease at %d", s, i))
		}
	}
}
