package clip_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"evident/internal/picture"
	"evident/internal/weights"
	"evident/model/clip"
	"evident/model/vit"
	"evident/nn"
)

// folder reads a small model of tools/ref/clip.py, so that a test can change it.
func folder(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	root := filepath.Join("..", "vision", "testdata", name)
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(root, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = &fstest.MapFile{Data: data}
	}
	return files
}

// set changes members of a JSON file: "model_cfg.embed_dim" names one inside another, nil deletes.
func set(t testing.TB, files fstest.MapFS, name string, values map[string]any) fstest.MapFS {
	t.Helper()
	root := map[string]any{}
	if err := json.Unmarshal(files[name].Data, &root); err != nil {
		t.Fatal(err)
	}
	for path, value := range values {
		at, steps := root, strings.Split(path, ".")
		for _, step := range steps[:len(steps)-1] {
			at = at[step].(map[string]any)
		}
		if last := steps[len(steps)-1]; value == nil {
			delete(at, last)
		} else {
			at[last] = value
		}
	}
	data, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	files[name] = &fstest.MapFile{Data: data}
	return files
}

// tensors changes the tensors of a safetensors file.
func tensors(t testing.TB, files fstest.MapFS, name string, change func(map[string]weights.Tensor)) fstest.MapFS {
	t.Helper()
	f, err := weights.Parse(files[name].Data)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]weights.Tensor{}
	for tensor := range f.Names() {
		if all[tensor], err = f.Raw(tensor); err != nil {
			t.Fatal(err)
		}
	}
	change(all)
	var out bytes.Buffer
	if err := weights.Write(&out, all, nil); err != nil {
		t.Fatal(err)
	}
	files[name] = &fstest.MapFile{Data: out.Bytes()}
	return files
}

const (
	openConfig, openWeights = "open_clip_config.json", "open_clip_model.safetensors"
	hfConfig, hfWeights     = "config.json", "model.safetensors"
)

// load picks the loader by the folder's files.
func load(files fs.FS, opts clip.Options) (*vit.Model, error) {
	if _, err := fs.Stat(files, openConfig); err == nil {
		return clip.LoadOpen(files, opts)
	}
	return clip.LoadHF(files, opts)
}

