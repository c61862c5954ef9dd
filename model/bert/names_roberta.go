package bert

// roBERTa is RoBERTa (Liu et al. 2019): BERT's layers and names; positions are counted from
// behind the padding id.
var roBERTa = family{
	name: "roberta", architecture: "Roberta", prefix: "roberta.",
	read: func(data []byte) (config, error) {
		return readBERT(data, bertSettings{
			Vocabulary: 50265, Width: 768, Layers: 12, Heads: 12, Inner: 3072,
			Positions: 512, Segments: 2, Pad: 1, Epsilon: 1e-12, Activation: "gelu",
		})
	},
	first:     func(c *config) int { return c.Pad + 1 },
	words:     bertFamily.words,
	positions: bertFamily.positions,
	segments:  bertFamily.segments,
	norm:      bertFamily.norm,
	layer:     bertFamily.layer,
}
