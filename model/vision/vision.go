// Package vision loads vision-language models from the folders people have: evident's own, OpenCLIP's, and
// Hugging Face's of CLIP and SigLIP, and image classifiers of timm. Whatever the folder, what comes out is one
// [Model], which encodes images and texts and says how pictures are prepared for it.
package vision

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"evident/model/clip"
	"evident/model/siglip"
	"evident/model/vit"
	"evident/nn"
)

// Model is a vision-language model.
type Model = vit.Model

// Text is an encoded text.
type Text = vit.Text

// Options tunes [LoadWith]. The zero value takes everything from the folder.
type Options struct {
	Precision  nn.Precision
	CacheDir   string         // evident's cache folder, for packed weights; "" means that none are kept
	Activation *nn.Activation // of CLIP's feed-forward blocks, where the folder's config is known to be wrong
}

func (o Options) load() vit.LoadOptions {
	return vit.LoadOptions{Precision: o.Precision, CacheDir: o.CacheDir}
}

// Load reads a model from its folder, in the best precision of the CPU. Which loader reads it follows from
// the config files in the folder; a tensor that is missing, left over or of another shape than the config
// promises is an error that names it.
func Load(folder fs.FS) (*Model, error) { return LoadWith(folder, Options{}) }

// LoadWith is Load with options.
func LoadWith(folder fs.FS, opts Options) (*Model, error) {
	_, err := fs.Stat(folder, "open_clip_config.json")
	if err == nil {
		return loadOpen(folder, opts)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read model: %w", err)
	}
	data, err := fs.ReadFile(folder, "config.json")
	if err != nil {
		return nil, fmt.Errorf("read model: the folder has neither open_clip_config.json nor config.json: %w", err)
	}
	var c struct {
		Type          string   `json:"model_type"`
		Architecture  string   `json:"architecture"` // of timm
		Architectures []string `json:"architectures"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	switch {
	case slices.Contains(c.Architectures, ownArchitecture):
		return loadOwn(folder, opts)
	case c.Type == "clip":
		return clip.LoadHF(folder, clip.Options(opts))
	case c.Type == "siglip" || c.Type == "siglip2":
		return siglip.LoadHF(folder, opts.load())
	case c.Architecture != "" && c.Type == "":
		return loadTimm(folder, opts)
	}
	return nil, &UnknownError{Type: c.Type, Architectures: append(c.Architectures, c.Architecture)}
}

// loadOpen reads a folder of OpenCLIP.
func loadOpen(folder fs.FS, opts Options) (*Model, error) {
	c, err := clip.ReadOpenConfig(folder)
	if err != nil {
		return nil, err
	}
	if siglip.IsOpen(c) {
		return siglip.LoadOpen(folder, opts.load())
	}
	return clip.LoadOpen(folder, clip.Options(opts))
}

// UnknownError says that a folder holds a model of a kind that is not read here.
type UnknownError struct {
	Type          string   // model_type of config.json
	Architectures []string // what it says of the architecture
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("config.json is of model type %q and architecture %q: known are OpenCLIP, CLIP, SigLIP, "+
		"vision transformers of timm, and evident's own", e.Type, strings.Join(e.Architectures, " "))
}
