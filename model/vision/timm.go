package vision

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"evident/internal/picture"
	"evident/internal/weights"
	"evident/model/clip"
	"evident/model/vit"
	"evident/nn"
)

// timmConfig is config.json as timm writes it. It names an architecture and says little of its sizes: those
// follow from the shapes of the tensors.
type timmConfig struct {
	Architecture string            `json:"architecture"`
	Classes      int               `json:"num_classes"`
	Pool         string            `json:"global_pool"`
	Labels       []string          `json:"label_names"`
	Descriptions map[string]string `json:"label_descriptions"` // by label
	Pretrained   struct {
		Input    []int     `json:"input_size"` // channels, height, width
		Filter   string    `json:"interpolation"`
		CropPart float64   `json:"crop_pct"`
		CropMode string    `json:"crop_mode"`
		Mean     []float32 `json:"mean"`
		Std      []float32 `json:"std"`
	} `json:"pretrained_cfg"`
	Arguments struct {
		ImageSize *clip.Pair `json:"img_size"`
		Heads     int        `json:"num_heads"`
		Pool      string     `json:"global_pool"`
	} `json:"model_args"`
}

// timmNames are the architectures whose blocks are those of [vit.Timm]. Others of timm's have the same
// names for tensors that are computed with otherwise.
var (
	timmNames = regexp.MustCompile(`^(vit|deit|deit3)_[a-z0-9]+_patch[0-9]+_`)
	timmOther = regexp.MustCompile(`_rpn_|_rope_|distilled`)
)

