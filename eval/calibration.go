package eval

import (
	"cmp"
	"math"
	"slices"
)

// Outcome is one statement with the probability that was claimed for it and what came true.
type Outcome struct {
	Probability float64 // 0..1
	Correct     bool
}

// Bin is a group of outcomes with similar probabilities: claimed and true on average.
type Bin struct {
	Low, High float64 // range of probabilities; High belongs to the bin only in the last one
	Count     int
	Claimed   float64 // mean probability
	Accuracy  float64 // share that was correct
}

// EqualWidthBins cuts 0..1 into n ranges of one width. Empty bins are kept, with Count 0.
func EqualWidthBins(outcomes []Outcome, n int) []Bin {
	groups := make([][]Outcome, n)
	for _, o := range outcomes {
		i := min(max(int(o.Probability*float64(n)), 0), n-1)
		groups[i] = append(groups[i], o)
	}
	bins := make([]Bin, n)
	for i, g := range groups {
		bins[i] = newBin(g, float64(i)/float64(n), float64(i+1)/float64(n))
	}
	return bins
}

// EqualMassBins cuts the outcomes, sorted by probability, into n groups of one size (give or take
// one). There are fewer bins when there are fewer than n outcomes.
func EqualMassBins(outcomes []Outcome, n int) []Bin {
	sorted := slices.Clone(outcomes)
	slices.SortStableFunc(sorted, func(a, b Outcome) int {
		return cmp.Compare(a.Probability, b.Probability)
	})
	n = min(n, len(sorted))
	bins := make([]Bin, 0, n)
	for i := range n {
		g := sorted[i*len(sorted)/n : (i+1)*len(sorted)/n]
		bins = append(bins, newBin(g, g[0].Probability, g[len(g)-1].Probability))
	}
	return bins
}

func newBin(group []Outcome, low, high float64) Bin {
	b := Bin{Low: low, High: high, Count: len(group)}
	for _, o := range group {
		b.Claimed += o.Probability
		if o.Correct {
			b.Accuracy++
		}
	}
	if b.Count > 0 {
		b.Claimed /= float64(b.Count)
		b.Accuracy /= float64(b.Count)
	}
	return b
}

// ExpectedCalibrationError is the mean distance of claim and truth (Naeini et al. 2015):
//
//	Σ count/total · |accuracy - claimed|
//
// It is 0 for no outcomes.
func ExpectedCalibrationError(bins []Bin) float64 {
	total, sum := 0, 0.0
	for _, b := range bins {
		total += b.Count
		sum += float64(b.Count) * math.Abs(b.Accuracy-b.Claimed)
	}
	if total == 0 {
		return 0
	}
	return sum / float64(total)
}
