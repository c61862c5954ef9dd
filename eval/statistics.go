package eval

import (
	"math/rand/v2"
	"slices"
)

// Interval is a 95 % confidence interval.
type Interval [2]float64

// BootstrapInterval estimates how far the mean of values could lie from the one measured: it draws
// len(values) of them with replacement, resamples times, and returns the 2.5th and 97.5th
// percentile of the means. The same seed gives the same interval.
func BootstrapInterval(values []float64, resamples int, seed uint64) Interval {
	if len(values) == 0 || resamples <= 0 {
		return Interval{}
	}
	rng := rand.New(rand.NewPCG(seed, uint64(len(values))))
	means := make([]float64, resamples)
	for r := range means {
		total := 0.0
		for range values {
			total += values[rng.IntN(len(values))]
		}
		means[r] = total / float64(len(values))
	}
	return Interval{Quantile(means, 0.025), Quantile(means, 0.975)}
}

// Quantile returns the q-quantile of values (0.5 is the median), interpolated between neighbours.
// It is 0 for no values. The values stay as they are.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := min(max(q, 0), 1) * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// RecallAt returns the share of questions whose gold passage stands within the first k of the
// ranking. ranks holds the place of the gold passage per question, from 1; 0 means not found.
func RecallAt(ranks []int, k int) float64 {
	if len(ranks) == 0 {
		return 0
	}
	found := 0
	for _, r := range ranks {
		if r >= 1 && r <= k {
			found++
		}
	}
	return float64(found) / float64(len(ranks))
}
