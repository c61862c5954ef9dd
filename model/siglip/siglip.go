// Package siglip reads SigLIP (Zhai et al., "Sigmoid Loss for Language Image Pre-Training", arXiv:2303.15343) and
// SigLIP 2 of a fixed resolution (Tschannen et al., arXiv:2502.14786), from folders of OpenCLIP, whose image
// tower has timm's names, and of Hugging Face.
//
// Shapes: N is the number of patches, SigLIP having no class token; D the width of the image tower, Dt that of
// the texts'; E the length of a vector, which is D.
package siglip

import (
	"errors"
	"fmt"
	"io/fs"
	"math"

	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// Options tunes [Load]. The zero value takes everything from the folder.
type Options struct {
	Precision nn.Precision
}

// Load reads a SigLIP model from its folder: open_clip_config.json with open_clip_model.safetensors, or
// config.json with model.safetensors, and tokenizer.json. A tensor that is missing, left over or of another
// shape than the config promises is an error that names it. A folder without tokenizer.json makes vectors of
// images, and an error of texts.
func Load(folder fs.FS, opts Options) (*vit.Model, error) {
	c, err := readConfig(folder)
	if err != nil {
		return nil, err
	}
	texts := &Texts{Context: c.context}
	texts.tokenizer, err = tokenize.LoadSigLIP(folder, tokenize.SigLIPOptions{
		Context: c.context, HuggingFace: c.huggingFaceLayout,
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		texts.missing = err
	case err != nil:
		return nil, err
	case texts.tokenizer.Size() > c.vocabulary:
		return nil, fmt.Errorf("tokenizer.json has %d tokens, the config %d", texts.tokenizer.Size(), c.vocabulary)
	}
	c.vision.Precision, c.text.Precision = opts.Precision, opts.Precision
	m := &vit.Model{
		Name: c.name, Recipe: c.recipe, MapSize: c.grid() * c.patch, Prompt: "a photo of a {}", Texts: texts,
		MapLayers: []int{max(0, c.vision.Layers-2), c.vision.Layers - 1}, // as the authors' code of LeGrad
	}
	return m, c.read(folder, m, texts)
}

// read fills in what the weights file holds.
func (c *config) read(folder fs.FS, m *vit.Model, texts *Texts) (err error) {
	var file *weights.File
	if c.huggingFaceLayout {
		file, err = weights.OpenFolder(folder)
	} else {
		file, err = weights.OpenFS(folder, "open_clip_model.safetensors")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := weights.NewReader(file)
	if c.huggingFaceLayout {
		r.Skip("vision_model.embeddings.position_ids", "text_model.embeddings.position_ids") // 0, 1, 2, …
		m.Tower = c.huggingFaceVision(r)
		c.huggingFaceTexts(r, texts)
	} else {
		m.Tower = c.timmVision(r)
		c.openCLIPTexts(r, texts)
	}
	m.Scale, m.Bias = readLogits(r)
	return r.Done()
}

// readLogits returns what multiplies a cosine and what is added. Files have them as numbers or as lists of one.
func readLogits(r *weights.Reader) (scale, bias float32) {
	number := func(name string) float32 {
		if values := r.Tensor(name, r.Shape(name)...); len(values) == 1 {
			return values[0]
		}
		r.Fail(fmt.Errorf("tensor %q has the shape %v, want one number", name, r.Shape(name)))
		return 0
	}
	scale = float32(math.Exp(float64(number("logit_scale"))))
	return scale, number("logit_bias")
}
