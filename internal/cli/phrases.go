package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"evident"
)

// addPhraseFlag adds the flag of the model that makes phrases.
func addPhraseFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "phrase-model", "",
		"folder or name of the phrase encoder, instead of the built-in one")
}

// phraseOptions turns --phrase-model into options.
func (a *app) phraseOptions(named string) (evident.PhraseOptions, error) {
	if named == "" {
		return evident.PhraseOptions{}, nil
	}
	dir, err := a.modelFolder(named)
	if err != nil {
		return evident.PhraseOptions{}, err
	}
	return evident.PhraseOptions{Model: os.DirFS(dir), Name: named}, nil
}

// phraseHint says what can be done about an error that has to do with phrases.
func phraseHint(err error) error {
	switch {
	case errors.Is(err, evident.ErrModelMissing):
		return &hintError{err, `name a folder with --phrase-model DIR; "evident doctor" shows what is built in`}
	case errors.Is(err, evident.ErrOtherModel):
		return &hintError{err, `run "evident index --phrases PATH" with this --phrase-model: phrases are then made anew`}
	}
	return err
}

// addPhrases makes phrases of what has none and shows progress.
func (a *app) addPhrases(
	ctx context.Context, index *evident.Index, o evident.AddPhrasesOptions,
) (*evident.PhraseReport, error) {
	bar := a.out.progress("passages")
	defer bar.done()
	o.Progress = func(p evident.PhraseProgress) { bar.update(p.Done, p.Total, 0, p.Left) }
	return index.AddPhrases(ctx, o)
}

// indexPhrases makes phrases after files were indexed: where it was asked for, and where the index has
// some, unless it was asked not to.
func (a *app) indexPhrases(ctx context.Context, index *evident.Index, o *indexOptions) (*evident.PhraseReport, error) {
	if !o.phrases && (o.phrasesSet || !index.HasPhrases()) {
		return nil, nil
	}
	report, err := a.addPhrases(ctx, index, evident.AddPhrasesOptions{Candidates: o.candidates})
	switch {
	case err == nil:
		if report.Passages > 0 {
			a.out.note("made phrases of %s in %.1f s", plural(report.Passages, "passage"), report.Seconds)
		}
	case errors.Is(err, context.Canceled) && report != nil:
		a.out.note("kept the phrases of %s", plural(report.Passages, "passage"))
	case errors.Is(err, evident.ErrModelMissing) && !o.phrases:
		a.out.note("phrases were not brought up to date: %v", err)
		return nil, nil
	}
	if err != nil {
		return nil, phraseHint(fmt.Errorf("make phrases: %w", err))
	}
	return report, nil
}
