package kernel

import (
	"errors"
	"runtime"
	"testing"
)

func TestSelect(t *testing.T) {
	for _, name := range []string{"", "auto"} {
		if got, err := Select(name); got != Best() || err != nil {
			t.Errorf("Select(%q) = %v, %v; want %v", name, got, err, Best())
		}
	}
	var unknown *UnknownTierError
	if got, err := Select("sse2"); got != Best() || !errors.As(err, &unknown) {
		t.Errorf("Select(sse2) = %v, %v; want %v and an UnknownTierError", got, err, Best())
	}
	const want = `unknown CPU tier "sse2": want auto, generic, neon, neon_bf16, avx2, avx512, avx512_bf16, amx_bf16`
	if unknown != nil && unknown.Error() != want {
		t.Errorf("got %q, want %q", unknown, want)
	}
	for tier := range Tier(len(tierNames)) {
		got, err := Select(tier.String())
		var lacking *UnavailableError
		switch {
		case Available(tier) == nil && (got != tier || err != nil):
			t.Errorf("Select(%s) = %v, %v", tier, got, err)
		case Available(tier) != nil && (got != Best() || !errors.As(err, &lacking)):
			t.Errorf("Select(%s) = %v, %v; want %v and an UnavailableError", tier, got, err, Best())
		}
	}
}

// TestBestOfARM64: every arm64 has vectors, and they are used unless told otherwise.
func TestBestOfARM64(t *testing.T) {
	if got := Best(); (got == NEON || got == NEONBF16) != (runtime.GOARCH == "arm64") {
		t.Errorf("the best tier of %s is %s", runtime.GOARCH, got)
	}
}

func TestUnavailableError(t *testing.T) {
	err := &UnavailableError{AVX512, []string{"avx512f", "avx512vl"}}
	want := "CPU tier avx512 needs what is missing here: avx512f, avx512vl"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestForce(t *testing.T) {
	restore, err := Force(Generic)
	if err != nil {
		t.Fatal(err)
	}
	if got := Active().Tier(); got != Generic {
		t.Errorf("forced generic, got %v", got)
	}
	restore()
	if want, _ := Default(); Active().Tier() != want {
		t.Errorf("restored %v, want %v", Active().Tier(), want)
	}
}
