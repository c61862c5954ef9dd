package bert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/nn"
)

// folder reads a folder of testdata into memory, where a test may spoil it.
func folder(t testing.TB, kind string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	entries, err := os.ReadDir(testdata(kind))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(testdata(kind), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = &fstest.MapFile{Data: data}
	}
	return files
}

// configure changes keys of config.json; nil deletes one.
func configure(t testing.TB, files fstest.MapFS, changes map[string]any) {
	t.Helper()
	var config map[string]any
	if err := json.Unmarshal(files["config.json"].Data, &config); err != nil {
		t.Fatal(err)
	}
	for key, value := range changes {
		config[key] = value
		if value == nil {
			delete(config, key)
		}
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	files["config.json"] = &fstest.MapFile{Data: data}
}

// reweigh changes the tensors of model.safetensors.
func reweigh(t testing.TB, files fstest.MapFS, change func(map[string]weights.Tensor)) {
	t.Helper()
	f, err := weights.Parse(files["model.safetensors"].Data)
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string]weights.Tensor{}
	for name := range f.Names() {
		if tensors[name], err = f.Raw(name); err != nil {
			t.Fatal(err)
		}
	}
	change(tensors)
	var b bytes.Buffer
	if err := weights.Write(&b, tensors, nil); err != nil {
		t.Fatal(err)
	}
	files["model.safetensors"] = &fstest.MapFile{Data: b.Bytes()}
}

func TestLoadErrors(t *testing.T) {
	spoil := func(changes map[string]any) func(*testing.T, fstest.MapFS) {
		return func(t *testing.T, f fstest.MapFS) { configure(t, f, changes) }
	}
	without := func(name string) func(*testing.T, fstest.MapFS) {
		return func(_ *testing.T, f fstest.MapFS) { delete(f, name) }
	}
	drop := func(name string) func(*testing.T, fstest.MapFS) {
		return func(t *testing.T, f fstest.MapFS) {
			reweigh(t, f, func(tensors map[string]weights.Tensor) { delete(tensors, name) })
		}
	}
	for _, c := range []struct {
		name, kind string
		spoil      func(*testing.T, fstest.MapFS)
		messages   []string
	}{
		{"no configuration", "bert", without("config.json"), []string{"config.json"}},
		{"no weights", "bert", without("model.safetensors"), []string{"model.safetensors"}},
		{"no tokenizer", "bert", without("vocab.txt"), []string{"no tokenizer", "vocab.txt"}},
		{"configuration is no JSON", "bert", func(_ *testing.T, f fstest.MapFS) {
			f["config.json"] = &fstest.MapFile{Data: []byte("{")}
		}, []string{"config.json", "unexpected end"}},
		{"weights are damaged", "bert", func(_ *testing.T, f fstest.MapFS) {
			f["model.safetensors"].Data = f["model.safetensors"].Data[:999]
		}, []string{"model.safetensors", "not a sound safetensors file"}},
		{"reader.json is damaged", "joint", func(_ *testing.T, f fstest.MapFS) {
			f["reader.json"] = &fstest.MapFile{Data: []byte("{")}
		}, []string{"reader.json", "not JSON"}},
		{
			"unknown architecture", "bert",
			spoil(map[string]any{"model_type": "gpt2", "architectures": []string{"GPT2Model"}}),
			[]string{"config.json", `"gpt2"`, `"GPT2Model"`, "not supported"},
		},
		{
			"no architecture", "bert", spoil(map[string]any{"model_type": nil, "architectures": nil}),
			[]string{`model_type ""`, "not supported"},
		},
		{"relative positions", "bert", spoil(map[string]any{
			"position_embedding_type": "relative_key",
		}), []string{`"relative_key"`}},
		{"a decoder", "bert", spoil(map[string]any{"is_decoder": true}), []string{"is_decoder"}},
		{
			"unknown activation", "bert", spoil(map[string]any{"hidden_act": "swish"}),
			[]string{`activation "swish"`},
		},
		{
			"odd heads", "bert", spoil(map[string]any{"num_attention_heads": 5}),
			[]string{"width 24", "5 heads"},
		},
		{
			"no heads", "bert", spoil(map[string]any{"num_attention_heads": 0}),
			[]string{"number of heads is 0"},
		},
		{
			"negative layers", "bert", spoil(map[string]any{"num_hidden_layers": -1}),
			[]string{"number of layers is -1"},
		},
		{
			"a vast width", "bert", spoil(map[string]any{"hidden_size": 1 << 40}),
			[]string{"the width is 1099511627776"},
		},
		{"a fraction", "bert", spoil(map[string]any{"hidden_size": 1.5}), []string{"hidden_size"}},
		{
			"no room for positions", "roberta-qa", spoil(map[string]any{"pad_token_id": 36}),
			[]string{"37 positions", "first 37"},
		},
		{
			"another width", "bert", spoil(map[string]any{"hidden_size": 27}),
			[]string{"model.safetensors", `"embeddings.word_embeddings.weight"`, "[53 24]", "[53 27]"},
		},
		{
			"another feed-forward width", "bert-qa", spoil(map[string]any{"intermediate_size": 38}),
			[]string{`"bert.encoder.layer.0.intermediate.dense.weight"`, "[37 24]", "[38 24]"},
		},
		{
			"one layer too many", "distilbert", spoil(map[string]any{"n_layers": 3}),
			[]string{`"transformer.layer.2.attention.q_lin.weight" is missing`},
		},
		{
			"fewer positions", "roberta", spoil(map[string]any{"max_position_embeddings": 31}),
			[]string{`position_embeddings.weight" is [37 26]`, "[31 26]"},
		},
		{
			"a small vocabulary", "bert", spoil(map[string]any{"vocab_size": 44}),
			[]string{"the tokenizer has 45 tokens", "promises 44"},
		},
		{
			"a bias is missing", "bert-qa", drop("bert.encoder.layer.1.output.dense.bias"),
			[]string{`"bert.encoder.layer.1.output.dense.bias" is missing`},
		},
		{
			"a norm is missing", "bert-qa", drop("bert.embeddings.LayerNorm.weight"),
			[]string{`"bert.embeddings.LayerNorm.weight" is missing`},
		},
		{
			"no QA head", "bert", spoil(map[string]any{
				"architectures": []string{"BertForQuestionAnswering"},
			}),
			[]string{`tensor "qa_outputs.weight" is missing`},
		},
		{
			"no scale", "joint", drop("bert.embeddings.word_embeddings.weight.scale"),
			[]string{`"bert.embeddings.word_embeddings.weight.scale" is missing`},
		},
		{"no pair head", "joint", drop("pair.bias"), []string{`tensor "pair.bias" is missing`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := folder(t, c.kind)
			c.spoil(t, files)
			_, err := Load(files, Options{Precision: nn.FP32})
			if err == nil {
				t.Fatal("loaded")
			}
			for _, m := range c.messages {
				if !strings.Contains(err.Error(), m) {
					t.Errorf("error %q lacks %q", err, m)
				}
			}
		})
	}
}

