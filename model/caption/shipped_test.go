package caption

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"evident/internal/goldentest"
	"evident/model/vit"
	"evident/models"
)

// shipped is the decoder of the built-in model; a build without models skips the test.
func shipped(t *testing.T) *Decoder {
	t.Helper()
	folder, err := models.Open(models.Captions)
	if errors.Is(err, models.ErrMissing) {
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestShippedCaptions: the built-in decoder says of vectors between two remembered texts what torch says (tools/ref/caption.py), in
// every tier.
func TestShippedCaptions(t *testing.T) {
	shipped(t)
	data, err := os.ReadFile("testdata/vision-192.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct {
		Kind          string
		Rows          [2]int
		Greedy, Beams string
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	goldentest.EachTier(t, func(t *testing.T) {
		d := shipped(t)
		greedy := d.Reading()
		greedy.Beams = 1
		one, err := d.With(greedy)
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range golden {
			kind := Picture
			if g.Kind == Region.String() {
				kind = Region
			}
			var rows []float32
			for _, name := range d.reading.Projections[kind].Memory {
				rows = append(rows, d.memory.of(name)...)
			}
			vector := make([]float32, d.Size)
			for j := range vector {
				vector[j] = rows[g.Rows[0]*d.Size+j] + 0.25*rows[g.Rows[1]*d.Size+j]
			}
			vit.Normalise(vector)
			for way, decoder := range map[string]*Decoder{g.Greedy: one, g.Beams: d} {
				said, err := decoder.Captions(context.Background(), [][]float32{vector}, kind, 1)
				if err != nil {
					t.Fatal(err)
				}
				if said[0][0].Text != way {
					t.Errorf("vector %d, %d beams: %q, want %q", i, decoder.reading.Beams, said[0][0].Text, way)
				}
			}
		}
	})
}
