// Package visiontest gives tests the embedded vision-language model and what torch computes from it
// (tools/ref/vision.py).
package visiontest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"evident/internal/weights"
	"evident/model/vision"
	"evident/models"
	"evident/nn"
)

// Load returns the embedded model; a build without models skips the test.
func Load(t testing.TB, precision nn.Precision) *vision.Model {
	t.Helper()
	folder, err := models.Open(models.Vision)
	if errors.Is(err, models.ErrMissing) {
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := vision.LoadWith(folder, vision.Options{Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Golden is what torch computed.
type Golden struct {
	Texts     []string
	Part      [2]int             // height and width of the part of the picture that is also given to the model
	Tolerance map[string]float64 `json:"absolute"`

	file *weights.File
}

// Side is the height and width of the picture.
const Side = 224

// Open reads the golden files from the folder they lie in.
func Open(t testing.TB, folder string) *Golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "vision-192.json"))
	if err != nil {
		t.Fatal(err)
	}
	g := new(Golden)
	if err := json.Unmarshal(data, g); err != nil {
		t.Fatal(err)
	}
	if g.file, err = weights.Open(filepath.Join(folder, "vision-192.safetensors")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.file.Close() })
	return g
}

// Sizes are height and width of what was given to the model, by the prefix of its tensors' names.
func (g *Golden) Sizes() map[string][2]int {
	return map[string][2]int{"": {Side, Side}, "part.": g.Part}
}

// Tensor returns a tensor's values.
func (g *Golden) Tensor(t testing.TB, name string) []float32 {
	t.Helper()
	raw, err := g.file.Raw(name)
	if err != nil {
		t.Fatal(err)
	}
	values, err := g.file.Float32(name, raw.Shape...)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// Pixels returns the upper left part of the picture, [3, height, width].
func (g *Golden) Pixels(t testing.TB, size [2]int) []float32 {
	t.Helper()
	all := g.Tensor(t, "pixels")
	var part []float32
	for channel := range 3 {
		for y := range size[0] {
			part = append(part, all[(channel*Side+y)*Side:][:size[1]]...)
		}
	}
	return part
}
