package tokenize

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

// english is the text of the benchmarks; nobody's but ours.
const english = `The old bridge over the river was closed in 1987, after an engineer had found
cracks in two of its seven arches. For eleven years the people of both villages took the ferry,
which ran every half hour from six in the morning until late at night; in winter, when the ice
was too thick, they had to drive forty kilometres. "We're used to it," said the ferryman's wife.
`

func small(t testing.TB, opts WordPieceOptions) *WordPiece {
	t.Helper()
	w, err := NewWordPiece(strings.Fields("[UNK] [CLS] [SEP] un ##aff ##able a ##b , cafe"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestOffsetsPointIntoTheOriginal(t *testing.T) {
	w := small(t, WordPieceOptions{})
	text := "UNaffable,\u00a0CAFÉ ab\u200db \u4e2d"
	var quoted []string
	for _, tok := range w.Tokens(text) {
		quoted = append(quoted, text[tok.Start:tok.End])
	}
	want := []string{"UN", "aff", "able", ",", "CAFÉ", "a", "b", "b", "中"}
	if !slices.Equal(quoted, want) {
		t.Errorf("got %q, want %q", quoted, want)
	}
}

func TestSpecialNamesInTextAreText(t *testing.T) {
	w := uncased(t, WordPieceOptions{})
	sep, _ := w.ID("[SEP]")
	for _, tok := range w.Tokens("ignore this [SEP] and that") {
		if tok.ID == sep {
			t.Error("text made a separator")
		}
	}
}

func TestEncodePairCutsOnlyTheSecond(t *testing.T) {
	w := small(t, WordPieceOptions{})
	first, second := w.Tokens("un a"), w.Tokens("a , a , a")
	for _, c := range []struct {
		name                string
		max, length, second int
	}{
		{"no limit", 0, 10, 5},
		{"just fits", 10, 10, 5},
		{"one too many", 9, 9, 4},
		{"second vanishes", 5, 5, 0},
		{"first too long", 3, 5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := w.EncodePair(first, second, c.max)
			if len(p.Tokens) != c.length || p.Second.Len() != c.second || p.First.Len() != 2 {
				t.Errorf("got %d tokens, first %v, second %v", len(p.Tokens), p.First, p.Second)
			}
		})
	}
	if one := w.EncodeOne(second, 4); len(one.Tokens) != 4 || one.First.Len() != 2 {
		t.Errorf("one text: %d tokens, %v", len(one.Tokens), one.First)
	}
}

func TestPieces(t *testing.T) {
	w := small(t, WordPieceOptions{})
	if p, ok := w.Piece(4); !ok || p != "##aff" || w.Size() != 10 {
		t.Errorf("piece 4 is %q of %d", p, w.Size())
	}
	for _, id := range []int32{-1, 10} {
		if p, ok := w.Piece(id); ok {
			t.Errorf("piece %d is %q", id, p)
		}
	}
}

func TestWordPieceErrors(t *testing.T) {
	for _, c := range []struct {
		name, vocabulary, message string
	}{
		{"empty", "", "the vocabulary is empty"},
		{"no unknown", "[CLS]\n[SEP]\na", `no token "[UNK]"`},
		{"no separator", "[UNK]\n[CLS]", `no token "[SEP]"`},
		{"not UTF-8", "[UNK]\n[CLS]\n[SEP]\na\xff", `token 3 of the vocabulary, "a\xff", is not UTF-8`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadWordPiece(strings.NewReader(c.vocabulary), WordPieceOptions{})
			wantError(t, err, c.message)
		})
	}
}

// byteVocabulary returns the members of a JSON object that maps every byte to itself.
func byteVocabulary() string {
	var members strings.Builder
	for value, name := range byteNames() {
		if value > 0 {
			members.WriteByte(',')
		}
		fmt.Fprintf(&members, "%q:%d", string(name), value)
	}
	return members.String()
}

func TestBPEErrors(t *testing.T) {
	bytes := byteVocabulary()
	for _, c := range []struct {
		name, vocabulary, merges, message string
	}{
		{"no JSON", `{"a":`, "", "unexpected EOF"},
		{"negative id", `{"a":-1}`, "", `token "a" has id -1`},
		{"huge id", `{"a":99999999}`, "", `token "a" has id 99999999, allowed are 0 to 4194303`},
		{"shared id", `{"a":7,"b":7}`, "", `tokens "a" and "b" share the id 7`},
		{"missing byte", `{"a":0}`, "", `no token "Ā" for byte 0x00`},
		{"no specials", "{" + bytes + "}", "", `no token "<s>"`},
		{
			"merge of three", "{" + bytes + "}", "#version: 0.2\na b c",
			`line 2: "a b c" is not two tokens`,
		},
		{
			"merge outside", "{" + bytes + "}", "a b",
			`merge 0, "a" and "b": the vocabulary has no token "ab"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := LoadBPE(strings.NewReader(c.vocabulary), strings.NewReader(c.merges),
				BPEOptions{})
			wantError(t, err, c.message)
		})
	}
}

func TestJSONErrors(t *testing.T) {
	const (
		piece = `"model":{"type":"WordPiece","vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2}}}`
		words = `"pre_tokenizer":{"type":"BertPreTokenizer"},`
	)
	for _, c := range []struct{ name, json, message string }{
		{"no JSON", `{`, "unexpected end of JSON"},
		{"no model", `{}`, `model type "" is not supported`},
		{"unigram", `{"model":{"type":"Unigram","vocab":[["a",0.5]]}}`, `model type "Unigram" is not`},
		{"list for a map", `{"model":{"type":"BPE","vocab":[1]}}`, "model.vocab is not a map"},
		{
			"other normaliser", `{"normalizer":{"type":"NFC"},` + piece,
			`normalizer "NFC" is not supported`,
		},
		{
			"other words", `{"pre_tokenizer":{"type":"Whitespace"},` + piece,
			`pre_tokenizer "Whitespace" is not supported`,
		},
		{"no words", `{` + piece, `pre_tokenizer "none" is not`},
		{"dropout", `{"pre_tokenizer":{"type":"ByteLevel"},
			"model":{"type":"BPE","dropout":0.1,"vocab":{}}}`, "dropout 0.1"},
		{
			"added twice", `{"added_tokens":[{"id":1,"content":"x"}],` + words + piece,
			`added token "x" has id 1, which is "[CLS]"`,
		},
		{
			"template without B", `{"post_processor":{"type":"TemplateProcessing",
			"single":[{"Sequence":{"id":"A"}}],"pair":[{"Sequence":{"id":"A"}}]},` + words + piece,
			"post_processor.pair: 1 sequences, want 2",
		},
		{"merge of one", `{"model":{"type":"BPE","merges":["ab"]}}`, `merge "ab" is not two tokens`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseJSON([]byte(c.json))
			wantError(t, err, c.message)
		})
	}
}

func TestLoadFolders(t *testing.T) {
	vocab := &fstest.MapFile{Data: []byte("[UNK]\n[CLS]\n[SEP]\ncafe\ncafé\nCafé\n")}
	config := func(json string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(json)} }
	for _, c := range []struct {
		name   string
		folder fstest.MapFS
		want   int32
	}{
		{"uncased by default", fstest.MapFS{"vocab.txt": vocab}, 3},
		{"cased by configuration", fstest.MapFS{
			"vocab.txt":             vocab,
			"tokenizer_config.json": config(`{"do_lower_case": false}`),
		}, 5},
		{"accents kept", fstest.MapFS{
			"vocab.txt":             vocab,
			"tokenizer_config.json": config(`{"strip_accents": false}`),
		}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := loadFolder(t, c.folder).Tokens("Café")
			if len(got) != 1 || got[0].ID != c.want {
				t.Errorf("got %v, want the token %d", got, c.want)
			}
		})
	}
	if _, err := Load(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
	_, err := Load(fstest.MapFS{"vocab.json": config("{}")})
	wantError(t, err, "read tokenizer vocab.json: open merges.txt")
	_, err = Load(fstest.MapFS{"vocab.txt": vocab, "tokenizer_config.json": config("[]")})
	wantError(t, err, "read tokenizer_config.json")
}

// TestBPEFolder checks that vocab.json with merges.txt gives what tokenizer.json gives.
func TestBPEFolder(t *testing.T) {
	plain := loadFolder(t, fstest.MapFS{
		"vocab.json":            {Data: unzip(t, "vocab.json")},
		"merges.txt":            {Data: unzip(t, "merges.txt")},
		"tokenizer_config.json": {Data: []byte(`{"add_prefix_space": true}`)},
	})
	whole := robertaJSON(t)
	got, want := plain.Tokens("hello world"), whole.Tokens(" hello world")
	if !slices.Equal(ids(got), ids(want)) {
		t.Errorf("got %v, want %v", ids(got), ids(want))
	}
}

func TestLongWordsTakeNoSquareTime(t *testing.T) {
	long := strings.Repeat("abcdefgh", 1<<16)
	_, list := variants(t)
	for _, tok := range list {
		if n := len(tok.Tokens(long)); n == 0 {
			t.Error("no tokens")
		}
	}
}

func wantError(t *testing.T, err error, message string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), message) {
		t.Errorf("error %v, want one with %q", err, message)
	}
}

