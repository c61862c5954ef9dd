package tokenize

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// SigLIPOptions says how [SigLIP] treats text. The zero value is open_clip's.
type SigLIPOptions struct {
	Context       int  // tokens of an input, always so many; 0 means 64
	HuggingFace   bool // clean as Hugging Face's tokenizers of SigLIP and SigLIP 2 do
	ControlTokens bool // special tokens spelled out in a text are those tokens, as in the references
}

// SigLIP is the tokenizer of SigLIP (Zhai et al. 2023) and SigLIP 2: cleaned text becomes as many ids as the
// model reads, the rest padded. The model attends to the padding and pools the last place, so which
// token pads is part of the computation. It is safe for concurrent use.
type SigLIP struct {
	pieces  *SentencePiece
	opts    SigLIPOptions
	padding int32
}

// LoadSigLIP reads the tokenizer of a SigLIP folder, tokenizer.json; tokenizer_config.json beside it may name
// the padding, and what stands around a text.
func LoadSigLIP(folder fs.FS, opts SigLIPOptions) (*SigLIP, error) {
	data, err := fs.ReadFile(folder, "tokenizer.json")
	if err != nil {
		return nil, fmt.Errorf("read tokenizer: %w", err)
	}
	config, err := fs.ReadFile(folder, "tokenizer_config.json")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read tokenizer: %w", err)
	}
	s, err := newSigLIP(data, config, opts)
	if err != nil {
		return nil, fmt.Errorf("read tokenizer.json: %w", err)
	}
	return s, nil
}

func newSigLIP(data, config []byte, opts SigLIPOptions) (*SigLIP, error) {
	if opts.Context == 0 {
		opts.Context = 64
	}
	pieces, err := ParseSentencePiece(data, opts.ControlTokens)
	if err != nil {
		return nil, err
	}
	var c sigLIPConfig
	if len(config) > 0 {
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	if err := c.surround(pieces); err != nil {
		return nil, fmt.Errorf("tokenizer_config.json: %w", err)
	}
	if around := len(pieces.before) + len(pieces.after); opts.Context <= around {
		return nil, fmt.Errorf("a context of %d has no room beside %d special tokens", opts.Context, around)
	}
	s := &SigLIP{pieces: pieces, opts: opts}
	s.padding, err = c.padding(pieces)
	return s, err
}

// sigLIPConfig is what tokenizer_config.json may change.
type sigLIPConfig struct {
	Class    string    `json:"tokenizer_class"`
	AddBegin *bool     `json:"add_bos_token"`
	AddEnd   *bool     `json:"add_eos_token"`
	Begin    tokenName `json:"bos_token"`
	End      tokenName `json:"eos_token"`
	Padding  tokenName `json:"pad_token"`
}

// tokenName is a token's content, written as a string or as an object.
type tokenName string

// UnmarshalJSON reads either form; null is none.
func (n *tokenName) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, (*string)(n)) == nil {
		return nil
	}
	var whole struct{ Content string }
	err := json.Unmarshal(data, &whole)
	*n = tokenName(whole.Content)
	return err
}

// surround sets what stands around a text, where transformers' class does so whatever tokenizer.json says.
func (c *sigLIPConfig) surround(s *SentencePiece) error {
	if !strings.HasPrefix(c.Class, "Gemma") || c.AddBegin == nil && c.AddEnd == nil {
		return nil
	}
	s.before, s.after = nil, nil
	for _, one := range []struct {
		add  bool
		name tokenName
		to   *[]int32
	}{{or(c.AddBegin, true), c.Begin, &s.before}, {or(c.AddEnd, false), c.End, &s.after}} {
		if !one.add {
			continue
		}
		id, err := s.need(string(one.name))
		if err != nil {
			return err
		}
		*one.to = []int32{id}
	}
	return nil
}

// padding returns the id that pads: what tokenizer_config.json says, as in the references, else what
// tokenizer.json says, else the end for SigLIP and <pad> for SigLIP 2, as they were trained.
func (c *sigLIPConfig) padding(s *SentencePiece) (int32, error) {
	name := string(c.Padding)
	switch {
	case name != "":
	case s.padding >= 0:
		return s.padding, nil
	case s.unigram:
		name = "</s>"
	default:
		name = "<pad>"
	}
	id, err := s.need(name)
	if err != nil {
		return 0, fmt.Errorf("padding: %w", err)
	}
	return id, nil
}

// Size returns the number of ids.
func (s *SigLIP) Size() int { return s.pieces.Size() }

// Context returns how many ids an input has.
func (s *SigLIP) Context() int { return s.opts.Context }

// Encode returns the tokens of the cleaned text, what ends it, and padding: as many ids as the context. cut
// says how many tokens it had no room for.
func (s *SigLIP) Encode(text string) (ids []int32, cut int) {
	ids, cut = s.pieces.Encode(s.clean(text), s.opts.Context)
	for len(ids) < s.opts.Context {
		ids = append(ids, s.padding)
	}
	return ids, cut
}

// clean does to a text what the reference does before it is cut. Hugging Face folds the case alone for
// SigLIP 2, whose tokenizer is Gemma's.
func (s *SigLIP) clean(text string) string {
	switch {
	case !s.opts.HuggingFace:
		return canonicalOpenCLIP(text)
	case s.pieces.unigram:
		return canonical(text)
	}
	return lowerEach(finalSigmas(text))
}

// canonicalOpenCLIP is open_clip's "canonicalize": repaired as CLIP's texts are, lines below as blanks, then
// [canonical].
func canonicalOpenCLIP(text string) string {
	return canonical(strings.ReplaceAll(cleanBasic(text), "_", " "))
}

// canonical leaves out punctuation of ASCII, folds case and writes white space as single blanks.
func canonical(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < 0x80 && strings.IndexByte(punctuationASCII, byte(r)) >= 0 {
			return -1
		}
		return r
	}, text)
	return lowerEach(finalSigmas(strings.Join(strings.Fields(text), " ")))
}
