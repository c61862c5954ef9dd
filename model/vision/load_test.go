package vision_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"evident/internal/picture"
	"evident/model/vision"
)

// folder reads a small model of tools/ref/clip.py, so that a test can change it.
func folder(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for _, file := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join("testdata", name, file))
		if err != nil {
			t.Fatal(err)
		}
		files[file] = &fstest.MapFile{Data: data}
	}
	return files
}

// set changes members of config.json; nil deletes.
func set(t testing.TB, files fstest.MapFS, values map[string]any) fstest.MapFS {
	t.Helper()
	root := map[string]any{}
	if err := json.Unmarshal(files["config.json"].Data, &root); err != nil {
		t.Fatal(err)
	}
	for path, value := range values {
		at, name := root, path
		if outer, inner, ok := strings.Cut(path, "."); ok {
			at, name = root[outer].(map[string]any), inner
		}
		if at[name] = value; value == nil {
			delete(at, name)
		}
	}
	data, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	files["config.json"] = &fstest.MapFile{Data: data}
	return files
}

// TestNames: what a model is called, and how it asks for maps.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"clip-open": "CLIP ViT-3×21/5", "clip-hf": "CLIP ViT-3×22/3", "timm-mean": "vit_tiny_patch16_224",
	} {
		m, err := vision.Load(os.DirFS(filepath.Join("testdata", name)))
		if err != nil {
			t.Fatal(err)
		}
		if m.Name != want {
			t.Errorf("%s is called %q, want %q", name, m.Name, want)
		}
		count := len(m.Encoder.Layers)
		whole := m.MapSize%m.Patch == 0 && m.MapSize >= 440 && m.MapSize <= 456
		if !whole || !slices.Equal(m.MapLayers, []int{count - 2, count - 1}) {
			t.Errorf("%s: maps of %d pixels and layers %v", name, m.MapSize, m.MapLayers)
		}
	}
}

// TestUnknown: a folder that nobody reads says what it is and what would be read.
func TestUnknown(t *testing.T) {
	for want, files := range map[string]fstest.MapFS{
		"neither open_clip_config.json nor config.json": {},
		`model type "bert" and architecture "BertModel "`: {
			"config.json": {Data: []byte(`{"model_type":"bert","architectures":["BertModel"]}`)},
		},
		"read config.json: unexpected end of JSON": {"config.json": {Data: []byte(`{`)}},
		"read open_clip_config.json:":              {"open_clip_config.json": {Data: []byte(`[]`)}},
	} {
		if _, err := vision.Load(files); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestClasses: a class answers to each of its names, in any case, and to nothing else.
func TestClasses(t *testing.T) {
	m, err := vision.Load(folder(t, "timm-token"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"tench, Tinca tinca", "goldfish", "white shark"}; !slices.Equal(m.Classes, want) {
		t.Errorf("classes %q, want %q", m.Classes, want)
	}
	ctx := context.Background()
	texts, err := m.EncodeTexts(ctx, []string{"tench, Tinca tinca", "tinca TINCA", " Tench ", "goldfish"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if !slices.Equal(texts[0].Vector, texts[1+i].Vector) {
			t.Errorf("name %d is another class", 1+i)
		}
	}
	if slices.Equal(texts[0].Vector, texts[3].Vector) {
		t.Error("two classes have one vector")
	}
	_, err = m.EncodeTexts(ctx, []string{"goldfish", "shark"})
	var wrong *vision.ClassError
	if !errors.As(err, &wrong) || wrong.Text != "shark" || !slices.Equal(wrong.Near, []string{"white shark"}) {
		t.Errorf("shark: %v", err)
	}
	_, err = m.EncodeTexts(ctx, []string{""})
	if !errors.As(err, &wrong) || len(wrong.Near) > 0 || !strings.Contains(err.Error(), `3 classes; among them ["tench`) {
		t.Errorf("no name: %v", err)
	}
}

// TestLabels: names come from config.json, described there, or from a file; else classes are numbers.
func TestLabels(t *testing.T) {
	described := set(t, folder(t, "timm-token"), map[string]any{
		"label_names": []string{"n01", "n02", "n03"}, "label_descriptions": map[string]string{"n01": "tench", "n03": "shark"},
	})
	listed := set(t, folder(t, "timm-token"), map[string]any{"label_names": nil})
	listed["labels.txt"] = &fstest.MapFile{Data: []byte("one\n two\r\nthree")}
	for want, files := range map[string]fstest.MapFS{
		"tench n02 shark": described, "one two three": listed,
		"0 1 2": set(t, folder(t, "timm-token"), map[string]any{"label_names": nil}),
	} {
		m, err := vision.Load(files)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(m.Classes, " "); got != want {
			t.Errorf("classes %s, want %s", got, want)
		}
	}
	listed = maps.Clone(listed)
	listed["labels.txt"] = &fstest.MapFile{Data: []byte("one\ntwo\n")}
	if _, err := vision.Load(listed); err == nil || !strings.Contains(err.Error(), "2 names for 3 classes") {
		t.Errorf("a name too few: %v", err)
	}
}

// TestClassifierRefused: what timm computes otherwise is refused, however its tensors are called.
func TestClassifierRefused(t *testing.T) {
	for want, change := range map[string]map[string]any{
		`architecture "vit_base_patch32_rpn_256"`:         {"architecture": "vit_base_patch32_rpn_256"},
		`architecture "resnet50"`:                         {"architecture": "resnet50"},
		"has 0 classes":                                   {"num_classes": 0},
		`global_pool is "map"`:                            {"model_args.global_pool": "map"},
		"a width of 26 is not 3 heads":                    {"model_args.num_heads": 3},
		"cannot be cut into patches of 4":                 {"model_args.img_size": 3},
		"input_size is [1 20 20]":                         {"pretrained_cfg.input_size": []int{1, 20, 20}},
		`"head.weight" is [3 26], the model needs [4 26]`: {"num_classes": 4},
		`"pos_embed" is [1 26 26], the model needs`:       {"model_args.img_size": []int{20, 24}},
	} {
		_, err := vision.Load(set(t, folder(t, "timm-token"), change))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", change, err, want)
		}
	}
}

// TestClassifierRecipe: a part of the shorter side is cut out, as timm evaluates.
func TestClassifierRecipe(t *testing.T) {
	m, err := vision.Load(folder(t, "timm-token"))
	if err != nil {
		t.Fatal(err)
	}
	want := picture.Recipe{
		Size: [2]int{20, 20}, Mode: picture.ShortestCrop, Mean: picture.HalfMean, Std: picture.HalfMean, Shortest: 22,
	}
	if m.Recipe != want {
		t.Errorf("%+v, want %+v", m.Recipe, want)
	}
}
