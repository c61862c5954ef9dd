// Package clip reads CLIP (Radford et al. 2021, arXiv:2103.00020) and its kin (OpenCLIP, MetaCLIP, DFN, CLIPA's image
// towers) from the folders of OpenCLIP and of Hugging Face, in float32, float16 or bfloat16.
//
// OpenCLIP's folder has open_clip_config.json and open_clip_model.safetensors, Hugging Face's config.json and
// model.safetensors. Both name the activation of the feed-forward blocks, and a checkpoint runs with the
// wrong one without complaint: OpenAI's own weights, MetaCLIP, DFN and LAION-400M's ViT-B/32 want quick-GELU.
// Where a config is known to be wrong, [Options] overrides it.
package clip

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// Options tunes loading. The zero value takes everything from the folder.
type Options struct {
	Precision  nn.Precision
	CacheDir   string         // as of [vit.LoadOptions]
	Activation *nn.Activation // of both towers' feed-forward blocks, instead of the config's
}

func (o Options) load() vit.LoadOptions {
	return vit.LoadOptions{Precision: o.Precision, CacheDir: o.CacheDir}
}

func (o Options) activation(named nn.Activation) nn.Activation {
	if o.Activation != nil {
		return *o.Activation
	}
	return named
}

// vocabularySize is that of the merge table that OpenAI published with CLIP.
const vocabularySize = 49408

// Texts makes vectors of texts: a tokenizer before a [TextTower].
type Texts struct {
	Tower     *TextTower
	tokenizer *tokenize.CLIP // nil where the folder has none and CLIP's own does not fit
}

// EncodeTexts implements [vit.TextEncoder].
func (t *Texts) EncodeTexts(ctx context.Context, texts []string) ([]vit.Text, error) {
	if t.tokenizer == nil {
		return nil, fmt.Errorf("encode texts: the model's folder has no tokenizer: %w", fs.ErrNotExist)
	}
	inputs, cut := make([][]int32, len(texts)), make([]bool, len(texts))
	for i, text := range texts {
		ids, left := t.tokenizer.Encode(text)
		inputs[i], cut[i] = ids, left > 0
	}
	out, err := t.Tower.Encode(ctx, inputs)
	for i := range out {
		out[i].Cut = cut[i]
	}
	return out, err
}

// newTexts finds the tokenizer of a text tower: the folder's, or that of OpenAI's CLIP where it has none and
// the sizes agree.
func newTexts(folder fs.FS, tower *TextTower, opts tokenize.CLIPOptions) (*Texts, error) {
	opts.Context = tower.Context
	t := &Texts{Tower: tower}
	var err error
	t.tokenizer, err = tokenize.LoadCLIP(folder, opts)
	if errors.Is(err, fs.ErrNotExist) {
		if tower.Vocabulary != vocabularySize {
			return t, nil
		}
		t.tokenizer, err = tokenize.DefaultCLIP(opts)
	}
	if err != nil {
		return nil, err
	}
	if n := t.tokenizer.Size(); n > tower.Vocabulary {
		return nil, fmt.Errorf("the tokenizer has %d tokens, the config promises %d", n, tower.Vocabulary)
	}
	return t, nil
}

// ReadScale reads what turns cosines into logits: the tensors logit_scale, a logarithm, and logit_bias, where
// there is one, with any number of dimensions of 1.
func ReadScale(r *weights.Reader) (scale, bias float32) {
	one := func(name string) float32 {
		values := r.Tensor(name, r.Shape(name)...)
		if len(values) != 1 {
			r.Fail(&weights.ShapeError{Name: name, Got: r.Shape(name), Want: []int{}})
			return 0
		}
		return values[0]
	}
	scale = float32(math.Exp(float64(one("logit_scale"))))
	if r.Has("logit_bias") {
		bias = one("logit_bias")
	}
	return scale, bias
}

// family names a vision transformer as its authors do: by width, and by the side of a patch.
func family(layers, width, patch int) string {
	for _, known := range []struct {
		letter        string
		layers, width int
	}{
		{"S", 12, 384},
		{"M", 12, 512},
		{"B", 12, 768},
		{"L", 24, 1024},
		{"H", 32, 1280},
		{"g", 40, 1408},
		{"bigG", 48, 1664},
		{"e", 56, 1792},
	} {
		if known.layers == layers && known.width == width {
			return fmt.Sprintf("ViT-%s/%d", known.letter, patch)
		}
	}
	return fmt.Sprintf("ViT-%d×%d/%d", layers, width, patch)
}

// MapSide is the pixels a side nearest to 448 that a patch divides, as the reference explains images.
func MapSide(patch int) int { return max(1, (448+patch/2)/patch) * patch }

// LastLayers is the two layers whose maps the reference adds.
func LastLayers(layers int) []int {
	if layers < 2 {
		return []int{0}
	}
	return []int{layers - 2, layers - 1}
}
