package vit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"evident/internal/pack"
	"evident/internal/weights"
	"evident/model/bert"
	"evident/nn"
)

// config is config.json of evident's own vision-language models.
type config struct {
	Architectures []string    `json:"architectures"`
	EmbeddingSize int         `json:"embedding_size"`
	Visual        towerConfig `json:"visual"`
	Preprocess    struct {
		Mean          [3]float32 `json:"mean"`
		Std           [3]float32 `json:"std"`
		Resize        string     `json:"resize"`
		Interpolation string     `json:"interpolation"`
	} `json:"preprocess"`
	Text struct {
		Prefix    string         `json:"prefix"`
		Pooling   string         `json:"pooling"`
		TokensMax int            `json:"max_length"`
		BERT      map[string]any `json:"bert"`
	} `json:"text"`
	TextHead struct {
		Prefix string `json:"prefix"`
		Form   string `json:"form"`
	} `json:"text_head"`
	LeGrad struct {
		Layers    []int `json:"layers"`
		ImageSize int   `json:"image_size"`
	} `json:"legrad"`
	Scale  float32 `json:"logit_scale"`
	Prompt string  `json:"prompt"`
}

type towerConfig struct {
	Prefix    string  `json:"prefix"`
	Layout    string  `json:"layout"`
	ImageSize int     `json:"image_size"`
	Patch     int     `json:"patch_size"`
	Width     int     `json:"width"`
	Layers    int     `json:"layers"`
	Heads     int     `json:"heads"`
	Wide      int     `json:"mlp_width"`
	Epsilon   float32 `json:"layer_norm_eps"`
	Pooling   Pooling `json:"pooling"`
}

// architecture is what this package reads.
const architecture = "EvidentVisionText"

func readConfig(folder fs.FS) (*config, error) {
	data, err := fs.ReadFile(folder, "config.json")
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	c := new(config)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	return c, nil
}

// check refuses what this package would compute wrongly.
func (c *config) check() error {
	if len(c.Architectures) != 1 || c.Architectures[0] != architecture {
		return fmt.Errorf("the architecture is %q, want %q", c.Architectures, architecture)
	}
	for name, is := range map[string][2]string{
		"visual.layout": {c.Visual.Layout, "timm"}, "text.pooling": {c.Text.Pooling, "mean"},
		"text_head.form":           {c.TextHead.Form, "skip(x) + fc2(gelu(fc1(x)))"},
		"preprocess.resize":        {c.Preprocess.Resize, "squash"},
		"preprocess.interpolation": {c.Preprocess.Interpolation, "bicubic"},
	} {
		if is[0] != is[1] {
			return fmt.Errorf("%s is %q, only %q is known", name, is[0], is[1])
		}
	}
	v := c.Visual
	for name, n := range map[string]int{
		"image_size": v.ImageSize, "patch_size": v.Patch, "width": v.Width, "layers": v.Layers, "heads": v.Heads,
		"mlp_width": v.Wide, "max_length": c.Text.TokensMax, "legrad.image_size": c.LeGrad.ImageSize,
	} {
		if n <= 0 || n > 1<<16 {
			return fmt.Errorf("%s is %d", name, n)
		}
	}
	if v.Width%v.Heads != 0 || v.ImageSize%v.Patch != 0 || c.LeGrad.ImageSize%v.Patch != 0 || c.EmbeddingSize != v.Width {
		return errors.New("sizes do not divide")
	}
	for _, layer := range c.LeGrad.Layers {
		if layer < 0 || layer >= v.Layers {
			return fmt.Errorf("legrad.layers has %d of %d", layer, v.Layers)
		}
	}
	switch v.Pooling {
	case Class, Mean, ClassAndMean:
		return nil
	}
	return fmt.Errorf("visual.pooling is %q", v.Pooling)
}

// Load reads one of evident's own vision-language models: config.json, model.safetensors, vocab.txt. A
// tensor of another shape than the config promises is an error that names it and both shapes.
func Load(folder fs.FS, precision nn.Precision) (*Model, error) {
	return LoadPacked(folder, precision, "")
}

