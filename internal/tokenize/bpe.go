package tokenize

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// BPEOptions says how byte-level BPE treats the edges of text. The zero value is RoBERTa's.
type BPEOptions struct {
	AddPrefixSpace bool   // the first word is tokenised as if a blank stood before it
	KeepSpaces     bool   // trim_offsets=false: a token's bytes include the blank before its word
	IgnoreMerges   bool   // a word that is a vocabulary entry is that entry, whatever the merges say
	Begin, End     string // special tokens; "" mean <s> and </s>
}

// BPE is the byte-level byte-pair encoding of GPT-2 and RoBERTa: text is cut into words with
// their leading blank, each word into bytes, and the pair of neighbours that was merged first in
// training is merged until none is left.
type BPE struct {
	table
	layout
	opts      BPEOptions
	bytes     [256]int32
	ends      *[256]int32 // entries of a word's last byte, where the vocabulary marks it; else nil
	merges    merges
	words     map[string]int32 // entries by their bytes, for IgnoreMerges
	scratches sync.Pool
}

// merge is what two neighbours become, and how early in training.
type merge struct{ rank, id int32 }

// merges are the merges by the pair that they join (pairKey).
type merges map[uint64]merge

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// LoadBPE makes a tokenizer of a vocab.json and a merges.txt.
func LoadBPE(vocabulary, merges io.Reader, opts BPEOptions) (*BPE, error) {
	var ids map[string]int32
	if err := json.NewDecoder(vocabulary).Decode(&ids); err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	t, err := tableOf(ids)
	if err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	pairs, err := readMerges(bufio.NewScanner(merges), vocabularyMax)
	if err != nil {
		return nil, err
	}
	return newBPE(t, pairs, opts)
}

func newBPE(t table, pairs [][2]string, opts BPEOptions) (*BPE, error) {
	if opts.Begin == "" {
		opts.Begin = "<s>"
	}
	if opts.End == "" {
		opts.End = "</s>"
	}
	b := &BPE{table: t, opts: opts}
	for value, name := range byteNames() {
		id, ok := t.ids[string(name)]
		if !ok {
			return nil, fmt.Errorf("the vocabulary has no token %q for byte 0x%02x", string(name), value)
		}
		b.bytes[value] = id
	}
	var err error
	if b.merges, err = newMerges(t, pairs); err != nil {
		return nil, err
	}
	begin, err := t.need(opts.Begin)
	if err != nil {
		return nil, err
	}
	end, err := t.need(opts.End)
	if err != nil {
		return nil, err
	}
	b.layout = robertaLayout(begin, end)
	if opts.IgnoreMerges {
		b.words = wordsOf(t)
	}
	b.scratches.New = func() any { return new(pieces) }
	return b, nil
}

// newMerges finds the ids of pairs of tokens, the earliest merge first, and of what they become.
func newMerges(t table, pairs [][2]string) (merges, error) {
	all := make(merges, len(pairs))
	for rank, p := range pairs {
		var ids [3]int32
		for i, piece := range []string{p[0], p[1], p[0] + p[1]} {
			id, ok := t.ids[piece]
			if !ok {
				return nil, fmt.Errorf("merge %d, %q and %q: the vocabulary has no token %q",
					rank, p[0], p[1], piece)
			}
			ids[i] = id
		}
		all[pairKey(ids[0], ids[1])] = merge{int32(rank), ids[2]}
	}
	return all, nil
}

// wordsOf returns the entries that are byte sequences, by those bytes.
func wordsOf(t table) map[string]int32 {
	values := make(map[rune]byte, 256)
	for value, name := range byteNames() {
		values[name] = byte(value)
	}
	words := make(map[string]int32, len(t.ids))
next:
	for piece, id := range t.ids {
		raw := make([]byte, 0, len(piece))
		for _, r := range piece {
			value, ok := values[r]
			if !ok {
				continue next
			}
			raw = append(raw, value)
		}
		words[string(raw)] = id
	}
	return words
}

// Tokens returns the tokens of text.
func (b *BPE) Tokens(text string) []Token {
	return b.AppendTokens(make([]Token, 0, len(text)/4+4), text)
}

// AppendTokens appends the tokens of text to dst.
func (b *BPE) AppendTokens(dst []Token, text string) []Token {
	if text == "" {
		return dst
	}
	prefix := 0
	if b.opts.AddPrefixSpace && text[0] != ' ' {
		text, prefix = " "+text, 1
	}
	scratch := b.scratches.Get().(*pieces)
	first := len(dst)
	for i := 0; i < len(text); {
		end := nextWord(text, i)
		dst = b.appendWord(dst, text, i, end, scratch)
		i = end
	}
	b.scratches.Put(scratch)
	for i := first; i < len(dst); i++ {
		dst[i] = b.place(dst[i], text, prefix, i == first)
	}
	return dst
}

