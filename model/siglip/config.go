package siglip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"evident/model/vit"
	"evident/nn"
)

// config is what the config files of either layout say.
type config struct {
	name              string
	vision, text      vit.Stack
	patch, imageSize  int
	vocabulary        int
	context           int
	size              int // of the vectors
	projected         bool
	projectionBias    bool
	recipe            vit.Recipe
	huggingFaceLayout bool
}

// grid is the rows, and the columns, of patches that the position table is for.
func (c *config) grid() int { return c.imageSize / c.patch }

// readConfig reads open_clip_config.json, or else config.json of Hugging Face.
func readConfig(folder fs.FS) (*config, error) {
	data, err := fs.ReadFile(folder, "open_clip_config.json")
	name, read := "open_clip_config.json", readOpenCLIP
	if errors.Is(err, fs.ErrNotExist) {
		name, read = "config.json", func(data []byte) (*config, error) { return readHuggingFace(data, folder) }
		data, err = fs.ReadFile(folder, name)
	}
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	c, err := read(data)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return c, nil
}

// check refuses sizes that no model has.
func (c *config) check() error {
	for name, n := range map[string]int{
		"the vision tower's width": c.vision.Width, "layers": c.vision.Layers, "heads": c.vision.Heads,
		"feed-forward width": c.vision.Wide, "the text tower's width": c.text.Width, "text layers": c.text.Layers,
		"text heads": c.text.Heads, "text feed-forward width": c.text.Wide, "patch size": c.patch,
		"image size": c.imageSize, "context length": c.context,
	} {
		if n <= 0 || n > 1<<16 {
			return fmt.Errorf("%s is %d", name, n)
		}
	}
	switch {
	case c.vocabulary <= 0 || c.vocabulary > 1<<22:
		return fmt.Errorf("the vocabulary has %d tokens", c.vocabulary)
	case c.vision.Width%c.vision.Heads != 0 || c.text.Width%c.text.Heads != 0:
		return fmt.Errorf("widths %d and %d do not divide by %d and %d heads",
			c.vision.Width, c.text.Width, c.vision.Heads, c.text.Heads)
	case c.imageSize < c.patch:
		return fmt.Errorf("an image of %d has no patch of %d", c.imageSize, c.patch)
	case c.size != c.vision.Width:
		return fmt.Errorf("vectors of texts have %d values, those of images %d", c.size, c.vision.Width)
	}
	return nil
}

// openCLIPConfig is open_clip_config.json, as far as SigLIP needs it.
type openCLIPConfig struct {
	Model struct {
		Size   int `json:"embed_dim"`
		Vision struct {
			ImageSize  int     `json:"image_size"`
			Timm       string  `json:"timm_model_name"`
			Pool       string  `json:"timm_pool"`
			Projection *string `json:"timm_proj"`
			// Where no model of timm has the sizes, as in tests.
			Sizes *struct {
				Width int `json:"embed_dim"`
				Depth int `json:"depth"`
				Heads int `json:"num_heads"`
				Patch int `json:"patch_size"`
			} `json:"timm_model_kwargs_for_tiny"`
		} `json:"vision_cfg"`
		Text struct {
			Context        int      `json:"context_length"`
			Vocabulary     int      `json:"vocab_size"`
			Width          int      `json:"width"`
			Heads          int      `json:"heads"`
			Layers         int      `json:"layers"`
			Ratio          *float64 `json:"mlp_ratio"`
			NoCausalMask   bool     `json:"no_causal_mask"`
			ProjectionBias bool     `json:"proj_bias"`
			ProjectionType *string  `json:"proj_type"`
			Pool           string   `json:"pool_type"`
			Norm           struct {
				Epsilon *float32 `json:"eps"`
			} `json:"norm_kwargs"`
			Activation struct {
				Approximate string `json:"approximate"`
			} `json:"act_kwargs"`
			HuggingFaceModel string `json:"hf_model_name"`
		} `json:"text_cfg"`
	} `json:"model_cfg"`
	Preprocess struct {
		Mean          *[3]float32 `json:"mean"`
		Std           *[3]float32 `json:"std"`
		Interpolation string      `json:"interpolation"`
		ResizeMode    string      `json:"resize_mode"`
	} `json:"preprocess_cfg"`
}

// IsOpenCLIP reports whether an open_clip_config.json is of a SigLIP model: a tower of timm that pools by
// attention.
func IsOpenCLIP(data []byte) bool {
	var c openCLIPConfig
	return json.Unmarshal(data, &c) == nil && strings.Contains(c.Model.Vision.Timm, "siglip")
}

