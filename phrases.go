package evident

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"evident/store"
	"evident/vector"
)

// phraseFolder is where an index keeps the vectors of its phrases. They can be made again.
const phraseFolder = "phrases"

// phraseBlock is the number of passages whose phrases are put, and lost by an interruption, together.
const phraseBlock = 128

// AddPhrasesOptions tunes [Index.AddPhrases]. The zero value is what the model was made for.
type AddPhrasesOptions struct {
	Candidates int                  // phrases of a passage; 0 means the model's own number
	Progress   func(PhraseProgress) // called after each block, from one goroutine; may be nil
	Now        func() time.Time     // the clock; nil means time.Now
}

// PhraseProgress says how far [Index.AddPhrases] is.
type PhraseProgress struct {
	Done, Total int // passages
	Elapsed     time.Duration
	Left        time.Duration // estimated; 0 until it can be
}

// PhraseReport says what [Index.AddPhrases] did.
type PhraseReport struct {
	Phrases  int     `json:"phrases"`  // in the index now
	Passages int     `json:"passages"` // that were encoded
	Seconds  float64 `json:"seconds"`
}

// HasPhrases says whether the index holds phrases, of whatever model.
func (x *Index) HasPhrases() bool {
	return x.storage.HasPhrases(context.Background())
}

// phraseStats returns the sizes of the phrases of an index, of whatever model they are. With verify, all
// vectors are read, and the first damage is the error.
func (x *Index) phraseStats(ctx context.Context, verify bool) (stats vector.Stats, err error) {
	opened, err := x.storage.OpenPhrases(ctx)
	if err != nil {
		return stats, public(err)
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	s, err := opened.Snapshot()
	if err != nil {
		return stats, public(err)
	}
	defer s.Release()
	if verify {
		err = s.Verify(ctx)
	}
	return s.Stats(), public(err)
}

// AddPhrases brings the phrases up to date with the passages: it encodes what is new, and forgets
// what is gone. Phrases of another model are replaced. When ctx ends, what was encoded so far is kept:
// the error then matches ctx.Err(), and the same call later goes on from there.
func (x *Index) AddPhrases(ctx context.Context, o AddPhrasesOptions) (*PhraseReport, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	begun := o.Now()
	encoder, err := x.phraseEncoder()
	if err != nil {
		return nil, err
	}
	index, err := x.phraseIndex(ctx, encoder, o.Candidates, true)
	if err != nil {
		return nil, err
	}
	snapshot, err := x.storage.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("read index %q: %w", x.dir, public(err))
	}
	defer snapshot.Release()
	a := &phraseAddition{index: x, vectors: index, encoder: encoder, snapshot: snapshot, opts: o, begun: begun}
	report, err := a.run(ctx)
	if err != nil && !interrupted(ctx, err) {
		return nil, err
	}
	report.Seconds = o.Now().Sub(begun).Seconds()
	return report, err
}

// phraseIndex opens the phrases' vectors. Where they are of another model, or there are none, create
// makes an empty index in their place; without create the error is [ErrOtherModel] or [ErrNoPhrases].
func (x *Index) phraseIndex(
	ctx context.Context, encoder *phraseEncoder, candidates int, create bool,
) (phraseStore, error) {
	x.loading.Lock()
	defer x.loading.Unlock()
	tag := encoder.tag
	if x.phrases == nil {
		opened, err := x.storage.OpenPhrases(ctx)
		switch {
		case errors.Is(err, vector.ErrNoIndex) && !create:
			return nil, fmt.Errorf("ask index %q: %w", x.dir, ErrNoPhrases)
		case errors.Is(err, vector.ErrNoIndex):
			opened, err = x.storage.CreatePhrases(ctx, phraseSettings(encoder, candidates))
		}
		if err != nil {
			return nil, public(err)
		}
		x.phrases = opened
	}
	s, err := x.phrases.Snapshot()
	if err != nil {
		return nil, public(err)
	}
	defer s.Release()
	has, _, _ := strings.Cut(s.Settings().Tag, "; ")
	same := has == tag && (candidates == 0 || s.Settings().Tag == phraseSettings(encoder, candidates).Tag)
	switch {
	case same:
		return x.phrases, nil
	case !create:
		return nil, fmt.Errorf("ask index %q: its phrases are another encoder's: %w", x.dir, ErrOtherModel)
	}
	if err := errors.Join(x.phrases.Close(), x.storage.RemovePhrases(ctx)); err != nil {
		return nil, fmt.Errorf("write index %q: %w", x.dir, err)
	}
	x.phrases = nil
	made, err := x.storage.CreatePhrases(ctx, phraseSettings(encoder, candidates))
	if err != nil {
		return nil, fmt.Errorf("write phrases of index %q: %w", x.dir, public(err))
	}
	x.phrases = made
	return made, nil
}

// phraseSettings are those of a new index of phrases. Its tag says which encoder made them, and how
// many of a passage.
func phraseSettings(encoder *phraseEncoder, candidates int) vector.Settings {
	if candidates == 0 {
		candidates = encoder.Candidates()
	}
	return vector.Settings{
		Dim: encoder.Dim(), Fine: true, Tag: fmt.Sprintf("%s; %d a passage", encoder.tag, candidates),
	}
}

