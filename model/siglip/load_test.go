package siglip_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"evident/internal/picture"
	"evident/internal/weights"
	"evident/model/siglip"
	"evident/model/vision"
	"evident/nn"
)

// copied is a small model's folder that a test can change.
func copied(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	entries, err := os.ReadDir(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join("testdata", name, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = &fstest.MapFile{Data: data}
	}
	return files
}

// set changes a member of a JSON file: "model_cfg.embed_dim" names one inside another; nil deletes.
func set(t testing.TB, files fstest.MapFS, name, path string, value any) fstest.MapFS {
	t.Helper()
	root := map[string]any{}
	if err := json.Unmarshal(files[name].Data, &root); err != nil {
		t.Fatal(err)
	}
	at, steps := root, strings.Split(path, ".")
	for _, step := range steps[:len(steps)-1] {
		at = at[step].(map[string]any)
	}
	if at[steps[len(steps)-1]] = value; value == nil {
		delete(at, steps[len(steps)-1])
	}
	data, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	files[name] = &fstest.MapFile{Data: data}
	return files
}

// reshape gives a tensor another shape of the same size, or takes it out where the shape is nil, or adds it
// where there is none.
func reshape(t testing.TB, files fstest.MapFS, name, tensor string, shape []int) fstest.MapFS {
	t.Helper()
	f, err := weights.Parse(files[name].Data)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]weights.Tensor{}
	for name := range f.Names() {
		if all[name], err = f.Raw(name); err != nil {
			t.Fatal(err)
		}
	}
	x, ok := all[tensor]
	if x.Shape = shape; !ok {
		x.DType, x.Data = weights.F32, make([]byte, 4*shape[0])
	}
	if all[tensor] = x; shape == nil {
		delete(all, tensor)
	}
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

// TestWrongTensors: a tensor of another shape, missing or left over is named, with both shapes.
func TestWrongTensors(t *testing.T) {
	for _, c := range []struct {
		folder, file, tensor string
		shape                []int
		want                 string
	}{
		{
			"open", openWeights, "visual.trunk.attn_pool.latent",
			[]int{24},
			`"visual.trunk.attn_pool.latent" is [24], the model needs [1 1 24]`,
		},
		{
			"open", openWeights, "visual.trunk.attn_pool.kv.weight",
			[]int{24, 48},
			`"visual.trunk.attn_pool.kv.weight" is [24 48], the model needs [48 24]`,
		},
		{
			"open", openWeights, "visual.trunk.pos_embed",
			[]int{16, 24},
			`"visual.trunk.pos_embed" is [16 24], the model needs [1 16 24]`,
		},
		{
			"open", openWeights, "visual.trunk.patch_embed.proj.bias", nil,
			`"visual.trunk.patch_embed.proj.bias" is missing`,
		},
		{"open", openWeights, "text.text_projection.bias", nil, `"text.text_projection.bias" is missing`},
		{
			"open", openWeights, "visual.trunk.cls_token",
			[]int{1},
			`"visual.trunk.cls_token" [1]: the model of the config has no place for it`,
		},
		{"open", openWeights, "logit_scale", nil, "logit_scale"},
		{
			"huggingface", hfWeights, "vision_model.head.attention.in_proj_weight",
			[]int{24, 72},
			`"vision_model.head.attention.in_proj_weight" is [24 72], the model needs [72 24]`,
		},
		{
			"huggingface", hfWeights, "text_model.head.weight",
			[]int{20, 24},
			`"text_model.head.weight" is [20 24], the model needs [24 20]`,
		},
		{
			"huggingface", hfWeights, "vision_model.post_layernorm.weight", nil,
			`"vision_model.post_layernorm.weight" is missing`,
		},
	} {
		files := reshape(t, copied(t, c.folder), c.file, c.tensor, c.shape)
		if _, err := vision.Load(files); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s as %v: %v, want %q", c.tensor, c.shape, err, c.want)
		}
	}
	files := reshape(t, copied(t, "huggingface"), hfWeights, "text_model.embeddings.position_ids", []int{13})
	if _, err := vision.Load(files); err != nil {
		t.Errorf("the position ids of old files are refused: %v", err)
	}
}

