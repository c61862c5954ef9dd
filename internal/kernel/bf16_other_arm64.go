//go:build !linux && !darwin

package kernel

// hasBF16 reports whether the CPU has the products of FEAT_BF16: this system is not asked.
func hasBF16() bool { return false }
