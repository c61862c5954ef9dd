package evident

import (
	"errors"
	"fmt"
	"io/fs"

	"evident/efficientqa"
	"evident/models"
	"evident/nn"
)

// PhraseOptions are the settings of the phrase encoder. The zero value is the built-in one.
type PhraseOptions struct {
	Model fs.FS  // folder of a phrase encoder; nil means the built-in one
	Name  string // of that folder, for errors

	// Int8 multiplies bytes where the CPU can: faster, less exact. The space of the vectors is the same.
	Int8 bool
}

// phraseEncoder is a loaded encoder and what tells its vectors from another's.
type phraseEncoder struct {
	*efficientqa.Encoder
	tag string
}

// loadPhraseEncoder loads the encoder that the options name. Its error is [ErrModelMissing] where there
// is none and [ErrDamaged] where it is not what its configuration promises.
func loadPhraseEncoder(o Options) (*phraseEncoder, error) {
	name, files := o.Phrases.Name, o.Phrases.Model
	if files == nil {
		name = models.Phrase
		embedded, err := models.Open(name)
		if err != nil {
			return nil, fmt.Errorf("load phrase encoder %w", &sentinelError{ErrModelMissing, err})
		}
		files = embedded
	}
	identity, err := identityOf(files)
	if err != nil {
		return nil, fmt.Errorf("load phrase encoder %s: %w", name, &sentinelError{ErrModelMissing, err})
	}
	opts := efficientqa.LoadOptions{CacheDir: o.CacheDir, Base: models.Open}
	if o.Phrases.Int8 {
		opts.Precision = nn.Int8
	}
	encoder, err := efficientqa.LoadEncoder(files, opts)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, models.ErrMissing):
		return nil, fmt.Errorf("load phrase encoder %s: %w", name, &sentinelError{ErrModelMissing, err})
	case err != nil:
		return nil, fmt.Errorf("load phrase encoder %s: %w", name, &sentinelError{ErrDamaged, err})
	}
	return &phraseEncoder{encoder, "phrases " + identity}, nil
}

// phraseEncoder returns the encoder, which the first caller loads.
func (x *Index) phraseEncoder() (*phraseEncoder, error) {
	x.models.mu.Lock()
	defer x.models.mu.Unlock()
	if x.models.encoder != nil {
		return x.models.encoder, nil
	}
	encoder, err := loadPhraseEncoder(x.opts)
	if err != nil {
		return nil, err
	}
	x.models.encoder = encoder
	return encoder, nil
}
