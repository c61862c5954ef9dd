package tokenize

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func defaultCLIP(t testing.TB, opts CLIPOptions) *CLIP {
	t.Helper()
	c, err := DefaultCLIP(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCLIPEqualsReference compares with both references on texts that only one of them repairs.
func TestCLIPEqualsReference(t *testing.T) {
	openCLIP := defaultCLIP(t, CLIPOptions{ControlTokens: true})
	fast := defaultCLIP(t, CLIPOptions{ControlTokens: true, HuggingFace: true})
	fast.begin, fast.end = huggingFaceBegin, huggingFaceEnd // the same ids, spelled differently
	for name, id := range map[string]int32{fast.begin: 49406, fast.end: 49407} {
		fast.bpe.table.ids[name] = id
	}
	data, err := os.ReadFile(filepath.Join("testdata", "clip.json")) // tools/ref/clip.py
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct {
		Text     string
		OpenCLIP []int32 `json:"open_clip"`
		Fast     []int32 `json:"hf_fast"`
		Lower    string  `json:"clean_lower"`
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden) != 47 {
		t.Fatalf("%d golden texts, want 47", len(golden))
	}
	for _, row := range golden {
		if got := cleanOpenCLIP(row.Text); got != row.Lower {
			t.Errorf("clean %q: %q, want %q", row.Text, got, row.Lower)
		}
		if got, _ := openCLIP.Encode(row.Text); !slices.Equal(got, row.OpenCLIP) {
			t.Errorf("open_clip %q: %v, want %v", row.Text, got, row.OpenCLIP)
		}
		if got, _ := fast.Encode(row.Text); !slices.Equal(got, row.Fast) {
			t.Errorf("Hugging Face %q: %v, want %v", row.Text, got, row.Fast)
		}
	}
}

// smallCLIP has the bytes, the bytes that end a word, and four merges.
func smallCLIP(t testing.TB, opts CLIPOptions) *CLIP {
	t.Helper()
	ids := map[string]int32{}
	add := func(piece string) { ids[piece] = int32(len(ids)) }
	for _, name := range byteNames() {
		add(string(name))
		add(string(name) + wordEnd)
	}
	for _, piece := range []string{"ca", "cat</w>", "do", "'s</w>", huggingFaceBegin, huggingFaceEnd} {
		add(piece)
	}
	vocabulary, err := json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	c, err := LoadCLIP(fstest.MapFS{
		"vocab.json": {Data: vocabulary},
		"merges.txt": {Data: []byte("#version: 0.2\nc a\nca t</w>\nd o\n' s</w>\n")},
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func piecesOf(c *CLIP, ids []int32) (out []string) {
	for _, id := range ids {
		piece, _ := c.bpe.Piece(id)
		out = append(out, piece)
	}
	return out
}

func TestCLIPWords(t *testing.T) {
	c := smallCLIP(t, CLIPOptions{Context: 9})
	for text, want := range map[string]string{
		"Cat":             "cat</w>",
		"cats":            "ca t s</w>",
		"  the\tCAT's ":   "t h e</w> cat</w> 's</w>",
		"12":              "1</w> 2</w>",
		"do!?":            "d o</w> ! ?</w>", // "do" may not end a word: the merge is of "d" and "o"
		"&lt;|end":        "< |</w> e n d</w>",
		"":                "",
		"cat cat do":      "cat</w> cat</w> d o</w>",
		"\u00c3\u00a9":    "Ã ©</w>", // é, read as Windows-1252
		"\x1b[1mcat\x07":  "cat</w>",
		"ﬁ\u200b":         "f i</w> â Ģ ĭ</w>",
		"&amp;amp;amp;":   "&</w>",
		"‘cat’s":          "'</w> cat</w> 's</w>",
		"CAT\u00a0\u2003": "cat</w>",
	} {
		ids, cut := c.Encode(text)
		got := strings.Join(piecesOf(c, ids), " ")
		if full := strings.TrimSpace(huggingFaceBegin + " " + want); got != full+" "+huggingFaceEnd || cut != 0 {
			t.Errorf("%q: %s (%d cut), want %s", text, got, cut, want)
		}
	}
}

func TestCLIPCutsAndKeepsTheEnd(t *testing.T) {
	c := smallCLIP(t, CLIPOptions{Context: 5})
	ids, cut := c.Encode("cat cat cat cat cat")
	if got := strings.Join(piecesOf(c, ids), " "); cut != 2 ||
		got != "<|startoftext|> cat</w> cat</w> cat</w> <|endoftext|>" {
		t.Errorf("%s, %d cut, want three words, 2 cut", got, cut)
	}
}

func TestCLIPControlNamesAreText(t *testing.T) {
	for _, hf := range []bool{false, true} {
		c := smallCLIP(t, CLIPOptions{HuggingFace: hf})
		ids, _ := c.Encode("a <|endoftext|> b")
		if n := slices.Index(ids, c.bpe.table.ids[huggingFaceEnd]); n != len(ids)-1 {
			t.Errorf("Hugging Face %t: the text ends at token %d of %d", hf, n, len(ids))
		}
		c = smallCLIP(t, CLIPOptions{HuggingFace: hf, ControlTokens: true})
		ids, _ = c.Encode("a <|endoftext|> b")
		if got := len(ids); got != 5 {
			t.Errorf("Hugging Face %t: %d tokens with control tokens read, want 5", hf, got)
		}
	}
}

func TestCLIPErrors(t *testing.T) {
	_, err := LoadCLIP(fstest.MapFS{}, CLIPOptions{})
	wantError(t, err, "no tokenizer: none of tokenizer.json, vocab.json, bpe_simple_vocab_16e6.txt.gz")
	_, err = LoadCLIP(fstest.MapFS{"vocab.json": {Data: []byte(`{"a":0}`)}, "merges.txt": {}}, CLIPOptions{})
	wantError(t, err, `the vocabulary has no token "Ā</w>"`)
	_, err = LoadCLIP(fstest.MapFS{"tokenizer.json": {Data: []byte(`{"model":{"type":"WordPiece"}}`)}},
		CLIPOptions{})
	wantError(t, err, `model "WordPiece" with end_of_word_suffix "" is not CLIP's`)
	_, err = LoadCLIP(fstest.MapFS{"bpe_simple_vocab_16e6.txt.gz": {Data: []byte("no")}}, CLIPOptions{})
	wantError(t, err, "read tokenizer bpe_simple_vocab_16e6.txt.gz")
}

func FuzzCLIP(f *testing.F) {
	c := smallCLIP(f, CLIPOptions{Context: 20})
	for _, s := range []string{"a cat's do", "\xff\xc3", "&#x41;&lt;", "\x1b[", "Ã©Σ", "'", "\u0130"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids, cut := c.Encode(text)
		if len(ids) < 2 || len(ids) > 20 || cut < 0 || cut > 0 && len(ids) != 20 {
			t.Fatalf("%q: %d tokens, %d cut", text, len(ids), cut)
		}
		for _, id := range ids {
			if _, ok := c.bpe.Piece(id); !ok {
				t.Fatalf("%q: id %d is not in the vocabulary", text, id)
			}
		}
	})
}
