package nn

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	inlineFLOP = 2_000_000             // less work than this is not worth waking anyone
	spinTime   = 30 * time.Microsecond // a worker looks for the next job this long, then parks
)

// job is one phase of work: items that may run in any order, each exactly once.
//
// Whoever joins takes items from a counter until none is left. The caller works too and waits
// until all items are done, never for a worker: one that was descheduled before it took an item
// finds the counter exhausted and leaves, so a busy machine costs no phase more than its work.
type job struct {
	id         uint64
	run        func(worker, item int)
	items      int64
	workersMax int32
	joined     atomic.Int32 // workers that asked to join, the caller among them
	finished   chan struct{}
	next       atomic.Int64
	_          [64]byte // next is written at every take, done at every end: keep them apart
	done       atomic.Int64
}

// take runs items until none is left.
func (j *job) take(worker int) {
	for {
		item := j.next.Add(1) - 1
		if item >= j.items {
			return
		}
		j.run(worker, int(item))
		if j.done.Add(1) == j.items && worker != 0 {
			j.finished <- struct{}{}
		}
	}
}

// wait returns when every item is done; it spins for the time of a short item, then sleeps.
func (j *job) wait() {
	start := time.Now()
	for spins := 1; j.done.Load() < j.items; spins++ {
		if spins%64 == 0 && time.Since(start) > spinTime {
			<-j.finished
			return
		}
	}
}

// pool is the process's workers. They serve every caller: there are never more of them than
// GOMAXPROCS asks for.
type pool struct {
	current atomic.Pointer[job] // the newest job, nil when it is done
	ids     atomic.Uint64
	mu      sync.Mutex // guards growth of workers
	workers atomic.Pointer[[]*poolWorker]
}

type poolWorker struct {
	parked atomic.Bool
	wake   chan struct{}
}

var shared pool

// threads resolves a wish for threads: 0 means as many as GOMAXPROCS, which nothing exceeds.
func threads(wish int) int {
	most := runtime.GOMAXPROCS(0)
	if wish <= 0 || wish > most {
		return most
	}
	return wish
}

// do runs run(worker, item) for every item on at most so many threads and returns when all are
// done. Workers are numbered from 0, the caller, so that each can own scratch memory. flop is an
// estimate of the whole work: little work runs on the caller alone.
func (p *pool) do(threads, items int, flop float64, run func(worker, item int)) {
	if threads <= 1 || items <= 1 || flop < inlineFLOP {
		for i := range items {
			run(0, i)
		}
		return
	}
	helpers := min(threads, items) - 1
	j := &job{
		id: p.ids.Add(1), run: run, items: int64(items),
		workersMax: int32(helpers) + 1, finished: make(chan struct{}, 1),
	}
	j.joined.Store(1)
	workers := p.grow(helpers)
	p.current.Store(j)
	for _, w := range workers[:helpers] {
		if w.parked.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
	j.take(0)
	j.wait()
	p.current.CompareAndSwap(j, nil)
}

// grow makes sure that there are n workers and returns all of them.
func (p *pool) grow(n int) []*poolWorker {
	if all := p.workers.Load(); all != nil && len(*all) >= n {
		return *all
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*poolWorker
	if old := p.workers.Load(); old != nil {
		all = append(all, *old...)
	}
	for len(all) < n {
		w := &poolWorker{wake: make(chan struct{}, 1)}
		all = append(all, w)
		go p.serve(w)
	}
	p.workers.Store(&all)
	return all
}

// serve joins job after job. It remembers numbers, not jobs, which would keep weights alive.
func (p *pool) serve(w *poolWorker) {
	last := uint64(0)
	for {
		j := p.await(w, last)
		last = j.id
		if n := j.joined.Add(1); n <= j.workersMax {
			j.take(int(n) - 1)
		}
	}
}

// newer returns the current job if it is not the one numbered last.
func (p *pool) newer(last uint64) *job {
	if j := p.current.Load(); j != nil && j.id != last {
		return j
	}
	return nil
}

// await returns the next job: it looks out for one for a while, then parks.
func (p *pool) await(w *poolWorker, last uint64) *job {
	for {
		start := time.Now()
		for spins := 1; spins%64 != 0 || time.Since(start) < spinTime; spins++ {
			if j := p.newer(last); j != nil {
				return j
			}
		}
		w.parked.Store(true)
		if j := p.newer(last); j != nil && w.parked.CompareAndSwap(true, false) {
			return j
		}
		<-w.wake
	}
}
