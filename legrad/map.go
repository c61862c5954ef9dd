package legrad

import "slices"

// MinMax scales a map to 0…1, in place, and returns it. A flat map becomes zeros.
func MinMax(m []float32) []float32 {
	if len(m) == 0 {
		return m
	}
	low, high := slices.Min(m), slices.Max(m)
	for i, v := range m {
		if high > low {
			m[i] = (v - low) / (high - low)
		} else {
			m[i] = 0
		}
	}
	return m
}
