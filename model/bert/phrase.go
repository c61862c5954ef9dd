package bert

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"evident/nn"
)

// phraseArchitecture marks a folder that holds evident's phrase encoder.
const phraseArchitecture = "EvidentPhraseEncoder"

// PhraseSettings are what config.json says of a phrase encoder beside its sizes.
type PhraseSettings struct {
	Base           string  `json:"base"`         // name of the model whose tensors it shares; "" for none
	Form           string  `json:"form"`         // "shared": candidates are guests of their passage; "pair"
	Split          int     `json:"split"`        // layer at which candidates join their passage
	Pooling        string  `json:"pooling"`      // of a question, and of a pair: "mean", "first" or "cls"
	WidthMax       int     `json:"width_max"`    // tokens of the longest candidate
	Overlap        float64 `json:"overlap"`      // log-score that a candidate loses to one with the same characters
	Scale          float64 `json:"scale"`        // of inner products, for a softmax over them
	PriorWeight    float64 `json:"prior_weight"` // of a candidate's log-probability in its vector
	PriorMean      float64 `json:"prior_mean"`
	PassageTokens  int     `json:"passage_tokens"` // of the longest passage pass, special ones included
	QuestionTokens int     `json:"question_tokens"`
	Candidates     int     `json:"candidates"` // of a passage, by default
}

// The forms of a phrase encoder and its ways of pooling.
const (
	FormShared  = "shared"
	FormPair    = "pair"
	PoolingMean = "mean"
	// PoolingFirst is the mean over the first text and the special tokens around it: over all of a question, and over
	// a candidate that was read with its context.
	PoolingFirst = "first"
	PoolingCLS   = "cls"
)

func (s *PhraseSettings) check(c *config) error {
	switch {
	case s.Form != FormShared && s.Form != FormPair:
		return fmt.Errorf("form %q is not known: want shared or pair", s.Form)
	case s.Pooling != PoolingMean && s.Pooling != PoolingFirst && s.Pooling != PoolingCLS:
		return fmt.Errorf("pooling %q is not known: want mean, first or cls", s.Pooling)
	case s.Split < 1 || s.Split >= c.Layers:
		return fmt.Errorf("split is %d, with %d layers 1 to %d are possible", s.Split, c.Layers, c.Layers-1)
	case s.WidthMax < 1 || s.WidthMax > c.Positions:
		return fmt.Errorf("width_max is %d", s.WidthMax)
	case s.PassageTokens < 8 || s.PassageTokens > c.tokensMax():
		return fmt.Errorf("passage_tokens is %d, the model takes %d", s.PassageTokens, c.tokensMax())
	case s.QuestionTokens < 3 || s.QuestionTokens > c.tokensMax():
		return fmt.Errorf("question_tokens is %d, the model takes %d", s.QuestionTokens, c.tokensMax())
	case s.Candidates < 1:
		return fmt.Errorf("candidates is %d", s.Candidates)
	case !(s.Overlap >= 0):
		return fmt.Errorf("overlap is %g", s.Overlap)
	case !(s.Scale > 0):
		return fmt.Errorf("scale is %g", s.Scale)
	}
	return nil
}

// bilinearWidth is the length of the two sides of the product that scores a span.
const bilinearWidth = 64

// PhraseHead is what a phrase encoder has beside its layers: it scores spans as candidate answers
// and makes the token that a candidate enters the upper layers as.
type PhraseHead struct {
	Settings PhraseSettings

	ends       head       // start and end logit
	start, end *nn.Linear // [64, d]
	width      []float32  // [WidthMax]

	fromStart, fromEnd *nn.Linear // [d, d]; nil in the pair form
	bias               []float32  // [d]
	norm               *nn.LayerNorm

	upper nn.Encoder // the layers from Split on
}

// Phrase returns the head of a phrase encoder, or nil.
func (m *Model) Phrase() *PhraseHead { return m.phrase }

// phraseHead reads the head; the encoder's layers are there.
func (r *reader) phraseHead(m *Model, folder fs.FS) *PhraseHead {
	data, err := fs.ReadFile(folder, "config.json")
	if err != nil {
		r.err = fmt.Errorf("read model: %w", err)
		return nil
	}
	c, p := &m.config, &PhraseHead{}
	if err = json.Unmarshal(data, &p.Settings); err == nil {
		err = p.Settings.check(c)
	}
	if err != nil {
		r.err = fmt.Errorf("read config.json: %w", err)
		return nil
	}
	d := c.Width
	p.ends = r.head("candidates.ends", d)
	p.start = r.linear("candidates.start", d, bilinearWidth, nn.FP32)
	p.end = r.linear("candidates.end", d, bilinearWidth, nn.FP32)
	p.width = r.tensor("candidates.width", p.Settings.WidthMax)
	p.upper = nn.Encoder{Width: d, Layers: m.encoder.Layers[p.Settings.Split:]}
	if p.Settings.Form == FormShared {
		p.fromStart, p.fromEnd = r.matrix("phrase.start", d, d), r.matrix("phrase.end", d, d)
		p.bias = r.tensor("phrase.bias", d)
		p.norm = &nn.LayerNorm{
			Gain: r.tensor("phrase.norm.weight", d), Bias: r.tensor("phrase.norm.bias", d),
			Epsilon: float32(c.Epsilon),
		}
	}
	return p
}

// matrix reads a weight [out, in] without a bias, to be multiplied in float32.
func (r *reader) matrix(name string, in, out int) *nn.Linear {
	return r.packed(name, in, out, nn.FP32, func() (weight, bias []float32) {
		return r.tensor(name+".weight", out, in), nil
	})
}

