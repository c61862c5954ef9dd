// Package vision loads vision-language models from the folders people have: evident's own, OpenCLIP's, and
// Hugging Face's of CLIP and SigLIP, and image classifiers of timm. Whatever the folder, what comes out is one
// [Model], which encodes images and texts and says how pictures are prepared for it.
package vision

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"

	"evident/model/vit"
	"evident/nn"
)

// Model is a vision-language model.
type Model = vit.Model

// Text is an encoded text.
type Text = vit.Text

// Options tunes [LoadWith]. The zero value takes everything from the folder.
type Options struct {
	Precision nn.Precision
}

// Load reads a model from its folder, in the best precision of the CPU. Which loader reads it follows from
// the config files in the folder; a tensor that is missing, left over or of another shape than the config
// promises is an error that names it.
func Load(folder fs.FS) (*Model, error) { return LoadWith(folder, Options{}) }

// LoadWith is Load with options.
func LoadWith(folder fs.FS, opts Options) (*Model, error) {
	data, err := fs.ReadFile(folder, "config.json")
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	var c struct {
		Architectures []string `json:"architectures"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	if slices.Contains(c.Architectures, ownArchitecture) {
		return loadOwn(folder, opts)
	}
	return nil, fmt.Errorf("read config.json: the architecture is %q, want %q", c.Architectures, ownArchitecture)
}
