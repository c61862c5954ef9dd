package efficientqa

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"evident/internal/goldentest"
	"evident/internal/weights"
	"evident/models"
	"evident/nn"
)

// golden is what tools/ref/phrase.py, or the training, computed with torch.
type golden struct {
	Passages []struct {
		Text       string
		IDs        []int32
		Candidates []struct {
			Byte, Token [2]int
			Text        string
			LogP        float64
			Vector      []float32 // with the prior behind it
		}
	}
	Questions []struct {
		Text   string
		IDs    []int32
		Vector []float32
	}
}

func readGolden(t *testing.T, folder string) *golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	g := new(golden)
	if err := json.Unmarshal(data, g); err != nil {
		t.Fatal(err)
	}
	return g
}

func load(t testing.TB, folder fs.FS, o LoadOptions) *Encoder {
	t.Helper()
	e, err := LoadEncoder(folder, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// compare checks an encoder with a golden. Where precision may exchange neighbours in the order of
// candidates, those that both have are compared.
func compare(t *testing.T, e *Encoder, g *golden, k int, limit float64) {
	t.Helper()
	ctx := context.Background()
	texts := make([]string, len(g.Passages))
	for i := range g.Passages {
		texts[i] = g.Passages[i].Text
	}
	all, err := e.Phrases(ctx, texts, k)
	if err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for i, want := range g.Passages {
		if len(all[i]) != min(k, len(want.Candidates)) {
			t.Fatalf("passage %d: %d phrases, want %d", i, len(all[i]), len(want.Candidates))
		}
		missing := 0
		for n, c := range want.Candidates[:len(all[i])] {
			at := slices.IndexFunc(all[i], func(p Phrase) bool {
				return [2]int{p.Bytes.Start, p.Bytes.End} == c.Byte
			})
			if at < 0 {
				missing++
				continue
			}
			if exact := limit < 1e-3; exact && at != n {
				t.Errorf("passage %d: %q is candidate %d, want %d", i, c.Text, at, n)
			}
			p := all[i][at]
			if got := texts[i][p.Bytes.Start:p.Bytes.End]; got != c.Text {
				t.Fatalf("passage %d: phrase %q, want %q", i, got, c.Text)
			}
			worst = max(worst, math.Abs(float64(p.LogP)-c.LogP)/4, apart(append(slices.Clone(p.Vector), p.Prior), c.Vector))
		}
		if missing > len(all[i])/20+int(limit*50) {
			t.Errorf("passage %d: %d of %d candidates are others", i, missing, len(all[i]))
		}
	}
	for _, q := range g.Questions {
		got, err := e.Question(ctx, q.Text)
		if err != nil {
			t.Fatal(err)
		}
		worst = max(worst, apart(append(slices.Clone(got), 1), q.Vector))
	}
	t.Logf("largest difference %.2g", worst)
	if !(worst <= limit) {
		t.Errorf("largest difference %g, limit %g", worst, limit)
	}
}

// apart is the length of the difference of two vectors.
func apart(a, b []float32) float64 {
	sum := 0.0
	for i, x := range a {
		d := float64(x) - float64(b[i])
		sum += d * d
	}
	return math.Sqrt(sum)
}

// TestGolden compares both forms with torch in every tier and precision.
func TestGolden(t *testing.T) {
	for _, form := range []string{"shared", "pair", "pair-first"} {
		folder := filepath.Join("testdata", form)
		g := readGolden(t, folder)
		t.Run(form, func(t *testing.T) {
			goldentest.EachTier(t, func(t *testing.T) {
				compare(t, load(t, os.DirFS(folder), LoadOptions{Precision: nn.FP32}), g, 12, 2e-5)
				compare(t, load(t, os.DirFS(folder), LoadOptions{}), g, 12, 4e-2)
			})
		})
	}
}

// TestOverlay: a model that shares tensors with a base gives what the whole one does.
func TestOverlay(t *testing.T) {
	whole := os.DirFS("testdata/shared")
	file, err := weights.OpenFolder(whole)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	own, base := map[string]weights.Tensor{}, map[string]weights.Tensor{}
	for name := range file.Names() {
		tensor, err := file.Raw(name)
		if err != nil {
			t.Fatal(err)
		}
		upper := strings.HasPrefix(name, "bert.encoder.layer.2") || strings.HasPrefix(name, "bert.encoder.layer.3")
		if upper || !strings.HasPrefix(name, "bert.") {
			own[name] = tensor
		} else {
			base[name] = tensor
		}
		if upper { // the base has its own: they must not be taken
			base[name] = weights.Tensor{DType: tensor.DType, Shape: tensor.Shape, Data: make([]byte, len(tensor.Data))}
		}
	}
	config, err := fs.ReadFile(whole, "config.json")
	if err != nil {
		t.Fatal(err)
	}
	vocabulary, err := fs.ReadFile(whole, "vocab.txt")
	if err != nil {
		t.Fatal(err)
	}
	top := fstest.MapFS{
		"config.json":       {Data: []byte(strings.Replace(string(config), "{", `{"base": "below",`, 1))},
		"model.safetensors": {Data: written(t, own)},
	}
	below := fstest.MapFS{"vocab.txt": {Data: vocabulary}, "model.safetensors": {Data: written(t, base)}}
	open := func(name string) (fs.FS, error) {
		if name != "below" {
			t.Errorf("asked for base %q", name)
		}
		return below, nil
	}
	compare(t, load(t, top, LoadOptions{Precision: nn.FP32, Base: open}), readGolden(t, "testdata/shared"), 12, 2e-5)
	if _, err := LoadEncoder(top, LoadOptions{}); err == nil || !strings.Contains(err.Error(), "below") {
		t.Errorf("without its base: %v", err)
	}
}

func written(t *testing.T, tensors map[string]weights.Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := weights.Write(&b, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestTrained compares trained weights, in the folder that the variable names, with their golden.
func TestTrained(t *testing.T) {
	folder := os.Getenv("EVIDENT_TEST_PHRASE")
	if folder == "" {
		t.Skip("NOT TESTED: EVIDENT_TEST_PHRASE names no folder with a trained phrase encoder and its golden.json")
	}
	g := readGolden(t, folder)
	compare(t, load(t, os.DirFS(folder), LoadOptions{Precision: nn.FP32, Base: models.Open}), g, 12, 1e-4)
	compare(t, load(t, os.DirFS(folder), LoadOptions{Base: models.Open}), g, 12, 5e-2)
	compare(t, load(t, os.DirFS(folder), LoadOptions{Precision: nn.Int8, Base: models.Open}), g, 12, 0.3)
}

// TestPhrasesAloneOrTogether: what a passage gives does not depend on its neighbours, and no text is
// given twice.
func TestPhrasesAloneOrTogether(t *testing.T) {
	e := load(t, os.DirFS("testdata/shared"), LoadOptions{Precision: nn.FP32})
	long := strings.Repeat("abc de fgh ij klm no dog big fan egg. ", 9) // several windows
	texts := []string{"ba dec fab hen", "", long, "abc de fgh. ij, klm an no"}
	together, err := e.Phrases(context.Background(), texts, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		alone, err := e.Phrases(context.Background(), []string{text}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(alone[0]) != len(together[i]) || len(alone[0]) > e.Candidates() {
			t.Fatalf("passage %d: %d phrases alone, %d together", i, len(alone[0]), len(together[i]))
		}
		seen := map[string]bool{}
		for j, p := range alone[0] {
			q := together[i][j]
			if p.Bytes != q.Bytes || apart(p.Vector, q.Vector) > 1e-5 || math.Abs(float64(p.Prior-q.Prior)) > 1e-5 {
				t.Errorf("passage %d: phrase %d is %v alone, %v together", i, j, p.Candidate, q.Candidate)
			}
			if j > 0 && p.LogP > alone[0][j-1].LogP {
				t.Errorf("passage %d: phrase %d is out of order", i, j)
			}
			if quoted := text[p.Bytes.Start:p.Bytes.End]; seen[quoted] || quoted == "" {
				t.Errorf("passage %d: phrase %q again", i, quoted)
			} else {
				seen[quoted] = true
			}
		}
	}
	if len(together[1]) != 0 || len(together[2]) == 0 {
		t.Errorf("%d phrases of nothing, %d of the long passage", len(together[1]), len(together[2]))
	}
}

func TestPhrasesStop(t *testing.T) {
	e := load(t, os.DirFS("testdata/shared"), LoadOptions{Precision: nn.FP32})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Phrases(ctx, []string{"abc de"}, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := e.Question(ctx, "abc"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	with := func(replace ...string) fstest.MapFS {
		files := fstest.MapFS{}
		for _, name := range []string{"config.json", "model.safetensors", "vocab.txt"} {
			data, err := os.ReadFile(filepath.Join("testdata/shared", name))
			if err != nil {
				t.Fatal(err)
			}
			if name == "config.json" {
				data = []byte(strings.NewReplacer(replace...).Replace(string(data)))
			}
			files[name] = &fstest.MapFile{Data: data}
		}
		return files
	}
	broken := with()
	broken["phrase.json"] = &fstest.MapFile{Data: []byte(`{"threshold": "a"}`)}
	cases := map[string]struct {
		folder fs.FS
		want   string
	}{
		"another model":   {os.DirFS("../model/bert/testdata/joint"), "EvidentPhraseEncoder"},
		"nothing":         {fstest.MapFS{}, "config.json"},
		"no form":         {with(`"shared"`, `"none"`), "form"},
		"no pooling":      {with(`"mean"`, `"max"`), "pooling"},
		"split":           {with(`"split": 2`, `"split": 4`), "split"},
		"no scale":        {with(`"scale": 7.5`, `"scale": 0`), "scale"},
		"too long":        {with(`"passage_tokens": 96`, `"passage_tokens": 640`), "passage_tokens"},
		"another width":   {with(`"width_max": 5`, `"width_max": 6`), "candidates.width"},
		"wrong settings":  {broken, "phrase.json"},
		"no such tensors": {with(`"num_hidden_layers": 4`, `"num_hidden_layers": 5`), "layer.4"},
	}
	for name, c := range cases {
		if _, err := LoadEncoder(c.folder, LoadOptions{Precision: nn.FP32}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one that says %q", name, err, c.want)
		}
	}
}
