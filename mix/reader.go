package mix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"evident/document"
	"evident/internal/pack"
	"evident/internal/tokenize"
	"evident/model/bert"
	"evident/nn"
)

// Limits of one encoder input, in tokens. The reader is trained on windows of about 115 words,
// but keeps its quality on whole paragraphs; beyond windowTokensMax a passage is read in
// overlapping windows.
const (
	questionTokensMax = 64
	windowTokensMax   = 320
	specialTokensMax  = 4 // RoBERTa's <s> </s></s> </s>
	answerTokensMax   = 24
	never             = -1e4 // logit of what cannot be
)

// Reader is the joint model: scorer and extractor on one encoder. A model that only extracts (a
// Hugging Face …ForQuestionAnswering folder) can take its place: it has no scorer, so its
// relevance is 0, and it has no calibration of its own.
type Reader struct {
	Settings Settings
	model    *bert.Model
}

// Settings holds what was fitted on held-out training questions, for each situation.
type Settings struct {
	Open      Setting `json:"open"`      // passages retrieved from a collection
	Paragraph Setting `json:"paragraph"` // one paragraph given, which may or may not answer
	Answered  Setting `json:"answered"`  // one paragraph given that is known to answer
}

// LoadOptions tunes [LoadReader]. The zero value computes in the best precision of the CPU and keeps
// nothing.
type LoadOptions struct {
	Precision nn.Precision
	CacheDir  string // as of [bert.Options]
}

// LoadReader reads a folder with config.json, model.safetensors, the tokenizer's files and, for
// a joint reader, reader.json.
func LoadReader(folder fs.FS, o LoadOptions) (*Reader, error) {
	model, err := bert.Load(folder, bert.Options{Precision: o.Precision, CacheDir: o.CacheDir})
	if err != nil {
		return nil, err
	}
	r := &Reader{model: model}
	switch {
	case model.Joint() != nil:
		settings := model.Joint().Settings()
		if settings == nil {
			return nil, errors.New("the joint reader has no reader.json beside its weights")
		}
		if err := json.Unmarshal(settings, &r.Settings); err != nil {
			return nil, fmt.Errorf("read reader.json: %w", err)
		}
		if r.Settings.Answered == (Setting{}) { // fitted for the wider case only
			r.Settings.Answered = r.Settings.Paragraph
			r.Settings.Answered.Threshold = 0
		}
	case model.QA() != nil:
		plain := Setting{Calibration: Calibration{Share: 1}}
		r.Settings = Settings{Open: plain, Paragraph: plain, Answered: plain}
	default:
		return nil, errors.New("the model answers no questions: its config.json names neither " +
			"a …ForQuestionAnswering architecture nor EvidentJointReader")
	}
	return r, nil
}

// Packed says whether the weights came from a cache, and what became of it.
func (r *Reader) Packed() pack.Report { return r.model.Packed() }

// window is a run of a passage's tokens that fits one encoder input.
type window struct {
	passage int
	tokens  []tokenize.Token
}

// Read runs one encoder pass over [CLS] question [SEP] passage [SEP] for all passages in one
// batch. A passage too long for one input gives several readings; a passage without words none.
func (r *Reader) Read(ctx context.Context, question string, passages []string) ([]Reading, error) {
	tokenizer := r.model.Tokenizer()
	asked := tokenizer.Tokens(question)
	asked = asked[:min(len(asked), questionTokensMax, r.model.TokensMax()/4)]
	room := min(windowTokensMax, r.model.TokensMax()-len(asked)-specialTokensMax)
	if room < 4 { // windows overlap by a quarter
		return nil, fmt.Errorf("the model takes %d tokens, too few for a passage", r.model.TokensMax())
	}
	var windows []window
	var pairs []bert.Pair
	stop := tokenizer.Tokens(".")
	for i, text := range passages {
		tokens := tokenizer.Tokens(text)
		if len(stop) == 1 {
			tokens = withStops(text, tokens, stop[0])
		}
		for _, w := range cut(tokens, room) {
			windows = append(windows, window{passage: i, tokens: w})
			pairs = append(pairs, tokenizer.EncodePair(asked, w, 0))
		}
	}
	if len(pairs) == 0 {
		return nil, ctx.Err()
	}
	hidden, err := r.model.Encode(ctx, pairs)
	if err != nil {
		return nil, err
	}
	defer hidden.Release()
	return r.readings(hidden, windows, pairs), nil
}

// readings applies the heads to every window's hidden rows.
func (r *Reader) readings(hidden *bert.Hidden, windows []window, pairs []bert.Pair) []Reading {
	out := make([]Reading, len(windows))
	var logits *bert.JointLogits
	if joint := r.model.Joint(); joint != nil {
		logits = joint.Logits(hidden)
	} else {
		logits = &bert.JointLogits{}
		logits.Start, logits.End = r.model.QA().Logits(hidden)
	}
	for i, w := range windows {
		base := hidden.Sequences[i]
		from, to := base+pairs[i].Second.Start, base+pairs[i].Second.End
		reading := Reading{Passage: w.passage, Start: logits.Start[from:to], End: logits.End[from:to]}
		reading.Tokens = make([]document.ByteSpan, 0, len(w.tokens))
		for j, t := range w.tokens {
			if t.Start == t.End { // a stop: no span begins or ends with it
				reading.Start[j], reading.End[j] = never, never
			}
			reading.Tokens = append(reading.Tokens, document.ByteSpan{Start: t.Start, End: t.End})
		}
		if logits.Relevance != nil {
			reading.Relevance, reading.Answerable = logits.Relevance[i], logits.Answerability[i]
		} else if best := reading.bestSpans(1, answerTokensMax); len(best) > 0 {
			// Models of SQuAD 2.0 put "no answer" on the first token.
			reading.Answerable = best[0].logit - logits.Start[base] - logits.End[base]
		}
		out[i] = reading
	}
	return out
}

// cut splits tokens into windows of at most room tokens that overlap by a quarter.
func cut(tokens []tokenize.Token, room int) [][]tokenize.Token {
	if len(tokens) == 0 {
		return nil
	}
	var out [][]tokenize.Token
	for at := 0; ; at += room - room/4 {
		end := min(at+room, len(tokens))
		out = append(out, tokens[at:end])
		if end == len(tokens) {
			return out
		}
	}
}
