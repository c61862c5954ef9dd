package tokenize

import (
	"encoding/json"
	"fmt"
	"slices"
)

// jsonFile is a tokenizer.json, as far as WordPiece and byte-level BPE need it.
type jsonFile struct {
	AddedTokens []struct {
		ID      int32  `json:"id"`
		Content string `json:"content"`
	} `json:"added_tokens"`
	Normalizer    *jsonNormalizer `json:"normalizer"`
	PreTokenizer  *jsonStep       `json:"pre_tokenizer"`
	PostProcessor *jsonStep       `json:"post_processor"`
	Model         jsonModel       `json:"model"`
}

type jsonNormalizer struct {
	Type         string `json:"type"`
	CleanText    *bool  `json:"clean_text"`
	ChineseChars *bool  `json:"handle_chinese_chars"`
	StripAccents *bool  `json:"strip_accents"`
	Lowercase    *bool  `json:"lowercase"`
}

// jsonStep is a pre-tokenizer or a post-processor.
type jsonStep struct {
	Type           string      `json:"type"`
	AddPrefixSpace *bool       `json:"add_prefix_space"`
	TrimOffsets    *bool       `json:"trim_offsets"`
	UseRegex       *bool       `json:"use_regex"`
	CLS            jsonSpecial `json:"cls"`
	SEP            jsonSpecial `json:"sep"`
	Single         []jsonPart  `json:"single"`
	Pair           []jsonPart  `json:"pair"`
}

// jsonSpecial is ["[CLS]", 101].
type jsonSpecial struct {
	Token string
	ID    int32
}

// UnmarshalJSON reads the pair; its second member must be a number.
func (s *jsonSpecial) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&s.Token, &s.ID})
}

// jsonPart is one element of a template.
type jsonPart struct {
	SpecialToken *jsonSlot `json:"SpecialToken"`
	Sequence     *jsonSlot `json:"Sequence"`
}

type jsonSlot struct {
	ID     string `json:"id"`
	TypeID int32  `json:"type_id"`
}

type jsonModel struct {
	Type         string           `json:"type"`
	Vocab        map[string]int32 `json:"-"`
	RawVocab     json.RawMessage  `json:"vocab"`
	Merges       []jsonMerge      `json:"merges"`
	UnkToken     *string          `json:"unk_token"`
	Prefix       *string          `json:"continuing_subword_prefix"`
	Suffix       *string          `json:"end_of_word_suffix"`
	WordMax      *int             `json:"max_input_chars_per_word"`
	Dropout      *float64         `json:"dropout"`
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"`
	FuseUnk      bool             `json:"fuse_unk"`
	UnkID        *int             `json:"unk_id"`
}

// jsonMerge is "a b" in older files and ["a", "b"] in newer ones.
type jsonMerge [2]string

// UnmarshalJSON reads either form.
func (m *jsonMerge) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		var both []string
		if err := json.Unmarshal(data, &both); err != nil {
			return err
		}
		if len(both) != 2 {
			return fmt.Errorf("merge %s has %d tokens, not 2", data, len(both))
		}
		*m = jsonMerge(both)
		return nil
	}
	var line string
	if err := json.Unmarshal(data, &line); err != nil {
		return err
	}
	for i := range line {
		if line[i] == ' ' {
			*m = jsonMerge{line[:i], line[i+1:]}
			return nil
		}
	}
	return fmt.Errorf("merge %q is not two tokens", line)
}

// overrides are the settings of a tokenizer_config.json that win over those of the tokenizer's
// own files.
type overrides struct {
	LowerCase      *bool `json:"do_lower_case"`
	StripAccents   *bool `json:"strip_accents"`
	ChineseChars   *bool `json:"tokenize_chinese_chars"`
	AddPrefixSpace *bool `json:"add_prefix_space"`
}

// ParseJSON reads a tokenizer.json whose model is WordPiece with BERT's normaliser, or
// byte-level BPE with none. What it would have to treat differently, it refuses.
func ParseJSON(data []byte) (Tokenizer, error) { return parseJSON(data, overrides{}) }