// SpanScores score every span of tokens as a candidate answer, whatever the question.
type SpanScores struct {
	start, end  []float32 // [M] logits, biases included
	left, right []float32 // [M, 64]
	width       []float32
}

// Spans scores the spans of all rows of a batch.
func (p *PhraseHead) Spans(h *Hidden) *SpanScores {
	s := &SpanScores{width: p.width}
	m := h.Sequences.Rows()
	s.start, s.end = p.ends.all(h)
	s.left, s.right = make([]float32, m*bilinearWidth), make([]float32, m*bilinearWidth)
	p.start.Forward(s.left, h.Rows, m)
	p.end.Forward(s.right, h.Rows, m)
	return s
}

// Score is the logit of the span from row first to row last, both included, of one sequence and less
// than WidthMax apart.
func (s *SpanScores) Score(first, last int) float32 {
	left, right := s.left[first*bilinearWidth:][:bilinearWidth], s.right[last*bilinearWidth:][:bilinearWidth]
	sum := float32(0)
	for i, x := range left {
		sum += x * right[i]
	}
	return s.start[first] + s.end[last] + sum/8 + s.width[last-first] // 8 = √64
}

// Passages is what one pass over passages leaves behind for their candidates. Give it back with
// Release.
type Passages struct {
	*Hidden // the last layer

	lower  []float32        // [M, d] what enters layer Split
	kept   map[int]*nn.Kept // QKV of the layers from Split on, counted from it
	memory *[]float32
}

// passageMemory keeps what passes left behind and nobody needs any more.
var passageMemory = sync.Pool{New: func() any { return new([]float32) }}

// EncodePassages is [Model.Encode] that keeps what the shared form's candidates need.
func (m *Model) EncodePassages(ctx context.Context, inputs []Pair) (*Passages, error) {
	rows, d := 0, m.config.Width
	for i := range inputs {
		rows += len(inputs[i].Tokens)
	}
	layers := len(m.phrase.upper.Layers)
	p := &Passages{memory: passageMemory.Get().(*[]float32), kept: map[int]*nn.Kept{}}
	if n := rows * d * (1 + 3*layers); cap(*p.memory) < n {
		*p.memory = make([]float32, n)
	}
	memory := (*p.memory)[:cap(*p.memory)]
	take := func(n int) []float32 {
		part := memory[:n]
		memory = memory[n:]
		return part
	}
	p.lower = take(rows * d)
	keep := map[int]*nn.Kept{}
	for i := range layers {
		p.kept[i] = &nn.Kept{QKV: take(3 * rows * d)}
		keep[m.phrase.Settings.Split+i] = &nn.Kept{QKV: p.kept[i].QKV}
	}
	keep[m.phrase.Settings.Split].Input = p.lower
	var err error
	if p.Hidden, err = m.encode(ctx, inputs, keep); err != nil {
		passageMemory.Put(p.memory)
		return nil, err
	}
	return p, nil
}

// Release gives the memory to the next pass. Nothing of the passages is of use afterwards.
func (p *Passages) Release() {
	p.Hidden.Release()
	if p.memory != nil {
		passageMemory.Put(p.memory)
		p.memory, p.lower, p.kept = nil, nil, nil
	}
}

// TokenSpan is a candidate: its first and its last token, both included, in an input.
type TokenSpan struct{ First, Last int }

// EncodeSpans returns the last layer's row of each candidate, [G, d], in the order of the inputs and
// of their spans (the shared form): a candidate is one token
//
//	x = LayerNorm(phrase.start·H[first] + phrase.end·H[last] + phrase.bias)
//
// of the rows that enter layer Split, and a guest of its passage from there on.
func (m *Model) EncodeSpans(ctx context.Context, p *Passages, spans [][]TokenSpan) ([]float32, error) {
	d, head := m.config.Width, m.phrase
	guests := make(nn.Sequences, 1, len(spans)+1)
	for _, s := range spans {
		guests = append(guests, guests.Rows()+len(s))
	}
	n := guests.Rows()
	first, last := make([]float32, n*d), make([]float32, n*d)
	x, y := make([]float32, n*d), make([]float32, n*d)
	at := 0
	for input, s := range spans {
		for _, span := range s {
			base := p.Sequences[input]
			copy(first[at*d:][:d], p.lower[(base+span.First)*d:])
			copy(last[at*d:][:d], p.lower[(base+span.Last)*d:])
			at++
		}
	}
	head.fromStart.Forward(x, first, n)
	head.fromEnd.Forward(y, last, n)
	for i := range x {
		x[i] += y[i] + head.bias[i%d]
	}
	head.norm.Forward(x, n)
	if err := head.upper.ForwardGuests(ctx, x, guests, p.Sequences, p.kept); err != nil {
		return nil, fmt.Errorf("encode candidates: %w", err)
	}
	return x, nil
}

// Pool returns one row [d] for each input that was encoded: the mean of its rows, of those of its first text, or its
// first row.
func (p *PhraseHead) Pool(h *Hidden, inputs []Pair) []float32 {
	d := h.Width
	out := make([]float32, len(inputs)*d)
	for i, input := range inputs {
		n := len(input.Tokens)
		switch p.Settings.Pooling {
		case PoolingFirst:
			if second := slices.Index(input.Types, 1); second >= 0 {
				n = second
			}
		case PoolingCLS:
			n = 1
		}
		to := out[i*d:][:d]
		for row := range n {
			for c, v := range h.Row(i, row) {
				to[c] += v
			}
		}
		inverse := 1 / float32(n)
		for c := range to {
			to[c] *= inverse
		}
	}
	return out
}
