package bert

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"evident/nn"
)

// config is what all three families need to know of themselves, in BERT's words.
type config struct {
	family       *family
	architecture string // "BertForQuestionAnswering"; may be empty

	Vocabulary int
	Width      int // d
	Layers     int
	Heads      int
	Inner      int // ff
	Positions  int // rows of the position table
	Segments   int // rows of the segment table; 0 when the family has none
	Pad        int
	Epsilon    float64
	Activation string
}

// family is where a kind of encoder keeps its settings and its tensors.
type family struct {
	name         string // model_type
	architecture string // how the names of its architectures begin
	prefix       string // of its tensors' names inside a model with heads; may be left out

	read func(data []byte) (config, error)

	// first is the row of the position table that the first token of a sequence takes.
	first func(c *config) int

	words, positions, segments, norm string // tensors of the embedding; segments may be ""
	layer                            layerNames
}

// layerNames are the tensors of layer %d, without .weight and .bias.
type layerNames struct {
	query, key, value, out, attentionNorm string
	up, down, feedForwardNorm             string
}

// families lists the supported ones; an architecture is looked up by its beginning, so longer
// names come first.
var families = []*family{&distilBERT, &roBERTa, &bertFamily}

// activations maps the names found in checkpoints.
var activations = map[string]nn.Activation{
	"gelu": nn.GELU, "gelu_python": nn.GELU,
	"gelu_new": nn.GELUTanh, "gelu_fast": nn.GELUTanh, "gelu_pytorch_tanh": nn.GELUTanh,
	"quick_gelu": nn.QuickGELU, "relu": nn.ReLU,
}

// jointArchitecture marks a folder that holds evident's joint reader.
const jointArchitecture = "EvidentJointReader"

func readConfig(folder fs.FS, data []byte) (*config, error) {
	if data == nil {
		var err error
		if data, err = fs.ReadFile(folder, "config.json"); err != nil {
			return nil, fmt.Errorf("read model: %w", err)
		}
	}
	c, err := parseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	return c, nil
}

func parseConfig(data []byte) (*config, error) {
	var head struct {
		Architectures []string `json:"architectures"`
		ModelType     string   `json:"model_type"`
		Positions     *string  `json:"position_embedding_type"`
		Decoder       bool     `json:"is_decoder"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	architecture := ""
	if len(head.Architectures) > 0 {
		architecture = head.Architectures[0]
	}
	f := familyOf(head.ModelType, architecture)
	if f == nil {
		return nil, fmt.Errorf("model_type %q with architecture %q is not supported: "+
			"want BERT, RoBERTa or DistilBERT", head.ModelType, architecture)
	}
	if head.Positions != nil && *head.Positions != "absolute" {
		return nil, fmt.Errorf("position_embedding_type %q is not supported: want absolute",
			*head.Positions)
	}
	if head.Decoder {
		return nil, fmt.Errorf("is_decoder is true, but only encoders are supported")
	}
	c, err := f.read(data)
	if err != nil {
		return nil, err
	}
	c.family, c.architecture = f, architecture
	return &c, c.check()
}

// familyOf finds a family by its model_type, or else by the architecture's name.
func familyOf(modelType, architecture string) *family {
	for _, f := range families {
		if modelType == f.name {
			return f
		}
	}
	for _, f := range families {
		if modelType == "" && strings.HasPrefix(architecture, f.architecture) {
			return f
		}
	}
	if (architecture == jointArchitecture || architecture == phraseArchitecture) && modelType == "" {
		return &bertFamily
	}
	return nil
}

// sizeMax bounds the settings, so that products of two fit an int anywhere.
const sizeMax = 1 << 24

func (c *config) check() error {
	for _, s := range []struct {
		name       string
		value, min int
	}{
		{"vocabulary size", c.Vocabulary, 1},
		{"width", c.Width, 1},
		{"number of layers", c.Layers, 0},
		{"number of heads", c.Heads, 1},
		{"feed-forward width", c.Inner, 1},
		{"number of positions", c.Positions, 1},
		{"number of segments", c.Segments, 0},
		{"padding id", c.Pad, 0},
	} {
		if s.value < s.min || s.value > sizeMax {
			return fmt.Errorf("the %s is %d, allowed are %d to %d", s.name, s.value, s.min, sizeMax)
		}
	}
	if c.Width%c.Heads != 0 {
		return fmt.Errorf("the width %d is not a multiple of the %d heads", c.Width, c.Heads)
	}
	if !(c.Epsilon >= 0 && c.Epsilon < 1) {
		return fmt.Errorf("layer_norm_eps is %g", c.Epsilon)
	}
	if _, ok := activations[c.Activation]; !ok {
		return fmt.Errorf("activation %q is not supported: want gelu, gelu_new, "+
			"gelu_pytorch_tanh, quick_gelu or relu", c.Activation)
	}
	if first := c.family.first(c); c.Positions <= first {
		return fmt.Errorf("%d positions leave no room behind the first %d", c.Positions, first)
	}
	return nil
}

// tokensMax returns the longest input.
func (c *config) tokensMax() int { return c.Positions - c.family.first(c) }
