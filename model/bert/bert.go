// Package bert runs the encoders of BERT, RoBERTa and DistilBERT from the folders Hugging Face
// keeps them in, with the heads that find answers: …ForQuestionAnswering, and evident's own: the
// joint reader, which also says whether a passage is worth reading, and the phrase encoder, which
// turns possible answers into vectors before any question is asked.
//
// [Load] reads a folder; [Model.Tokenizer] makes the inputs, [Model.Encode] runs them, and
// [Model.QA] or [Model.Joint] turn the hidden rows into logits. A model is safe for concurrent use.
package bert

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"evident/internal/pack"
	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/nn"
)

// Pair is one input: the tokens of one or two texts with the special tokens around them, as
// [tokenize.Tokenizer] makes it.
type Pair = tokenize.Pair

// Options tunes [Load]. The zero value computes in the best precision of the CPU.
type Options struct {
	Precision nn.Precision

	// CacheDir is evident's cache folder: packed weights are kept beside the model or, where nobody may
	// write there, in CacheDir. "" means that none are kept.
	CacheDir string

	// An encoder that is a part of a larger model has its own settings and names there: Config
	// replaces the folder's config.json, Weights its model.safetensors, which stays open, and Prefix
	// stands before the names of all tensors.
	Config  []byte
	Weights *weights.File
	Prefix  string
}

// Model is an encoder with its tokenizer and the heads its folder holds.
type Model struct {
	config    config
	tokenizer tokenize.Tokenizer
	embedding embedding
	encoder   nn.Encoder
	qa        *QAHead
	joint     *JointHead
	phrase    *PhraseHead
	packed    pack.Report
}

// LengthError says that an input is longer than the model's positions.
type LengthError struct {
	Pair          int // index of the input
	Tokens, Limit int
}

func (e *LengthError) Error() string {
	return fmt.Sprintf("input %d has %d tokens, the model takes %d", e.Pair, e.Tokens, e.Limit)
}

// Load reads a model from a folder with config.json, model.safetensors (or its shards and their
// index) and the tokenizer's files. Heads are loaded when config.json's architecture names them.
func Load(folder fs.FS, opts Options) (m *Model, err error) {
	c, err := readConfig(folder, opts.Config)
	if err != nil {
		return nil, err
	}
	m = &Model{config: *c}
	if m.tokenizer, err = tokenize.Load(folder); err != nil {
		return nil, err
	}
	if n := m.tokenizer.Size(); n > c.Vocabulary {
		return nil, fmt.Errorf("the tokenizer has %d tokens, config.json promises %d",
			n, c.Vocabulary)
	}
	file := opts.Weights
	if file == nil {
		cache := pack.Options{Dir: opts.CacheDir, Precision: opts.Precision.Native().String()}
		if file, err = weights.OpenPacked(folder, cache); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
	}
	r := newReader(file, c.family, opts)
	m.embedding = r.embedding(c)
	m.encoder.Width = c.Width
	for i := 0; i < c.Layers && r.err == nil; i++ {
		m.encoder.Layers = append(m.encoder.Layers, r.layer(c, i))
	}
	if err := m.loadHeads(r, folder); err != nil {
		return nil, err
	}
	if opts.Weights == nil {
		file.Keep()
		m.packed = file.Packed().Report()
	}
	return m, nil
}

// Tokenizer returns the tokenizer that makes the model's inputs.
func (m *Model) Tokenizer() tokenize.Tokenizer { return m.tokenizer }

// Packed says whether the weights came from a cache, and what became of it.
func (m *Model) Packed() pack.Report { return m.packed }

// Width returns d, the length of a hidden row.
func (m *Model) Width() int { return m.config.Width }

// TokensMax returns the length of the longest input, special tokens included.
func (m *Model) TokensMax() int { return m.config.tokensMax() }

// Hidden is the encoder's last layer: one row for each token of each input, laid end to end.
type Hidden struct {
	Width     int
	Rows      []float32    // [M, Width]
	Sequences nn.Sequences // input i is rows [Sequences[i], Sequences[i+1])

	memory *[]float32 // of Rows, from rowMemory
}

