package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"evident/internal/picture"
	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// hfConfig is config.json of a CLIPModel.
type hfConfig struct {
	Size       int             `json:"projection_dim"`
	Text       hfText          `json:"text_config"`
	Vision     hfVision        `json:"vision_config"`
	TextDict   json.RawMessage `json:"text_config_dict"`   // of old files; replaces text_config
	VisionDict json.RawMessage `json:"vision_config_dict"` // likewise
}

type hfTower struct {
	Width      int     `json:"hidden_size"`
	Wide       int     `json:"intermediate_size"`
	Layers     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"`
	Activation string  `json:"hidden_act"`
	Epsilon    float32 `json:"layer_norm_eps"`
}

type hfText struct {
	hfTower
	Context    int   `json:"max_position_embeddings"`
	Vocabulary int   `json:"vocab_size"`
	End        int32 `json:"eos_token_id"`
}

type hfVision struct {
	hfTower
	ImageSize int `json:"image_size"`
	Patch     int `json:"patch_size"`
}

// What config.json leaves out has these values in transformers.
var (
	hfTextDefault = hfText{
		hfTower: hfTower{512, 2048, 12, 8, "quick_gelu", 1e-5}, Context: 77, Vocabulary: vocabularySize, End: 49407,
	}
	hfVisionDefault = hfVision{hfTower: hfTower{768, 3072, 12, 12, "quick_gelu", 1e-5}, ImageSize: 224, Patch: 32}
)

func readHFConfig(folder fs.FS) (*hfConfig, error) {
	data, err := fs.ReadFile(folder, "config.json")
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	c := &hfConfig{Size: 512, Text: hfTextDefault, Vision: hfVisionDefault}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	if len(c.TextDict) > 0 && string(c.TextDict) != "null" {
		c.Text = hfTextDefault
		err = json.Unmarshal(c.TextDict, &c.Text)
	}
	if len(c.VisionDict) > 0 && string(c.VisionDict) != "null" {
		c.Vision = hfVisionDefault
		err = errors.Join(err, json.Unmarshal(c.VisionDict, &c.Vision))
	}
	if err = errors.Join(err, c.check()); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	return c, nil
}

func (c *hfConfig) check() error {
	for name, t := range map[string]*hfTower{"text_config": &c.Text.hfTower, "vision_config": &c.Vision.hfTower} {
		if _, ok := hfActivations[t.Activation]; !ok {
			return fmt.Errorf("%s.hidden_act %q is not known", name, t.Activation)
		}
		if err := checkSizes(map[string]int{
			name + ".hidden_size": t.Width, name + ".intermediate_size": t.Wide, name + ".num_hidden_layers": t.Layers,
			name + ".num_attention_heads": t.Heads,
		}, t.Width, t.Heads); err != nil {
			return err
		}
	}
	return checkSizes(map[string]int{
		"projection_dim": c.Size, "vision_config.patch_size": c.Vision.Patch,
		"vision_config.image_size":            c.Vision.ImageSize / max(1, c.Vision.Patch),
		"text_config.max_position_embeddings": c.Text.Context, "text_config.vocab_size": c.Text.Vocabulary,
	}, 1, 1)
}

var hfActivations = map[string]nn.Activation{
	"quick_gelu": nn.QuickGELU, "gelu": nn.GELU, "gelu_new": nn.GELUTanh, "gelu_pytorch_tanh": nn.GELUTanh, "relu": nn.ReLU,
}

func (c *hfTower) stack(opts Options) vit.Stack {
	return vit.Stack{
		Width: c.Width, Layers: c.Layers, Heads: c.Heads, Wide: c.Wide, Epsilon: c.Epsilon,
		Activation: opts.activation(hfActivations[c.Activation]), Precision: opts.Precision,
	}
}

