package kernel

import (
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestTilePreempted: products stay right while the garbage collector stops the world again and
// again, signals hit the threads, and there are more threads than cores, more goroutines than
// threads, and tiles of many shapes. AMX keeps shapes and values in a thread's own registers.
func TestTilePreempted(t *testing.T) {
	const goroutines = 24
	products := 400 // of each goroutine
	if testing.Short() {
		products = 8
	}
	everyTier(t, func(t *testing.T, s *Set) {
		if guardBefore {
			t.Skip("there are no guard pages in this test")
		}
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGUSR1)
		defer signal.Stop(signals)
		var done atomic.Bool
		var collector, workers sync.WaitGroup
		collector.Go(func() {
			for !done.Load() {
				runtime.GC()
			}
		})
		for g := range goroutines {
			w := newPreempted(s, g)
			workers.Go(func() {
				for i := 0; i < products && w.same(t); i++ {
					if i%4 == 0 { // many more would leave no time for anything else
						_ = syscall.Kill(os.Getpid(), syscall.SIGURG) // as the scheduler preempts
						_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
					}
				}
			})
		}
		workers.Wait()
		done.Store(true)
		collector.Wait()
	})
}

// preempted is a product in each precision that the CPU has, and what they were when nothing
// disturbed them.
type preempted struct {
	s              *Set
	rows, k        int
	wide, wideB    []float32
	a, b           []uint16
	bytes          []uint8
	quads          []int8
	sums, wantSums []float32
	ints, wantInts []int32
}

func newPreempted(s *Set, seed int) *preempted {
	r := rand.New(rand.NewPCG(uint64(seed), 21))
	w := &preempted{s: s, rows: min(1+seed*5%45, s.TileRows()), k: 1 + seed*11%50}
	narrow := func(n int) []uint16 {
		x := make([]uint16, n)
		for i, v := range random(r, n) {
			x[i] = RoundBF16(v)
		}
		return x
	}
	w.wide, w.wideB = random(r, w.rows*w.k), random(r, w.k*Columns)
	w.a, w.b = narrow(w.rows*2*w.k), narrow(2*w.k*Columns)
	w.bytes, w.quads = make([]uint8, w.rows*Quad*w.k), make([]int8, Quad*w.k*Columns)
	for i := range w.bytes {
		w.bytes[i] = uint8(r.Uint32())
	}
	for i := range w.quads {
		w.quads[i] = int8(r.Uint32())
	}
	w.sums, w.ints = make([]float32, w.rows*Columns), make([]int32, w.rows*Columns)
	w.multiply()
	w.wantSums, w.wantInts = append(w.wantSums, w.sums...), append(w.wantInts, w.ints...)
	return w
}

func (w *preempted) multiply() {
	if w.s.HasBF16() {
		w.s.TileBF16(w.sums, Columns, w.a, 2*w.k, w.b, nil, w.rows, w.k, 1)
	} else {
		w.s.TileF32(w.sums, Columns, w.wide, w.k, w.wideB, nil, w.rows, w.k, 1)
	}
	if w.s.HasInt8() {
		w.s.TileInt8(w.ints, Columns, w.bytes, Quad*w.k, w.quads, nil, w.rows, w.k, 1)
	}
}

// same computes the products anew.
func (w *preempted) same(t *testing.T) bool {
	clear(w.sums)
	clear(w.ints)
	w.multiply()
	for i := range w.sums {
		if w.sums[i] != w.wantSums[i] || w.ints[i] != w.wantInts[i] {
			t.Errorf("%d rows, k %d: [%d,%d] is %g and %d, was %g and %d", w.rows, w.k, i/Columns, i%Columns,
				w.sums[i], w.ints[i], w.wantSums[i], w.wantInts[i])
			return false
		}
	}
	return true
}
