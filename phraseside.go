package evident

import "context"

// PhraseEncoder encodes contexts and questions apart, without an index: what phrase-indexed question
// answering is measured by.
type PhraseEncoder struct{ encoder *phraseEncoder }

// EncodedPhrase is a possible answer of a context.
type EncodedPhrase struct {
	Text   string
	Vector []float32 // its inner product with a question's vector is its score, prior included
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

// Contexts returns the phrases of each context, the likeliest first; candidates of each, 0 means the
// model's own number.
func (e *PhraseEncoder) Contexts(ctx context.Context, texts []string, candidates int) ([][]EncodedPhrase, error) {
	all, err := e.encoder.Phrases(ctx, texts, candidates)
	if err != nil {
		return nil, err
	}
	out := make([][]EncodedPhrase, len(all))
	for i, phrases := range all {
		for _, p := range phrases {
			out[i] = append(out[i], EncodedPhrase{
				Text: texts[i][p.Bytes.Start:p.Bytes.End], Vector: append(p.Vector, p.Prior),
			})
		}
	}
	return out, nil
}

// Question returns the vector of a question.
func (e *PhraseEncoder) Question(ctx context.Context, question string) ([]float32, error) {
	vector, err := e.encoder.Question(ctx, question)
	if err != nil {
		return nil, err
	}
	return append(vector, 1), nil
}
