package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"evident/internal/pack"
	"evident/internal/picture"
	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// OpenConfig is open_clip_config.json.
type OpenConfig struct {
	Model      OpenModel      `json:"model_cfg"`
	Preprocess OpenPreprocess `json:"preprocess_cfg"`
}

// OpenModel is model_cfg.
type OpenModel struct {
	Size       int        `json:"embed_dim"`
	QuickGELU  bool       `json:"quick_gelu"`
	CustomText bool       `json:"custom_text"`
	Vision     OpenVision `json:"vision_cfg"`
	Text       OpenText   `json:"text_cfg"`
}

// OpenVision is vision_cfg.
type OpenVision struct {
	TimmName      string          `json:"timm_model_name"`
	TimmPool      string          `json:"timm_pool"`
	TimmProj      string          `json:"timm_proj"`
	ImageSize     Pair            `json:"image_size"`
	Patch         Pair            `json:"patch_size"`
	Width         int             `json:"width"`
	Layers        json.RawMessage `json:"layers"` // a number; four of a ResNet
	HeadWidth     int             `json:"head_width"`
	Ratio         float64         `json:"mlp_ratio"`
	LayerScale    *float64        `json:"ls_init_value"`
	NoPreNorm     bool            `json:"no_ln_pre"`
	NormAfter     bool            `json:"final_ln_after_pool"`
	Pool          string          `json:"pool_type"`
	AttentionPool json.RawMessage `json:"attentional_pool"` // true, or the name of a kind
	PoolQueries   int             `json:"attn_pooler_queries"`
	PoolHeads     int             `json:"attn_pooler_heads"`
	TimmSizes     *TimmSizes      `json:"timm_model_kwargs_for_tiny"`
	OpenNorms
}

// TimmSizes are sizes that no model of timm has, as small models have them which tests use.
type TimmSizes struct {
	Width  int `json:"embed_dim"`
	Layers int `json:"depth"`
	Heads  int `json:"num_heads"`
	Patch  int `json:"patch_size"`
}

// OpenText is text_cfg.
type OpenText struct {
	Context        int      `json:"context_length"`
	Vocabulary     int      `json:"vocab_size"`
	Width          int      `json:"width"`
	Heads          int      `json:"heads"`
	Layers         int      `json:"layers"`
	Ratio          float64  `json:"mlp_ratio"`
	LayerScale     *float64 `json:"ls_init_value"`
	ClassToken     bool     `json:"embed_cls"`
	NotCausal      bool     `json:"no_causal_mask"`
	Pool           string   `json:"pool_type"`
	ProjectionBias bool     `json:"proj_bias"`
	Projection     string   `json:"proj_type"` // "none", or a matrix
	HFModel        string   `json:"hf_model_name"`
	HFTokenizer    string   `json:"hf_tokenizer_name"`
	OpenNorms
}

// OpenNorms is what both towers may say of their LayerNorms and activation.
type OpenNorms struct {
	Norm struct {
		Epsilon float32 `json:"eps"`
	} `json:"norm_kwargs"`
	Activation struct {
		Approximate string `json:"approximate"`
	} `json:"act_kwargs"`
}

// OpenPreprocess is preprocess_cfg.
type OpenPreprocess struct {
	Mean   []float32 `json:"mean"`
	Std    []float32 `json:"std"`
	Filter string    `json:"interpolation"`
	Resize string    `json:"resize_mode"`
}

// Pair is height and width; one number in a file means both.
type Pair [2]int

// UnmarshalJSON reads one number or two.
func (p *Pair) UnmarshalJSON(data []byte) error {
	var one int
	if json.Unmarshal(data, &one) == nil {
		*p = Pair{one, one}
		return nil
	}
	return json.Unmarshal(data, (*[2]int)(p))
}