// rowMemory keeps the rows that were given back with Release.
var rowMemory = sync.Pool{New: func() any { return new([]float32) }}

// newHidden returns rows for the sequences. Their values are of no meaning.
func newHidden(width int, sequences nn.Sequences) *Hidden {
	h := &Hidden{Width: width, Sequences: sequences, memory: rowMemory.Get().(*[]float32)}
	n := sequences.Rows() * width
	if cap(*h.memory) < n {
		*h.memory = make([]float32, n)
	}
	h.Rows = (*h.memory)[:n]
	return h
}

// Release gives the rows' memory to the next batch, so that batch after batch needs no new one. It may be
// left out. Rows are of no use afterwards.
func (h *Hidden) Release() {
	if h.memory != nil {
		rowMemory.Put(h.memory)
		h.memory, h.Rows = nil, nil
	}
}

// Row returns the hidden row of a token of an input.
func (h *Hidden) Row(input, token int) []float32 {
	return h.Rows[(h.Sequences[input]+token)*h.Width:][:h.Width]
}

// Encode runs the encoder on all inputs at once, without padding. An input longer than
// [Model.TokensMax] is a [LengthError].
func (m *Model) Encode(ctx context.Context, inputs []Pair) (*Hidden, error) {
	return m.encode(ctx, inputs, nil)
}

func (m *Model) encode(ctx context.Context, inputs []Pair, keep map[int]*nn.Kept) (*Hidden, error) {
	if err := m.check(inputs); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	sequences := make(nn.Sequences, 1, len(inputs)+1)
	for i := range inputs {
		sequences = append(sequences, sequences[i]+len(inputs[i].Tokens))
	}
	h := newHidden(m.config.Width, sequences)
	for i := range inputs {
		m.embed(h.Rows[h.Sequences[i]*h.Width:], &inputs[i])
	}
	m.embedding.norm.Forward(h.Rows, h.Sequences.Rows())
	if err := m.encoder.ForwardKeep(ctx, h.Rows, h.Sequences, keep); err != nil {
		h.Release()
		return nil, fmt.Errorf("encode: %w", err)
	}
	return h, nil
}

func (m *Model) check(inputs []Pair) error {
	for i, in := range inputs {
		if len(in.Tokens) > m.TokensMax() {
			return &LengthError{i, len(in.Tokens), m.TokensMax()}
		}
		if len(in.Tokens) == 0 {
			return fmt.Errorf("input %d has no tokens", i)
		}
		if len(in.Types) != len(in.Tokens) {
			return fmt.Errorf("input %d has %d tokens and %d types",
				i, len(in.Tokens), len(in.Types))
		}
		for t, token := range in.Tokens {
			if token.ID < 0 || int(token.ID) >= m.config.Vocabulary {
				return fmt.Errorf("input %d: token %d has id %d, the model has %d",
					i, t, token.ID, m.config.Vocabulary)
			}
			kind := in.Types[t]
			if m.embedding.segments != nil && (kind < 0 || int(kind) >= m.config.Segments) {
				return fmt.Errorf("input %d: token %d is in segment %d, the model has %d",
					i, t, kind, m.config.Segments)
			}
		}
	}
	return nil
}

// embed writes the sums of word, position and segment vectors to x, a row a token.
func (m *Model) embed(x []float32, in *Pair) {
	d, e := m.config.Width, &m.embedding
	next := m.config.family.first(&m.config)
	for i, token := range in.Tokens {
		row, position := x[i*d:][:d], next
		if m.config.family == &roBERTa && int(token.ID) == m.config.Pad {
			position = m.config.Pad // as in the reference, padding takes no place
		} else {
			next++
		}
		e.words.Row(row, int(token.ID))
		for c, p := range e.positions[position*d:][:d] {
			row[c] += p
		}
		if e.segments != nil {
			for c, s := range e.segments[int(in.Types[i])*d:][:d] {
				row[c] += s
			}
		}
	}
}
