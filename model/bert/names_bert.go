package bert

import "encoding/json"

// bertFamily is BERT (Devlin et al. 2018) and what keeps its names: MiniLM, BGE, E5.
var bertFamily = family{
	name: "bert", architecture: "Bert", prefix: "bert.",
	read: func(data []byte) (config, error) {
		return readBERT(data, bertSettings{
			Vocabulary: 30522, Width: 768, Layers: 12, Heads: 12, Inner: 3072,
			Positions: 512, Segments: 2, Epsilon: 1e-12, Activation: "gelu",
		})
	},
	first:     func(*config) int { return 0 },
	words:     "embeddings.word_embeddings",
	positions: "embeddings.position_embeddings",
	segments:  "embeddings.token_type_embeddings",
	norm:      "embeddings.LayerNorm",
	layer: layerNames{
		query:           "encoder.layer.%d.attention.self.query",
		key:             "encoder.layer.%d.attention.self.key",
		value:           "encoder.layer.%d.attention.self.value",
		out:             "encoder.layer.%d.attention.output.dense",
		attentionNorm:   "encoder.layer.%d.attention.output.LayerNorm",
		up:              "encoder.layer.%d.intermediate.dense",
		down:            "encoder.layer.%d.output.dense",
		feedForwardNorm: "encoder.layer.%d.output.LayerNorm",
	},
}

// bertSettings are the keys of BERT's and RoBERTa's config.json.
type bertSettings struct {
	Vocabulary int     `json:"vocab_size"`
	Width      int     `json:"hidden_size"`
	Layers     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"`
	Inner      int     `json:"intermediate_size"`
	Positions  int     `json:"max_position_embeddings"`
	Segments   int     `json:"type_vocab_size"`
	Pad        int     `json:"pad_token_id"`
	Epsilon    float64 `json:"layer_norm_eps"`
	Activation string  `json:"hidden_act"`
}

// readBERT reads settings over the family's defaults, which transformers leaves out of some files.
func readBERT(data []byte, s bertSettings) (config, error) {
	err := json.Unmarshal(data, &s)
	return config{
		Vocabulary: s.Vocabulary, Width: s.Width, Layers: s.Layers, Heads: s.Heads,
		Inner: s.Inner, Positions: s.Positions, Segments: s.Segments, Pad: s.Pad,
		Epsilon: s.Epsilon, Activation: s.Activation,
	}, err
}