// ReadOpenConfig reads open_clip_config.json with the defaults of open_clip 2.23.
func ReadOpenConfig(folder fs.FS) (*OpenConfig, error) {
	const name = openConfig
	data, err := fs.ReadFile(folder, name)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	c := &OpenConfig{Model: OpenModel{
		Vision: OpenVision{
			Width: 768, Layers: json.RawMessage("12"), HeadWidth: 64, Ratio: 4, Patch: Pair{16, 16}, ImageSize: Pair{224, 224},
			Pool: "tok", PoolQueries: 256, PoolHeads: 8, TimmPool: "avg", TimmProj: "linear",
		},
		Text: OpenText{Context: 77, Vocabulary: vocabularySize, Width: 512, Heads: 8, Layers: 12, Ratio: 4, Pool: "argmax"},
	}}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if c.Model.Size == 0 { // the config of a model alone, as in open_clip's own list of them
		if err := json.Unmarshal(data, &c.Model); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	if err := c.Model.Text.check(c.Model.Size); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return c, nil
}

// check refuses what the text tower would compute wrongly.
func (c *OpenText) check(size int) error {
	if c.HFModel != "" {
		return fmt.Errorf("the text tower is %q of Hugging Face, which is not supported", c.HFModel)
	}
	if c.ClassToken && c.NotCausal {
		return errors.New("a class token in a text tower without causal mask (embed_cls, no_causal_mask) is not supported")
	}
	switch c.Pool {
	case "argmax", "last", "first":
	default:
		return fmt.Errorf("text_cfg.pool_type is %q, want argmax, last or first", c.Pool)
	}
	if c.Projection == "none" && c.Width != size {
		return fmt.Errorf("texts of width %d are not projected to vectors of %d (proj_type none)", c.Width, size)
	}
	return checkSizes(map[string]int{
		"embed_dim": size, "text_cfg.width": c.Width, "text_cfg.layers": c.Layers, "text_cfg.heads": c.Heads,
		"text_cfg.context_length": c.Context, "text_cfg.vocab_size": c.Vocabulary,
		"text_cfg.mlp_ratio": int(float64(c.Width) * c.Ratio),
	}, c.Width, c.Heads)
}

// checkSizes refuses sizes that are none, and heads that do not divide the width.
func checkSizes(sizes map[string]int, width, heads int) error {
	for name, n := range sizes {
		if n <= 0 || n > 1<<20 {
			return fmt.Errorf("%s is %d", name, n)
		}
	}
	if width%heads != 0 {
		return fmt.Errorf("a width of %d is not %d heads of one size", width, heads)
	}
	return nil
}

// activation follows quick_gelu and act_kwargs.
func (n *OpenNorms) activation(quick bool) nn.Activation {
	switch {
	case quick:
		return nn.QuickGELU
	case n.Activation.Approximate == "tanh":
		return nn.GELUTanh
	}
	return nn.GELU
}

func (n *OpenNorms) epsilon() float32 {
	if n.Norm.Epsilon > 0 {
		return n.Norm.Epsilon
	}
	return 1e-5
}

// LoadOpen reads a folder of OpenCLIP whose image tower is its own VisionTransformer: CLIP, or CoCa without what
// makes captions.
func LoadOpen(folder fs.FS, opts Options) (m *vit.Model, err error) {
	c, err := ReadOpenConfig(folder)
	if err != nil {
		return nil, err
	}
	v, err := c.Model.Vision.stack(c.Model.QuickGELU, opts)
	if err == nil {
		err = c.Model.checkPool()
	}
	if err != nil {
		return nil, fmt.Errorf("read open_clip_config.json: %w", err)
	}
	recipe, err := c.Recipe()
	if err != nil {
		return nil, fmt.Errorf("read open_clip_config.json: %w", err)
	}
	file, err := OpenWeights(folder, opts.load().Pack())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := weights.NewReader(file)
	tower, text := c.Model.readTower(r, v), ReadOpenText(r, c, opts)
	m = &vit.Model{
		Name: c.Model.kind() + family(v.Layers, v.Width, c.Model.Vision.Patch[0]), Tower: tower, Recipe: recipe,
		MapSize: MapSide(c.Model.Vision.Patch[0]), MapLayers: LastLayers(v.Layers), Prompt: "a photo of a {}",
	}
	m.Scale, m.Bias = ReadScale(r)
	if err := r.Done(); err != nil {
		return nil, err
	}
	m.Keep(file)
	if m.Texts, err = newTexts(folder, text, tokenize.CLIPOptions{}); err != nil {
		return nil, err
	}
	return m, nil
}

const (
	openConfig  = "open_clip_config.json"
	openWeights = "open_clip_model.safetensors"
)

// OpenWeights opens the weights of a folder of OpenCLIP: open_clip_model.safetensors, or model.safetensors. The
// first are packed where o says.
func OpenWeights(folder fs.FS, o pack.Options) (*weights.File, error) {
	open := func() (*weights.File, error) { return openOpenWeights(folder) }
	if _, err := fs.Stat(folder, openWeights); err != nil {
		return open()
	}
	return weights.OpenPackedFrom(folder, []string{openWeights, openConfig}, open, o)
}

func openOpenWeights(folder fs.FS) (*weights.File, error) {
	const name = openWeights
	file, err := weights.OpenFS(folder, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	if file, err := weights.OpenFolder(folder); !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	if _, gone := fs.Stat(folder, "open_clip_pytorch_model.bin"); gone == nil {
		return nil, fmt.Errorf("open_clip_pytorch_model.bin can hold code and is not read: %w", err)
	}
	return nil, err
}

// stack checks vision_cfg and returns the sizes of its blocks.
func (c *OpenVision) stack(quick bool, opts Options) (vit.Stack, error) {
	var layers int
	if err := json.Unmarshal(c.Layers, &layers); err != nil {
		return vit.Stack{}, fmt.Errorf("vision_cfg.layers is %s: ResNets are not supported", c.Layers)
	}
	if c.TimmName != "" {
		return vit.Stack{}, fmt.Errorf("the image tower is timm's %q, which is not supported", c.TimmName)
	}
	if c.Patch[0] != c.Patch[1] {
		return vit.Stack{}, fmt.Errorf("patches of %v pixels are not square", c.Patch)
	}
	if c.Pool != "tok" && c.Pool != "avg" {
		return vit.Stack{}, fmt.Errorf("vision_cfg.pool_type is %q, want tok or avg", c.Pool)
	}
	if c.Attends() && string(c.AttentionPool) != "true" {
		return vit.Stack{}, fmt.Errorf("vision_cfg.attentional_pool is %s, only true is known", c.AttentionPool)
	}
	if c.HeadWidth <= 0 || c.Width%c.HeadWidth != 0 {
		return vit.Stack{}, fmt.Errorf("a width of %d is no number of heads of %d", c.Width, c.HeadWidth)
	}
	s := vit.Stack{
		Width: c.Width, Layers: layers, Heads: c.Width / c.HeadWidth, Wide: int(float64(c.Width) * c.Ratio),
		Epsilon: c.epsilon(), Activation: opts.activation(c.activation(quick)), LayerScale: c.LayerScale != nil,
		Precision: opts.Precision,
	}
	err := checkSizes(map[string]int{
		"vision_cfg.width": s.Width, "vision_cfg.layers": s.Layers, "vision_cfg.patch_size": c.Patch[0],
		"vision_cfg.image_size": min(c.ImageSize[0], c.ImageSize[1]) / max(1, c.Patch[0]), "vision_cfg.mlp_ratio": s.Wide,
	}, s.Width, s.Heads)
	return s, err
}

// Attends reports whether the image tower pools by attention, as CoCa's does.
func (c *OpenVision) Attends() bool {
	s := string(c.AttentionPool)
	return s != "" && s != "false" && s != "null" && s != `""`
}

// readTower reads the image tower; after an error of r it returns nil.
func (c *OpenModel) readTower(r *weights.Reader, s vit.Stack) *vit.Tower {
	p := c.Vision.ReadParts(r, s)
	if c.Vision.Attends() {
		r.SkipUnder("text_decoder.") // makes captions
		if p.Pool = c.readQueryPool(r, s); r.Err() != nil {
			return nil
		}
		return vit.New(p)
	}
	of := vit.Class
	switch {
	case c.Vision.Pool == "avg" && c.Vision.NormAfter:
		of = vit.Patches
	case c.Vision.Pool == "avg":
		of = vit.NormPatches
	}
	p.Pool = &vit.TokenPool{
		Of: of, Norm: vit.ReadNorm(r, "visual.ln_post", s.Width, s.Epsilon), Prefix: 1,
		Projection: vit.ReadTransposed(r, "visual.proj", s.Width, c.Size, nn.FP32),
	}
	if r.Err() != nil {
		return nil
	}
	return vit.New(p)
}

// ReadParts reads open_clip's VisionTransformer up to its last block, under "visual."; the pool is the caller's.
func (c *OpenVision) ReadParts(r *weights.Reader, s vit.Stack) vit.Parts {
	d, patch := s.Width, c.Patch[0]
	p := vit.Parts{Width: d, Patch: patch, Grid: [2]int{c.ImageSize[0] / patch, c.ImageSize[1] / patch}}
	p.Patches = r.Tensor("visual.conv1.weight", d, 3, patch, patch)
	p.First = r.Tensor("visual.class_embedding", d)
	if table := r.Tensor("visual.positional_embedding", 1+p.Grid[0]*p.Grid[1], d); table != nil {
		for i := range p.First {
			p.First[i] += table[i]
		}
		p.Positions = table[d:]
	}
	if !c.NoPreNorm {
		p.PreNorm = vit.ReadNorm(r, "visual.ln_pre", d, s.Epsilon)
	}
	p.Blocks = vit.OpenCLIP.Blocks(r, "visual.transformer.", s)
	return p
}

// ReadOpenText reads open_clip's text tower; after an error of r it returns nil.
func ReadOpenText(r *weights.Reader, c *OpenConfig, opts Options) *TextTower {
	t, prefix := c.Model.Text, ""
	if c.Model.CustomText {
		prefix = "text."
	}
	// Buffers that old files hold, and what OpenAI's archives say about themselves.
	r.Skip(prefix+"attn_mask", "input_resolution", "context_length", "vocab_size")
	s := vit.Stack{
		Width: t.Width, Layers: t.Layers, Heads: t.Heads, Wide: int(float64(t.Width) * t.Ratio), Epsilon: t.epsilon(),
		Activation: opts.activation(t.activation(c.Model.QuickGELU)), LayerScale: t.LayerScale != nil, Precision: opts.Precision,
	}
	places := t.Context
	var class []float32
	if t.ClassToken {
		places++
		class = r.Tensor(prefix+"cls_emb", t.Width)
	}
	p := TextParts{
		TextOptions: TextOptions{
			Context: t.Context, Vocabulary: t.Vocabulary, Causal: !t.NotCausal,
			Pooling: map[string]TextPooling{"argmax": HighestID, "last": Last, "first": First}[t.Pool],
		},
		Tokens:    r.Table(prefix+"token_embedding.weight", t.Vocabulary, t.Width),
		Positions: r.Tensor(prefix+"positional_embedding", places, t.Width),
		Class:     class,
		Blocks:    vit.OpenCLIP.Blocks(r, prefix+"transformer.", s),
		Norm:      vit.ReadNorm(r, prefix+"ln_final", t.Width, s.Epsilon),
	}
	switch {
	case t.Projection == "none":
	case t.ProjectionBias:
		p.Projection = vit.ReadLinear(r, prefix+"text_projection", t.Width, c.Model.Size, nn.FP32)
	default:
		p.Projection = vit.ReadTransposed(r, prefix+"text_projection", t.Width, c.Model.Size, nn.FP32)
	}
	if r.Err() != nil {
		return nil
	}
	return NewText(p)
}

// Recipe returns how pictures are prepared; what preprocess_cfg leaves open is as in open_clip.
func (c *OpenConfig) Recipe() (picture.Recipe, error) {
	p := c.Preprocess
	side := c.Model.Vision.ImageSize
	r := picture.Recipe{
		Size: [2]int{side[1], side[0]}, Mode: picture.ShortestCrop, Filter: picture.Bicubic,
		Mean: picture.CLIPMean, Std: picture.CLIPStd,
	}
	switch p.Resize {
	case "", "shortest":
	case "squash":
		r.Mode = picture.Squash
	default:
		return r, fmt.Errorf("preprocess_cfg.resize_mode is %q, want shortest or squash", p.Resize)
	}
	if p.Filter == "bilinear" { // what else there is means bicubic
		r.Filter = picture.Bilinear
	}
	return r, setMoments(&r, p.Mean, p.Std)
}

// setMoments takes mean and deviation of three channels, where given.
func setMoments(r *picture.Recipe, mean, std []float32) error {
	for _, m := range []struct {
		name string
		from []float32
		to   *[3]float32
	}{{"mean", mean, &r.Mean}, {"std", std, &r.Std}} {
		switch len(m.from) {
		case 0:
		case 3:
			*m.to = [3]float32(m.from)
		default:
			return fmt.Errorf("%s has %d channels, want 3", m.name, len(m.from))
		}
	}
	if slices.Contains(r.Std[:], 0) {
		return fmt.Errorf("std is %v: pixels cannot be divided by 0", r.Std)
	}
	return nil
}
