package tokenize

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// WordPieceOptions says how text is normalised. The zero value is BERT uncased.
type WordPieceOptions struct {
	KeepCase       bool   // do_lower_case=false
	StripAccents   *bool  // nil: accents are stripped when case is folded
	KeepControls   bool   // clean_text=false: neither deletes controls nor evens out white space
	JoinCJK        bool   // tokenize_chinese_chars=false: ideographs are not words of their own
	WordRunesMax   int    // longer words become one unknown token; 0 means 100
	Unknown        string // "" means [UNK]
	Continuing     string // prefix of pieces inside a word; "" means ##
	First, Between string // special tokens; "" mean [CLS] and [SEP]
}

func (o WordPieceOptions) withDefaults() WordPieceOptions {
	for _, d := range []struct {
		field *string
		value string
	}{{&o.Unknown, "[UNK]"}, {&o.Continuing, "##"}, {&o.First, "[CLS]"}, {&o.Between, "[SEP]"}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if o.StripAccents == nil {
		strip := !o.KeepCase
		o.StripAccents = &strip
	}
	if o.WordRunesMax == 0 {
		o.WordRunesMax = 100
	}
	return o
}

// WordPiece is the tokenizer of BERT and its relatives (Devlin et al. 2018): text is normalised,
// cut into words at white space and punctuation, and each word is covered from the left by the
// longest vocabulary entries.
type WordPiece struct {
	table
	layout
	trie      *trie
	inside    uint32 // the trie's node of the continuing prefix
	unknown   int32
	opts      WordPieceOptions
	ascii     [utf8.RuneSelf]class
	fold      [utf8.RuneSelf]byte
	scratches sync.Pool
}

// class is what a character does to the word before it.
type class uint8

const (
	inWord  class = iota
	between       // ends a word and is dropped
	alone         // ends a word and is one
	dropped       // as if it were not there
)

// NewWordPiece makes a tokenizer of a vocabulary whose indices are the ids.
func NewWordPiece(vocabulary []string, opts WordPieceOptions) (*WordPiece, error) {
	return newWordPiece(newTable(vocabulary), opts)
}

// ReadWordPiece makes a tokenizer of a vocab.txt, one entry a line.
func ReadWordPiece(vocabulary io.Reader, opts WordPieceOptions) (*WordPiece, error) {
	pieces, err := readLines(vocabulary)
	if err != nil {
		return nil, err
	}
	return newWordPiece(newTable(pieces), opts)
}

func newWordPiece(t table, opts WordPieceOptions) (*WordPiece, error) {
	w := &WordPiece{table: t, opts: opts.withDefaults()}
	for id, piece := range t.pieces {
		if !utf8.ValidString(piece) {
			return nil, fmt.Errorf("token %d of the vocabulary, %q, is not UTF-8", id, piece)
		}
	}
	var special [3]int32
	for i, name := range []string{w.opts.Unknown, w.opts.First, w.opts.Between} {
		id, err := t.need(name)
		if err != nil {
			return nil, err
		}
		special[i] = id
	}
	w.unknown, w.layout = special[0], bertLayout(special[1], special[2])
	var err error
	if w.trie, err = newTrie(t.pieces); err != nil {
		return nil, err
	}
	// A vocabulary without a single continuing piece is odd but sound: the node is then made.
	w.inside = trieRoot
	for i := range len(w.opts.Continuing) {
		w.inside = w.trie.grow(w.inside, w.opts.Continuing[i])
	}
	for c := range rune(utf8.RuneSelf) {
		w.ascii[c] = w.classOf(c)
		w.fold[c] = byte(c)
		if !w.opts.KeepCase {
			w.fold[c] = byte(unicode.ToLower(c))
		}
	}
	w.scratches.New = func() any { return new(word) }
	return w, nil
}

// classOf classifies an ASCII character.
func (w *WordPiece) classOf(r rune) class {
	switch {
	case !w.opts.KeepControls && unicode.Is(removed, r):
		return dropped
	case unicode.IsSpace(r):
		return between
	case unicode.Is(punctuation, r):
		return alone
	}
	return inWord
}

// readLines reads a vocab.txt. Lines may end as on Windows.
func readLines(r io.Reader) ([]string, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if len(data) > trieNodesMax {
		return nil, fmt.Errorf("the vocabulary has %d bytes, allowed are %d",
			len(data), trieNodesMax)
	}
	pieces := make([]string, 0, bytes.Count(data, []byte{'\n'})+1)
	for line := range strings.Lines(string(data)) { // the pieces share one string
		pieces = append(pieces, strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
	}
	if len(pieces) == 0 {
		return nil, errors.New("the vocabulary is empty")
	}
	return pieces, nil
}

// Tokens returns the tokens of text.
func (w *WordPiece) Tokens(text string) []Token {
	return w.AppendTokens(make([]Token, 0, len(text)/4+4), text)
}

// AppendTokens appends the tokens of text to dst. It allocates only to grow dst.
//
// Words of ASCII letters need no normalisation but case folding, and their bytes stay where they
// are; any other word takes the long way round through [word].
func (w *WordPiece) AppendTokens(dst []Token, text string) []Token {
	scratch := w.scratches.Get().(*word)
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf && w.ascii[c] != inWord {
			if w.ascii[c] == alone {
				dst = w.appendPieces(dst, append(scratch.text[:0], c), 1, i, nil)
			}
			i++
			continue
		}
		end := i
		folded := scratch.text[:0]
		for end < len(text) && text[end] < utf8.RuneSelf && w.ascii[text[end]] == inWord {
			folded = append(folded, w.fold[text[end]])
			end++
		}
		scratch.text = folded
		if end == len(text) || text[end] < utf8.RuneSelf && w.ascii[text[end]] != dropped {
			dst = w.appendPieces(dst, folded, len(folded), i, nil)
			i = end
			continue
		}
		dst, i = w.appendNormalised(dst, text, i, scratch)
	}
	scratch.text = scratch.text[:0]
	w.scratches.Put(scratch)
	return dst
}

// appendPieces covers one normalised word with vocabulary entries, or with one unknown token.
//
//	runes   the characters of the word
//	base    where it begins in the original text, when every byte lies where it did
//	places  otherwise the original bytes of each of the word's bytes
func (w *WordPiece) appendPieces(
	dst []Token, word []byte, runes, base int, places []place,
) []Token {
	if len(word) == 0 {
		return dst
	}
	span := func(from, to int) (start, end int) {
		if places == nil {
			return base + from, base + to
		}
		return places[from].start, places[to-1].end
	}
	mark := len(dst)
	if runes <= w.opts.WordRunesMax {
		at, node := 0, trieRoot
		for at < len(word) {
			id, length := w.trie.longest(node, word[at:])
			if length == 0 {
				break
			}
			start, end := span(at, at+length)
			dst = append(dst, Token{id, start, end})
			at += length
			node = w.inside
		}
		if at == len(word) {
			return dst
		}
	}
	start, end := span(0, len(word))
	return append(dst[:mark], Token{w.unknown, start, end})
}