// TestWrongConfigs: what would be computed wrongly is refused, by name.
func TestWrongConfigs(t *testing.T) {
	for _, c := range []struct {
		folder, path string
		value        any
		want         string
	}{
		{"open", "model_cfg.vision_cfg.timm_pool", "avg", "vision_cfg.timm_pool"},
		{"open", "model_cfg.vision_cfg.timm_proj", "linear", "vision_cfg.timm_proj"},
		{"open", "model_cfg.text_cfg.pool_type", "argmax", "text_cfg.pool_type"},
		{"open", "model_cfg.text_cfg.no_causal_mask", nil, "no_causal_mask"},
		{"open", "model_cfg.text_cfg.proj_type", "none", "not projected"},
		{"open", "model_cfg.vision_cfg.timm_model_name", "vit_base_patch16_siglip_gap_224", "timm_model_name"},
		{"open", "model_cfg.vision_cfg.timm_model_name", "vit_small_patch16_siglip_224", "timm_model_name"},
		{"open", "model_cfg.vision_cfg.image_size", 7, "image_size"},
		{"open", "model_cfg.vision_cfg.timm_model_kwargs_for_tiny.num_heads", 5, "no tower"},
		// Without its tiny sizes the tower is ViT-B/16.
		{"open", "model_cfg.vision_cfg.timm_model_kwargs_for_tiny", nil, "is [24 3 8 8], the model needs [768 3 16 16]"},
		{"huggingface", "model_type", "siglip2", "NaFlex"},
		{"huggingface", "vision_config.vision_use_head", false, "vision_use_head"},
		{"huggingface", "vision_config.hidden_act", "relu", "hidden_act"},
		{"huggingface", "vision_config.num_attention_heads", 7, "no tower"},
		{"huggingface", "vision_config.image_size", 4, "no patch"},
		{"huggingface", "text_config.projection_size", nil, "vectors of texts have 20 values, those of images 24"},
		{"huggingface", "text_config.vocab_size", -1, "-1"},
		{"huggingface", "text_config.vocab_size", 40, "the model needs [40 20]"},
	} {
		name := openConfig
		if c.folder == "huggingface" {
			name = hfConfig
		}
		_, err := vision.Load(set(t, copied(t, c.folder), name, c.path, c.value))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %v: %v, want %q", c.path, c.value, err, c.want)
		}
	}
}

// TestTokenizer: a folder without one makes vectors of images, one with another is refused.
func TestTokenizer(t *testing.T) {
	files := copied(t, "open")
	delete(files, "tokenizer.json")
	m, err := vision.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.EncodeTexts(context.Background(), []string{"a dog"}); !errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("texts without a tokenizer: %v", err)
	}
	if _, err := m.EncodeImage(context.Background(), make([]float32, 3*8*16), 8, 16); err != nil {
		t.Errorf("an image without a tokenizer: %v", err)
	}
	files["tokenizer.json"] = &fstest.MapFile{Data: []byte(`{"model":{"type":"WordLevel"}}`)}
	if _, err := vision.Load(files); err == nil || !strings.Contains(err.Error(), `"WordLevel"`) {
		t.Errorf("a tokenizer of another kind: %v", err)
	}
	more := strings.Replace(string(copied(t, "open")["tokenizer.json"].Data), `"added_tokens": [`,
		`"added_tokens": [{"id":54,"content":"<more>","special":true},`, 1)
	files["tokenizer.json"] = &fstest.MapFile{Data: []byte(more)}
	if _, err := vision.Load(files); err == nil || !strings.Contains(err.Error(), "has 55 tokens") {
		t.Errorf("a tokenizer larger than the vocabulary: %v", err)
	}
}

