package vision_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"evident/internal/pack"
	"evident/model/vision"
	"evident/nn"
)

// TestPackedModelsSeeTheSame: every family, while a cache is made beside the model and from it, to the bit.
func TestPackedModelsSeeTheSame(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/*config.json")
	if err != nil {
		t.Fatal(err)
	}
	siglips, err := filepath.Glob("../siglip/testdata/*/*config.json")
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, config := range append(folders, siglips...) {
		from := filepath.Dir(config)
		if tested[from] {
			continue
		}
		tested[from] = true
		for _, precision := range []nn.Precision{nn.FP32, nn.BF16} {
			t.Run(filepath.Base(from)+"/"+precision.String(), func(t *testing.T) { packedAlike(t, from, precision) })
		}
	}
	if len(tested) < 6 {
		t.Errorf("only %d models were found", len(tested))
	}
}

func packedAlike(t *testing.T, from string, precision nn.Precision) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	o := vision.Options{Precision: precision}
	see := func() (any, pack.Report) {
		m, err := vision.LoadWith(os.DirFS(dir), o)
		if err != nil {
			t.Fatal(err)
		}
		side := 2 * m.Patch
		pixels := make([]float32, 3*side*side)
		for i := range pixels {
			pixels[i] = float32(i%17)/8 - 1
		}
		im, err := m.EncodeImage(context.Background(), pixels, side, side)
		if err != nil {
			t.Fatal(err)
		}
		seen := []any{im.Vector, m.Scale, m.Bias}
		texts := []string{"a dog"}
		if m.Classes != nil {
			texts = m.Classes[:1]
		}
		if encoded, err := m.EncodeTexts(context.Background(), texts); err == nil { // some have no tokenizer
			seen = append(seen, encoded)
		}
		return seen, m.Packed
	}
	want, report := see()
	if report.State != pack.Off {
		t.Errorf("without a cache: %v", report)
	}
	o.CacheDir = t.TempDir()
	for _, state := range []pack.State{pack.Made, pack.Used} {
		got, report := see()
		if report.State != state || filepath.Dir(report.Path) != dir {
			t.Errorf("%v, want %q", report, state)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the model sees otherwise than without a cache", state)
		}
	}
}
