// Package caption says in words what vectors of a vision-language model mean, of pictures or of parts of them
// (DeCap, Li et al., arXiv:2303.03032).
//
// A small transformer has learned to say texts whose vectors it is given; photos it has never seen. Vectors of pictures
// lie apart from those of texts, so they are projected first: replaced by a mean of remembered texts' vectors, each
// weighted by how well it fits. A [Decoder] does both. [Nearest] chooses among given captions instead, and
// needs nothing but vectors.
//
// Left open by the paper, chosen here (docs/adr/0050): what is remembered is vectors alone, without their texts; there are
// several kinds of them, and pictures and regions are projected on different ones; captions are searched for with beams.
//
// Shapes: E is the size of the model's vectors, D the decoder's width, V the number of word pieces, M that of texts in
// memory.
package caption

import (
	"context"
	"fmt"
	"math"
	"slices"

	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// Caption is a text and how likely the decoder found it.
type Caption struct {
	Text       string
	Likelihood float64 // 0…1: the geometric mean of the pieces' probabilities; 0 where no decoder wrote it
}

// Decoder writes captions. It is safe for concurrent use.
type Decoder struct {
	Size   int // E
	Length int // tokens at most, the vector's among them
	Probe  Probe

	width     int            // D
	prefix    *nn.Linear     // [D, E] makes a vector the first token
	tokens    *weights.Table // [V, D]
	positions []float32      // [Length, D]
	encoder   nn.Encoder
	norm      *nn.LayerNorm
	logits    *nn.Linear // [V, D], tokens once more
	pieces    []string   // [V]
	end, rare int

	memory  *memory
	reading Reading
}

// Probe is a text and its vector by the model that the decoder was trained for.
type Probe struct {
	Text   string
	Vector []float32 // [E]
}

// fitsMin is the least cosine of a probe's vectors by the same model. Weights that were trained further give another.
const fitsMin = 0.995

// MisfitError says that a decoder reads vectors of another model.
type MisfitError struct{ Similarity float64 }

func (e *MisfitError) Error() string {
	return fmt.Sprintf("the decoder of captions was trained for other weights of this model (a text's vector agrees "+
		"by %.3f, at least %.3f is needed): train it again with training/caption", e.Similarity, fitsMin)
}

// Fits returns a [*MisfitError] unless the decoder was trained for the vectors of this model.
func (d *Decoder) Fits(ctx context.Context, texts vit.TextEncoder) error {
	encoded, err := texts.EncodeTexts(ctx, []string{d.Probe.Text})
	if err != nil {
		return err
	}
	if len(encoded[0].Embedding) != d.Size {
		return &MisfitError{}
	}
	if s := cosine(encoded[0].Embedding, d.Probe.Vector); s < fitsMin {
		return &MisfitError{s}
	}
	return nil
}

// Kind is what a vector is of. It decides which texts of the memory a vector is projected on.
type Kind uint8

// The kinds.
const (
	Picture Kind = iota // a whole picture
	Region              // a part of one
)

// String names the kind as config.json does.
func (k Kind) String() string { return [...]string{Picture: "picture", Region: "region"}[k] }

// Reading is how vectors become captions, as it was chosen on held-out photos.
type Reading struct {
	Projections [2]Projection // by kind
	Beams       int           // captions that the search follows at once; 1 is greedy
	LengthPower float64       // a caption of n pieces is ranked by its log-likelihood over n to this power
}

// Reading returns the decoder's own.
func (d *Decoder) Reading() Reading { return d.reading }

// With returns the decoder with another reading. The error says what it cannot be.
func (d *Decoder) With(r Reading) (*Decoder, error) {
	if err := r.check(d); err != nil {
		return nil, err
	}
	other := *d
	other.reading = r
	return &other, nil
}

// Captions writes captions of vectors [E] of length 1, at most n of each, the most likely first. Vectors do not influence
// each other.
func (d *Decoder) Captions(ctx context.Context, vectors [][]float32, kind Kind, n int) ([][]Caption, error) {
	projected := make([][]float32, len(vectors))
	for i, v := range vectors {
		if len(v) != d.Size {
			panic(fmt.Sprintf("caption: a vector has %d values, the decoder reads %d", len(v), d.Size))
		}
		projected[i] = d.memory.project(v, d.reading.Projections[kind])
	}
	return d.Write(ctx, projected, n)
}

// Project returns a vector as the decoder reads it: the mean of the texts in memory that it is near to, of length 1.
func (d *Decoder) Project(vector []float32, kind Kind) []float32 {
	return d.memory.project(vector, d.reading.Projections[kind])
}

// next returns the logits [len(beams), V] of the piece that follows each beam.
func (d *Decoder) next(ctx context.Context, beams []*beam) ([]float32, error) {
	seqs := nn.Sequences{0}
	for _, b := range beams {
		seqs = append(seqs, seqs[len(seqs)-1]+1+len(b.ids))
	}
	rows := make([]float32, seqs.Rows()*d.width)
	for i, b := range beams {
		x := rows[seqs[i]*d.width : seqs[i+1]*d.width]
		copy(x, b.first)
		for t, id := range b.ids {
			d.tokens.Row(x[(t+1)*d.width:][:d.width], id)
		}
		for j, p := range d.positions[:len(x)] {
			x[j] += p
		}
	}
	if err := d.encoder.Forward(ctx, rows, seqs); err != nil {
		return nil, fmt.Errorf("write captions: %w", err)
	}
	last := make([]float32, 0, len(beams)*d.width)
	for i := range beams {
		last = append(last, rows[(seqs[i+1]-1)*d.width:seqs[i+1]*d.width]...)
	}
	d.norm.Forward(last, len(beams))
	logits := make([]float32, len(beams)*len(d.pieces))
	d.logits.Forward(logits, last, len(beams))
	return logits, nil
}

// logProbabilities turns logits into the logarithms of their softmax.
func logProbabilities(logits []float32) []float64 {
	largest, sum := float64(slices.Max(logits)), 0.0
	p := make([]float64, len(logits))
	for i, l := range logits {
		p[i] = float64(l) - largest
		sum += math.Exp(p[i])
	}
	for i := range p {
		p[i] -= math.Log(sum)
	}
	return p
}

func cosine(a, b []float32) float64 {
	ab, aa, bb := 0.0, 0.0, 0.0
	for i, x := range a {
		y := float64(b[i])
		ab, aa, bb = ab+float64(x)*y, aa+float64(x)*float64(x), bb+y*y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