func mustLoad(t testing.TB, files fs.FS, opts clip.Options) *vit.Model {
	t.Helper()
	m, err := load(files, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// embeddings returns the vectors of two texts and of an image of half tones.
func embeddings(t testing.TB, m *vit.Model) []float32 {
	t.Helper()
	texts, err := m.EncodeTexts(context.Background(), []string{"a dog", "the red car"})
	if err != nil {
		t.Fatal(err)
	}
	side := 3 * m.Patch
	pixels := make([]float32, 3*side*side)
	for i := range pixels {
		pixels[i] = float32(i%7) / 7
	}
	im, err := m.EncodeImage(context.Background(), pixels, side, side)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(texts[0].Vector, texts[1].Vector, im.Vector)
}

// TestMismatch: what does not fit the config is named, with both shapes.
func TestMismatch(t *testing.T) {
	drop := func(name string) func(map[string]weights.Tensor) {
		return func(all map[string]weights.Tensor) { delete(all, name) }
	}
	more := func(all map[string]weights.Tensor) { all["visual.extra.weight"] = all["visual.proj"] }
	for name, c := range map[string]struct {
		files fs.FS
		want  string
	}{
		"open: missing": {
			tensors(t, folder(t, "clip-open"), openWeights, drop("visual.transformer.resblocks.1.ls_2.gamma")),
			`tensor "visual.transformer.resblocks.1.ls_2.gamma" is missing`,
		},
		"open: left over": {
			tensors(t, folder(t, "clip-open"), openWeights, more),
			`tensor "visual.extra.weight" [21 17]: the model of the config has no place`,
		},
		"open: fewer layers": {
			set(t, folder(t, "clip-open"), openConfig, map[string]any{"model_cfg.text_cfg.layers": 1}),
			`tensor "transformer.resblocks.1.attn.in_proj_bias" [66] and 11 more: the model`,
		},
		"open: other size": {
			set(t, folder(t, "clip-open"), openConfig, map[string]any{"model_cfg.embed_dim": 18}),
			`tensor "visual.proj" is [21 17], the model needs [21 18]`,
		},
		"open: other image": {
			set(t, folder(t, "clip-open"), openConfig, map[string]any{"model_cfg.vision_cfg.image_size": []int{35, 40}}),
			`tensor "visual.positional_embedding" is [50 21], the model needs [57 21]`,
		},
		"open: no text. prefix": {
			set(t, folder(t, "clip-custom"), openConfig, map[string]any{"model_cfg.custom_text": false}),
			`tensor "token_embedding.weight" is missing`,
		},
		"hf: missing": {
			tensors(t, folder(t, "clip-hf"), hfWeights, drop("vision_model.pre_layrnorm.bias")),
			`tensor "vision_model.pre_layrnorm.bias" is missing`,
		},
		"hf: other width": {
			set(t, folder(t, "clip-hf"), hfConfig, map[string]any{"text_config.intermediate_size": 30}),
			`tensor "text_model.encoder.layers.0.mlp.fc1.weight" is [31 15], the model needs [30 15]`,
		},
		"hf: no scale": {
			tensors(t, folder(t, "clip-hf"), hfWeights, drop("logit_scale")), `tensor "logit_scale" is missing`,
		},
	} {
		if _, err := load(c.files, clip.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestRefused: what would be computed wrongly is refused by name.
func TestRefused(t *testing.T) {
	for want, change := range map[string]map[string]any{
		"ResNets are not supported":              {"model_cfg.vision_cfg.layers": []int{3, 4, 6, 3}},
		`timm's "vit_base_patch16_siglip_224"`:   {"model_cfg.vision_cfg.timm_model_name": "vit_base_patch16_siglip_224"},
		`attentional_pool is "parallel"`:         {"model_cfg.vision_cfg.attentional_pool": "parallel"},
		`pool_type is "none", want tok or avg`:   {"model_cfg.vision_cfg.pool_type": "none"},
		"patches of [5 6] pixels are not square": {"model_cfg.vision_cfg.patch_size": []int{5, 6}},
		"a width of 21 is no number of heads":    {"model_cfg.vision_cfg.head_width": 8},
		"vision_cfg.mlp_ratio is 0":              {"model_cfg.vision_cfg.mlp_ratio": 0},
		`"roberta-base" of Hugging Face`:         {"model_cfg.text_cfg.hf_model_name": "roberta-base"},
		"a class token in a text tower without": {
			"model_cfg.text_cfg.embed_cls": true, "model_cfg.text_cfg.no_causal_mask": true,
		},
		"an attentional pool of 256 queries, 8 heads": {"model_cfg.vision_cfg.attentional_pool": true},
		`want argmax, last or first`:                  {"model_cfg.text_cfg.pool_type": "eos"},
		"a width of 22 is not 3 heads":                {"model_cfg.text_cfg.heads": 3},
		"text_cfg.vocab_size is -1":                   {"model_cfg.text_cfg.vocab_size": -1},
		`resize_mode is "longest"`:                    {"preprocess_cfg.resize_mode": "longest"},
		"std is [0 1 1]":                              {"preprocess_cfg.std": []float32{0, 1, 1}},
		"mean has 1 channels, want 3":                 {"preprocess_cfg.mean": []float32{0.5}},
		"tokenizer has 545 tokens, the config prom":   {"model_cfg.text_cfg.vocab_size": 200},
	} {
		files := set(t, folder(t, "clip-open"), openConfig, change)
		if strings.HasPrefix(want, "tokenizer") { // else the table's shape is wrong first
			files = tensors(t, files, openWeights, func(all map[string]weights.Tensor) {
				table := all["token_embedding.weight"]
				table.Shape, table.Data = []int{200, 22}, table.Data[:200*22*4]
				all["token_embedding.weight"] = table
			})
		}
		if _, err := load(files, clip.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", change, err, want)
		}
	}
	for want, change := range map[string]map[string]any{
		`vision_config.hidden_act "swish" is not known`: {"vision_config.hidden_act": "swish"},
		"a width of 15 is not 2 heads":                  {"text_config.num_attention_heads": 2},
		"vision_config.image_size is 0":                 {"vision_config.image_size": 2},
	} {
		files := set(t, folder(t, "clip-hf"), hfConfig, change)
		if _, err := load(files, clip.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", change, err, want)
		}
	}
}

func TestPickleIsNotRead(t *testing.T) {
	files := folder(t, "clip-open")
	delete(files, openWeights)
	files["open_clip_pytorch_model.bin"] = &fstest.MapFile{}
	_, err := load(files, clip.Options{})
	const want = "open_clip_pytorch_model.bin can hold code and is not read"
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
}

// TestSameModel: other ways to write the same model down give the same bits.
func TestSameModel(t *testing.T) {
	position := func(all map[string]weights.Tensor) {
		ids := weights.Tensor{DType: weights.I64, Shape: []int{1, 1}, Data: make([]byte, 8)}
		all["text_model.embeddings.position_ids"], all["vision_model.embeddings.position_ids"] = ids, ids
		scale := all["logit_scale"]
		all["logit_scale"] = weights.Tensor{DType: scale.DType, Shape: []int{1}, Data: scale.Data}
	}
	archive := func(all map[string]weights.Tensor) {
		for _, name := range []string{"input_resolution", "context_length", "vocab_size"} {
			all[name] = weights.Tensor{DType: weights.I64, Shape: []int{}, Data: make([]byte, 8)}
		}
		all["attn_mask"] = weights.Tensor{DType: weights.F32, Shape: []int{1, 1}, Data: make([]byte, 4)}
	}
	var vision, text any
	hf := folder(t, "clip-hf")
	root := map[string]any{}
	if err := json.Unmarshal(hf[hfConfig].Data, &root); err != nil {
		t.Fatal(err)
	}
	vision, text = root["vision_config"], root["text_config"]
	bare := folder(t, "clip-open")
	wrapped := map[string]json.RawMessage{}
	if err := json.Unmarshal(bare[openConfig].Data, &wrapped); err != nil {
		t.Fatal(err)
	}
	bare[openConfig] = &fstest.MapFile{Data: wrapped["model_cfg"]}
	renamed := folder(t, "clip-open")
	renamed["model.safetensors"] = renamed[openWeights]
	delete(renamed, openWeights)
	for name, c := range map[string]struct {
		base  string
		files fs.FS
	}{
		"hf: position ids, a scale with a dimension": {"clip-hf", tensors(t, folder(t, "clip-hf"), hfWeights, position)},
		"hf: the end as old configs have it": {"clip-hf", set(t, folder(t, "clip-hf"), hfConfig, map[string]any{
			"text_config.eos_token_id": 2,
		})},
		"hf: configs in dicts": {"clip-hf", set(t, folder(t, "clip-hf"), hfConfig, map[string]any{
			"vision_config_dict": vision, "text_config_dict": text,
			"vision_config.hidden_act": "relu", "text_config.hidden_size": 99,
		})},
		"open: what OpenAI's archives hold": {"clip-open", tensors(t, folder(t, "clip-open"), openWeights, archive)},
		"open: the model's config alone":    {"clip-open", bare},
		"open: another name":                {"clip-open", renamed},
	} {
		want := embeddings(t, mustLoad(t, folder(t, c.base), clip.Options{}))
		m, err := load(c.files, clip.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(embeddings(t, m), want) {
			t.Errorf("%s: other vectors", name)
		}
	}
}

// TestActivation: quick_gelu comes from the config, and an option overrides it.
func TestActivation(t *testing.T) {
	plain := embeddings(t, mustLoad(t, folder(t, "clip-open"), clip.Options{}))
	changed := set(t, folder(t, "clip-open"), openConfig, map[string]any{"model_cfg.quick_gelu": true})
	quick := embeddings(t, mustLoad(t, changed, clip.Options{}))
	f := nn.QuickGELU
	over := embeddings(t, mustLoad(t, folder(t, "clip-open"), clip.Options{Activation: &f}))
	if slices.Equal(plain, quick) {
		t.Error("quick_gelu changes nothing")
	}
	if !slices.Equal(quick, over) {
		t.Error("the option is not quick_gelu")
	}
}

// TestRecipe: how pictures are prepared follows the folder.
func TestRecipe(t *testing.T) {
	open := mustLoad(t, folder(t, "clip-open"), clip.Options{}).Recipe
	want := picture.Recipe{
		Size: [2]int{35, 35}, Mode: picture.Squash, Filter: picture.Bilinear,
		Mean: [3]float32{0.48, 0.46, 0.41}, Std: [3]float32{0.27, 0.26, 0.28},
	}
	if open != want {
		t.Errorf("open_clip: %+v, want %+v", open, want)
	}
	openAI := picture.Recipe{
		Size: [2]int{35, 35}, Mode: picture.ShortestCrop, Mean: [3]float32{0.48145466, 0.4578275, 0.40821073},
		Std: [3]float32{0.26862954, 0.26130258, 0.27577711},
	}
	bare := set(t, folder(t, "clip-open"), openConfig, map[string]any{"preprocess_cfg": nil})
	if got := mustLoad(t, bare, clip.Options{}).Recipe; got != openAI {
		t.Errorf("open_clip without preprocess_cfg: %+v, want %+v", got, openAI)
	}
	const processor = "preprocessor_config.json"
	openAI.Size, openAI.Mode = [2]int{21, 21}, picture.ShortestCropFloor
	shortest, squash, plain := openAI, openAI, openAI
	shortest.Shortest, squash.Mode = 23, picture.Squash
	for name, c := range map[string]struct {
		change map[string]any
		want   picture.Recipe
	}{
		"as written":         {nil, shortest},
		"one number each":    {map[string]any{"size": 23, "crop_size": 21}, shortest},
		"squashed":           {map[string]any{"size": map[string]int{"height": 21, "width": 21}, "do_center_crop": false}, squash},
		"as little as needs": {map[string]any{"size": 21}, plain},
	} {
		if got := mustLoad(t, set(t, folder(t, "clip-hf"), processor, c.change), clip.Options{}).Recipe; got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	for want, change := range map[string]map[string]any{
		"resample is 0, want": {"resample": 0},
		"would need padding":  {"size": 20},
	} {
		_, err := load(set(t, folder(t, "clip-hf"), processor, change), clip.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", change, err, want)
		}
	}
	files := folder(t, "clip-hf")
	maps.DeleteFunc(files, func(name string, _ *fstest.MapFile) bool { return name == processor })
	if got := mustLoad(t, files, clip.Options{}).Recipe; got != plain {
		t.Errorf("without a processor: %+v, want %+v", got, plain)
	}
}

// TestTexts: what is cut is said; ids that no tokenizer of the model makes are errors.
func TestTexts(t *testing.T) {
	m := mustLoad(t, folder(t, "clip-open"), clip.Options{})
	texts, err := m.EncodeTexts(context.Background(), []string{"a dog", strings.Repeat("dog ", 10_000), ""})
	if err != nil {
		t.Fatal(err)
	}
	if texts[0].Cut || !texts[1].Cut || texts[2].Cut {
		t.Errorf("cut: %v, %v, %v, want only the second", texts[0].Cut, texts[1].Cut, texts[2].Cut)
	}
	tower := m.Texts.(*clip.Texts).Tower
	for want, ids := range map[string][]int32{
		"has 0 tokens": {}, "has 14 tokens": make([]int32, 14), "has id 545 at token 1": {1, 545}, "has id -1": {-1},
	} {
		_, err := tower.Encode(context.Background(), [][]int32{{1}, ids})
		var wrong *clip.InputError
		if !errors.As(err, &wrong) || wrong.Input != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", ids, err, want)
		}
	}
	files := folder(t, "clip-open")
	delete(files, "bpe_simple_vocab_16e6.txt.gz")
	_, err = mustLoad(t, files, clip.Options{}).EncodeTexts(context.Background(), []string{"a"})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no tokenizer") {
		t.Errorf("without a tokenizer: %v", err)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.EncodeTexts(stopped, []string{"a dog"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// TestCompany: a text's vector has the same bits alone and among others.
func TestCompany(t *testing.T) {
	for _, name := range []string{"clip-open", "clip-custom", "clip-hf"} {
		m := mustLoad(t, folder(t, name), clip.Options{})
		all := []string{"a dog", "the red car", "", "in 1984"}
		together, err := m.EncodeTexts(context.Background(), all)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range all {
			alone, err := m.EncodeTexts(context.Background(), []string{text})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(alone[0].Vector, together[i].Vector) {
				t.Errorf("%s: %q has another vector alone than in company", name, text)
			}
		}
	}
}

// FuzzConfigs: whatever a config says, loading ends in a model or an error.
func FuzzConfigs(f *testing.F) {
	open, hf := folder(f, "clip-open"), folder(f, "clip-hf")
	f.Add(open[openConfig].Data, true)
	f.Add(hf[hfConfig].Data, false)
	f.Fuzz(func(t *testing.T, config []byte, isOpen bool) {
		files, name := maps.Clone(hf), hfConfig
		if isOpen {
			files, name = maps.Clone(open), openConfig
		}
		files[name] = &fstest.MapFile{Data: config}
		if m, err := load(files, clip.Options{}); (m == nil) == (err == nil) {
			t.Errorf("model %v, error %v", m, err)
		}
	})
}
