package tokenize

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// The goldens are written by tools/ref/pieces.py with the reference tokenizers.

func unzip(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func eachLine(t testing.TB, name string, visit func(line []byte)) {
	t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(unzip(t, name)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		visit(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func uncased(t testing.TB, opts WordPieceOptions) *WordPiece {
	t.Helper()
	w, err := ReadWordPiece(bytes.NewReader(unzip(t, "vocab.txt")), opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func trained(t testing.TB, opts BPEOptions) *BPE {
	t.Helper()
	b, err := LoadBPE(bytes.NewReader(unzip(t, "vocab.json")),
		bytes.NewReader(unzip(t, "merges.txt")), opts)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// variants are the tokenizers of tokens.jsonl.gz, in its order.
func variants(t testing.TB) (names []string, list []Tokenizer) {
	yes, no := true, false
	for _, v := range []struct {
		name string
		opts WordPieceOptions
	}{
		{"uncased", WordPieceOptions{}},
		{"cased", WordPieceOptions{KeepCase: true}},
		{"uncased with accents", WordPieceOptions{StripAccents: &no}},
		{"cased, uncleaned", WordPieceOptions{
			KeepCase: true, StripAccents: &yes, KeepControls: true, JoinCJK: true,
		}},
	} {
		names, list = append(names, v.name), append(list, uncased(t, v.opts))
	}
	for _, v := range []struct {
		name string
		opts BPEOptions
	}{
		{"byte-level", BPEOptions{}},
		{"byte-level, prefixed", BPEOptions{AddPrefixSpace: true}},
		{"byte-level, prefixed, untrimmed", BPEOptions{AddPrefixSpace: true, KeepSpaces: true}},
	} {
		names, list = append(names, v.name), append(list, trained(t, v.opts))
	}
	return names, list
}

func TestTokensEqualReference(t *testing.T) {
	names, list := variants(t)
	texts, bad := 0, make([]int, len(list))
	eachLine(t, "tokens.jsonl", func(line []byte) {
		var record []json.RawMessage
		var text string
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(record[0], &text); err != nil {
			t.Fatal(err)
		}
		texts++
		for i, tokenizer := range list {
			var flat []int
			if err := json.Unmarshal(record[1+i], &flat); err != nil {
				t.Fatal(err)
			}
			want, last := []Token{}, 0
			for ; len(flat) > 0; flat = flat[3:] {
				last += flat[1]
				want = append(want, Token{int32(flat[0]), last, last + flat[2]})
			}
			got := tokenizer.Tokens(text)
			if !slices.Equal(got, want) {
				if bad[i]++; bad[i] <= 5 {
					t.Errorf("%s: %q\n got %v\nwant %v", names[i], text, got, want)
				}
			}
		}
	})
	if texts < 2000 {
		t.Errorf("only %d texts", texts)
	}
	for i, n := range bad {
		if n > 0 {
			t.Errorf("%s: %d of %d texts differ", names[i], n, texts)
		}
	}
}

// TestEveryCharacter compares what normalisation makes of all code points, alone and between
// letters, by a checksum for every 256 of them.
func TestEveryCharacter(t *testing.T) {
	var want []uint32
	if err := json.Unmarshal(unzip(t, "classes.json"), &want); err != nil {
		t.Fatal(err)
	}
	raw := uncased(t, WordPieceOptions{KeepControls: true, JoinCJK: true})
	full, err := NewWordPiece([]string{"[UNK]", "[CLS]", "[SEP]"}, WordPieceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for block, sum := range want {
		var seen []string
		for c := rune(block * 256); c < rune(block*256+256); c++ {
			if c < 0xD800 || c >= 0xE000 {
				seen = append(seen, normalised(raw, c)+
					fmt.Sprint(len(full.Tokens("a"+string(c)+"b"))))
			}
		}
		if got := crc32.ChecksumIEEE([]byte(strings.Join(seen, "\n"))); got != sum {
			t.Errorf("code points %04x to %04x differ", block*256, block*256+255)
		}
	}
}

// normalised returns the normalised character, or a bar when it ends words.
func normalised(w *WordPiece, c rune) string {
	b := new(word)
	dst := w.decompose(nil, 'a', place{}, b)
	dst = w.decompose(dst, c, place{}, b)
	dst = w.endSegment(dst, b)
	if len(dst) > 0 || b.text == nil || b.text[0] != 'a' {
		return "|"
	}
	return string(b.text[1:])
}

type pairCase struct {
	Family, First, Second string
	Max                   int
	IDs, Types, One       []int32
}

func TestPairsEqualReference(t *testing.T) {
	families := map[string]Tokenizer{
		"bert": uncased(t, WordPieceOptions{}), "roberta": trained(t, BPEOptions{}),
		"bert.json": bertJSON(t), "roberta.json": robertaJSON(t),
	}
	cases := 0
	eachLine(t, "pairs.jsonl", func(line []byte) {
		var c pairCase
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		cases++
		for _, name := range []string{c.Family, c.Family + ".json"} {
			tok := families[name]
			first, second := tok.Tokens(c.First), tok.Tokens(c.Second)
			got := tok.EncodePair(first, second, c.Max)
			if !slices.Equal(ids(got.Tokens), c.IDs) || !slices.Equal(got.Types, c.Types) {
				t.Errorf("%s, %q and %q to %d:\n got %v %v\nwant %v %v", name, c.First, c.Second,
					c.Max, ids(got.Tokens), got.Types, c.IDs, c.Types)
			}
			if !slices.Equal(got.Tokens[got.First.Start:got.First.End], first) ||
				!slices.Equal(got.Tokens[got.Second.Start:got.Second.End],
					second[:got.Second.Len()]) {
				t.Errorf("%s: ranges %v %v do not hold the texts", name, got.First, got.Second)
			}
			if one := tok.EncodeOne(first, 0); !slices.Equal(ids(one.Tokens), c.One) {
				t.Errorf("%s, %q alone: got %v, want %v", name, c.First, ids(one.Tokens), c.One)
			}
		}
	})
	if cases == 0 {
		t.Error("no cases")
	}
}

func ids(tokens []Token) []int32 {
	list := make([]int32, len(tokens))
	for i, t := range tokens {
		list[i] = t.ID
	}
	return list
}

// bertJSON is the reference's own tokenizer.json with the vocabulary of vocab.txt put back.
func bertJSON(t testing.TB) Tokenizer {
	t.Helper()
	pieces := strings.Split(strings.TrimSuffix(string(unzip(t, "vocab.txt")), "\n"), "\n")
	vocab, err := json.Marshal(newTable(pieces).ids)
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Replace(unzip(t, "bert.tokenizer.json"), []byte(`"vocab":{}`),
		append([]byte(`"vocab":`), vocab...), 1)
	return loadFolder(t, fstest.MapFS{"tokenizer.json": {Data: data}})
}

func robertaJSON(t testing.TB) Tokenizer {
	t.Helper()
	return loadFolder(t, fstest.MapFS{"tokenizer.json": {Data: unzip(t, "roberta.tokenizer.json")}})
}

func loadFolder(t testing.TB, folder fs.FS) Tokenizer {
	t.Helper()
	tok, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}
