package legrad

import (
	"context"
	"fmt"
)

// CorrectionThreshold is where the authors' code takes a cell for one that answers to any text.
const CorrectionThreshold = 0.8

// Correct sets to 0 the cells of maps where the map of a text that names nothing, scaled to 0…1, exceeds
// threshold. A pool that attends puts much of its attention on a few patches, whatever the text; what is
// strong there says nothing of it. Maps and empty are not scaled before: the correction comes first, then
// [MinMax], and, of pools that attend, the resize last.
func Correct(maps [][]float32, empty []float32, threshold float32) {
	nothing := MinMax(append([]float32(nil), empty...))
	for i, m := range maps {
		if len(m) != len(empty) {
			panic(fmt.Sprintf("legrad: map %d has %d cells, the empty text's %d", i, len(m), len(empty)))
		}
		for cell, v := range nothing {
			if v > threshold {
				m[cell] = 0
			}
		}
	}
}

// CorrectedRelevance is [Image.Relevance] with [Correct] by a text that names nothing, "a photo of a" in the
// authors' code, at its threshold. Each text has a map of its own: the authors' package adds texts up.
func (im *Image) CorrectedRelevance(ctx context.Context, texts [][]float32, empty []float32) ([][]float32, error) {
	all := append(append(make([][]float32, 0, len(texts)+1), texts...), empty)
	maps, err := im.Relevance(ctx, all)
	if err != nil {
		return nil, err
	}
	Correct(maps[:len(texts)], maps[len(texts)], CorrectionThreshold)
	return maps[:len(texts)], nil
}
