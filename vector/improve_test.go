package vector

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestMergesOfManySizes: whatever the sizes of commits, there are few segments after every one of them, and a vector is
// rewritten few times; also where nobody improves the index before the last commit.
func TestMergesOfManySizes(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	sizes := map[string]func() int{
		"from one to 60,000, small ones most": func() int { return int(math.Exp(random.Float64() * 11)) },
		"about a class":                       func() int { return 2000 + random.IntN(31_500) },
		"tiny":                                func() int { return 1 + random.IntN(50) },
		"equal":                               func() int { return 5000 },
		"large":                               func() int { return 65_536 },
	}
	for name, size := range sizes {
		for _, commits := range []struct {
			n, every int // improved after so many
		}{{1500, 1}, {67, 67}, {1000, 40}} {
			m, most, written, all := &manifest{}, 0, 0, 0
			for i := range commits.n {
				n := size()
				all += n
				m.Segments = append(m.Segments, segmentEntry{Vectors: n, Lists: 1})
				if (i+1)%commits.every > 0 {
					continue
				}
				for {
					from, to := m.nextStep()
					if from == to {
						break
					}
					n := live(m.Segments[from:to])
					written += n
					m.Segments = append(m.Segments[:from:from], append([]segmentEntry{{Vectors: n, Lists: 1}}, m.Segments[to:]...)...)
				}
				most = max(most, len(m.Segments))
			}
			times := float64(written) / float64(all)
			if most > 48 || times > 14 {
				t.Errorf("%s, improved after every %d of %d: up to %d segments, a vector is written %.1f times",
					name, commits.every, commits.n, most, times)
			}
			if got := live(m.Segments); got != all {
				t.Fatalf("%s: %d vectors, want %d", name, got, all)
			}
		}
	}
}
