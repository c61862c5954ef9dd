package evident

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"evident/mix"
	"evident/store"
)

// QuestionWordsMax is the longest question: the model reads question and passage together and has
// room for 512 tokens.
const QuestionWordsMax = 200

// AskOptions tunes [Index.Ask]. The zero value is the setting our figures were made with.
type AskOptions struct {
	Top       int     // distinct answers returned; 0 means 3
	Passages  int     // passages read; 0 means 20
	Threshold float64 // abstain below this probability; 0 means the model's own, below 0 never

	// Partial, where it is set, is told what is known so far, by the goroutine that called Ask: the answers of phrases,
	// then those of the passages read. Later ones may differ, and the result itself is not among them.
	Partial func(*Answer)

	// Engine is the method that answers: [EngineAuto], [EngineMix] or [EnginePhrase]; "" means auto.
	Engine string
}

// CheckQuestion returns a [*QuestionError] for a question without words or with too many.
func CheckQuestion(question string) error {
	if words := len(strings.Fields(question)); words == 0 || words > QuestionWordsMax {
		return &QuestionError{Words: words, Max: QuestionWordsMax}
	}
	return nil
}

// Ask answers a question from the documents of the index. It abstains, which is a result and not an
// error, when the best answer is too unlikely.
//
// The error is that of [CheckQuestion], [ErrEmptyIndex] when nothing was indexed, and
// [ErrModelMissing] or [ErrDamaged] when the model cannot be loaded; with [EnginePhrase] also
// [ErrNoPhrases] or [ErrOtherModel] when the index has no phrases of the model.
func (x *Index) Ask(ctx context.Context, question string, o AskOptions) (*Answer, error) {
	begun := time.Now()
	if err := CheckQuestion(question); err != nil {
		return nil, err
	}
	v, err := x.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.snapshot.Release()
	if v.snapshot.Stats().Documents == 0 {
		return nil, fmt.Errorf("ask index %q: %w", x.dir, ErrEmptyIndex)
	}
	answer, err := x.askWith(ctx, v, question, o)
	if err != nil {
		return nil, err
	}
	answer.TookMS["total"] = milliseconds(time.Since(begun))
	return answer, nil
}

// askWith lets the engine answer that the options name.
func (x *Index) askWith(ctx context.Context, v *view, question string, o AskOptions) (*Answer, error) {
	switch o.Engine {
	case EnginePhrase:
		return x.askPhrases(ctx, v, question, o)
	case EngineAuto, "":
		if !x.HasPhrases() {
			break
		}
		answer, err := x.askBoth(ctx, v, question, o)
		if errors.Is(err, ErrModelMissing) || errors.Is(err, ErrOtherModel) || errors.Is(err, ErrNoPhrases) {
			break // MIX needs no phrases; if its own model is missing it will say so
		}
		return answer, err
	case EngineMix:
	default:
		return nil, fmt.Errorf("ask index %q: there is no engine %q", x.dir, o.Engine)
	}
	return x.askReader(ctx, v, &retriever{v.snapshot}, question, o, nil)
}