// candidatesOf reads the number of phrases of a passage from a tag.
func candidatesOf(tag string) int {
	_, rest, _ := strings.Cut(tag, "; ")
	digits, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(digits)
	return n
}

// phraseAddition is one run of [Index.AddPhrases].
type phraseAddition struct {
	index    *Index
	vectors  phraseStore
	encoder  *phraseEncoder
	snapshot textSnapshot
	opts     AddPhrasesOptions
	begun    time.Time
	passages int // encoded
}

// passageBlock is a run of a document's passages whose phrases are one group of vectors.
type passageBlock struct {
	document store.StoredDocument
	number   int
}

// phraseDocument is what a document's groups are named after: documents of one text, cut alike, share
// their phrases, and none has to be encoded again because its file has moved.
func phraseDocument(d store.StoredDocument) string { return d.SHA256 + ":" + strconv.Itoa(d.Passages) }

func (b passageBlock) key() string { return phraseDocument(b.document) + ":" + strconv.Itoa(b.number) }

// passages are the numbers within the document.
func (b passageBlock) passages() (from, to int) {
	return b.number * phraseBlock, min((b.number+1)*phraseBlock, b.document.Passages)
}

// run encodes what is missing, then lets the vectors' index improve itself.
func (a *phraseAddition) run(ctx context.Context) (*PhraseReport, error) {
	err := a.write(ctx)
	for err == nil {
		var changed bool
		if changed, err = a.vectors.Improve(ctx); !changed {
			break
		}
	}
	if err != nil && !interrupted(ctx, err) {
		return nil, fmt.Errorf("write phrases of index %q: %w", a.index.dir, public(err))
	}
	s, errStats := a.vectors.Snapshot()
	if errStats != nil {
		return nil, public(errStats)
	}
	defer s.Release()
	return &PhraseReport{Phrases: s.Stats().Vectors, Passages: a.passages}, err
}

// write removes groups that no document has and adds those that are missing.
func (a *phraseAddition) write(ctx context.Context) (err error) {
	documents, err := a.snapshot.Documents()
	if err != nil {
		return err
	}
	w, err := a.vectors.Writer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	wanted := map[string]bool{}
	var missing []passageBlock
	total := 0
	for _, d := range documents {
		for b := (passageBlock{d, 0}); b.number*phraseBlock < d.Passages; b.number++ {
			if key := b.key(); !wanted[key] {
				wanted[key] = true
				if !w.Has(key) {
					from, to := b.passages()
					missing, total = append(missing, b), total+to-from
				}
			}
		}
	}
	had, err := a.vectors.Snapshot()
	if err != nil {
		return err
	}
	for key := range had.Groups() {
		if !wanted[key] {
			w.Remove(key)
		}
	}
	a.opts.Candidates = candidatesOf(had.Settings().Tag)
	had.Release()
	encodeErr := a.encodeAll(ctx, w, missing, total)
	if encodeErr != nil && !interrupted(ctx, encodeErr) {
		return encodeErr
	}
	return errors.Join(encodeErr, w.Commit())
}

// encodeAll puts the phrases of blocks, and commits from time to time.
func (a *phraseAddition) encodeAll(ctx context.Context, w phraseWriter, blocks []passageBlock, total int) error {
	lastCommit := a.opts.Now()
	for _, b := range blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		items, err := a.encode(ctx, b)
		if err != nil {
			return err
		}
		if err := w.Put(b.key(), items); err != nil {
			return err
		}
		if a.opts.Now().Sub(lastCommit) >= commitInterval {
			if err := w.Commit(); err != nil {
				return err
			}
			lastCommit = a.opts.Now()
		}
		from, to := b.passages()
		a.passages += to - from
		if a.opts.Progress != nil {
			p := PhraseProgress{Done: a.passages, Total: total, Elapsed: a.opts.Now().Sub(a.begun)}
			p.Left = time.Duration(float64(p.Elapsed) * float64(total-p.Done) / float64(p.Done)).Round(time.Second)
			a.opts.Progress(p)
		}
	}
	return nil
}

// encode makes the vectors of a block. A phrase's ID is its place in the stored text, its length, and
// the number of its passage in the block.
func (a *phraseAddition) encode(ctx context.Context, b passageBlock) ([]vector.Item, error) {
	from, to := b.passages()
	ids := make([]store.PassageID, 0, to-from)
	for n := from; n < to; n++ {
		ids = append(ids, b.document.First+store.PassageID(n))
	}
	passages, err := a.snapshot.Passages(ids)
	if err != nil {
		return nil, err
	}
	texts, starts := make([]string, 0, to-from), make([]int, 0, to-from)
	for _, p := range passages {
		texts, starts = append(texts, p.Text), append(starts, p.Span.Start)
	}
	phrases, err := a.encoder.Phrases(ctx, texts, a.opts.Candidates)
	if err != nil {
		return nil, err
	}
	var items []vector.Item
	for i, list := range phrases {
		for _, p := range list {
			place := phrasePlace{start: starts[i] + p.Bytes.Start, length: p.Bytes.Len(), passage: i}
			if id, ok := place.id(); ok {
				items = append(items, vector.Item{ID: id, Vector: p.Vector, Prior: p.Prior})
			}
		}
	}
	return items, nil
}
