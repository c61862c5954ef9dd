package vision

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"evident/internal/picture"
	"evident/internal/weights"
	"evident/model/bert"
	"evident/model/vit"
	"evident/nn"
)

// ownConfig is config.json of evident's own vision-language models.
type ownConfig struct {
	Architectures []string `json:"architectures"`
	EmbeddingSize int      `json:"embedding_size"`
	Visual        ownTower `json:"visual"`
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
	Inversion struct {
		Layers    []int   `json:"layers"`
		ImageSize int     `json:"image_size"`
		Steps     int     `json:"steps"`
		Stride    float64 `json:"stride"`
		Alpha     float64 `json:"alpha"`
	} `json:"maskinversion"`
	Scale   float32 `json:"logit_scale"`
	Prompt  string  `json:"prompt"`
	Regions struct {
		Weights map[string]float32 `json:"weights"`
		Scales  map[string]float32 `json:"scales"`
	} `json:"regions"`
}

type ownTower struct {
	Prefix    string  `json:"prefix"`
	Layout    string  `json:"layout"`
	ImageSize int     `json:"image_size"`
	Patch     int     `json:"patch_size"`
	Width     int     `json:"width"`
	Layers    int     `json:"layers"`
	Heads     int     `json:"heads"`
	Wide      int     `json:"mlp_width"`
	Epsilon   float32 `json:"layer_norm_eps"`
	Pooling   string  `json:"pooling"`
}

// ownArchitecture names evident's own models in config.json.
const ownArchitecture = "EvidentVisionText"

func readOwnConfig(folder fs.FS) (*ownConfig, error) {
	data, err := fs.ReadFile(folder, "config.json")
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	c := new(ownConfig)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	return c, nil
}

// check refuses what this package would compute wrongly.
func (c *ownConfig) check() error {
	if len(c.Architectures) != 1 || c.Architectures[0] != ownArchitecture {
		return fmt.Errorf("the architecture is %q, want %q", c.Architectures, ownArchitecture)
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
	for _, layer := range slices.Concat(c.LeGrad.Layers, c.Inversion.Layers) {
		if layer < 0 || layer >= v.Layers {
			return fmt.Errorf("legrad.layers or maskinversion.layers has %d of %d", layer, v.Layers)
		}
	}
	i := c.Inversion
	if i.ImageSize < 0 || i.ImageSize > 1<<16 || i.ImageSize%v.Patch != 0 || i.Steps < 0 || i.Steps > 1<<16 ||
		!(i.Stride >= 0 && i.Stride <= 10) || !(i.Alpha >= 0 && i.Alpha <= 1e6) {
		return fmt.Errorf("maskinversion has an image of %d pixels, %d steps, a stride of %g and an alpha of %g",
			i.ImageSize, i.Steps, i.Stride, i.Alpha)
	}
	if _, err := vit.ParsePooling(v.Pooling); err != nil {
		return fmt.Errorf("visual.pooling: %w", err)
	}
	return nil
}

// loadOwn reads one of evident's own vision-language models: config.json, model.safetensors, vocab.txt.
func loadOwn(folder fs.FS, opts Options) (m *Model, err error) {
	c, err := readOwnConfig(folder)
	if err != nil {
		return nil, err
	}
	c.Text.BERT["model_type"] = "bert"
	settings, err := json.Marshal(c.Text.BERT)
	if err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	file, err := opts.load().OpenFolder(folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	texts := &ownTexts{tokensMax: c.Text.TokensMax}
	texts.bert, err = bert.Load(folder, bert.Options{
		Precision: opts.Precision, Config: settings, Weights: file, Prefix: c.Text.Prefix,
	})
	if err != nil {
		return nil, err
	}
	r := weights.NewReader(file)
	r.SkipUnder(c.Text.Prefix) // bert reads them
	tower := c.Visual.read(r, opts.Precision)
	texts.head = readTextHead(r, c.TextHead.Prefix, texts.bert.Width(), c.EmbeddingSize)
	if err := r.Done(); err != nil {
		return nil, err
	}
	side := c.Visual.ImageSize
	m = &Model{
		Tower: tower, Name: fmt.Sprintf("evident %d×%d/%d", c.Visual.Layers, c.Visual.Width, c.Visual.Patch),
		Recipe: picture.Recipe{
			Size: [2]int{side, side}, Mode: picture.Squash, Filter: picture.Bicubic,
			Mean: c.Preprocess.Mean, Std: c.Preprocess.Std,
		},
		MapSize: c.LeGrad.ImageSize, MapLayers: c.LeGrad.Layers, Scale: c.Scale, Prompt: c.Prompt, Texts: texts,
		Inversion: vit.Inversion{
			Layers: c.Inversion.Layers, Size: c.Inversion.ImageSize, Steps: c.Inversion.Steps,
			Stride: c.Inversion.Stride, Alpha: c.Inversion.Alpha,
		},
		Regions: vit.Regions{Weights: c.Regions.Weights, Scales: c.Regions.Scales},
	}
	m.Keep(file)
	return m, nil
}

// read reads the tower by timm's names.
func (c *ownTower) read(r *weights.Reader, precision nn.Precision) *vit.Tower {
	d, grid := c.Width, c.ImageSize/c.Patch
	return vit.ReadTimm(r, c.Prefix, vit.TimmTower{
		Stack: vit.Stack{
			Width: d, Layers: c.Layers, Heads: c.Heads, Wide: c.Wide, Epsilon: c.Epsilon, Activation: nn.GELU,
			Precision: precision,
		},
		Patch: c.Patch, Grid: [2]int{grid, grid}, ClassToken: true,
		Pool: func() vit.Pool {
			return &vit.TokenPool{
				Of: vit.Pooling(c.Pooling), Norm: vit.ReadNorm(r, c.Prefix+"norm", d, c.Epsilon), Prefix: 1,
			}
		},
	})
}
