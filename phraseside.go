package evident

import (
	"context"

	"evident/efficientqa"
)

// PhraseEncoder encodes contexts and questions apart, without an index: what phrase-indexed question
// answering is measured by.
type PhraseEncoder struct{ encoder *phraseEncoder }

// EncodedPhrase is a possible answer of a context. Its score for a question is the inner product of their dense vectors
// plus that of their sparse ones.
type EncodedPhrase struct {
	Text   string
	Vector []float32 // the prior included
	Words  []float32 // of the sparse vector, the coordinates of the context's words
}

// EncodedContext is what is known of a context before any question.
type EncodedContext struct {
	Phrases []EncodedPhrase // the likeliest first
	Words   []string        // of the context, sorted: the coordinates of its phrases' sparse vectors
}

// OpenPhraseEncoder loads the phrase encoder that the options name.
func OpenPhraseEncoder(ctx context.Context, o Options) (*PhraseEncoder, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	encoder, err := loadPhraseEncoder(o)
	if err != nil {
		return nil, err
	}
	return &PhraseEncoder{encoder}, nil
}

// Contexts returns the phrases of each context; candidates of each, 0 means the model's own number.
func (e *PhraseEncoder) Contexts(ctx context.Context, texts []string, candidates int) ([]EncodedContext, error) {
	all, err := e.encoder.Phrases(ctx, texts, candidates)
	if err != nil {
		return nil, err
	}
	out := make([]EncodedContext, len(all))
	for i, phrases := range all {
		nearby := efficientqa.NewNearby(texts[i])
		out[i].Words = nearby.Terms()
		for _, p := range phrases {
			encoded := EncodedPhrase{Text: texts[i][p.Bytes.Start:p.Bytes.End], Vector: append(p.Vector, p.Prior)}
			for _, word := range out[i].Words {
				encoded.Words = append(encoded.Words, float32(nearby.Weight(word, p.Bytes.Start, p.Bytes.End)))
			}
			out[i].Phrases = append(out[i].Phrases, encoded)
		}
	}
	return out, nil
}

// Question returns the vectors of a question: the dense one, and the sparse one by its words.
func (e *PhraseEncoder) Question(ctx context.Context, question string) ([]float32, map[string]float64, error) {
	vector, err := e.encoder.Question(ctx, question)
	if err != nil {
		return nil, nil, err
	}
	words := map[string]float64{}
	for _, w := range e.encoder.QuestionWords(question) {
		words[w.Term] = e.encoder.Settings.Nearby * w.Weight
	}
	return append(vector, 1), words, nil
}
