package tokenize

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// unigram is SentencePiece's unigram model (Kudo 2018): every piece has a log probability, and a text
// is cut into the pieces whose sum is largest.
type unigram struct {
	pieces  *trie
	scores  []float64
	unknown int32
	penalty float64          // the score of a character that no piece is
	words   map[string]int32 // pieces that text may be cut into
	bytes   *bytePieces      // for what is unknown; nil where it stays unknown
}

// unknownPenalty is how far an unknown character scores below the worst piece.
const unknownPenalty = 10

// scored is a piece as tokenizer.json writes it: ["▁the", -3.2].
type scored struct {
	piece string
	score float64
}

// newUnigram makes a model of pieces whose ids are their places. Those that are hidden are not found
// in text.
func newUnigram(list []scored, unknown int, fallback bool, hidden map[int32]bool) (*unigram, error) {
	if unknown < 0 || unknown >= len(list) {
		return nil, fmt.Errorf("model.unk_id is %d, there are %d pieces", unknown, len(list))
	}
	u := &unigram{
		scores: make([]float64, len(list)), unknown: int32(unknown), words: make(map[string]int32, len(list)),
	}
	entries, least := make([]string, len(list)), math.Inf(1)
	for id, s := range list {
		u.scores[id] = s.score
		least = min(least, s.score)
		if s.piece != "" && !hidden[int32(id)] {
			entries[id], u.words[s.piece] = s.piece, int32(id)
		}
	}
	u.penalty = least - unknownPenalty
	var err error
	if u.pieces, err = newTrie(entries); err != nil {
		return nil, err
	}
	if fallback {
		u.bytes = newBytePieces(u.words)
	}
	return u, nil
}

// bytePieces are the ids of "<0x00>" to "<0xFF>", -1 where the vocabulary lacks one.
type bytePieces [256]int32

func newBytePieces(ids map[string]int32) *bytePieces {
	all := new(bytePieces)
	for b := range all {
		id, ok := ids[fmt.Sprintf("<0x%02X>", b)]
		if !ok {
			id = -1
		}
		all[b] = id
	}
	return all
}

// cover reports whether every byte of text has a piece.
func (b *bytePieces) cover(text string) bool {
	if b == nil {
		return false
	}
	for i := range len(text) {
		if b[text[i]] < 0 {
			return false
		}
	}
	return true
}

// step is the best way to a place in the text: the piece that ends there, and where it begins.
type step struct {
	score float64
	from  int32
	id    int32
}

// append appends the ids of the best cut of text (Viterbi 1967); of equal ones that which the
// reference finds, whose last piece begins first.
func (u *unigram) append(dst []int32, text string) []int32 {
	best := make([]step, len(text)+1)
	for i := range best {
		best[i].from = -1
	}
	for at := 0; at < len(text); {
		here := best[at].score
		_, size := utf8.DecodeRuneInString(text[at:])
		single := false
		for node, i := trieRoot, at; i < len(text); i++ {
			if node = u.pieces.step(node, text[i]); node == 0 {
				break
			}
			id := u.pieces.ids[node]
			if id < 0 {
				continue
			}
			best[i+1].offer(u.scores[id]+here, at, id)
			single = single || i+1-at == size
		}
		if !single {
			best[at+size].offer(u.penalty+here, at, u.unknown)
		}
		at += size
	}
	return u.readBack(dst, text, best)
}

func (s *step) offer(score float64, from int, id int32) {
	if s.from < 0 || score > s.score {
		*s = step{score, int32(from), id}
	}
}

// readBack appends the pieces on the way to the end of text. Neighbours that are unknown are one.
func (u *unigram) readBack(dst []int32, text string, best []step) []int32 {
	first := len(dst)
	for end := len(text); end > 0; {
		s := best[end]
		from := int(s.from)
		if s.id != u.unknown {
			dst, end = append(dst, s.id), from
			continue
		}
		for from > 0 && best[from].id == u.unknown {
			from = int(best[from].from)
		}
		dst, end = u.appendUnknown(dst, text[from:end]), from
	}
	slices.Reverse(dst[first:])
	return dst
}

// appendUnknown appends, last byte first, what stands for text that no piece covers.
func (u *unigram) appendUnknown(dst []int32, text string) []int32 {
	if id, ok := u.words[text]; ok {
		return append(dst, id)
	}
	if !u.bytes.cover(text) {
		return append(dst, u.unknown)
	}
	for i := len(text) - 1; i >= 0; i-- {
		dst = append(dst, u.bytes[text[i]])
	}
	return dst
}
