package evident

import (
	"context"
	"fmt"

	"evident/efficientqa"
)

// AddPhrases is [Index.AddPhrases] of the rows.
func (c *Corpus) AddPhrases(ctx context.Context, o AddPhrasesOptions) (*PhraseReport, error) {
	return c.index.AddPhrases(ctx, o)
}

// AnswerByPhrase returns the answer whose phrases are nearest to a question, even when it is unlikely,
// and the calibrated probability that it is right. The answer is empty when there are no phrases.
func (c *Corpus) AnswerByPhrase(ctx context.Context, question string) (answer string, probability float64, err error) {
	s, release, err := c.searchPhrases(ctx, question, efficientqa.BestPhrases)
	if err != nil {
		return "", 0, err
	}
	defer release()
	if len(s.answers) == 0 {
		return "", 0, nil
	}
	return s.answers[0].Text, s.answers[0].Probability, nil
}

// RetrieveByPhrase returns the numbers of up to k rows that hold the phrases nearest to a question, best
// first.
func (c *Corpus) RetrieveByPhrase(ctx context.Context, question string, k int) ([]int, error) {
	s, release, err := c.searchPhrases(ctx, question, 4*k) // several phrases of a row are near
	if err != nil {
		return nil, err
	}
	defer release()
	var rows []int
	for _, id := range s.passages(k) {
		p, err := s.view.snapshot.Passage(id)
		if err != nil {
			return nil, public(err)
		}
		row, ok := c.row(p.Path, p.Span.Start)
		if !ok {
			return nil, fmt.Errorf("index %q: no row begins at byte %d of %s", c.index.dir, p.Span.Start, p.Path)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// searchPhrases searches the newest state, which release gives back.
func (c *Corpus) searchPhrases(ctx context.Context, question string, k int) (*phraseSearch, func(), error) {
	v, err := c.index.view(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := c.index.searchPhrases(ctx, v, question, k)
	if err != nil {
		v.snapshot.Release()
		return nil, nil, err
	}
	return s, v.snapshot.Release, nil
}
