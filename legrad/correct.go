package legrad

import (
	"context"
	"fmt"
	"slices"
)

// CorrectionThreshold is where the authors' code takes a cell for one that answers to any text, and EmptyText
// is the text that names nothing to them.
const (
	CorrectionThreshold = 0.8
	EmptyText           = "a photo of a"
)

// Corrects reports whether the model's maps are to be corrected with [EmptyText]: its pool puts much of its
// attention on a few patches, whatever the text.
func (e *Explainer) Corrects() bool { return e.pool != nil && e.pool.AnswersAll() }

// CorrectedRelevance is [Image.Relevance] with [Correct], by the vector of a text that names nothing. Each
// text has a map of its own, where the authors' package adds texts up.
func (im *Image) CorrectedRelevance(ctx context.Context, texts [][]float32, empty []float32) ([][]float32, error) {
	maps, err := im.Relevance(ctx, append(slices.Clone(texts), empty))
	if err != nil {
		return nil, err
	}
	Correct(maps[:len(texts)], maps[len(texts)], CorrectionThreshold)
	return maps[:len(texts)], nil
}

// Correct sets to 0 the cells of maps where the map of a text that names nothing, scaled to 0…1, exceeds
// threshold: what is strong there says nothing of a text. Neither the maps nor empty are scaled before.
func Correct(maps [][]float32, empty []float32, threshold float32) {
	nothing := MinMax(slices.Clone(empty))
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

// Heatmap makes of a relevance map one of pixels, as the authors' code does for this model: where maps are
// corrected it scales cells to 0…1 and then resizes, else the other way round.
func (im *Image) Heatmap(m []float32) []float32 {
	patch := im.explainer.tower.Patch
	if im.explainer.Corrects() {
		return Upsample(MinMax(slices.Clone(m)), im.Height, im.Width, patch)
	}
	return Heatmap(m, im.Height, im.Width, patch)
}
