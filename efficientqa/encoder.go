package efficientqa

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"evident/eval"
	"evident/internal/pack"
	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/model/bert"
	"evident/nn"
)

// Encoder turns passages into phrases and questions into vectors of the same space. It is safe for
// concurrent use.
type Encoder struct {
	Settings    Settings
	frequencies *Frequencies // nil where the model has none
	model       *bert.Model
	head        *bert.PhraseHead
}

// LoadOptions tunes [LoadEncoder].
type LoadOptions struct {
	Precision nn.Precision // nn.Int8 is the fast one; the zero value is the CPU's best
	CacheDir  string       // as of [bert.Options]

	// Base returns the folder of the model that a phrase encoder shares tensors with, by its name. It
	// may be nil where the folder stands alone.
	Base func(name string) (fs.FS, error)
}

// settingsFile holds what was fitted on held-out questions. Without it probabilities are shares. Without frequenciesFile
// questions have no sparse vectors.
const (
	settingsFile    = "phrase.json"
	frequenciesFile = "frequencies.txt"
)

// LoadEncoder reads a folder with config.json, model.safetensors and, where it shares no tensors
// with a base, the tokenizer's files; and phrase.json and frequencies.txt if they are there.
func LoadEncoder(folder fs.FS, o LoadOptions) (*Encoder, error) {
	folder, err := withBase(folder, o.Base)
	if err != nil {
		return nil, err
	}
	model, err := bert.Load(folder, bert.Options{Precision: o.Precision, CacheDir: o.CacheDir})
	if err != nil {
		return nil, err
	}
	e := &Encoder{model: model, head: model.Phrase(), Settings: defaultSettings}
	if e.head == nil {
		return nil, errors.New("the model encodes no phrases: its config.json does not name EvidentPhraseEncoder")
	}
	if err := e.readSettings(folder); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Encoder) readSettings(folder fs.FS) error {
	data, err := fs.ReadFile(folder, settingsFile)
	if err == nil {
		if err := json.Unmarshal(data, &e.Settings); err != nil {
			return fmt.Errorf("read %s: %w", settingsFile, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read model: %w", err)
	}
	file, err := folder.Open(frequenciesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read model: %w", err)
	}
	defer file.Close()
	if e.frequencies, err = ReadFrequencies(file); err != nil {
		return fmt.Errorf("read %s: %w", frequenciesFile, err)
	}
	return nil
}

// withBase lays the folder over its base, if it has one.
func withBase(folder fs.FS, base func(name string) (fs.FS, error)) (fs.FS, error) {
	data, err := fs.ReadFile(folder, "config.json")
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	var config struct {
		Base string `json:"base"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	if config.Base == "" {
		return folder, nil
	}
	if base == nil {
		return nil, fmt.Errorf("the model shares tensors with %s, which was not given", config.Base)
	}
	below, err := base(config.Base)
	if err != nil {
		return nil, fmt.Errorf("the model shares tensors with %w", err)
	}
	return weights.Overlay(folder, below)
}

// Packed says whether the weights came from a cache, and what became of it.
func (e *Encoder) Packed() pack.Report { return e.model.Packed() }

// Dim is the length of a phrase's vector, without its prior.
func (e *Encoder) Dim() int { return e.model.Width() - 1 }

// Candidates is the number of phrases of a passage that the model was made for.
func (e *Encoder) Candidates() int { return e.head.Settings.Candidates }

// Scale is what a score is multiplied with to be a logit.
func (e *Encoder) Scale() float64 { return e.head.Settings.Scale }

// Phrase is a candidate answer with its vector.
type Phrase struct {
	Candidate
	Vector []float32 // [Dim], of length 1
	Prior  float32   // is added to its inner product with a question's vector
}

// batchTokens bounds the tokens of one pass over passages.
const batchTokens = 2048

// Phrases returns the k best candidates of each passage with their vectors, best first; k 0 means
// [Encoder.Candidates]. A passage too long for one pass is encoded in windows that overlap by a
// quarter. A passage without words has none.
func (e *Encoder) Phrases(ctx context.Context, passages []string, k int) ([][]Phrase, error) {
	if k <= 0 {
		k = e.Candidates()
	}
	out := make([][]Phrase, len(passages))
	for windows := e.windows(passages); len(windows) > 0; {
		n, tokens := 0, 0
		for n < len(windows) && (n == 0 || tokens+len(windows[n].tokens) <= batchTokens) {
			tokens += len(windows[n].tokens)
			n++
		}
		if err := e.encode(ctx, windows[:n], passages, k, out); err != nil {
			return nil, err
		}
		windows = windows[n:]
	}
	for i := range out {
		out[i] = merge(out[i], passages[i], k, e.head.Settings.Overlap)
	}
	return out, nil
}

// windows cuts passages into inputs.
func (e *Encoder) windows(passages []string) []window {
	room := e.head.Settings.PassageTokens - len(e.model.Tokenizer().EncodePair(nil, nil, 0).Tokens)
	var all []window
	for i, text := range passages {
		tokens := e.model.Tokenizer().Tokens(text)
		for at := 0; at < len(tokens); at += room - room/4 {
			end := min(at+room, len(tokens))
			all = append(all, window{passage: i, tokens: tokens[at:end]})
			if end == len(tokens) {
				break
			}
		}
	}
	return all
}

// encode adds the phrases of some windows to those of their passages.
func (e *Encoder) encode(ctx context.Context, windows []window, passages []string, k int, out [][]Phrase) error {
	inputs := make([]bert.Pair, len(windows))
	for i := range windows {
		inputs[i] = e.model.Tokenizer().EncodePair(nil, windows[i].tokens, 0)
		windows[i].first = inputs[i].Second.Start
	}
	states, err := e.model.EncodePassages(ctx, inputs)
	if err != nil {
		return err
	}
	defer states.Release()
	x := &extractor{e.head.Spans(states.Hidden), e.model.Tokenizer(), e.head.Settings.WidthMax, e.head.Settings.Overlap}
	candidates := make([][]chosen, len(windows))
	for i := range windows {
		candidates[i] = x.best(&windows[i], passages[windows[i].passage], states.Sequences[i], k)
	}
	rows, err := e.rows(ctx, windows, passages, candidates, states)
	if err != nil {
		return err
	}
	d, at := e.model.Width(), 0
	for i, w := range windows {
		for _, c := range candidates[i] {
			vector, ok := direction(rows[at*d:][:d-1])
			at++
			if ok {
				out[w.passage] = append(out[w.passage], Phrase{c.Candidate, vector, e.prior(c.LogP)})
			}
		}
	}
	return nil
}

func (e *Encoder) prior(logP float32) float32 {
	return float32(e.head.Settings.PriorWeight * (float64(logP) - e.head.Settings.PriorMean))
}

// rows encodes candidates in the model's form, a row each.
func (e *Encoder) rows(
	ctx context.Context, windows []window, passages []string, candidates [][]chosen, states *bert.Passages,
) ([]float32, error) {
	if e.head.Settings.Form == bert.FormShared {
		spans := make([][]bert.TokenSpan, len(candidates))
		for i, list := range candidates {
			for _, c := range list {
				spans[i] = append(spans[i], c.span)
			}
		}
		return e.model.EncodeSpans(ctx, states, spans)
	}
	var rows []float32
	for i, w := range windows {
		cuts := sentences(passages[w.passage])
		var pairs []bert.Pair
		for _, c := range candidates[i] {
			answer, context := tokensWithin(w.tokens, c.Bytes), tokensWithin(w.tokens, surroundings(cuts, c.Bytes))
			pairs = append(pairs, e.model.Tokenizer().EncodePair(answer, context, e.model.TokensMax()))
		}
		if len(pairs) == 0 {
			continue
		}
		pooled, err := e.pooled(ctx, pairs)
		if err != nil {
			return nil, err
		}
		rows = append(rows, pooled...)
	}
	return rows, nil
}

func (e *Encoder) pooled(ctx context.Context, inputs []bert.Pair) ([]float32, error) {
	hidden, err := e.model.Encode(ctx, inputs)
	if err != nil {
		return nil, err
	}
	defer hidden.Release()
	return e.head.Pool(hidden, inputs), nil
}

// Question returns the vector [Dim], of length 1, of a question. Its score with a phrase is the inner
// product of their vectors plus the phrase's prior.
func (e *Encoder) Question(ctx context.Context, question string) ([]float32, error) {
	tokens := e.model.Tokenizer().Tokens(question)
	input := e.model.Tokenizer().EncodeOne(tokens, e.head.Settings.QuestionTokens)
	row, err := e.pooled(ctx, []tokenize.Pair{input})
	if err != nil {
		return nil, err
	}
	vector, _ := direction(row[:e.Dim()])
	return vector, nil
}

// QuestionWords returns a question's sparse vector, empty where the model knows no frequencies.
func (e *Encoder) QuestionWords(question string) []WordWeight {
	if e.frequencies == nil {
		return nil
	}
	return e.frequencies.Question(question)
}

// direction returns x scaled to length 1, and false for a vector without a direction.
func direction(x []float32) ([]float32, bool) {
	norm := 0.0
	for _, v := range x {
		norm += float64(v) * float64(v)
	}
	scaled := make([]float32, len(x))
	if !(norm > 0) || math.IsInf(norm, 1) {
		return scaled, false
	}
	inverse := 1 / math.Sqrt(norm)
	for i, v := range x {
		scaled[i] = float32(float64(v) * inverse)
	}
	return scaled, true
}

// merge joins the phrases of a passage's windows: the best of equal texts, and of these k, as [spread] chooses.
func merge(phrases []Phrase, text string, k int, penalty float64) []Phrase {
	slices.SortStableFunc(phrases, func(a, b Phrase) int { return cmp.Compare(b.LogP, a.LogP) })
	taken := map[string]bool{}
	phrases = slices.DeleteFunc(phrases, func(p Phrase) bool {
		key := eval.Normalise(text[p.Bytes.Start:p.Bytes.End])
		known := taken[key]
		taken[key] = true
		return known
	})
	return spread(phrases, k, penalty)
}
