package vit

import (
	"context"
	"fmt"

	"evident/nn"
)

// Pool makes an image's vector of the tokens [N, D] that the last block puts out. It is safe for concurrent
// use, and changes no tokens.
type Pool interface {
	Size() int                         // E, the length of a vector
	Vector(tokens []float32) []float32 // [E], of any length
}

// AttentionPool is a pool that attends to the tokens. LeGrad explains its attention, and not that of the
// blocks: its score at a layer reads what the pool makes of that layer's output.
type AttentionPool interface {
	Pool
	// At prepares the score's gradient at the output [N, D] of a block.
	At(ctx context.Context, tokens []float32) (AttentionPoint, error)
	// AnswersAll reports whether some patches answer to any text, so that maps need LeGrad's correction.
	AnswersAll() bool
}

// AttentionPoint is where an image stands in an [AttentionPool] that reads one layer.
type AttentionPoint interface {
	// Relevance writes for each of several texts, vectors [T, E] of length 1, what the attention to each token
	// is worth, [T, N]: the mean over heads of max(0, ∂s/∂A).
	Relevance(ctx context.Context, texts, relevance []float32) error
	// Slopes writes what relevance is made of, ∂s/∂A [T, N, Heads] before anything is clipped: it is linear in
	// the texts, which may have any length.
	Slopes(ctx context.Context, texts, slopes []float32) error
	// Heads is the number of heads of the pool's attention.
	Heads() int
}

// Pooling is which tokens a [TokenPool] reads.
type Pooling string

// The poolings.
const (
	Class        Pooling = "cls"          // the first token, normalised
	Mean         Pooling = "mean"         // the mean of all tokens, normalised after the mean
	ClassAndMean Pooling = "cls+mean"     // both, each scaled to length 1 and added
	Patches      Pooling = "patches"      // the mean of the patches' tokens, normalised after the mean
	NormPatches  Pooling = "norm+patches" // the mean of the patches' tokens, normalised before the mean
)

// ParsePooling returns the pooling of that name.
func ParsePooling(name string) (Pooling, error) {
	switch p := Pooling(name); p {
	case Class, Mean, ClassAndMean, Patches, NormPatches:
		return p, nil
	}
	return "", fmt.Errorf("pooling %q is not known", name)
}

// TokenPool reads one token, or a mean of tokens: P·LN(z).
type TokenPool struct {
	Of         Pooling
	Norm       *nn.LayerNorm
	Projection *nn.Linear // P [E, D]; nil for none, and then E is D
	Prefix     int        // tokens before those of the patches
}

// Size returns E.
func (p *TokenPool) Size() int {
	if p.Projection == nil {
		return len(p.Norm.Gain)
	}
	return p.Projection.Out
}

// Vector returns [E].
func (p *TokenPool) Vector(tokens []float32) []float32 {
	d := len(p.Norm.Gain)
	switch p.Of {
	case Class:
		return p.read(append([]float32(nil), tokens[:d]...))
	case Mean:
		return p.read(MeanToken(tokens, d))
	case Patches:
		return p.read(MeanToken(tokens[p.Prefix*d:], d))
	case NormPatches:
		normed := append([]float32(nil), tokens[p.Prefix*d:]...)
		p.Norm.Forward(normed, len(normed)/d)
		return p.project(MeanToken(normed, d))
	case ClassAndMean:
		both := Normalise(p.read(append([]float32(nil), tokens[:d]...)))
		for i, v := range Normalise(p.read(MeanToken(tokens, d))) {
			both[i] += v
		}
		return both
	}
	panic(fmt.Sprintf("vit: pooling %q", p.Of))
}

// read returns P·LN(token), and spoils the token.
func (p *TokenPool) read(token []float32) []float32 {
	p.Norm.Forward(token, 1)
	return p.project(token)
}

func (p *TokenPool) project(x []float32) []float32 {
	if p.Projection == nil {
		return x
	}
	y := make([]float32, p.Projection.Out)
	p.Projection.Forward(y, x, 1)
	return y
}