func TestMissingFilesAreNotExist(t *testing.T) {
	for _, name := range []string{"config.json", "vocab.txt", "model.safetensors"} {
		files := folder(t, "bert")
		delete(files, name)
		if _, err := Load(files, Options{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	_, err := Load(os.DirFS(t.TempDir()), Options{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
}

// TestOldNames checks that LayerNorms named gamma and beta, and an architecture without
// model_type, load as well.
func TestOldNames(t *testing.T) {
	files := folder(t, "bert-qa")
	configure(t, files, map[string]any{"model_type": nil})
	reweigh(t, files, func(tensors map[string]weights.Tensor) {
		for name, tensor := range tensors {
			old := strings.Replace(name, "LayerNorm.weight", "LayerNorm.gamma", 1)
			old = strings.Replace(old, "LayerNorm.bias", "LayerNorm.beta", 1)
			delete(tensors, name)
			tensors[old] = tensor
		}
	})
	m, err := Load(files, Options{Precision: nn.FP32})
	if err != nil {
		t.Fatal(err)
	}
	g, pairs := openGolden(t, filepath.Join(testdata("bert-qa"), "golden.safetensors"))
	h, err := m.Encode(context.Background(), pairs)
	if err != nil {
		t.Fatal(err)
	}
	g.compare(t, "hidden", h.Rows, 1e-4, 1e-5)
}

func TestEncodeErrors(t *testing.T) {
	bert, roberta := load(t, testdata("bert"), nn.FP32), load(t, testdata("roberta"), nn.FP32)
	pair := func(n int, id, kind int32) Pair {
		p := Pair{Tokens: make([]tokenize.Token, n), Types: make([]int32, n)}
		for i := range n {
			p.Tokens[i].ID, p.Types[i] = id, kind
		}
		return p
	}
	for _, c := range []struct {
		name    string
		model   *Model
		inputs  []Pair
		message string
	}{
		{
			"too long", bert,
			[]Pair{pair(41, 4, 0), pair(42, 4, 0)},
			"input 1 has 42 tokens, the model takes 41",
		},
		{
			"too long for RoBERTa", roberta,
			[]Pair{pair(36, 4, 0)},
			"input 0 has 36 tokens, the model takes 35",
		},
		{"empty", bert, []Pair{{}}, "input 0 has no tokens"},
		{"types missing", bert, []Pair{{Tokens: pair(3, 4, 0).Tokens}}, "3 tokens and 0 types"},
		{"unknown id", bert, []Pair{pair(2, 53, 0)}, "token 0 has id 53, the model has 53"},
		{"negative id", bert, []Pair{pair(2, -1, 0)}, "token 0 has id -1"},
		{"unknown segment", bert, []Pair{pair(2, 4, 2)}, "in segment 2, the model has 2"},
		{"second segment in RoBERTa", roberta, []Pair{pair(2, 4, 1)}, "segment 1, the model has 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.model.Encode(context.Background(), c.inputs)
			if err == nil || !strings.Contains(err.Error(), c.message) {
				t.Errorf("error %v, want %q", err, c.message)
			}
		})
	}
	var long *LengthError
	_, err := bert.Encode(context.Background(), []Pair{pair(97, 4, 0)})
	if !errors.As(err, &long) || long.Tokens != 97 || long.Limit != bert.TokensMax() {
		t.Errorf("no LengthError: %v", err)
	}
	if _, err := roberta.Encode(context.Background(), []Pair{pair(35, 4, 0)}); err != nil {
		t.Errorf("the longest input: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := bert.Encode(ctx, []Pair{pair(2, 4, 0)}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestJointSettings(t *testing.T) {
	files := folder(t, "joint")
	m, err := Load(files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.Joint().Settings()); got != `{"fusion": [1, 2, 3]}` {
		t.Errorf("settings %s", got)
	}
	delete(files, "reader.json")
	if m, err = Load(files, Options{}); err != nil || m.Joint().Settings() != nil {
		t.Errorf("without reader.json: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	for _, kind := range []string{"bert", "roberta-qa", "distilbert", "joint"} {
		f.Add(folder(f, kind)["config.json"].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(data)
		if err != nil {
			return
		}
		if c.Width%c.Heads != 0 || c.tokensMax() < 1 {
			t.Fatalf("accepted %+v", c)
		}
	})
}
