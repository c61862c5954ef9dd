package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"evident/internal/region"
	"evident/model/vit"
)

// choose climbs: from MaskInversion alone, it changes one weight at a time to the step of the grid that raises the
// likelihood most, until none does by a hundredth of a nat divided by ten. Weights are shares of the largest.
func choose(sets []*things) map[region.Method]float64 {
	steps := []float64{0, 0.25, 0.5, 0.75, 1, 1.5, 2}
	weights := map[region.Method]float64{region.MaskInversion: 1}
	const least = 0.001
	for _, best := fit(sets, weights); ; {
		next, likelihood := weights, best
		for _, m := range region.Methods() {
			if m == region.Combined {
				continue
			}
			for _, step := range steps {
				changed := map[region.Method]float64{}
				for k, v := range weights {
					changed[k] = v
				}
				if changed[m] = step; step == 0 {
					delete(changed, m)
				}
				if len(changed) == 0 {
					continue
				}
				if _, l := fit(sets, changed); l > likelihood {
					next, likelihood = changed, l
				}
			}
		}
		if likelihood < best+least {
			return weights
		}
		weights, best = next, likelihood
	}
}

// sum is the combination of a thing's vectors.
func (t *things) sum(weights map[region.Method]float64, i int) []float32 {
	out := make([]float32, len(t.names[0]))
	for _, m := range region.Methods() {
		weight := float32(weights[m])
		if weight == 0 {
			continue
		}
		for j, v := range t.vectors[m][i] {
			out[j] += weight * v
		}
	}
	return vit.Normalise(out)
}

// cosines returns how well each name fits each thing.
func (t *things) cosines(weights map[region.Method]float64) [][]float64 {
	all := make([][]float64, len(t.right))
	for i := range t.right {
		vector := t.sum(weights, i)
		for _, name := range t.names {
			sum := 0.0
			for j, v := range vector {
				sum += float64(v) * float64(name[j])
			}
			all[i] = append(all[i], sum)
		}
	}
	return all
}

// fit returns the scale under which the right names are most likely, and the mean log-likelihood, each set by an equal
// share. The likelihood has one peak in the scale: golden section finds it.
func fit(sets []*things, weights map[region.Method]float64) (scale, likelihood float64) {
	cosines := make([][][]float64, len(sets))
	for s, t := range sets {
		cosines[s] = t.cosines(weights)
	}
	at := func(scale float64) float64 {
		total := 0.0
		for s, t := range sets {
			sum := 0.0
			for i, right := range t.right {
				sum += logProbability(cosines[s][i], scale, right)
			}
			total += sum / float64(len(t.right)*len(sets))
		}
		return total
	}
	low, high := 1.0, 200.0
	const ratio = 0.6180339887498949
	for high-low > 0.01 {
		a, b := high-ratio*(high-low), low+ratio*(high-low)
		if at(a) > at(b) {
			high = b
		} else {
			low = a
		}
	}
	scale = (low + high) / 2
	return scale, at(scale)
}

func logProbability(cosines []float64, scale float64, right int) float64 {
	largest, sum := slices.Max(cosines), 0.0
	for _, c := range cosines {
		sum += math.Exp(scale * (c - largest))
	}
	return scale*(cosines[right]-largest) - math.Log(sum)
}

// accuracy says for each set which share is named rightly.
func accuracy(sets []*things, weights map[region.Method]float64) string {
	var shares []string
	for _, t := range sets {
		hit := 0
		for i, c := range t.cosines(weights) {
			if slices.Index(c, slices.Max(c)) == t.right[i] {
				hit++
			}
		}
		shares = append(shares, fmt.Sprintf("%.1f %% of %d", 100*float64(hit)/float64(len(t.right)), len(t.right)))
	}
	return strings.Join(shares, ", ")
}
