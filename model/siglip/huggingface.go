package siglip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"evident/model/vit"
	"evident/nn"
)

// huggingFaceTower is vision_config or text_config. What a file leaves out has the value of transformers'
// classes, SigLIP B/16's.
type huggingFaceTower struct {
	Width      int     `json:"hidden_size"`
	Wide       int     `json:"intermediate_size"`
	Layers     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"`
	Activation string  `json:"hidden_act"`
	Epsilon    float32 `json:"layer_norm_eps"`

	ImageSize int   `json:"image_size"`
	Patch     int   `json:"patch_size"`
	Channels  int   `json:"num_channels"`
	UseHead   *bool `json:"vision_use_head"`

	Vocabulary int `json:"vocab_size"`
	Context    int `json:"max_position_embeddings"`
	Projection int `json:"projection_size"`
}

func huggingFaceDefaults() huggingFaceTower {
	return huggingFaceTower{
		Width: 768, Wide: 3072, Layers: 12, Heads: 12, Activation: "gelu_pytorch_tanh", Epsilon: 1e-6,
		ImageSize: 224, Patch: 16, Channels: 3, Vocabulary: 32000, Context: 64,
	}
}

// stack returns the sizes of the blocks.
func (t *huggingFaceTower) stack() (vit.Stack, error) {
	s := vit.Stack{Width: t.Width, Layers: t.Layers, Heads: t.Heads, Wide: t.Wide, Epsilon: t.Epsilon}
	switch t.Activation {
	case "gelu_pytorch_tanh", "gelu_new":
		s.Activation = nn.GELUTanh
	case "gelu":
		s.Activation = nn.GELU
	default:
		return s, fmt.Errorf("hidden_act %q is not known", t.Activation)
	}
	return s, nil
}

func readHuggingFace(data []byte, folder fs.FS) (*config, error) {
	f := struct {
		ModelType string           `json:"model_type"`
		Vision    huggingFaceTower `json:"vision_config"`
		Text      huggingFaceTower `json:"text_config"`
	}{Vision: huggingFaceDefaults(), Text: huggingFaceDefaults()}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	v, t := &f.Vision, &f.Text
	switch {
	case f.ModelType == "siglip2":
		return nil, errors.New("model_type siglip2 is the variant for images of native sizes (NaFlex): " +
			"of SigLIP 2 only the models of a fixed resolution are known")
	case f.ModelType != "siglip":
		return nil, fmt.Errorf("model_type is %q, want siglip", f.ModelType)
	case v.UseHead != nil && !*v.UseHead:
		return nil, errors.New("vision_use_head is false: without its head the model makes no vectors of images")
	case v.Channels != 3:
		return nil, fmt.Errorf("vision_config.num_channels is %d, want 3", v.Channels)
	}
	if t.Projection == 0 {
		t.Projection = t.Width
	}
	c := &config{
		name:  fmt.Sprintf("SigLIP %d×%d/%d", v.Layers, v.Width, v.Patch),
		patch: v.Patch, imageSize: v.ImageSize, vocabulary: t.Vocabulary, context: t.Context, size: t.Projection,
		projected: true, projectionBias: true, huggingFaceLayout: true,
	}
	var visionErr, textErr error
	c.vision, visionErr = v.stack()
	c.text, textErr = t.stack()
	var recipeErr error
	c.recipe, recipeErr = readRecipe(folder, v.ImageSize)
	return c, errors.Join(visionErr, textErr, recipeErr)
}

// readRecipe reads preprocessor_config.json; without one it is SigLIP's.
func readRecipe(folder fs.FS, side int) (vit.Recipe, error) {
	recipe := vit.Recipe{
		Size: [2]int{side, side}, Mode: vit.Squash, Filter: vit.Bicubic,
		Mean: [3]float32{.5, .5, .5}, Std: [3]float32{.5, .5, .5},
	}
	const name = "preprocessor_config.json"
	data, err := fs.ReadFile(folder, name)
	if errors.Is(err, fs.ErrNotExist) {
		return recipe, nil
	}
	if err != nil {
		return recipe, err
	}
	var f struct {
		Size struct {
			Height int `json:"height"`
			Width  int `json:"width"`
		} `json:"size"`
		Resample *int        `json:"resample"`
		Mean     *[3]float32 `json:"image_mean"`
		Std      *[3]float32 `json:"image_std"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return recipe, fmt.Errorf("read %s: %w", name, err)
	}
	if f.Size.Height > 0 && f.Size.Width > 0 {
		recipe.Size = [2]int{f.Size.Height, f.Size.Width}
	}
	if f.Mean != nil {
		recipe.Mean = *f.Mean
	}
	if f.Std != nil {
		recipe.Std = *f.Std
	}
	if f.Resample != nil {
		filter, ok := map[int]vit.Filter{2: vit.Bilinear, 3: vit.Bicubic}[*f.Resample] // Pillow's numbers
		if !ok {
			return recipe, fmt.Errorf("read %s: resample is %d, known are 2 (bilinear) and 3 (bicubic)", name, *f.Resample)
		}
		recipe.Filter = filter
	}
	return recipe, nil
}