func parseJSON(data []byte, over overrides) (Tokenizer, error) {
	var f jsonFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	switch f.Model.Type {
	case "WordPiece", "BPE":
	default:
		return nil, fmt.Errorf("model type %q is not supported: want WordPiece or BPE", f.Model.Type)
	}
	if err := json.Unmarshal(f.Model.RawVocab, &f.Model.Vocab); err != nil || f.Model.Vocab == nil {
		return nil, fmt.Errorf("model.vocab is not a map from tokens to ids: %v", err)
	}
	t, err := tableOf(f.Model.Vocab)
	if err != nil {
		return nil, fmt.Errorf("model.vocab: %w", err)
	}
	if f.Model.Type == "BPE" {
		return f.bytePair(t, over)
	}
	return f.wordPiece(t, over)
}

func (f *jsonFile) addTokens(t *table) error {
	for _, added := range f.AddedTokens {
		if err := t.add(added.Content, added.ID); err != nil {
			return err
		}
	}
	return nil
}

func (f *jsonFile) wordPiece(t table, over overrides) (*WordPiece, error) {
	opts := WordPieceOptions{KeepCase: true, KeepControls: true, JoinCJK: true}
	no := false
	opts.StripAccents = &no
	if n := f.Normalizer; n != nil {
		if n.Type != "BertNormalizer" {
			return nil, fmt.Errorf("normalizer %q is not supported: want BertNormalizer", n.Type)
		}
		opts.KeepCase = !or(n.Lowercase, true)
		opts.KeepControls = !or(n.CleanText, true)
		opts.JoinCJK = !or(n.ChineseChars, true)
		opts.StripAccents = n.StripAccents
	}
	opts.override(over)
	if f.PreTokenizer == nil || f.PreTokenizer.Type != "BertPreTokenizer" {
		return nil, fmt.Errorf("pre_tokenizer %q is not supported: want BertPreTokenizer",
			f.PreTokenizer.kind())
	}
	opts.Unknown, opts.Continuing = orString(f.Model.UnkToken), orString(f.Model.Prefix)
	if f.Model.WordMax != nil {
		if opts.WordRunesMax = *f.Model.WordMax; opts.WordRunesMax < 1 {
			return nil, fmt.Errorf("max_input_chars_per_word is %d", opts.WordRunesMax)
		}
	}
	// Added tokens join the table only after the trie is built: they never match text.
	w, err := newWordPiece(t, opts)
	if err != nil {
		return nil, err
	}
	if err := f.addTokens(&w.table); err != nil {
		return nil, err
	}
	return w, f.arrange(&w.layout, &w.table, bertLayout)
}

func (o *WordPieceOptions) override(over overrides) {
	o.KeepCase = !or(over.LowerCase, !o.KeepCase)
	o.JoinCJK = !or(over.ChineseChars, !o.JoinCJK)
	if over.StripAccents != nil {
		o.StripAccents = over.StripAccents
	}
}

func (f *jsonFile) bytePair(t table, over overrides) (*BPE, error) {
	m, pre := &f.Model, f.PreTokenizer
	switch {
	case f.Normalizer != nil:
		return nil, fmt.Errorf("normalizer %q is not supported with BPE", f.Normalizer.Type)
	case pre == nil || pre.Type != "ByteLevel":
		return nil, fmt.Errorf("pre_tokenizer %q is not supported: want ByteLevel", pre.kind())
	case !or(pre.UseRegex, true):
		return nil, fmt.Errorf("pre_tokenizer ByteLevel with use_regex=false is not supported")
	case orString(m.Prefix) != "" || orString(m.Suffix) != "" || m.ByteFallback:
		return nil, fmt.Errorf("BPE with word prefixes, suffixes or byte_fallback is not supported")
	case m.Dropout != nil && *m.Dropout != 0:
		return nil, fmt.Errorf("BPE with dropout %g is not supported", *m.Dropout)
	}
	opts := BPEOptions{
		AddPrefixSpace: or(over.AddPrefixSpace, or(pre.AddPrefixSpace, true)),
		IgnoreMerges:   m.IgnoreMerges,
	}
	if post := f.PostProcessor; post != nil && post.Type == "RobertaProcessing" {
		opts.Begin, opts.End = post.CLS.Token, post.SEP.Token
		opts.KeepSpaces = !or(post.TrimOffsets, true)
		if p := post.AddPrefixSpace; p != nil && *p != or(pre.AddPrefixSpace, true) {
			return nil, fmt.Errorf("pre_tokenizer and post_processor differ in add_prefix_space")
		}
	} else {
		// Without a processor that trims them, the reference leaves offsets as they are.
		opts.KeepSpaces = post == nil || post.Type != "ByteLevel" || !or(post.TrimOffsets, true)
	}
	pairs := make([][2]string, len(m.Merges))
	for i, pair := range m.Merges {
		pairs[i] = pair
	}
	if err := f.addTokens(&t); err != nil {
		return nil, err
	}
	b, err := newBPE(t, pairs, opts)
	if err != nil {
		return nil, err
	}
	return b, f.arrange(&b.layout, &b.table, robertaLayout)
}

