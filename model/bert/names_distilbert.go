package bert

import "encoding/json"

// distilBERT is DistilBERT (Sanh et al. 2019): BERT without segments, under names of its own.
var distilBERT = family{
	name: "distilbert", architecture: "DistilBert", prefix: "distilbert.",
	read:      readDistilBERT,
	first:     func(*config) int { return 0 },
	words:     "embeddings.word_embeddings",
	positions: "embeddings.position_embeddings",
	norm:      "embeddings.LayerNorm",
	layer: layerNames{
		query:           "transformer.layer.%d.attention.q_lin",
		key:             "transformer.layer.%d.attention.k_lin",
		value:           "transformer.layer.%d.attention.v_lin",
		out:             "transformer.layer.%d.attention.out_lin",
		attentionNorm:   "transformer.layer.%d.sa_layer_norm",
		up:              "transformer.layer.%d.ffn.lin1",
		down:            "transformer.layer.%d.ffn.lin2",
		feedForwardNorm: "transformer.layer.%d.output_layer_norm",
	},
}

func readDistilBERT(data []byte) (config, error) {
	s := struct {
		Vocabulary int    `json:"vocab_size"`
		Width      int    `json:"dim"`
		Layers     int    `json:"n_layers"`
		Heads      int    `json:"n_heads"`
		Inner      int    `json:"hidden_dim"`
		Positions  int    `json:"max_position_embeddings"`
		Pad        int    `json:"pad_token_id"`
		Activation string `json:"activation"`
	}{
		Vocabulary: 30522, Width: 768, Layers: 6, Heads: 12, Inner: 3072, Positions: 512,
		Activation: "gelu",
	}
	err := json.Unmarshal(data, &s)
	return config{
		Vocabulary: s.Vocabulary, Width: s.Width, Layers: s.Layers, Heads: s.Heads,
		Inner: s.Inner, Positions: s.Positions, Pad: s.Pad,
		Epsilon:    1e-12, // fixed in the reference
		Activation: s.Activation,
	}, err
}
