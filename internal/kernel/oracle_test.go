package kernel

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// epsilon is the rounding of one float32 operation.
const epsilon = 1.0 / (1 << 23)

// everyTier runs a test on each tier, with guard pages behind its operands and before them; a tier
// that this CPU lacks is skipped by name.
func everyTier(t *testing.T, test func(t *testing.T, s *Set)) {
	t.Helper()
	for tier := range Tier(len(tierNames)) {
		t.Run(tier.String(), func(t *testing.T) {
			var lacking *UnavailableError
			if err := Available(tier); errors.As(err, &lacking) {
				t.Skipf("tier %s NOT TESTED: this CPU lacks %s", tier, strings.Join(lacking.Missing, ", "))
			}
			everySide(t, func(t *testing.T) { test(t, Of(tier)) })
		})
	}
}

func everySide(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	defer func() { guardBefore = false }()
	for i, side := range guardSides {
		guardBefore = i > 0
		t.Run(side, test)
	}
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// product is init + a·wᵀ of one element in float64, and the sum of the absolute terms.
func product(a, w []float32, init float32) (sum, size float64) {
	sum, size = float64(init), math.Abs(float64(init))
	for k, v := range a {
		term := float64(v) * float64(w[k])
		sum += term
		size += math.Abs(term)
	}
	return sum, size
}

// number is what matrices are made of.
type number interface {
	float32 | uint32 | uint16 | uint8 | int8 | int32
}
