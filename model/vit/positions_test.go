package vit

import (
	"testing"

	"evident/internal/goldentest"
	"evident/internal/weights"
)

// TestSharedPositions compares resized position tables with legrad-torch's, which end in torch's interpolate.
func TestSharedPositions(t *testing.T) {
	a := goldentest.OpenShared(t, "../..", "openclip_tiny")
	file, err := weights.Open(a.Folder + "/open_clip_model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const d = 64
	table, err := file.Float32("visual.positional_embedding", 17, d)
	if err != nil {
		t.Fatal(err)
	}
	for name, grid := range map[string][2]int{"out_pos_embed_g6": {6, 6}, "out_pos_embed_g8": {8, 8}} {
		got := append(append([]float32{}, table[:d]...), resizePositions(table[d:], [2]int{4, 4}, grid, d)...)
		a.Compare(t, name, got, 1e-5, false)
	}
}

// TestSamePositions: the table's own grid gets the table's own values.
func TestSamePositions(t *testing.T) {
	table := []float32{1, 2, 3, 4, 5, 6}
	if got := resizePositions(table, [2]int{3, 2}, [2]int{3, 2}, 1); &got[0] != &table[0] {
		t.Errorf("the same grid gives %v", got)
	}
	if worst, at := goldentest.Worst(t, "resized", resizePositions(table, [2]int{1, 2}, [2]int{1, 2}, 3), table); worst != 0 {
		t.Errorf("value %d is off by %g", at, worst)
	}
}
