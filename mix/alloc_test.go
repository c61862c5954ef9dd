//go:build !race

package mix

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"evident/internal/readertest"
)

// TestReaderAllocates: a warm reader allocates per passage and for what it returns, but not for what it
// computes: ten times the tokens need no more allocations, and each token only the memory of its
// entries in the results and the input. (Under the race detector sync.Pool forgets on purpose.)
func TestReaderAllocates(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	dir := t.TempDir()
	if err := readertest.Write(dir, 3); err != nil {
		t.Fatal(err)
	}
	r, err := LoadReader(os.DirFS(dir), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const passages, few, many = 7, 10, 100 // the many are one group of the encoder
	ctx := context.Background()
	read := func(words int) (allocations, bytes float64) {
		texts := make([]string, passages)
		for i := range texts {
			texts[i] = strings.Repeat("bridge ", words) // a word a token
		}
		once := func() {
			readings, err := r.Read(ctx, question, texts)
			if err != nil || len(readings) != passages || len(readings[0].Tokens) != words {
				t.Fatalf("%d readings, %v", len(readings), err)
			}
		}
		least := uint64(math.MaxUint64) // a worker that joins late warms up late
		for range 10 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			once()
			runtime.ReadMemStats(&after)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		return testing.AllocsPerRun(10, once), float64(least)
	}
	read(many) // once, so that all memory has its size
	fewTimes, fewBytes := read(few)
	manyTimes, manyBytes := read(many)
	perToken := (manyBytes - fewBytes) / (passages * (many - few))
	t.Logf("%.0f allocations for %d tokens, %.0f for %d; %.0f bytes a token", fewTimes, passages*few,
		manyTimes, passages*many, perToken)
	if manyTimes > fewTimes+4 {
		t.Errorf("%.0f allocations for %d tokens, %.0f for ten times as many", fewTimes, passages*few, manyTimes)
	}
	// A token is 24 bytes where it is cut from the text, again in its input, 4 for its segment, 16 for
	// its span and 8 for two logits; rounded up to the allocator's sizes.
	const entries = 24 + 24 + 4 + 16 + 8
	if perToken > 1.5*entries {
		t.Errorf("%.0f bytes a token, want at most one and a half times %d", perToken, entries)
	}
}
