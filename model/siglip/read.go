package siglip

import (
	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// timmVision reads the tower of images by timm's names.
func (c *config) timmVision(r *weights.Reader) *vit.Tower {
	const at = "visual.trunk."
	d, head := c.vision.Width, at+"attn_pool."
	return vit.ReadTimm(r, at, vit.TimmTower{
		Stack: c.vision, Patch: c.patch, Grid: [2]int{c.grid(), c.grid()},
		Pool: func() vit.Pool {
			return c.pool(r, head, "norm", vit.ReadNorm(r, at+"norm", d, c.vision.Epsilon),
				poolWeights{
					latent: r.Tensor(head+"latent", 1, 1, d),
					query:  r.Tensor(head+"q.weight", d, d), queryBias: r.Tensor(head+"q.bias", d),
					keysValues: r.Tensor(head+"kv.weight", 2*d, d), keysValuesBias: r.Tensor(head+"kv.bias", 2*d),
					out: r.Tensor(head+"proj.weight", d, d), outBias: r.Tensor(head+"proj.bias", d),
				})
		},
	})
}

// huggingFaceVision reads the tower of images by Hugging Face's names.
func (c *config) huggingFaceVision(r *weights.Reader) *vit.Tower {
	const at, head = "vision_model.", "vision_model.head."
	d := c.vision.Width
	p := vit.Parts{
		Width: d, Patch: c.patch, Grid: [2]int{c.grid(), c.grid()},
		Patches:   r.Tensor(at+"embeddings.patch_embedding.weight", d, 3, c.patch, c.patch),
		PatchBias: r.Tensor(at+"embeddings.patch_embedding.bias", d),
		Positions: r.Tensor(at+"embeddings.position_embedding.weight", c.grid()*c.grid(), d),
		Blocks:    vit.HuggingFace.Blocks(r, at+"encoder.", c.vision),
	}
	w := poolWeights{
		latent: r.Tensor(head+"probe", 1, 1, d),
		out:    r.Tensor(head+"attention.out_proj.weight", d, d), outBias: r.Tensor(head+"attention.out_proj.bias", d),
	}
	// Queries, keys and values lie in one tensor.
	stacked, bias := r.Tensor(head+"attention.in_proj_weight", 3*d, d), r.Tensor(head+"attention.in_proj_bias", 3*d)
	if r.Err() == nil {
		w.query, w.queryBias, w.keysValues, w.keysValuesBias = stacked[:d*d], bias[:d], stacked[d*d:], bias[d:]
	}
	p.Pool = c.pool(r, head, "layernorm",
		vit.ReadNorm(r, at+"post_layernorm", d, c.vision.Epsilon), w)
	if r.Err() != nil {
		return nil
	}
	return vit.New(p)
}

// poolWeights is a checkpoint's pool, whatever it is called there.
type poolWeights struct {
	latent                     []float32 // [D]
	query, queryBias           []float32 // [D, D], [D]
	keysValues, keysValuesBias []float32 // [2D, D], [2D]
	out, outBias               []float32 // [D, D], [D]
}

// pool reads the rest of the pool and puts it together.
func (c *config) pool(r *weights.Reader, at string, norm string, tokenNorm *nn.LayerNorm, w poolWeights) vit.Pool {
	d, wide := c.vision.Width, c.vision.Wide
	p := &Pool{
		tokenNorm: tokenNorm, activation: c.vision.Activation,
		norm: vit.ReadNorm(r, at+norm, d, c.vision.Epsilon),
		up:   vit.ReadLinear(r, at+"mlp.fc1", d, wide, nn.FP32),
		down: vit.ReadLinear(r, at+"mlp.fc2", wide, d, nn.FP32),
	}
	if r.Err() != nil {
		return nil
	}
	query := make([]float32, d)
	nn.NewLinear(w.query, w.queryBias, d, d, nn.FP32).Forward(query, w.latent, 1)
	p.attention = nn.NewQueryAttention(nn.QueryParts{
		In: d, Size: d, Heads: c.vision.Heads, Query: query, Keys: w.keysValues[:d*d],
		Values: w.keysValues[d*d:], ValuesBias: w.keysValuesBias[d:], Out: w.out, OutBias: w.outBias,
	})
	return p
}

// openCLIPTexts reads the tower of texts by OpenCLIP's names.
func (c *config) openCLIPTexts(r *weights.Reader, t *Texts) {
	const at = "text."
	d := c.text.Width
	t.tokens = r.Table(at+"token_embedding.weight", c.vocabulary, d)
	t.positions = r.Tensor(at+"positional_embedding", c.context, d)
	t.encoder = nn.Encoder{Width: d, Layers: vit.OpenCLIP.Blocks(r, at+"transformer.", c.text)}
	t.norm = vit.ReadNorm(r, at+"ln_final", d, c.text.Epsilon)
	switch {
	case c.projected && c.projectionBias: // then it is stored as a linear layer, else transposed
		t.projection = vit.ReadLinear(r, at+"text_projection", d, c.size, c.text.Precision)
	case c.projected:
		t.projection = vit.ReadTransposed(r, at+"text_projection", d, c.size, c.text.Precision)
	}
}

// huggingFaceTexts reads the tower of texts by Hugging Face's names.
func (c *config) huggingFaceTexts(r *weights.Reader, t *Texts) {
	const at = "text_model."
	d := c.text.Width
	t.tokens = r.Table(at+"embeddings.token_embedding.weight", c.vocabulary, d)
	t.positions = r.Tensor(at+"embeddings.position_embedding.weight", c.context, d)
	t.encoder = nn.Encoder{Width: d, Layers: vit.HuggingFace.Blocks(r, at+"encoder.", c.text)}
	t.norm = vit.ReadNorm(r, at+"final_layer_norm", d, c.text.Epsilon)
	t.projection = vit.ReadLinear(r, at+"head", d, c.size, c.text.Precision)
}
