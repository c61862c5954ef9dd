package tokenize

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// CLIPOptions says how [CLIP] treats text. The zero value is open_clip's.
type CLIPOptions struct {
	Context       int  // tokens of an input at most, begin and end included; 0 means 77
	HuggingFace   bool // clean as Hugging Face's fast tokenizer does, which repairs nothing
	ControlTokens bool // begin and end spelled out in a text are those tokens, as in the references
}

// CLIP is the byte-pair tokenizer of CLIP (Radford et al. 2021): cleaned lower-case text is cut
// into words without their blanks, and the last symbol of a word is marked with "</w>".
// It is safe for concurrent use.
type CLIP struct {
	bpe        *BPE
	opts       CLIPOptions
	begin, end string // as the vocabulary spells them
}

// The names of CLIP's begin and end.
const (
	openCLIPBegin, openCLIPEnd       = "<start_of_text>", "<end_of_text>"
	huggingFaceBegin, huggingFaceEnd = "<|startoftext|>", "<|endoftext|>"
	wordEnd                          = "</w>"
	clipMerges                       = 49152 - 256 - 2 // the file has more than the model uses
)

// LoadCLIP reads the tokenizer of a CLIP folder: tokenizer.json, or else vocab.json with merges.txt,
// or else bpe_simple_vocab_16e6.txt.gz.
func LoadCLIP(folder fs.FS, opts CLIPOptions) (*CLIP, error) {
	for _, form := range []struct {
		name string
		read func(fs.FS, io.Reader, CLIPOptions) (*CLIP, error)
	}{
		{"tokenizer.json", clipOfJSON},
		{"vocab.json", clipOfVocabulary},
		{"bpe_simple_vocab_16e6.txt.gz", func(_ fs.FS, r io.Reader, opts CLIPOptions) (*CLIP, error) {
			return ReadCLIPMerges(r, opts)
		}},
	} {
		f, err := folder.Open(form.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read tokenizer: %w", err)
		}
		c, err := form.read(folder, f, opts)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("read tokenizer %s: %w", form.name, err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("no tokenizer: none of tokenizer.json, vocab.json, "+
		"bpe_simple_vocab_16e6.txt.gz: %w", fs.ErrNotExist)
}

// ReadCLIPMerges reads a merge table as OpenAI's CLIP ships it, gzipped: a header, then 48894
// merges that count. The vocabulary follows from it: the bytes, the bytes that end a word, what the
// merges make, begin and end.
func ReadCLIPMerges(r io.Reader, opts CLIPOptions) (*CLIP, error) {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	var singles, printable, list []string
	for b, name := range byteNames() {
		if int(name) == b {
			printable = append(printable, string(name))
		} else {
			singles = append(singles, string(name))
		}
	}
	singles = append(printable, singles...)
	list = append(list, singles...)
	for _, s := range singles {
		list = append(list, s+wordEnd)
	}
	lines := bufio.NewScanner(unzipped)
	lines.Scan() // the header
	pairs, err := readMerges(lines, clipMerges)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		list = append(list, p[0]+p[1])
	}
	return newCLIP(newTable(append(list, openCLIPBegin, openCLIPEnd)), pairs, opts)
}

// readMerges reads lines of two tokens, at most so many of them.
func readMerges(lines *bufio.Scanner, most int) (pairs [][2]string, err error) {
	for n := 1; len(pairs) < most && lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#version") {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || left == "" || right == "" || strings.Contains(right, " ") {
			return nil, fmt.Errorf("merges: line %d: %q is not two tokens", n, line)
		}
		pairs = append(pairs, [2]string{left, right})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("merges: %w", err)
	}
	return pairs, nil
}

func clipOfVocabulary(folder fs.FS, r io.Reader, opts CLIPOptions) (*CLIP, error) {
	var ids map[string]int32
	if err := json.NewDecoder(r).Decode(&ids); err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	t, err := tableOf(ids)
	if err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	merges, err := folder.Open("merges.txt")
	if err != nil {
		return nil, err
	}
	defer merges.Close()
	pairs, err := readMerges(bufio.NewScanner(merges), vocabularyMax)
	if err != nil {
		return nil, err
	}
	return newCLIP(t, pairs, opts)
}

