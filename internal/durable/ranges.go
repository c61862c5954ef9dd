package durable

// Range is a half-open range of numbers, written as a pair: of what was deleted, say.
type Range [2]uint32

// Flags unfolds ranges into a flag for each of n numbers.
func Flags(ranges []Range, n int) []bool {
	flags := make([]bool, n)
	for _, r := range ranges {
		for i := r[0]; i < r[1]; i++ {
			flags[i] = true
		}
	}
	return flags
}

// Ranges is the inverse of [Flags]: disjoint, rising ranges.
func Ranges(flags []bool) []Range {
	var ranges []Range
	for i, set := range flags {
		switch n := len(ranges); {
		case !set:
		case n > 0 && ranges[n-1][1] == uint32(i):
			ranges[n-1][1]++
		default:
			ranges = append(ranges, Range{uint32(i), uint32(i) + 1})
		}
	}
	return ranges
}

// CheckRanges says whether ranges are disjoint, rising and within n numbers.
func CheckRanges(ranges []Range, n int) bool {
	next := uint32(0)
	for _, r := range ranges {
		if r[0] < next || r[1] <= r[0] || int64(r[1]) > int64(n) {
			return false
		}
		next = r[1]
	}
	return true
}
