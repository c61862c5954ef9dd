package evident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"evident/mix"
	"evident/models"
)

// loadReader loads the joint reader that the options name.
func loadReader(o Options) (*mix.Reader, error) {
	name, files := "the given folder", o.Model
	if files == nil {
		name = models.Default
		if o.Fast {
			name = models.Fast
		}
		embedded, err := models.Open(name)
		if err != nil {
			return nil, fmt.Errorf("load model %w", &sentinelError{ErrModelMissing, err})
		}
		files = embedded
	}
	reader, err := mix.LoadReader(files, mix.LoadOptions{CacheDir: o.CacheDir})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("load model from %s: %w", name, &sentinelError{ErrModelMissing, err})
	case err != nil:
		return nil, fmt.Errorf("load model from %s: %w", name, &sentinelError{ErrDamaged, err})
	}
	return reader, nil
}

// ParagraphReader answers questions from paragraphs that are given with them, without an index.
type ParagraphReader struct {
	// Answered says that every paragraph is known to hold its question's answer, as in SQuAD 1.1:
	// probabilities are then higher than where a paragraph may not answer.
	Answered bool
	reader   *mix.Reader
}

// OpenReader loads the model that the options name.
func OpenReader(ctx context.Context, o Options) (*ParagraphReader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reader, err := loadReader(o)
	if err != nil {
		return nil, err
	}
	return &ParagraphReader{reader: reader}, nil
}

// ParagraphReader returns the reader of the index, for questions that come with their paragraph.
func (x *Index) ParagraphReader(ctx context.Context) (*ParagraphReader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reader, err := x.loadReader()
	if err != nil {
		return nil, err
	}
	return &ParagraphReader{reader: reader}, nil
}

// Read returns the best answer in the paragraph, even when it is unlikely, and the calibrated
// probability that it is right. The answer is empty when the paragraph has no words.
func (r *ParagraphReader) Read(
	ctx context.Context, question, paragraph string,
) (answer string, probability float64, err error) {
	o := mix.Options{Answers: 1, Threshold: -1, Answered: r.Answered}
	result, err := r.reader.AnswerFrom(ctx, question, paragraph, o)
	if err != nil || len(result.Answers) == 0 {
		return "", 0, err
	}
	return result.Answers[0].Text, result.Answers[0].Probability, nil
}

// Threshold is the probability below which the model abstains when a paragraph is given; 0 where
// the paragraph is known to hold the answer.
func (r *ParagraphReader) Threshold() float64 {
	if r.Answered {
		return 0
	}
	return r.reader.Settings.Paragraph.Threshold
}