// TestRecipes: how pictures are prepared, by either layout's files and without them.
func TestRecipes(t *testing.T) {
	half, quarter := [3]float32{.5, .5, .5}, [3]float32{.25, .25, .25}
	squash := picture.Recipe{Size: [2]int{32, 32}, Mode: picture.Squash, Filter: picture.Bicubic, Mean: half, Std: half}
	smooth := squash
	smooth.Filter, smooth.Std = picture.Bilinear, quarter
	bare, plain := copied(t, "huggingface"), set(t, copied(t, "open"), openConfig, "preprocess_cfg", nil)
	delete(bare, "preprocessor_config.json")
	for name, c := range map[string]struct {
		files fs.FS
		want  picture.Recipe
	}{
		"OpenCLIP": {copied(t, "open"), squash}, "OpenCLIP without preprocess_cfg": {plain, squash},
		"Hugging Face": {copied(t, "huggingface"), smooth}, "Hugging Face without a processor": {bare, squash},
	} {
		m, err := vision.Load(c.files)
		if err != nil {
			t.Fatal(err)
		}
		if m.Recipe != c.want {
			t.Errorf("%s: %+v, want %+v", name, m.Recipe, c.want)
		}
		if m.MapSize%8 != 0 || !slices.Equal(m.MapLayers, []int{1, 2}) || m.Prompt == "" {
			t.Errorf("%s: maps of %d pixels, layers %v, prompt %q", name, m.MapSize, m.MapLayers, m.Prompt)
		}
	}
}

// TestTowers: the activation and the sizes that timm's names stand for.
func TestTowers(t *testing.T) {
	for name, want := range map[string]struct {
		width, layers, heads, wide, patch int
		activation                        nn.Activation
	}{
		"vit_base_patch16_siglip_224":     {768, 12, 12, 3072, 16, nn.GELU},
		"vit_base_patch32_siglip_256":     {768, 12, 12, 3072, 32, nn.GELUTanh},
		"vit_large_patch16_siglip_384":    {1024, 24, 16, 4096, 16, nn.GELU},
		"vit_large_patch16_siglip_512":    {1024, 24, 16, 4096, 16, nn.GELUTanh},
		"vit_so400m_patch14_siglip_378":   {1152, 27, 16, 4304, 14, nn.GELU},
		"vit_so400m_patch16_siglip_384":   {1152, 27, 16, 4304, 16, nn.GELUTanh},
		"vit_giantopt_patch16_siglip_256": {1536, 40, 16, 6144, 16, nn.GELUTanh},
	} {
		got, err := siglip.TimmTower(name, [2]int{384, 384})
		if err != nil {
			t.Fatal(err)
		}
		if got.Width != want.width || got.Layers != want.layers || got.Heads != want.heads || got.Wide != want.wide ||
			got.Patch != want.patch || got.Activation != want.activation || got.Grid != [2]int{384 / want.patch, 384 / want.patch} {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// TestUnevenSize: a model for images that its patches do not fill leaves out the last rows and columns, as
// SO400M/14 at 384 pixels does.
func TestUnevenSize(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"OpenCLIP":     set(t, copied(t, "open"), openConfig, "model_cfg.vision_cfg.image_size", 37),
		"Hugging Face": set(t, copied(t, "huggingface"), hfConfig, "vision_config.image_size", 37),
	} {
		m, err := vision.Load(files)
		if err != nil {
			t.Fatal(err)
		}
		whole, part := make([]float32, 3*37*29), make([]float32, 0, 3*32*24)
		for i := range whole {
			whole[i] = float32(i%101)/50 - 1
		}
		for row := range 3 * 37 {
			if row%37 < 32 {
				part = append(part, whole[row*29:][:24]...)
			}
		}
		got, err := m.EncodeImage(context.Background(), whole, 37, 29)
		if err != nil {
			t.Fatal(err)
		}
		want, err := m.EncodeImage(context.Background(), part, 32, 24)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Vector, want.Vector) || got.Height != 4 || got.Width != 3 {
			t.Errorf("%s: an image of 29 x 37 is another than its upper left 24 x 32", name)
		}
	}
}