// timmSizes are the vision towers of SigLIP by the first part of their names in timm.
var timmSizes = map[string]vit.Stack{
	"vit_base":     {Width: 768, Layers: 12, Heads: 12, Wide: 3072},
	"vit_large":    {Width: 1024, Layers: 24, Heads: 16, Wide: 4096},
	"vit_so400m":   {Width: 1152, Layers: 27, Heads: 16, Wide: 4304},
	"vit_giantopt": {Width: 1536, Layers: 40, Heads: 16, Wide: 6144},
}

// timmTanh are the towers whose GELU is the tanh approximation, as timm's definitions have it; in all others
// it is exact. Weights say nothing of it.
var timmTanh = []string{
	"vit_base_patch32_siglip", "vit_large_patch16_siglip_512", "vit_so400m_patch16_siglip", "vit_giantopt",
}

func readOpenCLIP(data []byte) (*config, error) {
	var f openCLIPConfig
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	v, t := &f.Model.Vision, &f.Model.Text
	for name, is := range map[string][2]string{
		"vision_cfg.timm_pool": {v.Pool, "map"}, "vision_cfg.timm_proj": {orNone(v.Projection), "none"},
		"text_cfg.pool_type": {t.Pool, "last"}, "text_cfg.hf_model_name": {t.HuggingFaceModel, ""},
		"preprocess_cfg.resize_mode": {or(f.Preprocess.ResizeMode, "squash"), "squash"},
	} {
		if is[0] != is[1] {
			return nil, fmt.Errorf("%s is %q, of SigLIP only %q is known", name, is[0], is[1])
		}
	}
	if !t.NoCausalMask {
		return nil, errors.New("text_cfg.no_causal_mask is not set: SigLIP's texts see all of themselves")
	}
	c := &config{
		imageSize: v.ImageSize, size: f.Model.Size, context: t.Context, vocabulary: t.Vocabulary,
		projected: t.ProjectionType == nil || *t.ProjectionType != "none", projectionBias: t.ProjectionBias,
		text: vit.Stack{
			Width: t.Width, Layers: t.Layers, Heads: t.Heads, Wide: 4 * t.Width, Epsilon: 1e-5, Activation: nn.GELU,
		},
		recipe: vit.Recipe{
			Size: [2]int{v.ImageSize, v.ImageSize}, Mode: vit.Squash, Filter: vit.Bicubic,
			Mean: [3]float32{.5, .5, .5}, Std: [3]float32{.5, .5, .5},
		},
	}
	if t.Ratio != nil {
		c.text.Wide = int(float64(t.Width) * *t.Ratio)
	}
	if e := t.Norm.Epsilon; e != nil {
		c.text.Epsilon = *e
	}
	switch t.Activation.Approximate {
	case "", "none":
	case "tanh":
		c.text.Activation = nn.GELUTanh
	default:
		return nil, fmt.Errorf("text_cfg.act_kwargs.approximate %q is not known", t.Activation.Approximate)
	}
	if f.Preprocess.Mean != nil {
		c.recipe.Mean = *f.Preprocess.Mean
	}
	if f.Preprocess.Std != nil {
		c.recipe.Std = *f.Preprocess.Std
	}
	if f.Preprocess.Interpolation != "" {
		c.recipe.Filter = vit.Filter(f.Preprocess.Interpolation)
	}
	return c, c.readTimm(&f)
}

// readTimm takes the sizes of the vision tower from the name of timm's model.
func (c *config) readTimm(f *openCLIPConfig) error {
	name := f.Model.Vision.Timm
	size, rest, _ := strings.Cut(name, "_patch")
	known := false
	c.vision, known = timmSizes[size]
	if _, err := fmt.Sscanf(rest, "%d_siglip", &c.patch); err != nil || !known || strings.Contains(name, "_gap_") {
		return fmt.Errorf("vision_cfg.timm_model_name %q is no tower of SigLIP that is known", name)
	}
	if s := f.Model.Vision.Sizes; s != nil {
		c.vision, c.patch = vit.Stack{Width: s.Width, Layers: s.Depth, Heads: s.Heads, Wide: 4 * s.Width}, s.Patch
	}
	c.vision.Epsilon, c.vision.Activation = 1e-6, nn.GELU
	for _, prefix := range timmTanh {
		if strings.HasPrefix(name, prefix) {
			c.vision.Activation = nn.GELUTanh
		}
	}
	c.name = fmt.Sprintf("SigLIP %s/%d", titleOf(size), c.patch)
	return nil
}

func titleOf(size string) string {
	return map[string]string{
		"vit_base": "ViT-B", "vit_large": "ViT-L", "vit_so400m": "ViT-SO400M", "vit_giantopt": "ViT-gopt",
	}[size]
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func orNone(value *string) string {
	if value == nil {
		return "none"
	}
	return or(*value, "none")
}
