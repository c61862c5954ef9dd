package tokenize

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"
)

// The goldens are written by tools/ref/unigram.py with the reference tokenizers.

// sentencePieces are the tokenizer files of sentencepiece.json.gz by name.
func sentencePieces(t testing.TB) map[string][]byte {
	t.Helper()
	table := base64.StdEncoding.EncodeToString(unzip(t, "nmt_nfkc.bin"))
	names, files := []string{"siglip", "folding", "gemma", "unknowns"}, map[string][]byte{}
	eachLine(t, "sentencepiece.json", func(line []byte) {
		files[names[len(files)]] = []byte(strings.Replace(string(line), "CHARSMAP", table, 1))
	})
	return files
}

func sentencePiece(t testing.TB, name string, control bool) *SentencePiece {
	t.Helper()
	s, err := ParseSentencePiece(sentencePieces(t)[name], control)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

func checksum(ids []int32) uint32 {
	text := strings.ReplaceAll(strings.Trim(fmt.Sprint(ids), "[]"), " ", ",")
	return crc32.ChecksumIEEE([]byte(text)) & 0xFFFFFF
}

// sentencePieceTexts are the texts of the goldens, and what each of the four tokenizers makes of them.
func sentencePieceTexts(t testing.TB) (texts []string, want [][]json.RawMessage) {
	t.Helper()
	eachLine(t, "tokens.jsonl", func(line []byte) {
		var record []json.RawMessage
		var text string
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(record[0], &text); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	})
	first := true
	eachLine(t, "sentencepiece.jsonl", func(line []byte) {
		if first {
			var extra []string
			if err := json.Unmarshal(line, &extra); err != nil {
				t.Fatal(err)
			}
			texts, first = append(texts, extra...), false
			return
		}
		var row []json.RawMessage
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		want = append(want, row)
	})
	if len(texts) != len(want) || len(texts) < 2000 {
		t.Fatalf("%d texts and %d rows", len(texts), len(want))
	}
	return texts, want
}

// newMark joins the character before it since Unicode 17, of which the reference does not know.
const newMark = '\u1ACF'

func TestSentencePieceEqualsReference(t *testing.T) {
	texts, want := sentencePieceTexts(t)
	for column, name := range []string{"siglip", "folding", "gemma", "unknowns"} {
		t.Run(name, func(t *testing.T) {
			s, bad := sentencePiece(t, name, true), 0
			for i, text := range texts {
				got, _ := s.Encode(text, 1<<30)
				var ids []int32
				var sum uint32
				if json.Unmarshal(want[i][column], &ids) == nil && slices.Equal(got, ids) ||
					json.Unmarshal(want[i][column], &sum) == nil && sum == checksum(got) {
					continue
				}
				if strings.ContainsRune(text, newMark) {
					continue
				}
				if bad++; bad <= 10 {
					t.Errorf("%+q: %v, want %s", text, got, want[i][column])
				}
			}
		})
	}
}

// TestSpecialTokensAreText: what a text spells out stays text, and all other texts are cut as ever.
func TestSpecialTokensAreText(t *testing.T) {
	texts, want := sentencePieceTexts(t)
	for column, name := range []string{"siglip", "folding", "gemma", "unknowns"} {
		s := sentencePiece(t, name, false)
		special := map[int32]bool{}
		for _, spelled := range []string{"<pad>", "</s>", "<s>", "<eos>", "<bos>"} {
			if id, ok := s.ID(spelled); ok {
				special[id] = true
			}
		}
		if len(special) == 0 {
			t.Fatalf("%s has no special tokens", name)
		}
		plain := 0
		for i, text := range texts {
			for _, id := range s.Tokens(text) {
				if special[id] {
					t.Errorf("%s: %+q has the special token %d", name, text, id)
				}
			}
			var ids []int32
			if strings.ContainsAny(text, "<＜") || json.Unmarshal(want[i][column], &ids) != nil {
				continue
			}
			plain++
			if got, _ := s.Encode(text, 1<<30); !slices.Equal(got, ids) {
				t.Errorf("%s: %+q: %v, want %v", name, text, got, ids)
			}
		}
		if plain < 200 {
			t.Errorf("%s: only %d texts were compared", name, plain)
		}
	}
	s := sentencePiece(t, "siglip", false)
	if got := s.Tokens("a</s>b"); slices.Equal(got, s.Tokens("ab")) || len(got) < 5 {
		t.Errorf("</s> in a text is not text: %v", got)
	}
}

func TestSigLIPEncode(t *testing.T) {
	files := sentencePieces(t)
	for _, c := range []struct {
		name         string
		config       string
		end, padding int32
	}{
		{"siglip", "", 1, 1},
		{"siglip", `{"pad_token": "<pad>"}`, 1, 0},
		{"siglip", `{"pad_token": {"content": "</s>"}}`, 1, 1},
		{"gemma", "", 1, 0},
		{"gemma", `{"pad_token": "<eos>"}`, 1, 1}, // wins over tokenizer.json, as in the references
		{"gemma", `{"tokenizer_class": "GemmaTokenizer", "add_bos_token": false, "add_eos_token": true,
			"eos_token": "<bos>", "pad_token": null}`, 2, 0},
	} {
		s, err := newSigLIP(files[c.name], []byte(c.config), SigLIPOptions{})
		if err != nil {
			t.Fatal(err)
		}
		short, cut := s.Encode("A photo, of a_DOG!")
		n := slices.Index(short, c.end)
		if len(short) != 64 || cut != 0 || n < 4 {
			t.Fatalf("%s: %v, %d cut", c.name, short, cut)
		}
		for _, id := range short[n+1:] {
			if id != c.padding {
				t.Errorf("%s %s: %v, want padding %d after %d", c.name, c.config, short, c.padding, c.end)
				break
			}
		}
		if same, _ := s.Encode("  a photo of a dog"); !slices.Equal(same, short) {
			t.Errorf("%s: case, punctuation and blanks change the ids: %v and %v", c.name, short, same)
		}
		long, cut := s.Encode(strings.Repeat("a dog ", 5000))
		if len(long) != 64 || cut < 5000 || long[63] != c.end {
			t.Errorf("%s: a long text has %d ids, %d cut, and ends with %d", c.name, len(long), cut, long[63])
		}
		empty, _ := s.Encode("")
		if empty[0] != c.end || len(empty) != 64 {
			t.Errorf("%s: the empty text is %v", c.name, empty)
		}
	}
	config := `{"tokenizer_class": "GemmaTokenizerFast", "add_eos_token": false, "bos_token": {"content": "<bos>"}}`
	s, err := newSigLIP(files["gemma"], []byte(config), SigLIPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ids, _ := s.Encode(""); ids[0] != 2 || ids[1] != 0 {
		t.Errorf("Gemma's class begins a text with %v, want its <bos> and padding", ids[:2])
	}
	for _, config := range []string{
		`{"pad_token": "<none>"}`, `{"pad_token": 3}`, `{`, `{"tokenizer_class": "Gemma", "add_eos_token": true}`,
	} {
		if _, err := newSigLIP(files["gemma"], []byte(config), SigLIPOptions{}); err == nil {
			t.Errorf("the settings %s are taken", config)
		}
	}
	if _, err := newSigLIP(files["siglip"], nil, SigLIPOptions{Context: 1}); err == nil {
		t.Error("a context of 1 has no room for text")
	}
}

// TestCanonical compares the cleaning of SigLIP's texts with both references (tools/ref/siglip.py).
func TestCanonical(t *testing.T) {
	data, err := os.ReadFile("testdata/canonical.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Text        string
		OpenCLIP    string `json:"open_clip"`
		HuggingFace string
	}
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 20 {
		t.Fatalf("only %d texts", len(rows))
	}
	for _, row := range rows {
		if got := canonicalOpenCLIP(row.Text); got != row.OpenCLIP {
			t.Errorf("open_clip %q: %q, want %q", row.Text, got, row.OpenCLIP)
		}
		if got := canonical(row.Text); got != row.HuggingFace {
			t.Errorf("Hugging Face %q: %q, want %q", row.Text, got, row.HuggingFace)
		}
	}
}

// FuzzSentencePiece: no file and no text brings the tokenizer down, and its ids are of its vocabulary.
func FuzzSentencePiece(f *testing.F) {
	text := "a </s> caf\u00e9\n <0x41> \U0001F600"
	for _, model := range []string{
		`{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",-1],["\u2581a",-2.5]],"byte_fallback":true}`,
		`{"type":"BPE","vocab":{"<unk>":0,"a":1,"b":2,"ab":3},"merges":[["a","b"]],"unk_token":"<unk>","fuse_unk":true}`,
	} {
		f.Add([]byte(`{"added_tokens":[{"id":1,"content":"a","lstrip":true,"rstrip":true,
			"single_word":true,"normalized":true}],"normalizer":{"type":"Sequence","normalizers":[
			{"type":"Precompiled","precompiled_charsmap":"BAAAAAAAAABh"},{"type":"Lowercase"},
			{"type":"Replace","pattern":{"Regex":"[a\\s]{2,}"},"content":"b"},
			{"type":"Strip","strip_left":true},{"type":"Prepend","prepend":"x"}]},
			"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Metaspace","replacement":"\u2581"},
			{"type":"Split","pattern":{"String":"b"},"behavior":"Isolated"}]},"padding":{"pad_id":1},
			"model":`+model+`}`), text)
	}
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		for _, control := range []bool{false, true} {
			s, err := ParseSentencePiece(file, control)
			if err != nil {
				continue
			}
			for _, id := range s.Tokens(text) {
				if id < 0 || int(id) >= s.Size() {
					t.Fatalf("%q has the id %d of %d", text, id, s.Size())
				}
			}
		}
	})
}

// FuzzCharsmap: no table of normalisation brings the reader down, nor makes a text longer than it says.
func FuzzCharsmap(f *testing.F) {
	f.Add(unzip(f, "nmt_nfkc.bin")[:4096], "①a")
	f.Add([]byte("\x08\x00\x00\x00\x00\x04\x00\x00a\x05\x00\x00b\x00"), "aa")
	f.Fuzz(func(t *testing.T, blob []byte, text string) {
		m, err := newCharsmap(blob)
		if err != nil {
			return
		}
		if got := m.normalise(text); len(got) > max(1, m.most)*len(text) {
			t.Fatalf("%d bytes became %d, more than %d each", len(text), len(got), m.most)
		}
	})
}
