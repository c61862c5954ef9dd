package siglip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"evident/internal/picture"
	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/model/clip"
	"evident/model/vit"
	"evident/nn"
)

// hfConfig is config.json of a SiglipModel.
type hfConfig struct {
	Type   string  `json:"model_type"`
	Vision hfTower `json:"vision_config"`
	Text   hfTower `json:"text_config"`
}

// hfTower is vision_config or text_config.
type hfTower struct {
	Width      int     `json:"hidden_size"`
	Wide       int     `json:"intermediate_size"`
	Layers     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"`
	Activation string  `json:"hidden_act"`
	Epsilon    float32 `json:"layer_norm_eps"`

	ImageSize int   `json:"image_size"`
	Patch     int   `json:"patch_size"`
	Channels  int   `json:"num_channels"`
	Head      *bool `json:"vision_use_head"`

	Vocabulary int `json:"vocab_size"`
	Context    int `json:"max_position_embeddings"`
	Projection int `json:"projection_size"`
}

// hfDefault is what transformers takes for what config.json leaves out: SigLIP B/16's.
var hfDefault = hfTower{
	Width: 768, Wide: 3072, Layers: 12, Heads: 12, Activation: "gelu_pytorch_tanh", Epsilon: 1e-6,
	ImageSize: 224, Patch: 16, Channels: 3, Vocabulary: 32000, Context: 64,
}

func readHFConfig(folder fs.FS) (*hfConfig, error) {
	data, err := fs.ReadFile(folder, "config.json")
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	c := &hfConfig{Vision: hfDefault, Text: hfDefault}
	if err = json.Unmarshal(data, c); err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	return c, nil
}

// check refuses what this package would compute wrongly.
func (c *hfConfig) check() error {
	if c.Text.Projection == 0 {
		c.Text.Projection = c.Text.Width
	}
	v, t := &c.Vision, &c.Text
	switch {
	case c.Type == "siglip2":
		return errors.New("model_type siglip2 is the variant for images of their own sizes (NaFlex): " +
			"of SigLIP 2 the models of a fixed resolution are known, whose type is siglip")
	case c.Type != "siglip":
		return fmt.Errorf("model_type is %q, want siglip", c.Type)
	case v.Head != nil && !*v.Head:
		return errors.New("vision_use_head is false: without its head the model makes no vectors of images")
	case v.Channels != 3:
		return fmt.Errorf("vision_config.num_channels is %d, want 3", v.Channels)
	case v.Patch <= 0 || v.ImageSize < v.Patch:
		return fmt.Errorf("an image of %d has no patch of %d", v.ImageSize, v.Patch)
	case t.Projection != v.Width:
		return fmt.Errorf("vectors of texts have %d values, those of images %d", t.Projection, v.Width)
	case t.Vocabulary <= 0 || t.Vocabulary > 1<<22 || t.Context <= 0 || t.Context > 1<<16:
		return fmt.Errorf("texts have %d tokens of %d kinds", t.Context, t.Vocabulary)
	}
	for name, tower := range map[string]*hfTower{"vision_config": v, "text_config": t} {
		if _, ok := hfActivations[tower.Activation]; !ok {
			return fmt.Errorf("%s.hidden_act %q is not known", name, tower.Activation)
		}
		if tower.Width <= 0 || tower.Layers <= 0 || tower.Wide <= 0 || tower.Heads <= 0 || tower.Width%tower.Heads != 0 {
			return fmt.Errorf("%s: width %d, feed-forward width %d, %d layers and %d heads are no tower",
				name, tower.Width, tower.Wide, tower.Layers, tower.Heads)
		}
	}
	return nil
}

var hfActivations = map[string]nn.Activation{
	"gelu_pytorch_tanh": nn.GELUTanh, "gelu_new": nn.GELUTanh, "gelu": nn.GELU,
}

func (t *hfTower) stack(opts Options) vit.Stack {
	return vit.Stack{
		Width: t.Width, Layers: t.Layers, Heads: t.Heads, Wide: t.Wide, Epsilon: t.Epsilon,
		Activation: hfActivations[t.Activation], Precision: opts.Precision,
	}
}

// LoadHF reads a folder of Hugging Face with a SiglipModel: config.json, model.safetensors, tokenizer.json. A
// tensor that is missing, left over or of another shape than the config promises is an error that names it.
func LoadHF(folder fs.FS, opts Options) (m *vit.Model, err error) {
	c, err := readHFConfig(folder)
	if err != nil {
		return nil, err
	}
	recipe, err := clip.ReadHFRecipe(folder, picture.Recipe{
		Size: [2]int{c.Vision.ImageSize, c.Vision.ImageSize}, Mode: picture.Squash,
		Filter: picture.Bicubic, Mean: picture.HalfMean, Std: picture.HalfMean,
	})
	if err != nil {
		return nil, err
	}
	file, err := opts.OpenFolder(folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := weights.NewReader(file)
	tower, text := c.readTower(r, opts), c.readText(r, opts)
	m, err = newModel(r, c.Vision.stack(opts), c.Vision.Patch, tower, recipe)
	if err != nil {
		return nil, err
	}
	m.Keep(file)
	m.Texts, err = newTexts(folder, text, tokenize.SigLIPOptions{HuggingFace: true})
	return m, err
}

// readTower reads the image tower; after an error of r it returns nil.
func (c *hfConfig) readTower(r *weights.Reader, opts Options) *vit.Tower {
	const at, head = "vision_model.", "vision_model.head."
	s, patch := c.Vision.stack(opts), c.Vision.Patch
	d, grid := s.Width, c.Vision.ImageSize/patch
	r.Skip(at + "embeddings.position_ids") // 0, 1, 2, …
	p := vit.Parts{
		Width: d, Patch: patch, Grid: [2]int{grid, grid},
		Patches:   r.Tensor(at+"embeddings.patch_embedding.weight", d, 3, patch, patch),
		PatchBias: r.Tensor(at+"embeddings.patch_embedding.bias", d),
		Positions: r.Tensor(at+"embeddings.position_embedding.weight", grid*grid, d),
		Blocks:    vit.HuggingFace.Blocks(r, at+"encoder.", s),
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
	p.Pool = readPool(r, head, "layernorm", s, vit.ReadNorm(r, at+"post_layernorm", d, s.Epsilon), w)
	if r.Err() != nil {
		return nil
	}
	return vit.New(p)
}

// readText reads the text tower; after an error of r it returns nil.
func (c *hfConfig) readText(r *weights.Reader, opts Options) *clip.TextTower {
	const at = "text_model."
	t, s := c.Text, c.Text.stack(opts)
	r.Skip(at + "embeddings.position_ids")
	p := clip.TextParts{
		TextOptions: clip.TextOptions{Context: t.Context, Vocabulary: t.Vocabulary, Pooling: clip.Last},
		Tokens:      r.Table(at+"embeddings.token_embedding.weight", t.Vocabulary, t.Width),
		Positions:   r.Tensor(at+"embeddings.position_embedding.weight", t.Context, t.Width),
		Blocks:      vit.HuggingFace.Blocks(r, at+"encoder.", s),
		Norm:        vit.ReadNorm(r, at+"final_layer_norm", t.Width, s.Epsilon),
		Projection:  vit.ReadLinear(r, at+"head", t.Width, t.Projection, nn.FP32),
	}
	if r.Err() != nil {
		return nil
	}
	return clip.NewText(p)
}