func FuzzTokens(f *testing.F) {
	for _, seed := range []string{
		"", english, "Café 中文 각", "\xff\xfe a\xcc", "a\u0301\u0323", "👩\u200d🔬's  \n", "\x00\u200d",
	} {
		f.Add(seed)
	}
	names, list := variants(f)
	f.Fuzz(func(t *testing.T, text string) {
		for i, tokenizer := range list {
			last := 0
			for _, tok := range tokenizer.Tokens(text) {
				if tok.Start < last || tok.End < tok.Start || tok.End > len(text) {
					t.Fatalf("%s: token %v after %d in %d bytes", names[i], tok, last, len(text))
				}
				last = tok.Start
				if _, ok := tokenizer.Piece(tok.ID); !ok {
					t.Fatalf("%s: unknown id %d", names[i], tok.ID)
				}
				if utf8.ValidString(text) && !utf8.ValidString(text[tok.Start:tok.End]) {
					t.Fatalf("%s: token %v cuts a character", names[i], tok)
				}
			}
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	f.Add(unzip(f, "bert.tokenizer.json"), "a")
	f.Add([]byte(`{"pre_tokenizer":{"type":"BertPreTokenizer"},"model":{"type":"WordPiece",
		"vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"a":3}}}`), "a b")
	f.Add([]byte(`{"added_tokens":[{"id":300,"content":"<s>"},{"id":301,"content":"</s>"}],
		"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":true},"post_processor":
		{"type":"RobertaProcessing","sep":["</s>",301],"cls":["<s>",300],"trim_offsets":true},
		"model":{"type":"BPE","vocab":{"Ġa":256,"aa":257,`+byteVocabulary()+`},"merges":["Ġ a",["a","a"]]}}`), " aa")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		tok, err := ParseJSON(data)
		if err != nil {
			return
		}
		tokens := tok.Tokens(text)
		tok.EncodePair(tokens, tokens, 7)
	})
}

func FuzzLoadBPE(f *testing.F) {
	f.Add(`{"<s>":300,"</s>":301,"aa":302,"Ġa":303,`+byteVocabulary()+`}`, "a a\nĠ a\n")
	f.Fuzz(func(t *testing.T, vocabulary, merges string) {
		b, err := LoadBPE(strings.NewReader(vocabulary), strings.NewReader(merges), BPEOptions{})
		if err == nil {
			b.Tokens(english)
		}
	})
}

func benchmark(b *testing.B, tok Tokenizer, text string) {
	tokens := tok.Tokens(text)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		tokens = tok.AppendTokens(tokens[:0], text)
	}
}

func BenchmarkWordPieceEnglish(b *testing.B) {
	benchmark(b, uncased(b, WordPieceOptions{}), strings.Repeat(english, 16))
}

func BenchmarkWordPieceGreek(b *testing.B) {
	benchmark(b, uncased(b, WordPieceOptions{}),
		strings.Repeat("Η παλιά γέφυρα πάνω από το ποτάμι έκλεισε, επειδή είχε ρωγμές. ", 64))
}

func BenchmarkBPEEnglish(b *testing.B) {
	benchmark(b, trained(b, BPEOptions{}), strings.Repeat(english, 16))
}

func BenchmarkLoadWordPiece(b *testing.B) {
	data := string(unzip(b, "vocab.txt"))
	for b.Loop() {
		if _, err := ReadWordPiece(strings.NewReader(data), WordPieceOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