func clipOfJSON(_ fs.FS, r io.Reader, opts CLIPOptions) (*CLIP, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var f struct {
		AddedTokens []struct {
			ID      int32  `json:"id"`
			Content string `json:"content"`
		} `json:"added_tokens"`
		Model jsonModel `json:"model"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	m := &f.Model
	if m.Type != "BPE" || orString(m.Suffix) != wordEnd {
		return nil, fmt.Errorf("model %q with end_of_word_suffix %q is not CLIP's: want BPE with %q",
			m.Type, orString(m.Suffix), wordEnd)
	}
	if err := json.Unmarshal(m.RawVocab, &m.Vocab); err != nil || m.Vocab == nil {
		return nil, fmt.Errorf("model.vocab is not a map from tokens to ids: %v", err)
	}
	t, err := tableOf(m.Vocab)
	if err != nil {
		return nil, fmt.Errorf("model.vocab: %w", err)
	}
	for _, added := range f.AddedTokens {
		if err := t.add(added.Content, added.ID); err != nil {
			return nil, err
		}
	}
	pairs := make([][2]string, len(m.Merges))
	for i, pair := range m.Merges {
		pairs[i] = pair
	}
	return newCLIP(t, pairs, opts)
}

func newCLIP(t table, pairs [][2]string, opts CLIPOptions) (*CLIP, error) {
	if opts.Context == 0 {
		opts.Context = 77
	}
	if opts.Context < 2 {
		return nil, fmt.Errorf("a context of %d has no room for begin and end", opts.Context)
	}
	c := &CLIP{opts: opts, begin: huggingFaceBegin, end: huggingFaceEnd}
	if _, ok := t.ids[openCLIPBegin]; ok {
		c.begin, c.end = openCLIPBegin, openCLIPEnd
	}
	ends := new([256]int32)
	for value, name := range byteNames() {
		id, err := t.need(string(name) + wordEnd)
		if err != nil {
			return nil, err
		}
		ends[value] = id
	}
	var err error
	if c.bpe, err = newBPE(t, pairs, BPEOptions{Begin: c.begin, End: c.end}); err != nil {
		return nil, err
	}
	c.bpe.ends = ends
	return c, nil
}

// Size returns the number of ids.
func (c *CLIP) Size() int { return c.bpe.Size() }

// Encode returns begin, the tokens of text, and end. Where they exceed the context, tokens before
// the end are left out and cut says how many.
func (c *CLIP) Encode(text string) (ids []int32, cut int) {
	begin, end := c.bpe.table.ids[c.begin], c.bpe.table.ids[c.end]
	ids = append(ids, begin)
	for _, part := range c.parts(text) {
		switch part {
		case c.begin:
			ids = append(ids, begin)
		case c.end:
			ids = append(ids, end)
		default:
			ids = c.appendText(ids, part)
		}
	}
	if room := c.opts.Context - 1; len(ids) > room {
		ids, cut = ids[:room], len(ids)-room
	}
	return append(ids, end), cut
}

// parts cuts a text at the control tokens that the Hugging Face tokenizer looks for in raw text.
func (c *CLIP) parts(text string) []string {
	if !c.opts.ControlTokens || !c.opts.HuggingFace {
		return []string{text}
	}
	var parts []string
	for text != "" {
		at, length := len(text), 0
		for _, name := range []string{c.begin, c.end} {
			if i := strings.Index(text, name); i >= 0 && i < at {
				at, length = i, len(name)
			}
		}
		parts = append(parts, text[:at], text[at:at+length])
		text = text[at+length:]
	}
	return parts
}

func (c *CLIP) appendText(ids []int32, text string) []int32 {
	if c.opts.HuggingFace {
		text = cleanHuggingFace(text)
	} else {
		text = cleanOpenCLIP(text)
	}
	scratch := c.bpe.scratches.Get().(*pieces)
	defer c.bpe.scratches.Put(scratch)
	var tokens []Token
	for i := 0; i < len(text); {
		if control := c.control(text[i:]); control != "" {
			tokens = append(tokens, Token{ID: c.bpe.table.ids[control]})
			i += len(control)
			continue
		}
		k, _ := kindAt(text, i)
		end := clipWord(text, i)
		if k != space {
			tokens = c.bpe.appendWord(tokens, text, i, end, scratch)
		}
		i = end
	}
	for _, t := range tokens {
		ids = append(ids, t.ID)
	}
	return ids
}

// control returns the control token that text begins with, where open_clip would read one.
func (c *CLIP) control(text string) string {
	if c.opts.ControlTokens && !c.opts.HuggingFace {
		for _, name := range []string{c.begin, c.end} {
			if strings.HasPrefix(text, name) {
				return name
			}
		}
	}
	return ""
}

// clipWord returns the end of the word or white space of s that begins at i < len(s), by CLIP's
// pattern
//
//	's|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+
func clipWord(s string, i int) int {
	if s[i] == '\'' {
		if n := contraction(s[i+1:]); n > 0 {
			return i + 1 + n
		}
	}
	k, size := kindAt(s, i)
	if k == number {
		return i + size
	}
	return runEnd(s, i+size, k)
}
