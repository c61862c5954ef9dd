//go:build !linux

package kernel

import "testing"

// guardSides has one entry: there are no guard pages.
var guardSides = []string{"no-guard"}

var guardBefore bool

// guarded returns n zeroed values; only Linux has a guard page behind them.
func guarded[T number](t testing.TB, n int) []T {
	t.Helper()
	return make([]T, n)
}

func guardedCopy[T number](t testing.TB, x []T) []T {
	t.Helper()
	return append([]T(nil), x...)
}
