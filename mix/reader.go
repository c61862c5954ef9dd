package mix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"evident/document"
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
	windowOverlap     = 96
	answerTokensMax   = 24
)

// Reader is the joint model: scorer and extractor on one encoder.
type Reader struct {
	Settings Settings
	model    *bert.Model
	span     *nn.Linear // [2, d]: start and end
	pair     *nn.Linear // [2, d]: relevance and answerability, on [CLS]
}

// Settings holds what was fitted on held-out training questions, for each situation.
type Settings struct {
	Open      Setting `json:"open"`      // passages retrieved from a collection
	Paragraph Setting `json:"paragraph"` // one paragraph given
}

// LoadReader reads a folder with config.json, model.safetensors, vocab.txt and reader.json.
func LoadReader(fsys fs.FS, precision nn.Precision) (*Reader, error) {
	model, err := bert.Load(fsys, bert.Options{Precision: precision})
	if err != nil {
		return nil, err
	}
	if model.Joint == nil {
		return nil, errors.New("the model has no joint reader heads (span, pair)")
	}
	r := &Reader{model: model, span: model.Joint.Span, pair: model.Joint.Pair}
	data, err := fs.ReadFile(fsys, "reader.json")
	if err != nil {
		return nil, fmt.Errorf("read the reader's settings: %w", err)
	}
	if err := json.Unmarshal(data, &r.Settings); err != nil {
		return nil, fmt.Errorf("read the reader's settings: reader.json: %w", err)
	}
	return r, nil
}

// window is a run of a passage's tokens that fits one encoder input.
type window struct {
	passage int
	tokens  []tokenize.Token
}

// Read runs one encoder pass over [CLS] question [SEP] passage [SEP] for all passages in one
// batch. A passage too long for one input gives several readings; a passage without words none.
func (r *Reader) Read(ctx context.Context, question string, passages []string) ([]Reading, error) {
	asked := r.model.Tokenizer.Tokens(question)
	asked = asked[:min(len(asked), questionTokensMax)]
	var windows []window
	var pairs []tokenize.Pair
	for i, text := range passages {
		for _, w := range cut(r.model.Tokenizer.Tokens(text)) {
			windows = append(windows, window{passage: i, tokens: w})
			pairs = append(pairs, r.model.Tokenizer.EncodePair(asked, w))
		}
	}
	if len(pairs) == 0 {
		return nil, ctx.Err()
	}
	hidden, err := r.model.Encode(ctx, pairs)
	if err != nil {
		return nil, err
	}
	readings := make([]Reading, len(windows))
	for i, w := range windows {
		readings[i] = r.heads(hidden.Sequence(i), pairs[i].SecondStart, w)
	}
	return readings, nil
}

// heads applies scorer and extractor to one window's hidden states [T, d].
func (r *Reader) heads(hidden []float32, first int, w window) Reading {
	d := r.span.In
	var pair [2]float32
	r.pair.Forward(pair[:], hidden[:d], 1)
	n := len(w.tokens)
	logits := make([]float32, 2*n)
	r.span.Forward(logits, hidden[first*d:], n)
	reading := Reading{
		Passage: w.passage, Relevance: pair[0], Answerable: pair[1],
		Start: make([]float32, n), End: make([]float32, n), Tokens: make([]document.ByteSpan, n),
	}
	for t, token := range w.tokens {
		reading.Start[t], reading.End[t] = logits[2*t], logits[2*t+1]
		reading.Tokens[t] = document.ByteSpan{Start: token.Start, End: token.End}
	}
	return reading
}

// cut splits tokens into overlapping windows of at most windowTokensMax.
func cut(tokens []tokenize.Token) [][]tokenize.Token {
	if len(tokens) == 0 {
		return nil
	}
	var out [][]tokenize.Token
	for at := 0; ; at += windowTokensMax - windowOverlap {
		end := min(at+windowTokensMax, len(tokens))
		out = append(out, tokens[at:end])
		if end == len(tokens) {
			return out
		}
	}
}
