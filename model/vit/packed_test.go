package vit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"evident/model/vit"
	"evident/models"
	"evident/nn"
)

// TestPackedModelComputesTheSame: both towers, while a cache is made and from it, to the bit.
func TestPackedModelComputesTheSame(t *testing.T) {
	folder, err := models.Open(models.Vision)
	if errors.Is(err, models.ErrMissing) {
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	pixels, random := make([]float32, 3*64*48), rand.New(rand.NewPCG(1, 1))
	for i := range pixels {
		pixels[i] = float32(random.NormFloat64())
	}
	outputs := func(m *vit.Model) []float32 {
		image, err := m.Encode(context.Background(), pixels, 64, 48)
		if err != nil {
			t.Fatal(err)
		}
		texts, err := m.EncodeTexts(context.Background(), []string{"a photo of a cat", "two bridges"})
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(image.Tokens, image.Embedding, texts[0].Embedding, texts[1].Embedding)
	}
	for _, precision := range []nn.Precision{nn.Auto, nn.FP32, nn.Int8} {
		plain, err := vit.Load(folder, precision)
		if err != nil {
			t.Fatal(err)
		}
		want, dir := outputs(plain), t.TempDir()
		for _, state := range []string{"made", "used"} {
			m, err := vit.LoadPacked(folder, precision, dir)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(outputs(m), want) {
				t.Errorf("%v, %s: other outputs than without a cache", precision, state)
			}
		}
		name := models.Vision + "-" + precision.Native().String() + ".packed"
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
