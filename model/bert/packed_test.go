package bert

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"evident/internal/pack"
	"evident/internal/weights"
	"evident/nn"
)

// onDisk copies a folder of testdata to where a cache can be written beside it.
func onDisk(t testing.TB, kind string) string {
	t.Helper()
	dir := t.TempDir()
	for name, file := range folder(t, kind) {
		if err := os.WriteFile(filepath.Join(dir, name), file.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// outputs are all a model computes of its golden inputs.
func outputs(t testing.TB, m *Model, pairs []Pair) []float32 {
	t.Helper()
	h, err := m.Encode(context.Background(), pairs)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Clone(h.Rows)
	if m.QA() != nil {
		start, end := m.QA().Logits(h)
		all = append(append(all, start...), end...)
	}
	if m.Joint() != nil {
		l := m.Joint().Logits(h)
		all = slices.Concat(all, l.Start, l.End, l.Relevance, l.Answerability)
	}
	return all
}

// TestPackedModelsComputeTheSame: without a cache, while one is made, and from it, to the bit.
func TestPackedModelsComputeTheSame(t *testing.T) {
	for _, kind := range []string{"bert", "bert-qa", "bert-quick", "roberta-qa", "distilbert-qa", "joint"} {
		_, pairs := openGolden(t, filepath.Join(testdata(kind), "golden.safetensors"))
		for _, p := range precisions {
			t.Run(kind+"/"+p.name, func(t *testing.T) {
				dir := onDisk(t, kind)
				want := outputs(t, load(t, dir, p.precision), pairs)
				for _, state := range []pack.State{pack.Made, pack.Used, pack.Used} {
					m, err := Load(os.DirFS(dir), Options{Precision: p.precision, CacheDir: t.TempDir()})
					if err != nil {
						t.Fatal(err)
					}
					if got := m.Packed(); got.State != state {
						t.Fatalf("%v, want %q", got, state)
					}
					if !slices.Equal(outputs(t, m, pairs), want) {
						t.Errorf("%s: other outputs than without a cache", state)
					}
				}
			})
		}
	}
}

// TestPackedModelNeedsNoWeights: what the cache has is not read from the weights, and what it has not
// is, with the usual errors.
func TestPackedModelNeedsNoWeights(t *testing.T) {
	dir, o := onDisk(t, "joint"), Options{Precision: nn.FP32, CacheDir: t.TempDir()}
	if _, err := Load(os.DirFS(dir), o); err != nil {
		t.Fatal(err)
	}
	cache := pack.Options{Dir: o.CacheDir, Precision: "fp32"}
	file, err := weights.OpenPacked(os.DirFS(dir), cache)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const name = "bert.embeddings.word_embeddings.weight"
	if !file.Has(name) || file.Has("no such") || len(slices.Collect(file.Names())) < 20 {
		t.Error("the names of the tensors are not known")
	}
	if !file.Packed().Complete() {
		t.Error("the names were read from the weights")
	}
	raw, err := file.Raw(name)
	if err != nil || len(raw.Data) == 0 {
		t.Errorf("raw: %d bytes, %v", len(raw.Data), err)
	}
	var shape *weights.ShapeError
	if _, err := file.Table(name, 1, 2); !errors.As(err, &shape) || !slices.Equal(shape.Got, raw.Shape) {
		t.Errorf("table of another shape: %v", err)
	}
	var missing *weights.MissingError
	if _, err := file.Float32("no such", 3); !errors.As(err, &missing) {
		t.Errorf("missing tensor: %v", err)
	}
}

// TestPackedModelFollowsItsConfig: weights are checked against the settings again when those change.
func TestPackedModelFollowsItsConfig(t *testing.T) {
	dir, o := onDisk(t, "bert"), Options{Precision: nn.FP32, CacheDir: t.TempDir()}
	if _, err := Load(os.DirFS(dir), o); err != nil {
		t.Fatal(err)
	}
	files := folder(t, "bert")
	configure(t, files, map[string]any{"intermediate_size": 30})
	if err := os.WriteFile(filepath.Join(dir, "config.json"), files["config.json"].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	var shape *weights.ShapeError
	if _, err := Load(os.DirFS(dir), o); !errors.As(err, &shape) {
		t.Errorf("a config of another model: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(os.DirFS(dir), o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a cache without its model: %v", err)
	}
}