// askReader lets the joint reader answer from the passages of a retriever. mark, if not nil, adds to
// every piece of evidence what its passage is known by.
func (x *Index) askReader(
	ctx context.Context, v *view, from mix.Retriever, question string, o AskOptions,
	mark func(store.PassageID, *Evidence),
) (*Answer, error) {
	reader, err := x.loadReader()
	if err != nil {
		return nil, err
	}
	pipeline := &mix.Pipeline{Retriever: from, Reader: reader}
	read := mix.Options{Passages: o.Passages, Answers: o.Top, Threshold: o.Threshold}
	if o.Partial != nil {
		read.Partial = func(known *mix.Result) {
			if answer, err := v.answer(known, mark); err == nil { // damage is reported with the result
				answer.TookMS = map[string]float64{}
				o.Partial(answer)
			}
		}
	}
	result, err := pipeline.Answer(ctx, question, read)
	if err != nil {
		return nil, fmt.Errorf("ask index %q: %w", x.dir, public(err))
	}
	answer, err := v.answer(result, mark)
	if err != nil {
		return nil, err
	}
	answer.TookMS = map[string]float64{
		"retrieve": milliseconds(result.Took.Retrieve),
		"read":     milliseconds(result.Took.Read),
		"combine":  milliseconds(result.Took.Combine),
	}
	return answer, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// answer turns a result, which speaks of passages, into evidence, which speaks of documents.
func (v *view) answer(result *mix.Result, mark func(store.PassageID, *Evidence)) (*Answer, error) {
	a := &Answer{
		Question: result.Question, Engine: EngineMix, Answers: []Candidate{},
		Abstained: result.Abstained, Reason: result.Reason,
	}
	if result.Abstained {
		for _, p := range result.Passages[:min(nearestMax, len(result.Passages))] {
			hit, err := v.hit(store.PassageID(p.ID), float64(p.Score))
			if err != nil {
				return nil, err
			}
			a.Nearest = append(a.Nearest, *hit)
		}
		return a, nil
	}
	for _, found := range result.Answers {
		c := Candidate{Text: found.Text, Score: found.Probability, Why: why(found.Why)}
		for i, place := range found.Places {
			id := store.PassageID(result.Passages[place.Passage].ID)
			evidence, err := v.evidence(id, place.Bytes.Start, place.Bytes.End)
			if err != nil {
				return nil, err
			}
			if mark != nil {
				mark(id, evidence)
			}
			addPlace(&c, i, evidence)
		}
		a.Answers = append(a.Answers, c)
	}
	return a, nil
}

// nearestMax is how many passages an abstention shows.
const nearestMax = 3

// addPlace adds place number i of an answer, unless it is named already.
func addPlace(c *Candidate, i int, e *Evidence) {
	if i == 0 {
		c.Evidence = *e
	} else if !pointsAt(c, e) {
		c.Also = append(c.Also, *e)
	}
}

// pointsAt says whether a place is named already: passages overlap, so one place is found twice.
func pointsAt(c *Candidate, e *Evidence) bool {
	same := func(o *Evidence) bool {
		return o.Source.Path == e.Source.Path && o.Text.Byte == e.Text.Byte
	}
	if same(&c.Evidence) {
		return true
	}
	for i := range c.Also {
		if same(&c.Also[i]) {
			return true
		}
	}
	return false
}

func why(e mix.Explanation) Why {
	w := Why{Label: e.Label, Value: e.Value}
	for _, d := range e.Details {
		w.Details = append(w.Details, why(d))
	}
	return w
}

// retriever finds passages of one state of the index for the pipeline.
type retriever struct{ snapshot textSnapshot }

// Retrieve returns the k best passages by BM25.
func (r *retriever) Retrieve(ctx context.Context, question string, k int) ([]mix.Passage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	hits, err := r.snapshot.Search(question, k)
	if err != nil {
		return nil, err
	}
	passages := make([]mix.Passage, 0, len(hits))
	for _, h := range hits {
		p, err := r.snapshot.Passage(h.Passage)
		if err != nil {
			return nil, err
		}
		passages = append(passages, mix.Passage{ID: int(h.Passage), Text: p.Text, Score: h.Score})
	}
	return passages, nil
}

// Explain shows the terms of a passage's score. A damaged segment explains nothing; the search
// that came before has reported it.
func (r *retriever) Explain(question string, id int) mix.Explanation {
	e, err := r.snapshot.Explain(question, store.PassageID(id))
	if err != nil {
		return mix.Explanation{Label: "BM25"}
	}
	return e
}

// loadReader returns the reader, which the first question loads.
func (x *Index) loadReader() (*mix.Reader, error) {
	x.models.mu.Lock()
	defer x.models.mu.Unlock()
	if x.models.reader != nil {
		return x.models.reader, nil
	}
	reader, err := loadReader(x.opts)
	if err != nil {
		return nil, err
	}
	x.models.reader = reader
	return reader, nil
}