// LoadPacked is [Load] with evident's cache folder: packed weights are kept beside the model or, where nobody
// may write there, in that folder.
func LoadPacked(folder fs.FS, precision nn.Precision, cacheDir string) (m *Model, err error) {
	c, err := readConfig(folder)
	if err != nil {
		return nil, err
	}
	c.Text.BERT["model_type"] = "bert"
	settings, err := json.Marshal(c.Text.BERT)
	if err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	m = &Model{
		Mean: c.Preprocess.Mean, Std: c.Preprocess.Std, ImageSize: c.Visual.ImageSize,
		MapSize: c.LeGrad.ImageSize, MapLayers: c.LeGrad.Layers, Scale: c.Scale, Prompt: c.Prompt,
		tokensMax: c.Text.TokensMax,
	}
	cache := pack.Options{Dir: cacheDir, Precision: precision.Native().String()}
	file, err := weights.OpenPacked(folder, cache)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	m.text, err = bert.Load(folder, bert.Options{
		Precision: precision, Config: settings, Weights: file, Prefix: c.Text.Prefix,
	})
	if err != nil {
		return nil, err
	}
	r := &reader{file: file, precision: precision}
	m.Tower = r.tower(&c.Visual)
	m.head = r.textHead(c.TextHead.Prefix, m.text.Width(), c.EmbeddingSize)
	if r.err != nil {
		return nil, r.err
	}
	file.Keep()
	return m, nil
}

// reader fetches tensors by name and keeps the first error, so that building a model reads like the model.
type reader struct {
	file      *weights.File
	precision nn.Precision
	err       error
}

func (r *reader) tensor(name string, shape ...int) []float32 {
	if r.err != nil {
		return nil
	}
	values, err := r.file.Float32(name, shape...)
	r.err = err
	return values
}

// linear reads a weight [out, in] and a bias [out].
func (r *reader) linear(name string, in, out int, precision nn.Precision) *nn.Linear {
	return r.packed(name, in, out, precision, func() (weight, bias []float32) {
		return r.tensor(name+".weight", out, in), r.tensor(name+".bias", out)
	})
}

// packed makes a map of the tensors that read gives, unless the model's cache has it ready.
func (r *reader) packed(name string, in, out int, precision nn.Precision, read func() (weight, bias []float32)) *nn.Linear {
	if r.err != nil {
		return nil
	}
	var l *nn.Linear
	l, r.err = nn.LoadLinear(r.file.Packed(), name, in, out, precision, func() ([]float32, []float32, error) {
		weight, bias := read()
		return weight, bias, r.err
	})
	return l
}

func (r *reader) norm(name string, d int, epsilon float32) *nn.LayerNorm {
	return &nn.LayerNorm{Gain: r.tensor(name+".weight", d), Bias: r.tensor(name+".bias", d), Epsilon: epsilon}
}

// tower reads a vision transformer by timm's names.
func (r *reader) tower(c *towerConfig) *Tower {
	d, grid := c.Width, c.ImageSize/c.Patch
	t := &Tower{Width: d, Patch: c.Patch, Pooling: c.Pooling, grid: grid}
	t.class = r.tensor(c.Prefix+"cls_token", 1, 1, d)
	t.positions = r.tensor(c.Prefix+"pos_embed", 1, Prefix+grid*grid, d)
	t.Norm = r.norm(c.Prefix+"norm", d, c.Epsilon)
	t.Encoder.Width = d
	for i := 0; i < c.Layers && r.err == nil; i++ {
		t.Encoder.Layers = append(t.Encoder.Layers, r.block(fmt.Sprintf("%sblocks.%d.", c.Prefix, i), c))
	}
	// Pixels keep float32: the first product decides what all others see, and is small.
	patches := c.Prefix + "patch_embed.proj"
	t.patches = r.packed(patches, 3*c.Patch*c.Patch, d, nn.FP32, func() (weight, bias []float32) {
		return r.tensor(patches+".weight", d, 3, c.Patch, c.Patch), r.tensor(patches+".bias", d)
	})
	return t
}

func (r *reader) block(at string, c *towerConfig) nn.EncoderLayer {
	d := c.Width
	return nn.EncoderLayer{
		Heads: c.Heads, PreNorm: true, Activation: nn.GELU,
		QKV:             r.linear(at+"attn.qkv", d, 3*d, r.precision),
		Out:             r.linear(at+"attn.proj", d, d, r.precision),
		Up:              r.linear(at+"mlp.fc1", d, c.Wide, r.precision),
		Down:            r.linear(at+"mlp.fc2", c.Wide, d, r.precision),
		AttentionNorm:   r.norm(at+"norm1", d, c.Epsilon),
		FeedForwardNorm: r.norm(at+"norm2", d, c.Epsilon),
	}
}
