package bert

import (
	"fmt"
	"strings"

	"evident/internal/weights"
	"evident/nn"
)

// reader fetches a model's tensors by name and keeps the first error, so that building a model
// reads like the model.
type reader struct {
	file      *weights.File
	prefix    string
	precision nn.Precision
	err       error
}

// newReader finds out whether the encoder's names carry the family's prefix.
func newReader(file *weights.File, f *family, opts Options) *reader {
	r := &reader{file: file, prefix: f.prefix, precision: opts.Precision}
	if opts.Prefix != "" {
		r.prefix = opts.Prefix
		return r
	}
	if bare := f.words + ".weight"; !file.Has(f.prefix+bare) && file.Has(bare) {
		r.prefix = ""
	}
	return r
}

// tensor returns the named tensor, or nothing after an error.
func (r *reader) tensor(name string, shape ...int) []float32 {
	if r.err != nil {
		return nil
	}
	values, err := r.file.Float32(r.prefix+name, shape...)
	r.err = err
	return values
}

// table is tensor for a matrix of which single rows are read.
func (r *reader) table(name string, rows, columns int) *weights.Table {
	if r.err != nil {
		return nil
	}
	table, err := r.file.Table(r.prefix+name, rows, columns)
	r.err = err
	return table
}

// linear reads a weight [out, in] and a bias [out].
func (r *reader) linear(name string, in, out int, precision nn.Precision) *nn.Linear {
	return r.packed(name, in, out, precision, func() (weight, bias []float32) {
		return r.tensor(name+".weight", out, in), r.tensor(name+".bias", out)
	})
}

// stacked reads three maps of one input, to be computed as one product.
func (r *reader) stacked(names [3]string, d int) *nn.Linear {
	return r.packed(strings.Join(names[:], " "), d, 3*d, r.precision, func() (weight, bias []float32) {
		weight, bias = make([]float32, 0, 3*d*d), make([]float32, 0, 3*d)
		for _, name := range names {
			weight = append(weight, r.tensor(name+".weight", d, d)...)
			bias = append(bias, r.tensor(name+".bias", d)...)
		}
		return weight, bias
	})
}

// packed makes a map of the tensors that read gives, unless the model's cache has it ready.
func (r *reader) packed(
	name string, in, out int, precision nn.Precision, read func() (weight, bias []float32),
) *nn.Linear {
	if r.err != nil {
		return nil
	}
	var l *nn.Linear
	l, r.err = nn.LoadLinear(r.file.Packed(), r.prefix+name, in, out, precision,
		func() ([]float32, []float32, error) {
			weight, bias := read()
			return weight, bias, r.err
		})
	return l
}

// norm reads a LayerNorm; old checkpoints call its tensors gamma and beta.
func (r *reader) norm(name string, d int, epsilon float64) *nn.LayerNorm {
	gain, bias := name+".weight", name+".bias"
	if !r.file.Has(r.prefix+gain) && r.file.Has(r.prefix+name+".gamma") {
		gain, bias = name+".gamma", name+".beta"
	}
	return &nn.LayerNorm{
		Gain: r.tensor(gain, d), Bias: r.tensor(bias, d), Epsilon: float32(epsilon),
	}
}

func (r *reader) layer(c *config, i int) nn.EncoderLayer {
	at := func(name string) string { return fmt.Sprintf(name, i) }
	n := &c.family.layer
	// What the last layer adds to the stream is the model's output: no later layer damps its error.
	// float32 there takes bf16's error on all-MiniLM-L6-v2 from 5.2e-3 to 4.8e-3. Bytes err more
	// everywhere else, and are asked for to be fast.
	added := r.precision
	if i == c.Layers-1 && r.precision != nn.Int8 {
		added = nn.FP32
	}
	return nn.EncoderLayer{
		Heads:           c.Heads,
		QKV:             r.stacked([3]string{at(n.query), at(n.key), at(n.value)}, c.Width),
		Out:             r.linear(at(n.out), c.Width, c.Width, added),
		AttentionNorm:   r.norm(at(n.attentionNorm), c.Width, c.Epsilon),
		Up:              r.linear(at(n.up), c.Width, c.Inner, r.precision),
		Down:            r.linear(at(n.down), c.Inner, c.Width, added),
		FeedForwardNorm: r.norm(at(n.feedForwardNorm), c.Width, c.Epsilon),
		Activation:      activations[c.Activation],
	}
}

// embedding is the first layer: the sum of a token's, a place's and a segment's vector, normalised.
type embedding struct {
	words     *weights.Table // [vocabulary, d]
	positions []float32      // [positions, d]
	segments  []float32      // [segments, d], or nil
	norm      *nn.LayerNorm
}

func (r *reader) embedding(c *config) embedding {
	f := c.family
	e := embedding{
		words:     r.table(f.words+".weight", c.Vocabulary, c.Width),
		positions: r.tensor(f.positions+".weight", c.Positions, c.Width),
		norm:      r.norm(f.norm, c.Width, c.Epsilon),
	}
	if f.segments != "" {
		e.segments = r.tensor(f.segments+".weight", c.Segments, c.Width)
	}
	return e
}
