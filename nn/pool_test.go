package nn

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// plenty is more work than a pool does on the caller alone.
const plenty = 1e12

// TestPool: every item runs once, and no two threads are one worker at a time.
func TestPool(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(7))
	var p pool
	for _, c := range []struct{ threads, items int }{
		{1, 5}, {2, 1}, {2, 2}, {3, 1000}, {7, 13}, {7, 4000}, {5, 0},
	} {
		for range 50 {
			ran := make([]atomic.Int32, c.items)
			busy := make([]atomic.Bool, max(c.threads, 1))
			p.do(c.threads, c.items, plenty, func(worker, item int) {
				if worker >= c.threads || busy[worker].Swap(true) {
					t.Errorf("%+v: worker %d is taken or out of range", c, worker)
				}
				ran[item].Add(1)
				busy[worker].Store(false)
			})
			for i := range ran {
				if n := ran[i].Load(); n != 1 {
					t.Fatalf("%+v: item %d ran %d times", c, i, n)
				}
			}
		}
	}
}

// TestPoolConcurrent: callers share the workers, also from within an item.
func TestPoolConcurrent(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var p pool
	var total atomic.Int64
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 100 {
				p.do(4, 20, plenty, func(_, item int) {
					total.Add(1)
					if item == 3 {
						p.do(4, 5, plenty, func(_, _ int) { total.Add(1) })
					}
				})
			}
		})
	}
	wait.Wait()
	if got := total.Load(); got != 8*100*25 {
		t.Errorf("%d items ran, want %d", got, 8*100*25)
	}
}

// TestPoolWorkers: there are never more workers than any caller asked for.
func TestPoolWorkers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var p pool
	for range 20 {
		p.do(threads(1000), 100, plenty, func(_, _ int) {})
	}
	if got := p.workers; got != 3 {
		t.Errorf("%d workers beside the caller, want 3", got)
	}
}

// TestPoolLittleWork: what is not worth waking anyone runs on the caller.
func TestPoolLittleWork(t *testing.T) {
	var p pool
	p.do(4, 10, inlineFLOP-1, func(worker, _ int) {
		if worker != 0 {
			t.Errorf("worker %d", worker)
		}
	})
	if p.workers != 0 {
		t.Error("workers were started")
	}
}
