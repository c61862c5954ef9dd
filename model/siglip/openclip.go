package siglip

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"evident/internal/picture"
	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/model/clip"
	"evident/model/vit"
	"evident/nn"
)

// timmSize is an image tower of SigLIP by the first part of its name in timm.
type timmSize struct {
	timm, name                 string
	Width, Layers, Heads, Wide int
}

var timmSizes = []timmSize{
	{"vit_base", "ViT-B", 768, 12, 12, 3072},
	{"vit_large", "ViT-L", 1024, 24, 16, 4096},
	{"vit_so400m", "ViT-SO400M", 1152, 27, 16, 4304},
	{"vit_giantopt", "ViT-gopt", 1536, 40, 16, 6144},
}

// timmTanh are the towers whose GELU is the tanh approximation, as timm 1.0.22 defines them; in all others it
// is exact. Weights say nothing of it.
var timmTanh = []string{
	"vit_base_patch32_siglip", "vit_large_patch16_siglip_512", "vit_so400m_patch16_siglip", "vit_giantopt",
}

// IsOpen reports whether a folder of OpenCLIP has a SigLIP model: an image tower of timm of that name.
func IsOpen(c *clip.OpenConfig) bool { return strings.Contains(c.Model.Vision.TimmName, "siglip") }

// LoadOpen reads a folder of OpenCLIP: open_clip_config.json, open_clip_model.safetensors and tokenizer.json. A
// tensor that is missing, left over or of another shape than the config promises is an error that names it.
func LoadOpen(folder fs.FS, opts Options) (m *vit.Model, err error) {
	const name = "open_clip_config.json"
	c, err := clip.ReadOpenConfig(folder)
	if err != nil {
		return nil, err
	}
	if err := checkOpen(c); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	t, err := timmTower(&c.Model.Vision)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	recipe, err := c.Recipe()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if c.Preprocess.Mean == nil && c.Preprocess.Std == nil && c.Preprocess.Resize == "" {
		recipe.Mode, recipe.Mean, recipe.Std = picture.Squash, picture.HalfMean, picture.HalfMean
	}
	file, err := clip.OpenWeights(folder, opts.Pack())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := weights.NewReader(file)
	t.Precision = opts.Precision
	tower := readTimm(r, t)
	text := clip.ReadOpenText(r, c, clip.Options{Precision: opts.Precision})
	m, err = newModel(r, t.Stack, t.Patch, tower, recipe)
	if err != nil {
		return nil, err
	}
	m.Keep(file)
	m.Texts, err = newTexts(folder, text, tokenize.SigLIPOptions{})
	return m, err
}

// checkOpen refuses what would be computed wrongly.
func checkOpen(c *clip.OpenConfig) error {
	v, t := &c.Model.Vision, &c.Model.Text
	for name, is := range map[string][2]string{
		"vision_cfg.timm_pool": {v.TimmPool, "map"}, "text_cfg.pool_type": {t.Pool, "last"},
	} {
		if is[0] != is[1] {
			return fmt.Errorf("%s is %q, of SigLIP only %q is known", name, is[0], is[1])
		}
	}
	if v.TimmProj != "none" && v.TimmProj != "" {
		return fmt.Errorf("vision_cfg.timm_proj is %q, of SigLIP only none is known", v.TimmProj)
	}
	if !t.NotCausal {
		return errors.New("text_cfg.no_causal_mask is not set: SigLIP's texts see all of themselves")
	}
	return nil
}

// timmTower takes the sizes of the image tower from the name of timm's model.
func timmTower(v *clip.OpenVision) (t vit.TimmTower, err error) {
	size, rest, _ := strings.Cut(v.TimmName, "_patch")
	for _, known := range timmSizes {
		if known.timm == size {
			t.Stack = vit.Stack{Width: known.Width, Layers: known.Layers, Heads: known.Heads, Wide: known.Wide}
		}
	}
	_, err = fmt.Sscanf(rest, "%d_siglip", &t.Patch)
	if err != nil || t.Width == 0 || strings.Contains(v.TimmName, "_gap_") {
		return t, fmt.Errorf("vision_cfg.timm_model_name %q is no tower of SigLIP that is known", v.TimmName)
	}
	if s := v.TimmSizes; s != nil {
		t.Stack, t.Patch = vit.Stack{Width: s.Width, Layers: s.Layers, Heads: s.Heads, Wide: 4 * s.Width}, s.Patch
	}
	if t.Width <= 0 || t.Layers <= 0 || t.Heads <= 0 || t.Patch <= 0 || t.Width%t.Heads != 0 {
		return t, fmt.Errorf("width %d, %d layers, %d heads and patches of %d are no tower",
			t.Width, t.Layers, t.Heads, t.Patch)
	}
	t.Epsilon, t.Activation = 1e-6, nn.GELU
	for _, prefix := range timmTanh {
		if strings.HasPrefix(v.TimmName, prefix) {
			t.Activation = nn.GELUTanh
		}
	}
	t.Grid = [2]int{v.ImageSize[0] / t.Patch, v.ImageSize[1] / t.Patch}
	if t.Grid[0] < 1 || t.Grid[1] < 1 {
		return t, fmt.Errorf("vision_cfg.image_size %v has no patch of %d", v.ImageSize, t.Patch)
	}
	return t, nil
}

// readTimm reads the image tower by timm's names; after an error of r it returns nil.
func readTimm(r *weights.Reader, t vit.TimmTower) *vit.Tower {
	const at, head = "visual.trunk.", "visual.trunk.attn_pool."
	d := t.Width
	t.Pool = func() vit.Pool {
		return readPool(r, head, "norm", t.Stack, vit.ReadNorm(r, at+"norm", d, t.Epsilon), poolWeights{
			latent: r.Tensor(head+"latent", 1, 1, d),
			query:  r.Tensor(head+"q.weight", d, d), queryBias: r.Tensor(head+"q.bias", d),
			keysValues: r.Tensor(head+"kv.weight", 2*d, d), keysValuesBias: r.Tensor(head+"kv.bias", 2*d),
			out: r.Tensor(head+"proj.weight", d, d), outBias: r.Tensor(head+"proj.bias", d),
		})
	}
	return vit.ReadTimm(r, at, t)
}
