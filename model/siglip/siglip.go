// Package siglip reads SigLIP (Zhai et al., "Sigmoid Loss for Language Image Pre-Training", arXiv:2303.15343) and
// SigLIP 2 of a fixed resolution (Tschannen et al., arXiv:2502.14786), from folders of OpenCLIP, whose image
// tower has timm's names, and of Hugging Face.
//
// Shapes: N is the number of patches, SigLIP having no class token; D the width of the image tower and the length
// of a vector.
package siglip

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"evident/internal/picture"
	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/model/clip"
	"evident/model/vit"
	"evident/nn"
)

// Options tunes loading. The zero value takes everything from the folder.
type Options = vit.LoadOptions

// Texts makes vectors of texts: a tokenizer before a tower in which every token sees every other, padding
// included, and the last place, mostly padding, becomes the vector.
type Texts struct {
	Tower     *clip.TextTower
	tokenizer *tokenize.SigLIP
	missing   error // why there is no tokenizer
}

// together bounds the texts that are encoded at once, and with them the memory that many take.
const together = 32

// EncodeTexts implements [vit.TextEncoder].
func (t *Texts) EncodeTexts(ctx context.Context, texts []string) ([]vit.Text, error) {
	if t.tokenizer == nil {
		return nil, fmt.Errorf("encode texts: %w", t.missing)
	}
	out := make([]vit.Text, 0, len(texts))
	for part := range slices.Chunk(texts, together) {
		inputs, cut := make([][]int32, len(part)), make([]int, len(part))
		for i, text := range part {
			inputs[i], cut[i] = t.tokenizer.Encode(text)
		}
		encoded, err := t.Tower.Encode(ctx, inputs)
		if err != nil {
			return nil, err
		}
		for i := range encoded {
			encoded[i].Cut = cut[i] > 0
		}
		out = append(out, encoded...)
	}
	return out, nil
}

// newTexts finds the tokenizer of a text tower. A folder without one still makes vectors of images.
func newTexts(folder fs.FS, tower *clip.TextTower, opts tokenize.SigLIPOptions) (*Texts, error) {
	t := &Texts{Tower: tower}
	opts.Context = tower.Context
	tokenizer, err := tokenize.LoadSigLIP(folder, opts)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.missing = err
		return t, nil
	case err != nil:
		return nil, err
	case tokenizer.Size() > tower.Vocabulary:
		return nil, fmt.Errorf("tokenizer.json has %d tokens, the config promises %d", tokenizer.Size(), tower.Vocabulary)
	}
	t.tokenizer = tokenizer
	return t, nil
}

// newModel puts a model together from what was read with r.
func newModel(r *weights.Reader, s vit.Stack, patch int, tower *vit.Tower, recipe picture.Recipe) (*vit.Model, error) {
	m := &vit.Model{
		Name: fmt.Sprintf("SigLIP %s/%d", nameOf(s), patch), Tower: tower, Recipe: recipe,
		MapSize: clip.MapSide(patch), MapLayers: clip.LastLayers(s.Layers), Prompt: "a photo of a {}",
	}
	m.Scale, m.Bias = clip.ReadScale(r)
	return m, r.Done()
}

// nameOf is what the authors call an image tower of this size.
func nameOf(s vit.Stack) string {
	for _, known := range timmSizes {
		if known.Width == s.Width && known.Layers == s.Layers {
			return known.name
		}
	}
	return fmt.Sprintf("ViT-%d×%d", s.Layers, s.Width)
}

// poolWeights is a checkpoint's pool up to its feed-forward block, whatever it is called there.
type poolWeights struct {
	latent                     []float32 // [D]
	query, queryBias           []float32 // [D, D], [D]
	keysValues, keysValuesBias []float32 // [2D, D], [2D]
	out, outBias               []float32 // [D, D], [D]
}

// readPool reads the feed-forward block of the pool at a prefix and puts the pool together; tokenNorm is the
// tower's last.
func readPool(
	r *weights.Reader, at, norm string, s vit.Stack, tokenNorm *nn.LayerNorm, w poolWeights,
) vit.Pool {
	d := s.Width
	p := &Pool{
		tokenNorm: tokenNorm, activation: s.Activation, norm: vit.ReadNorm(r, at+norm, d, s.Epsilon),
		up:   vit.ReadLinear(r, at+"mlp.fc1", d, s.Wide, nn.FP32),
		down: vit.ReadLinear(r, at+"mlp.fc2", s.Wide, d, nn.FP32),
	}
	if r.Err() != nil {
		return nil
	}
	query := make([]float32, d)
	nn.NewLinear(w.query, w.queryBias, d, d, nn.FP32).Forward(query, w.latent, 1)
	p.attention = nn.NewQueryAttention(nn.QueryParts{
		In: d, Size: d, Heads: s.Heads, Query: query, Keys: w.keysValues[:d*d],
		Values: w.keysValues[d*d:], ValuesBias: w.keysValuesBias[d:], Out: w.out, OutBias: w.outBias,
	})
	return p
}
