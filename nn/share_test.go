package nn

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"evident/internal/kernel"
)

// toil is an item of some tens of microseconds.
func toil() float64 {
	x := 1.0
	for range 20_000 {
		x = x*1.0000001 + 1e-9
	}
	return x
}

// caller runs phases of a call as an encoder does, and counts its items.
func caller(p *pool, threads, phases int, done *atomic.Int64) {
	p.enter()
	defer p.leave()
	var sink atomic.Int64
	for range phases {
		p.do(threads, 24, plenty, func(_, _ int) {
			sink.Add(int64(toil()))
			done.Add(1)
		})
	}
}

// TestPoolFair: of callers with equal work none is done when another has less than a third of it behind it,
// whether they are more than the cores or fewer, and whether or not they ask for help. A machine that is
// busy with other programs may hold one of our threads back, so the best of some tries counts.
func TestPoolFair(t *testing.T) {
	const phases, items, tries = 40, 40 * 24, 10
	for _, c := range []struct{ cores, callers, alone int }{{2, 6, 0}, {2, 3, 1}, {4, 2, 0}, {3, 7, 3}} {
		best := int64(0)
		for try := 0; try < tries && best < items/3; try++ {
			best = max(best, fairness(c.cores, c.callers, c.alone, phases))
		}
		if best < items/3 {
			t.Errorf("%+v: when the first is done, another has done %d of %d items", c, best, items)
		}
	}
}

// fairness returns the least number of items that any of several equal callers has done when the first
// of them is through. Those alone ask for no help.
func fairness(cores, callers, alone, phases int) int64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	var p pool
	var wait sync.WaitGroup
	var first sync.Once
	done, least := make([]atomic.Int64, callers), int64(math.MaxInt64)
	for i := range callers {
		threads := cores
		if i < alone {
			threads = 1
		}
		wait.Go(func() {
			caller(&p, threads, phases, &done[i])
			first.Do(func() {
				for k := range done {
					least = min(least, done[k].Load())
				}
			})
		})
	}
	wait.Wait()
	return least
}

// TestPoolSmallBehindBig: a small call that comes while a big one has all cores does not wait for its end.
func TestPoolSmallBehindBig(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	var p pool
	var big, small atomic.Int64
	const items = 20_000
	started, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		var once sync.Once
		p.enter()
		defer p.leave()
		p.do(2, items, plenty, func(_, _ int) {
			once.Do(func() { close(started) })
			toil()
			big.Add(1)
		})
	}()
	<-started
	caller(&p, 2, 5, &small)
	if n := big.Load(); n > items*3/4 {
		t.Errorf("%d of %d items of the big call ran before 120 of the small one", n, items)
	}
	<-over
}

// TestPoolBalance: a worker joins the job with the fewest threads, the oldest of several; it leaves one
// that has two more than another, or whose core a caller needs.
func TestPoolBalance(t *testing.T) {
	var p pool
	p.cores.Store(8)
	p.callers.Store(2)
	list := func(size int) *job {
		j := &job{items: 10, size: size}
		for i := range size {
			j.free = append(j.free, size-i)
		}
		p.jobs = append(p.jobs, j)
		p.listed.Store(int32(len(p.jobs)))
		return j
	}
	join := func(want *job, number int) {
		t.Helper()
		if j, worker := p.join(); j != want || worker != number {
			t.Errorf("joined %p as %d, want %p as %d", j, worker, want, number)
		}
	}
	a := list(7)
	join(a, 1)
	join(a, 2)
	if p.move(a) {
		t.Error("a worker leaves the only job")
	}
	b := list(2)
	if !p.move(a) || p.move(b) {
		t.Error("three threads and one are not evened out")
	}
	join(b, 1)
	if p.move(a) {
		t.Error("three threads and two are evened out")
	}
	join(b, 2)
	join(a, 3) // b is full
	join(a, 4)
	join(nil, 0) // six help two callers
	p.callers.Add(1)
	if !p.move(a) || !p.move(b) {
		t.Error("no worker makes room for a third caller")
	}
	p.callers.Add(-1)
	b.free = append(b.free, 2)
	p.helping.Add(-1)
	b.next.Store(b.items)
	join(a, 5) // b has no items left
}

// TestPoolStop: once told to stop, no further item runs, and nobody waits for those skipped.
func TestPoolStop(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	var p pool
	for _, threads := range []int{1, 3} {
		var stop atomic.Bool
		var ran atomic.Int64
		p.doUnless(&stop, threads, 1000, plenty, func(_, item int) {
			ran.Add(1)
			if item == 7 {
				stop.Store(true)
			}
		})
		if n := ran.Load(); n < 8 || n > 8+2*int64(threads) {
			t.Errorf("%d threads: %d items ran, want 8 and those under way", threads, n)
		}
	}
}

// TestForwardStops: a call ends in the middle of a layer, with the context's error.
func TestForwardStops(t *testing.T) {
	for _, threads := range []int{1, 2} {
		ctx, cancel := context.WithCancelCause(context.Background())
		w := newWorkspace(ctx, kernel.Active(), threads)
		cancel(nil)
		for !w.stop.Load() { // told by a goroutine of its own
			runtime.Gosched()
		}
		w.do(5, plenty, func(_, item int) { t.Errorf("item %d ran", item) })
		if err := w.stopped(); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped is %v, want %v", err, context.Canceled)
		}
		w.release()
	}
	if n := shared.callers.Load(); n != 0 {
		t.Errorf("%d callers are counted, none is there", n)
	}
	big := shape{1, 8, 32, 1024}
	e := build(big, randomWeights(rand.New(rand.NewPCG(1, 3)), big), GELU, FP32)
	x := random(rand.New(rand.NewPCG(1, 4)), 1000*big.width(), 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
	defer cancel()
	if err := e.Forward(ctx, x, Sequences{0, 1000}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call of many milliseconds ends with %v, want %v", err, context.DeadlineExceeded)
	}
}

// TestBlockGradientThreads: the way back takes no more threads than it may.
func TestBlockGradientThreads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	v := variant{shape{1, 4, 32, 512}, true, false}
	r := rand.New(rand.NewPCG(5, 6))
	e := v.build(randomWeights(r, v.shape), GELU, FP32)
	e.Threads = 1
	const n = 150
	kept := keepAll(e, 0, Sequences{0, n})
	input, gradient := random(r, n*v.width(), 1), random(r, v.width(), 1)
	if err := e.ForwardKeep(context.Background(), input, Sequences{0, n}, map[int]*Kept{0: kept}); err != nil {
		t.Fatal(err)
	}
	g := NewBlockGradient(&e.Layers[0], FP32)
	for _, c := range []struct {
		threads int
		helped  bool
	}{{1, false}, {2, true}} {
		g.Threads = c.threads
		before := shared.posted.Load()
		p, err := g.At(context.Background(), kept, n)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Relevance(context.Background(), p, gradient, make([]float32, n)); err != nil {
			t.Fatal(err)
		}
		if helped := shared.posted.Load() > before; helped != c.helped {
			t.Errorf("%d threads: shared work is %v, want %v", c.threads, helped, c.helped)
		}
	}
}
