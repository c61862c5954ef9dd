package tokenize

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// SentencePiece is the tokenizer that a tokenizer.json describes which was made of a SentencePiece
// model: Unigram (T5's, SigLIP's) or byte-pair merges over characters (Gemma's, SigLIP 2's). It is
// safe for concurrent use.
type SentencePiece struct {
	table
	added         *addedTokens // looked for in the text as it is
	addedLater    *addedTokens // looked for in the normalised text
	normaliser    normaliser
	cut           cutter
	model         subwords
	before, after []int32 // special tokens around a text
	padding       int32   // -1 where the file names none
	unigram       bool
}

// subwords cuts a stretch of text into pieces.
type subwords interface {
	append(dst []int32, text string) []int32
}

// jsonSentencePiece is a tokenizer.json, as far as SentencePiece models need it.
type jsonSentencePiece struct {
	AddedTokens   []addedToken `json:"added_tokens"`
	Normalizer    *jsonText    `json:"normalizer"`
	PreTokenizer  *jsonText    `json:"pre_tokenizer"`
	PostProcessor *jsonStep    `json:"post_processor"`
	Model         jsonModel    `json:"model"`
	Padding       *struct {
		ID int32 `json:"pad_id"`
	} `json:"padding"`
}

// ParseSentencePiece reads a tokenizer.json whose model is Unigram, or BPE over characters. What it
// would have to treat differently than the reference, it refuses. With control, special tokens
// spelled out in a text are those tokens, as in the reference; without, they are text.
func ParseSentencePiece(data []byte, control bool) (*SentencePiece, error) {
	var f jsonSentencePiece
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	s := &SentencePiece{padding: -1, unigram: f.Model.Type == "Unigram"}
	if err := s.normaliser.add(f.Normalizer); err != nil {
		return nil, err
	}
	var err error
	if s.cut, err = newCutter(f.PreTokenizer); err != nil {
		return nil, err
	}
	hidden := map[int32]bool{}
	for _, token := range f.AddedTokens {
		if token.Special && !control {
			hidden[token.ID] = true
		}
	}
	switch f.Model.Type {
	case "Unigram":
		err = s.readUnigram(&f.Model, hidden, control)
	case "BPE":
		err = s.readPairs(&f.Model, hidden)
	default:
		err = fmt.Errorf("model type %q is not supported: want Unigram or BPE", f.Model.Type)
	}
	if err != nil {
		return nil, err
	}
	if err := s.addTokens(f.AddedTokens, control); err != nil {
		return nil, err
	}
	if p := f.Padding; p != nil {
		if _, ok := s.Piece(p.ID); !ok {
			return nil, fmt.Errorf("padding.pad_id %d is no token", p.ID)
		}
		s.padding = p.ID
	}
	return s, s.surround(f.PostProcessor)
}

// UnmarshalJSON reads ["▁the", -3.2].
func (s *scored) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("%d values are not a piece and its score", len(pair))
	}
	return errors.Join(json.Unmarshal(pair[0], &s.piece), json.Unmarshal(pair[1], &s.score))
}

func (s *SentencePiece) readUnigram(m *jsonModel, hidden map[int32]bool, control bool) error {
	var list []scored
	if err := json.Unmarshal(m.RawVocab, &list); err != nil {
		return fmt.Errorf("model.vocab is not a list of pieces and scores: %w", err)
	}
	if len(list) > vocabularyMax {
		return fmt.Errorf("model.vocab has %d pieces, allowed are %d", len(list), vocabularyMax)
	}
	if m.UnkID == nil {
		return errors.New("model.unk_id is missing")
	}
	if !control {
		hidden[int32(*m.UnkID)] = true
	}
	u, err := newUnigram(list, *m.UnkID, m.ByteFallback, hidden)
	if err != nil {
		return err
	}
	names := make([]string, len(list))
	for i, piece := range list {
		names[i] = piece.piece
	}
	s.table, s.model = newTable(names), u
	return nil
}

func (s *SentencePiece) readPairs(m *jsonModel, hidden map[int32]bool) error {
	switch {
	case orString(m.Prefix) != "" || orString(m.Suffix) != "":
		return errors.New("BPE with word prefixes or suffixes is not supported")
	case m.Dropout != nil && *m.Dropout != 0:
		return fmt.Errorf("BPE with dropout %g is not supported", *m.Dropout)
	}
	if err := json.Unmarshal(m.RawVocab, &m.Vocab); err != nil || m.Vocab == nil {
		return fmt.Errorf("model.vocab is not a map from tokens to ids: %v", err)
	}
	var err error
	if s.table, err = tableOf(m.Vocab); err != nil {
		return fmt.Errorf("model.vocab: %w", err)
	}
	pairs := make([][2]string, len(m.Merges))
	for i, pair := range m.Merges {
		pairs[i] = pair
	}
	s.model, err = newCharPairs(s.table, m, pairs, hidden)
	return err
}

// addTokens gives added tokens their ids and makes them findable.
func (s *SentencePiece) addTokens(list []addedToken, control bool) error {
	var raw, later []addedToken
	for _, token := range list {
		if err := s.add(token.Content, token.ID); err != nil {
			return err
		}
		if token.Normalized {
			later = append(later, token)
		} else {
			raw = append(raw, token)
		}
	}
	s.added = newAddedTokens(raw, !control, func(content string) string { return content })
	s.addedLater = newAddedTokens(later, !control, func(content string) string {
		content, _ = s.normaliser.apply(content)
		return content
	})
	return nil
}

// surround sets the special tokens around a text that the post-processor describes.
func (s *SentencePiece) surround(post *jsonStep) error {
	switch post.kind() {
	case "none", "ByteLevel":
		return nil
	case "TemplateProcessing":
		parts, _, err := cutTemplate(post.Single, &s.table, "A")
		if err != nil {
			return fmt.Errorf("post_processor.single: %w", err)
		}
		s.before, s.after = parts[0], parts[1]
		return nil
	}
	return fmt.Errorf("post_processor %q is not supported", post.Type)
}

// Tokens returns the ids of text, without special tokens around it.
func (s *SentencePiece) Tokens(text string) []int32 {
	var ids []int32
	text = strings.ToValidUTF8(text, "\uFFFD")
	for _, raw := range s.added.cut(nil, stretch{text: text, first: true}) {
		if raw.added {
			ids = append(ids, raw.id)
			continue
		}
		text, beheaded := s.normaliser.apply(raw.text)
		raw.text, raw.first = text, raw.first && !beheaded
		for _, part := range s.addedLater.cut(nil, raw) {
			if part.added {
				ids = append(ids, part.id)
				continue
			}
			for _, word := range s.cut(nil, part) {
				ids = s.model.append(ids, word.text)
			}
		}
	}
	return ids
}

// Encode returns the tokens of text with the special tokens around it, at most so many in all: cut says
// how many of the text's are left out.
func (s *SentencePiece) Encode(text string, tokensMax int) (ids []int32, cut int) {
	tokens := s.Tokens(text)
	if room := clampZero(tokensMax - len(s.before) - len(s.after)); len(tokens) > room {
		tokens, cut = tokens[:room], len(tokens)-room
	}
	ids = append(append(append(ids, s.before...), tokens...), s.after...)
	return ids, cut
}