// LoadHF reads a folder of Hugging Face with a CLIPModel.
func LoadHF(folder fs.FS, opts Options) (m *vit.Model, err error) {
	c, err := readHFConfig(folder)
	if err != nil {
		return nil, err
	}
	side := c.Vision.ImageSize
	recipe, err := ReadHFRecipe(folder, picture.Recipe{
		Size: [2]int{side, side}, Mode: picture.ShortestCropFloor, Filter: picture.Bicubic,
		Mean: picture.CLIPMean, Std: picture.CLIPStd,
	})
	if err != nil {
		return nil, err
	}
	file, err := opts.load().OpenFolder(folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := weights.NewReader(file)
	v := c.Vision
	tower, text := c.readTower(r, opts), c.readText(r, opts)
	m = &vit.Model{
		Name: "CLIP " + family(v.Layers, v.Width, v.Patch), Tower: tower, Recipe: recipe, MapSize: MapSide(v.Patch),
		MapLayers: LastLayers(v.Layers), Prompt: "a photo of a {}",
	}
	m.Scale, m.Bias = ReadScale(r)
	if err := r.Done(); err != nil {
		return nil, err
	}
	m.Keep(file)
	if m.Texts, err = newTexts(folder, text, tokenize.CLIPOptions{HuggingFace: true}); err != nil {
		return nil, err
	}
	return m, nil
}

func (c *hfConfig) readTower(r *weights.Reader, opts Options) *vit.Tower {
	const at = "vision_model."
	s, patch := c.Vision.stack(opts), c.Vision.Patch
	d, grid := s.Width, c.Vision.ImageSize/c.Vision.Patch
	r.Skip(at + "embeddings.position_ids") // 0, 1, 2, …
	p := vit.Parts{
		Width: d, Patch: patch, Grid: [2]int{grid, grid},
		Patches: r.Tensor(at+"embeddings.patch_embedding.weight", d, 3, patch, patch),
		First:   r.Tensor(at+"embeddings.class_embedding", d),
		PreNorm: vit.ReadNorm(r, at+"pre_layrnorm", d, s.Epsilon),
		Blocks:  vit.HuggingFace.Blocks(r, at+"encoder.", s),
	}
	if table := r.Tensor(at+"embeddings.position_embedding.weight", 1+grid*grid, d); table != nil {
		for i := range p.First {
			p.First[i] += table[i]
		}
		p.Positions = table[d:]
	}
	pool := &vit.TokenPool{Of: vit.Class, Norm: vit.ReadNorm(r, at+"post_layernorm", d, s.Epsilon), Prefix: 1}
	pool.Projection = vit.ReadBare(r, "visual_projection.weight", d, c.Size, nn.FP32)
	if r.Err() != nil {
		return nil
	}
	p.Pool = pool
	return vit.New(p)
}

func (c *hfConfig) readText(r *weights.Reader, opts Options) *TextTower {
	const at = "text_model."
	t, s := c.Text, c.Text.stack(opts)
	r.Skip(at + "embeddings.position_ids")
	p := TextParts{
		TextOptions: TextOptions{Context: t.Context, Vocabulary: t.Vocabulary, Causal: true, Pooling: FirstEnd, End: t.End},
		Tokens:      r.Table(at+"embeddings.token_embedding.weight", t.Vocabulary, t.Width),
		Positions:   r.Tensor(at+"embeddings.position_embedding.weight", t.Context, t.Width),
		Blocks:      vit.HuggingFace.Blocks(r, at+"encoder.", s),
		Norm:        vit.ReadNorm(r, at+"final_layer_norm", t.Width, s.Epsilon),
	}
	if t.End == 2 { // old configs say so, whatever the tokenizer's end is
		p.Pooling = HighestID
	}
	p.Projection = vit.ReadBare(r, "text_projection.weight", t.Width, c.Size, nn.FP32)
	if r.Err() != nil {
		return nil
	}
	return NewText(p)
}

// hfProcessor is preprocessor_config.json.
type hfProcessor struct {
	Size   hfSize    `json:"size"`
	Cut    *bool     `json:"do_center_crop"`
	Crop   hfSize    `json:"crop_size"`
	Filter *int      `json:"resample"` // as Pillow numbers them
	Mean   []float32 `json:"image_mean"`
	Std    []float32 `json:"image_std"`
}

// hfSize is the shorter side, or height and width. One number is the shorter side.
type hfSize struct {
	Shortest int `json:"shortest_edge"`
	Height   int `json:"height"`
	Width    int `json:"width"`
}

// UnmarshalJSON reads a number or an object.
func (s *hfSize) UnmarshalJSON(data []byte) error {
	type plain hfSize
	if json.Unmarshal(data, &s.Shortest) == nil {
		return nil
	}
	return json.Unmarshal(data, (*plain)(s))
}

// ReadHFRecipe reads preprocessor_config.json. What it leaves open stays as in r, and without one all of r does.
func ReadHFRecipe(folder fs.FS, r picture.Recipe) (picture.Recipe, error) {
	const name = "preprocessor_config.json"
	data, err := fs.ReadFile(folder, name)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read model: %w", err)
	}
	var p hfProcessor
	if err := json.Unmarshal(data, &p); err != nil {
		return r, fmt.Errorf("read %s: %w", name, err)
	}
	if err := p.fit(&r); err != nil {
		return r, fmt.Errorf("read %s: %w", name, err)
	}
	if p.Filter != nil {
		switch *p.Filter {
		case 2:
			r.Filter = picture.Bilinear
		case 3:
		default:
			return r, fmt.Errorf("read %s: resample is %d, want 2 (bilinear) or 3 (bicubic)", name, *p.Filter)
		}
	}
	if err := setMoments(&r, p.Mean, p.Std); err != nil {
		return r, fmt.Errorf("read %s: %w", name, err)
	}
	return r, nil
}

// fit says what the processor does to sizes. A picture is always made as large as the tower's own images,
// whatever larger part of it a processor without crop would show.
func (p *hfProcessor) fit(r *picture.Recipe) error {
	if p.Crop.Shortest > 0 { // one number is the side of the crop
		p.Crop.Height, p.Crop.Width = p.Crop.Shortest, p.Crop.Shortest
	}
	if p.Size.Height > 0 && p.Size.Width > 0 {
		r.Mode, r.Size = picture.Squash, [2]int{p.Size.Width, p.Size.Height}
		return nil
	}
	if p.Crop.Height > 0 && p.Crop.Width > 0 && (p.Cut == nil || *p.Cut) {
		r.Size = [2]int{p.Crop.Width, p.Crop.Height}
	}
	if p.Size.Shortest > 0 && p.Size.Shortest != min(r.Size[0], r.Size[1]) {
		r.Shortest = p.Size.Shortest
	}
	if r.Shortest != 0 && r.Shortest < max(r.Size[0], r.Size[1]) {
		return fmt.Errorf("a crop of %v after resizing to %d would need padding", r.Size, r.Shortest)
	}
	return nil
}