// place turns the bytes of a token, which may begin or end within a character and include the
// prefixed blank, into the offsets the reference gives: whole characters of the original text,
// without blanks at the edges.
func (b *BPE) place(t Token, text string, prefix int, first bool) Token {
	lead, trail := 0, 0
	for lead < t.End-t.Start && text[t.Start+lead] == ' ' {
		lead++
	}
	for trail < t.End-t.Start && text[t.End-1-trail] == ' ' {
		trail++
	}
	only := prefix == 1 && t.End == 1 // the prefixed blank alone, which stands for the first character
	start, end := runeBounds(text, t.Start, t.End)
	if only {
		_, end = runeBounds(text, 1, 2)
	}
	start, end = max(start-prefix, 0), end-prefix
	if b.opts.KeepSpaces {
		return Token{t.ID, start, end}
	}
	if only {
		return Token{t.ID, 0, 0}
	}
	if lead > 0 && b.opts.AddPrefixSpace && (first || start == 0) {
		lead-- // this blank is the prefixed one, or was there and is kept
	}
	start = min(start+lead, end)
	if end >= trail {
		end = max(end-trail, start)
	}
	return Token{t.ID, start, end}
}

// pieces is a word while it is being merged: a linked list of tokens and a heap of the merges
// that were possible when they were found.
type pieces struct {
	ids        []int32 // -1: merged into its left neighbour
	prev, next []int32
	queue      []candidate
}

// candidate is the merge of the piece at byte at with its right neighbour.
type candidate struct{ rank, at, id int32 }

func (c candidate) before(o candidate) bool {
	return c.rank < o.rank || c.rank == o.rank && c.at < o.at
}

// appendWord appends the tokens of text[from:to], their offsets counting bytes of text.
func (b *BPE) appendWord(dst []Token, text string, from, to int, p *pieces) []Token {
	word := text[from:to]
	if id, ok := b.words[word]; ok {
		return append(dst, Token{id, from, to})
	}
	n := len(word)
	p.ids = p.ids[:0]
	for i := range n {
		p.ids = append(p.ids, b.bytes[word[i]])
	}
	if b.ends != nil && n > 0 {
		p.ids[n-1] = b.ends[word[n-1]]
	}
	b.merges.join(p)
	for i := int32(0); i < int32(n); i = p.next[i] {
		dst = append(dst, Token{p.ids[i], from + int(i), from + int(p.next[i])})
	}
	return dst
}

// join merges neighbours among p.ids until no merge is left, the earliest learnt first.
func (m merges) join(p *pieces) {
	n := len(p.ids)
	p.prev, p.next, p.queue = p.prev[:0], p.next[:0], p.queue[:0]
	for i := range int32(n) {
		p.prev = append(p.prev, i-1)
		p.next = append(p.next, i+1)
	}
	for i := range int32(n) {
		m.propose(p, i)
	}
	for len(p.queue) > 0 {
		c := p.pop()
		right := int32(n)
		if p.ids[c.at] >= 0 {
			right = p.next[c.at]
		}
		if right == int32(n) {
			continue // swallowed meanwhile
		}
		if now, ok := m[pairKey(p.ids[c.at], p.ids[right])]; !ok || now.id != c.id {
			continue // a neighbour changed meanwhile
		}
		p.ids[c.at], p.ids[right] = c.id, -1
		p.next[c.at] = p.next[right]
		if after := p.next[right]; after < int32(n) {
			p.prev[after] = c.at
		}
		m.propose(p, c.at)
		if p.prev[c.at] >= 0 {
			m.propose(p, p.prev[c.at])
		}
	}
}

// propose queues the merge of the piece at place at with its right neighbour, if there is one.
func (m merges) propose(p *pieces, at int32) {
	right := p.next[at]
	if int(right) >= len(p.ids) {
		return
	}
	if found, ok := m[pairKey(p.ids[at], p.ids[right])]; ok {
		p.push(candidate{found.rank, at, found.id})
	}
}

func (p *pieces) push(c candidate) {
	p.queue = append(p.queue, c)
	q := p.queue
	i := len(q) - 1
	for i > 0 && c.before(q[(i-1)/2]) {
		q[i] = q[(i-1)/2]
		i = (i - 1) / 2
	}
	q[i] = c
}

func (p *pieces) pop() candidate {
	q := p.queue
	top, last := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	p.queue = q
	i := 0
	for 2*i+1 < len(q) {
		child := 2*i + 1
		if child+1 < len(q) && q[child+1].before(q[child]) {
			child++
		}
		if !q[child].before(last) {
			break
		}
		q[i] = q[child]
		i = child
	}
	if len(q) > 0 {
		q[i] = last
	}
	return top
}