// arrange sets the layout that the post-processor describes.
func (f *jsonFile) arrange(l *layout, t *table, family func(first, sep int32) layout) error {
	post := f.PostProcessor
	switch post.kind() {
	case "none", "ByteLevel":
		return nil
	case "BertProcessing", "RobertaProcessing":
		first, err := t.need(post.CLS.Token)
		if err != nil {
			return fmt.Errorf("post_processor: %w", err)
		}
		sep, err := t.need(post.SEP.Token)
		if err != nil {
			return fmt.Errorf("post_processor: %w", err)
		}
		if post.Type == "BertProcessing" {
			family = bertLayout
		}
		*l = family(first, sep)
		return nil
	case "TemplateProcessing":
		return l.template(post, t)
	}
	return fmt.Errorf("post_processor %q is not supported", post.Type)
}

// template reads the layout from a TemplateProcessing, whose texts must be in segment 0 and,
// for the second one and what follows it, in one other or the same.
func (l *layout) template(post *jsonStep, t *table) error {
	single, _, err := cutTemplate(post.Single, t, "A")
	if err != nil {
		return fmt.Errorf("post_processor.single: %w", err)
	}
	pair, secondType, err := cutTemplate(post.Pair, t, "A", "B")
	if err != nil {
		return fmt.Errorf("post_processor.pair: %w", err)
	}
	if !slices.Equal(single[0], pair[0]) {
		return fmt.Errorf("post_processor: single and pair begin differently")
	}
	*l = layout{pair[0], single[1], pair[1], pair[2], secondType}
	return nil
}

// cutTemplate returns the special tokens before, between and after the named sequences.
func cutTemplate(parts []jsonPart, t *table, names ...string) ([][]int32, int32, error) {
	ids, last := make([][]int32, 1), int32(0)
	for i, p := range parts {
		slot := p.SpecialToken
		if p.Sequence != nil {
			slot = p.Sequence
		}
		if slot == nil {
			return nil, 0, fmt.Errorf("part %d is neither SpecialToken nor Sequence", i)
		}
		if p.Sequence != nil {
			if len(ids) > len(names) || slot.ID != names[len(ids)-1] {
				return nil, 0, fmt.Errorf("sequence %q is not expected at part %d", slot.ID, i)
			}
			ids = append(ids, nil)
			if len(ids) == 3 {
				last = slot.TypeID
			}
		} else {
			id, err := t.need(slot.ID)
			if err != nil {
				return nil, 0, err
			}
			ids[len(ids)-1] = append(ids[len(ids)-1], id)
		}
		if want := last; slot.TypeID != want {
			return nil, 0, fmt.Errorf("part %d is in segment %d, not %d", i, slot.TypeID, want)
		}
	}
	if len(ids) != len(names)+1 {
		return nil, 0, fmt.Errorf("%d sequences, want %d", len(ids)-1, len(names))
	}
	return ids, last, nil
}

func (s *jsonStep) kind() string {
	if s == nil {
		return "none"
	}
	return s.Type
}

func or(value *bool, otherwise bool) bool {
	if value == nil {
		return otherwise
	}
	return *value
}

func orString(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}
