package eval

import (
	"math"
	"math/rand/v2"
	"slices"
)

// thresholds are where a map may be cut into object and background.
const thresholds = 51 // 0, 0.02, … 1

// pair is how well one map of a class fits the outline of that class's things in one photo. All values are shares.
type pair struct {
	photo     int                 // its place among the photos judged
	pointing  float64             // 1 where the peak lies inside; of a flat map the share of the photo inside
	iou       [thresholds]float64 // at each threshold the mean of object's and background's IoU
	accuracy  [thresholds]float64 // at each threshold the share of pixels on the right side
	precision float64             // average precision of pixels ranked by the map
}

// judge compares a map with an outline, both MapSide x MapSide; heat is 0…1.
func judge(photo int, heat []float32, inside []bool) pair {
	var above [2][thresholds + 1]int // pixels outside and inside, by the highest threshold they reach
	peak, area := 0, 0
	for i, v := range heat {
		at := min(max(int(v*(thresholds-1)), 0), thresholds-1)
		for at+1 < thresholds && float64(v) >= thresholdAt(at+1) { // what rounding cut off
			at++
		}
		for at > 0 && float64(v) < thresholdAt(at) { // or put on
			at--
		}
		side := 0
		if inside[i] {
			side = 1
			area++
		}
		above[side][at]++
		if v > heat[peak] {
			peak = i
		}
	}
	p := pair{photo: photo, precision: pixelPrecision(heat, inside)}
	outside := len(heat) - area
	hit, miss := 0, 0 // pixels inside and outside that reach the threshold
	for at := thresholds - 1; at >= 0; at-- {
		hit += above[1][at]
		miss += above[0][at]
		near := share(hit, area+miss)
		far := share(outside-miss, outside+area-hit)
		p.iou[at] = (near + far) / 2
		p.accuracy[at] = share(hit+outside-miss, len(heat))
	}
	switch {
	case heat[peak] == 0: // flat
		p.pointing = share(area, len(heat))
	case inside[peak]:
		p.pointing = 1
	}
	return p
}

func thresholdAt(i int) float64 { return float64(i) * (1.0 / (thresholds - 1)) }

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// pixelPrecision is the average precision of every second pixel of every second row of a map of 0…1.
func pixelPrecision(heat []float32, inside []bool) float64 {
	const step = 2
	// Bits of numbers from 0 on are ordered as they are. Counted from above they rank the highest first, and with
	// the place below them the earlier of two alike.
	ranked := make([]uint64, 0, len(heat)/step/step)
	truth := make([]bool, 0, len(heat)/step/step)
	for y := 0; y < MapSide; y += step {
		for x := 0; x < MapSide; x += step {
			at := y*MapSide + x
			ranked = append(ranked, uint64(^math.Float32bits(heat[at]))<<32|uint64(len(truth)))
			truth = append(truth, inside[at])
		}
	}
	slices.Sort(ranked)
	order := make([]int, len(ranked))
	for i, r := range ranked {
		order[i] = int(uint32(r))
	}
	return precision(order, truth)
}

// AveragePrecision is the mean precision at the positives of a ranking by score, highest first; of equal scores
// the earlier goes first. Without a positive it is 0.
func AveragePrecision(scores []float64, positive []bool) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	return precision(order, positive)
}

// precision is the mean precision at the positives of a ranking.
func precision(order []int, positive []bool) float64 {
	found, sum := 0, 0.0
	for place, i := range order {
		if positive[i] {
			found++
			sum += float64(found) / float64(place+1)
		}
	}
	if found == 0 {
		return 0
	}
	return sum / float64(found)
}

// bestThreshold is the threshold with the largest mean IoU, the lowest of those.
func bestThreshold(pairs []pair) int {
	best, highest := 0, -1.0
	for at := range thresholds {
		sum := 0.0
		for i := range pairs {
			sum += pairs[i].iou[at]
		}
		if sum > highest {
			best, highest = at, sum
		}
	}
	return best
}

// column is one number a pair.
func column(pairs []pair, of func(*pair) float64) []float64 {
	values := make([]float64, len(pairs))
	for i := range pairs {
		values[i] = of(&pairs[i])
	}
	return values
}

// ClusterInterval is [BootstrapInterval] of values that come in groups, as several classes of one photo do: it
// draws whole groups. group says for each value which it belongs to.
func ClusterInterval(values []float64, group []int, resamples int, seed uint64) Interval {
	sums, counts := map[int]float64{}, map[int]int{}
	var groups []int
	for i, v := range values {
		if counts[group[i]] == 0 {
			groups = append(groups, group[i])
		}
		sums[group[i]] += v
		counts[group[i]]++
	}
	return ResampleInterval(len(groups), resamples, seed, func(drawn []int) float64 {
		sum, count := 0.0, 0
		for _, i := range drawn {
			sum += sums[groups[i]]
			count += counts[groups[i]]
		}
		return sum / float64(count)
	})
}

// ResampleInterval is the bootstrap of any statistic of n items: it draws n of them with replacement, resamples
// times, and returns the 2.5th and 97.5th percentile of the statistic. The same seed gives the same interval.
func ResampleInterval(n, resamples int, seed uint64, statistic func(drawn []int) float64) Interval {
	if n == 0 || resamples <= 0 {
		return Interval{}
	}
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	values, drawn := make([]float64, resamples), make([]int, n)
	for r := range values {
		for i := range drawn {
			drawn[i] = rng.IntN(n)
		}
		values[r] = statistic(drawn)
	}
	return Interval{Quantile(values, 0.025), Quantile(values, 0.975)}
}