// loadTimm reads an image classifier of timm: a vision transformer whose texts are the names of its classes. A
// class's vector is its row of the head.
func loadTimm(folder fs.FS, opts Options) (m *Model, err error) {
	data, err := fs.ReadFile(folder, "config.json")
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	c := &timmConfig{Pool: "token"}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	file, err := opts.load().OpenFolder(folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := weights.NewReader(file)
	sizes, err := c.sizes(r, opts)
	if err != nil {
		return nil, err
	}
	tower := vit.ReadTimm(r, "", sizes)
	head := &classifier{width: sizes.Width}
	head.rows = r.Tensor("head.weight", c.Classes, sizes.Width)
	head.bias = r.Tensor("head.bias", c.Classes)
	if err := r.Done(); err != nil {
		return nil, err
	}
	if head.names, err = c.labels(folder); err != nil {
		return nil, err
	}
	m = &Model{
		Tower: tower, Name: c.Architecture, Recipe: c.recipe(), MapSize: clip.MapSide(sizes.Patch),
		MapLayers: clip.LastLayers(sizes.Layers), Classes: head.names, Scale: 1, Texts: head,
	}
	m.Keep(file)
	return m, nil
}

func (c *timmConfig) check() error {
	if !timmNames.MatchString(c.Architecture+"_") || timmOther.MatchString(c.Architecture+"_") {
		return &UnknownError{Type: "timm", Architectures: []string{c.Architecture}}
	}
	if c.Classes <= 0 {
		return fmt.Errorf("%s has %d classes: without classes there is nothing to ask an image for", c.Architecture, c.Classes)
	}
	if c.Arguments.Pool != "" {
		c.Pool = c.Arguments.Pool
	}
	if c.Pool != "token" && c.Pool != "avg" {
		return fmt.Errorf("global_pool is %q, want token or avg", c.Pool)
	}
	if n := len(c.Pretrained.Input); n != 3 || c.Pretrained.Input[0] != 3 {
		return fmt.Errorf("pretrained_cfg.input_size is %v, want 3 channels, height and width", c.Pretrained.Input)
	}
	if c.Arguments.ImageSize == nil {
		c.Arguments.ImageSize = &clip.Pair{c.Pretrained.Input[1], c.Pretrained.Input[2]}
	}
	return nil
}

// sizes reads the tower's sizes off its tensors.
func (c *timmConfig) sizes(r *weights.Reader, opts Options) (vit.TimmTower, error) {
	patches, table := r.Shape("patch_embed.proj.weight"), r.Shape("pos_embed")
	raised := r.Shape("blocks.0.mlp.fc1.weight")
	if len(patches) != 4 || len(table) != 3 || len(raised) != 2 || patches[0] == 0 || patches[2] == 0 {
		return vit.TimmTower{}, fmt.Errorf("read model: patch_embed.proj.weight %v, pos_embed %v and blocks.0.mlp.fc1.weight %v "+
			"are not those of a vision transformer", patches, table, raised)
	}
	d, patch := patches[0], patches[2]
	t := vit.TimmTower{
		Stack: vit.Stack{
			Width: d, Wide: raised[0], Heads: c.heads(d), Epsilon: 1e-6, Activation: nn.GELU, Precision: opts.Precision,
			LayerScale: r.Has("blocks.0.ls1.gamma"), BareQKV: !r.Has("blocks.0.attn.qkv.bias"),
		},
		Patch: patch, ClassToken: r.Has("cls_token"), PreNorm: r.Has("norm_pre.weight"),
		Grid: [2]int{c.Arguments.ImageSize[0] / patch, c.Arguments.ImageSize[1] / patch},
	}
	for r.Has(fmt.Sprintf("blocks.%d.norm1.weight", t.Layers)) {
		t.Layers++
	}
	if registers := r.Shape("reg_token"); len(registers) == 3 {
		t.Registers = registers[1]
	}
	t.BareFirst = table[1] == t.Grid[0]*t.Grid[1]
	if strings.Contains(c.Architecture, "_clip_") { // as CLIP's towers
		t.Epsilon = 1e-5
	}
	if strings.Contains(c.Architecture, "quickgelu") {
		t.Activation = nn.QuickGELU
	}
	if opts.Activation != nil {
		t.Activation = *opts.Activation
	}
	if t.Grid[0] <= 0 || t.Grid[1] <= 0 {
		return t, fmt.Errorf("read config.json: images of %v cannot be cut into patches of %d", *c.Arguments.ImageSize, patch)
	}
	if t.Heads <= 0 || d%t.Heads != 0 {
		return t, fmt.Errorf("read config.json: a width of %d is not %d heads of one size", d, t.Heads)
	}
	t.Pool = func() vit.Pool { return c.pool(r, &t) }
	return t, nil
}

// heads is what timm's architectures of a width have: heads of 64, but for the largest.
func (c *timmConfig) heads(d int) int {
	switch {
	case c.Arguments.Heads > 0:
		return c.Arguments.Heads
	case d > 1024 || strings.HasPrefix(c.Architecture, "vit_base_patch16_gap"):
		return 16
	}
	return d / 64
}

// pool reads the last LayerNorm, which stands before the pooling or behind it.
func (c *timmConfig) pool(r *weights.Reader, t *vit.TimmTower) vit.Pool {
	p := &vit.TokenPool{Of: vit.Class, Prefix: t.Registers}
	if t.ClassToken {
		p.Prefix++
	}
	name := "norm"
	if r.Has("fc_norm.weight") {
		name = "fc_norm"
	}
	if c.Pool == "avg" {
		p.Of = vit.NormPatches
		if name == "fc_norm" {
			p.Of = vit.Patches
		}
	} else if !t.ClassToken {
		r.Fail(errors.New("global_pool is token, and the model has no cls_token"))
	}
	p.Norm = vit.ReadNorm(r, name, t.Width, t.Epsilon)
	return p
}

// recipe prepares pictures as timm evaluates: a part of the shorter side is cut out.
func (c *timmConfig) recipe() picture.Recipe {
	p := &c.Pretrained
	r := picture.Recipe{
		Size: [2]int{p.Input[2], p.Input[1]}, Mode: picture.ShortestCrop, Filter: picture.Bicubic,
		Mean: picture.ImageNetMean, Std: picture.ImageNetStd,
	}
	if p.Filter == "bilinear" {
		r.Filter = picture.Bilinear
	}
	if len(p.Mean) == 3 && len(p.Std) == 3 && !slices.Contains(p.Std, 0) {
		r.Mean, r.Std = [3]float32(p.Mean), [3]float32(p.Std)
	}
	switch {
	case p.CropMode == "squash":
		r.Mode = picture.Squash
	case p.CropPart > 0 && p.CropPart < 1:
		r.Shortest = int(float64(max(r.Size[0], r.Size[1])) / p.CropPart)
	}
	return r
}

// labelFiles may hold a class's name a line, where config.json names none.
var labelFiles = []string{"labels.txt", "classes.txt", "imagenet_classes.txt"}

// labels returns the names of the classes; without any, their numbers.
func (c *timmConfig) labels(folder fs.FS) ([]string, error) {
	names := slices.Clone(c.Labels)
	for i, name := range names {
		if said := c.Descriptions[name]; said != "" {
			names[i] = said
		}
	}
	for _, file := range labelFiles {
		if len(names) > 0 {
			break
		}
		data, err := fs.ReadFile(folder, file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read model: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			names = append(names, strings.TrimSpace(line))
		}
	}
	if len(names) == 0 {
		for i := range c.Classes {
			names = append(names, strconv.Itoa(i))
		}
	}
	if len(names) != c.Classes {
		return nil, fmt.Errorf("read model: %d names for %d classes", len(names), c.Classes)
	}
	return names, nil
}
