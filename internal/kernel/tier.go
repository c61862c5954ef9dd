package kernel

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Tier is a level of the CPU's abilities. A higher tier is faster and includes the lower ones of
// the same architecture.
type Tier uint8

// The tiers, slowest first.
const (
	Generic    Tier = iota // plain Go, on every machine
	NEON                   // arm64, always there
	NEONBF16               // and native products of bf16
	AVX2                   // amd64, and FMA
	AVX512                 // F, BW, DQ and VL
	AVX512BF16             // and native products of bf16
	AMXBF16                // and those of whole tiles
)

var tierNames = [...]string{"generic", "neon", "neon_bf16", "avx2", "avx512", "avx512_bf16", "amx_bf16"}

// EnvironmentVariable names the variable that forces a tier.
const EnvironmentVariable = "EVIDENT_CPU"

func (t Tier) String() string {
	if int(t) < len(tierNames) {
		return tierNames[t]
	}
	return fmt.Sprintf("Tier(%d)", t)
}

// UnavailableError says that this CPU, or its operating system, lacks what a tier needs.
type UnavailableError struct {
	Tier    Tier
	Missing []string // names of features, as in /proc/cpuinfo, or of an instruction set
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("CPU tier %s needs what is missing here: %s",
		e.Tier, strings.Join(e.Missing, ", "))
}

// UnknownTierError says that a name is no tier's.
type UnknownTierError struct{ Name string }

func (e *UnknownTierError) Error() string {
	return fmt.Sprintf("unknown CPU tier %q: want auto, %s", e.Name, strings.Join(tierNames[:], ", "))
}

// Available returns nil where the tier runs, else an *UnavailableError that names what is missing.
func Available(t Tier) error {
	if missing := missingFeatures(t); len(missing) > 0 {
		return &UnavailableError{Tier: t, Missing: missing}
	}
	return nil
}

// UnusedAMX returns why a CPU that has AMX cannot use it, or nil: most often the operating system
// or the hypervisor is older than the CPU.
func UnusedAMX() error {
	if slices.Contains(Features(), "amx_bf16") {
		return Available(AMXBF16)
	}
	return nil
}

// Best is the fastest tier of this CPU.
func Best() Tier {
	for t := AMXBF16; t > Generic; t-- {
		if Available(t) == nil {
			return t
		}
	}
	return Generic
}

// Select returns the tier of that name; "" and "auto" mean the best one. For a name that is
// unknown or not available it returns the best tier and an error for the user to read.
func Select(name string) (Tier, error) {
	if name == "" || name == "auto" {
		return Best(), nil
	}
	for t, n := range tierNames {
		if n == name {
			if err := Available(Tier(t)); err != nil {
				return Best(), err
			}
			return Tier(t), nil
		}
	}
	return Best(), &UnknownTierError{Name: name}
}

var defaultTier = sync.OnceValues(func() (Tier, error) {
	return Select(os.Getenv(EnvironmentVariable))
})

// Default is the tier that EVIDENT_CPU selects, read once; the error is Select's.
func Default() (Tier, error) { return defaultTier() }

// forced is 1 + the tier that Force chose, or 0.
var forced atomic.Int32

// Force makes Active return the functions of a tier until restore is called. It is for tests:
// layers keep the functions that were active when they were built.
func Force(t Tier) (restore func(), err error) {
	if err := Available(t); err != nil {
		return nil, err
	}
	before := forced.Swap(int32(t) + 1)
	return func() { forced.Store(before) }, nil
}

// Active returns the functions of the tier in force.
func Active() *Set {
	if t := forced.Load(); t > 0 {
		return Of(Tier(t - 1))
	}
	t, _ := Default()
	return Of(t)
}

// Of returns the functions of an available tier.
func Of(t Tier) *Set {
	if err := Available(t); err != nil {
		panic("kernel: " + err.Error())
	}
	return &sets[t]
}
