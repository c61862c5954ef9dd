package vit

import (
	"fmt"
	"strings"

	"evident/internal/weights"
	"evident/nn"
)

// Layout names the tensors of a pre-norm block as a family of checkpoints does. Names are followed by
// ".weight" and ".bias" unless said otherwise.
type Layout struct {
	block                          string    // of block %d, with what separates it from the names below
	attentionNorm, feedForwardNorm string    // the LayerNorms
	stacked                        [2]string // weight and bias of queries, keys and values in one tensor each, or
	queries, keys, values          string    // each by itself
	out, up, down                  string
	scales                         [2]string // of what attention and feed-forward add (layer scale); the whole names
}

// The layouts.
var (
	OpenCLIP = Layout{
		block: "resblocks.%d.", attentionNorm: "ln_1", feedForwardNorm: "ln_2",
		stacked: [2]string{"attn.in_proj_weight", "attn.in_proj_bias"}, out: "attn.out_proj",
		up: "mlp.c_fc", down: "mlp.c_proj", scales: [2]string{"ls_1.gamma", "ls_2.gamma"},
	}
	HuggingFace = Layout{
		block: "layers.%d.", attentionNorm: "layer_norm1", feedForwardNorm: "layer_norm2",
		queries: "self_attn.q_proj", keys: "self_attn.k_proj", values: "self_attn.v_proj",
		out: "self_attn.out_proj", up: "mlp.fc1", down: "mlp.fc2",
	}
	Timm = Layout{
		block: "blocks.%d.", attentionNorm: "norm1", feedForwardNorm: "norm2",
		stacked: [2]string{"attn.qkv.weight", "attn.qkv.bias"}, out: "attn.proj",
		up: "mlp.fc1", down: "mlp.fc2", scales: [2]string{"ls1.gamma", "ls2.gamma"},
	}
)

// Stack is the sizes of a stack of blocks.
type Stack struct {
	Width, Layers, Heads, Wide int // D; blocks; heads; width of the feed-forward block
	Epsilon                    float32
	Activation                 nn.Activation
	LayerScale                 bool // what attention and feed-forward add is multiplied, a factor a column
	BareQKV                    bool // queries, keys and values have no bias
	Precision                  nn.Precision
}

// Blocks reads a stack whose names begin with prefix.
func (l *Layout) Blocks(r *weights.Reader, prefix string, s Stack) []nn.EncoderLayer {
	blocks := make([]nn.EncoderLayer, 0, s.Layers)
	for i := 0; i < s.Layers && r.Err() == nil; i++ {
		blocks = append(blocks, l.read(r, prefix+fmt.Sprintf(l.block, i), s))
	}
	return blocks
}

func (l *Layout) read(r *weights.Reader, at string, s Stack) nn.EncoderLayer {
	d := s.Width
	return nn.EncoderLayer{
		Heads: s.Heads, PreNorm: true, Activation: s.Activation,
		QKV:             l.attention(r, at, s),
		Out:             l.added(r, at, l.out, l.scales[0], d, s),
		Up:              ReadLinear(r, at+l.up, d, s.Wide, s.Precision),
		Down:            l.added(r, at, l.down, l.scales[1], s.Wide, s),
		AttentionNorm:   ReadNorm(r, at+l.attentionNorm, d, s.Epsilon),
		FeedForwardNorm: ReadNorm(r, at+l.feedForwardNorm, d, s.Epsilon),
	}
}

// attention reads what makes queries, keys and values.
func (l *Layout) attention(r *weights.Reader, at string, s Stack) *nn.Linear {
	d := s.Width
	if l.stacked[0] != "" {
		return packed(r, at+l.stacked[0], d, 3*d, s.Precision, func() (weight, bias []float32) {
			if !s.BareQKV {
				bias = r.Tensor(at+l.stacked[1], 3*d)
			}
			return r.Tensor(at+l.stacked[0], 3*d, d), bias
		})
	}
	names := []string{at + l.queries, at + l.keys, at + l.values}
	return packed(r, strings.Join(names, " "), d, 3*d, s.Precision, func() (weight, bias []float32) {
		for _, name := range names {
			weight = append(weight, r.Tensor(name+".weight", d, d)...)
			if !s.BareQKV {
				bias = append(bias, r.Tensor(name+".bias", d)...)
			}
		}
		return weight, bias
	})
}

// packed makes a linear layer of what read gives, unless the model's cache has it ready; see [nn.LoadLinear].
func packed(
	r *weights.Reader, name string, in, out int, precision nn.Precision, read func() (weight, bias []float32),
) *nn.Linear {
	if r.Err() != nil {
		return nil
	}
	l, err := nn.LoadLinear(r.Packed(), name, in, out, precision, func() ([]float32, []float32, error) {
		weight, bias := read()
		return weight, bias, r.Err()
	})
	if err != nil {
		r.Fail(err)
	}
	return l
}

// added reads a linear layer whose output is added to the stream; a layer scale multiplies its rows.
func (l *Layout) added(r *weights.Reader, at, name, scale string, in int, s Stack) *nn.Linear {
	d := s.Width
	if !s.LayerScale {
		return ReadLinear(r, at+name, in, d, s.Precision)
	}
	return packed(r, at+name+" × "+at+scale, in, d, s.Precision, func() (weight, bias []float32) {
		weight, bias = r.Tensor(at+name+".weight", d, in), r.Tensor(at+name+".bias", d)
		by := r.Tensor(at+scale, d)
		if r.Err() != nil {
			return nil, nil
		}
		for i, factor := range by {
			bias[i] *= factor
			for j := range weight[i*in:][:in] {
				weight[i*in+j] *= factor
			}
		}
		return weight, bias
	})
}

// ReadLinear reads a weight [out, in] and a bias [out].
func ReadLinear(r *weights.Reader, name string, in, out int, precision nn.Precision) *nn.Linear {
	return packed(r, name, in, out, precision, func() (weight, bias []float32) {
		return r.Tensor(name+".weight", out, in), r.Tensor(name+".bias", out)
	})
}

// ReadBare reads a weight [out, in] of that name, without bias.
func ReadBare(r *weights.Reader, name string, in, out int, precision nn.Precision) *nn.Linear {
	return packed(r, name, in, out, precision, func() (weight, bias []float32) {
		return r.Tensor(name, out, in), nil
	})
}

// ReadNorm reads a LayerNorm of width d.
func ReadNorm(r *weights.Reader, name string, d int, epsilon float32) *nn.LayerNorm {
	return &nn.LayerNorm{Gain: r.Tensor(name+".weight", d), Bias: r.Tensor(name+".bias", d), Epsilon: epsilon}
}

// ReadTransposed reads a weight stored [in, out], without bias, as open_clip and CLIP store projections.
func ReadTransposed(r *weights.Reader, name string, in, out int, precision nn.Precision) *nn.Linear {
	return packed(r, name+" transposed", in, out, precision, func() (weight, bias []float32) {
		stored := r.Tensor(name, in, out)
		if r.Err() != nil {
			return nil, nil
		}
		weight = make([]float32, len(stored))
		for i := range in {
			for o := range out {
				weight[o*in+i] = stored[i*out+o]
			}
		}
		return weight, nil
	})
}
