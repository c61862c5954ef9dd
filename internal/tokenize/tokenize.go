// Package tokenize cuts text into the sub-word tokens of BERT (WordPiece) and RoBERTa
// (byte-level BPE), and tells of every token which bytes of the original text it stands for.
//
// Ids and offsets are those of the reference tokenizers (Hugging Face tokenizers 0.22), except
// that offsets count bytes, not characters, and that text is only ever text: a document that
// contains the characters "[SEP]" gets no separator token.
//
// [CLIP] and [SigLIP] cut the texts of vision-language models, which need no offsets.
package tokenize

import "fmt"

// Token is one sub-word: its id and the bytes text[Start:End] it stands for. The tokens that
// encoders put between texts have Start = End = -1.
type Token struct {
	ID         int32
	Start, End int
}

// A Tokenizer turns text into tokens and tokens into the inputs of one family of encoders.
// It is safe for concurrent use.
type Tokenizer interface {
	// Tokens returns the tokens of text, in order, without special ones.
	Tokens(text string) []Token
	// AppendTokens appends the tokens of text to dst.
	AppendTokens(dst []Token, text string) []Token
	// ID returns the id of a vocabulary entry, special ones included.
	ID(token string) (int32, bool)
	// Piece returns the vocabulary entry of an id, as the vocabulary file writes it.
	Piece(id int32) (string, bool)
	// Size returns the number of ids, the smallest embedding table that holds them all.
	Size() int
	// EncodeOne puts the family's special tokens around one text, cut to max tokens in all.
	// A max of 0 means no limit.
	EncodeOne(text []Token, max int) Pair
	// EncodePair joins two texts with the family's special tokens. When the whole would be
	// longer than max, the second text is cut, never the first: if even an empty second text
	// leaves it too long, the pair is longer than max, which encoders refuse. A max of 0 means
	// no limit.
	EncodePair(first, second []Token, max int) Pair
}

// Range is a half-open range of tokens.
type Range struct{ Start, End int }

// Len returns the number of tokens.
func (r Range) Len() int { return r.End - r.Start }

// Pair is one input of an encoder.
type Pair struct {
	Tokens []Token // special tokens included
	Types  []int32 // segment of each token: BERT has 0 and 1, RoBERTa only 0
	First  Range   // where the first text's tokens lie
	Second Range   // where the second text's lie; empty when there is none
}

// layout is how a family of encoders surrounds texts with special tokens:
// before A afterOne, or before A between B after.
type layout struct {
	before, afterOne, between, after []int32
	secondType                       int32 // segment of the second text and of what follows it
}

func (l *layout) EncodeOne(text []Token, max int) Pair {
	if room := max - len(l.before) - len(l.afterOne); max > 0 && len(text) > room {
		text = text[:clampZero(room)]
	}
	n := len(l.before) + len(text) + len(l.afterOne)
	p := Pair{Tokens: make([]Token, 0, n), Types: make([]int32, n)}
	p.special(l.before)
	p.First = p.text(text)
	p.special(l.afterOne)
	p.Second = Range{n, n}
	return p
}

func (l *layout) EncodePair(first, second []Token, max int) Pair {
	around := len(l.before) + len(first) + len(l.between) + len(l.after)
	if max > 0 && around+len(second) > max {
		second = second[:clampZero(max-around)]
	}
	n := around + len(second)
	p := Pair{Tokens: make([]Token, 0, n), Types: make([]int32, n)}
	p.special(l.before)
	p.First = p.text(first)
	p.special(l.between)
	p.Second = p.text(second)
	p.special(l.after)
	for i := p.Second.Start; i < n; i++ {
		p.Types[i] = l.secondType
	}
	return p
}

func clampZero(n int) int { return max(n, 0) }

func (p *Pair) special(ids []int32) {
	for _, id := range ids {
		p.Tokens = append(p.Tokens, Token{ID: id, Start: -1, End: -1})
	}
}

func (p *Pair) text(tokens []Token) Range {
	start := len(p.Tokens)
	p.Tokens = append(p.Tokens, tokens...)
	return Range{start, len(p.Tokens)}
}

// bertLayout is [CLS] a [SEP] b [SEP], the second text in segment 1.
func bertLayout(cls, sep int32) layout {
	return layout{
		before: []int32{cls}, afterOne: []int32{sep}, between: []int32{sep}, after: []int32{sep},
		secondType: 1,
	}
}

// robertaLayout is <s> a </s></s> b </s>, all in segment 0.
func robertaLayout(begin, end int32) layout {
	return layout{
		before: []int32{begin}, afterOne: []int32{end}, between: []int32{end, end},
		after: []int32{end},
	}
}

// table is a vocabulary both ways. Entries outside pieces (special tokens that a tokenizer.json
// adds) have ids of their own.
type table struct {
	pieces []string // by id; "" where an id is unused
	ids    map[string]int32
}

// vocabularyMax bounds ids, so that a foreign file cannot make us allocate without limit.
const vocabularyMax = 1 << 22

func newTable(pieces []string) table {
	t := table{pieces: pieces, ids: make(map[string]int32, len(pieces))}
	for id, piece := range pieces {
		t.ids[piece] = int32(id)
	}
	return t
}

// tableOf turns a map of ids, as JSON vocabularies have it, into a table.
func tableOf(ids map[string]int32) (table, error) {
	size := int32(0)
	for piece, id := range ids {
		if id < 0 || id >= vocabularyMax {
			return table{}, fmt.Errorf("token %q has id %d, allowed are 0 to %d",
				piece, id, vocabularyMax-1)
		}
		size = max(size, id+1)
	}
	t := table{pieces: make([]string, size), ids: ids}
	for piece, id := range ids {
		if other := t.pieces[id]; other != "" {
			return table{}, fmt.Errorf("tokens %q and %q share the id %d",
				min(piece, other), max(piece, other), id)
		}
		t.pieces[id] = piece
	}
	return t, nil
}

func (t *table) add(piece string, id int32) error {
	if id < 0 || id >= vocabularyMax {
		return fmt.Errorf("added token %q has id %d, allowed are 0 to %d",
			piece, id, vocabularyMax-1)
	}
	if had, ok := t.ids[piece]; ok && had != id {
		return fmt.Errorf("added token %q has id %d, the vocabulary says %d", piece, id, had)
	}
	if int(id) >= len(t.pieces) {
		t.pieces = append(t.pieces, make([]string, int(id)+1-len(t.pieces))...)
	}
	if other := t.pieces[id]; other != "" && other != piece {
		return fmt.Errorf("added token %q has id %d, which is %q", piece, id, other)
	}
	t.pieces[id], t.ids[piece] = piece, id
	return nil
}

// ID returns the id of a vocabulary entry.
func (t *table) ID(piece string) (int32, bool) {
	id, ok := t.ids[piece]
	return id, ok
}

// Piece returns the vocabulary entry of an id.
func (t *table) Piece(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.pieces) || t.pieces[id] == "" {
		return "", false
	}
	return t.pieces[id], true
}

// Size returns the number of ids.
func (t *table) Size() int { return len(t.pieces) }

// need returns the id of a token that a family cannot do without.
func (t *table) need(piece string) (int32, error) {
	id, ok := t.ids[piece]
	if !ok {
		return 0, fmt.Errorf("the vocabulary has no token %q", piece)
	}
	return id, nil
}
