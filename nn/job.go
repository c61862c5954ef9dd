package nn

import (
	"sync/atomic"
	"time"
)

// job is one phase of work: items that may run in any order, each exactly once.
//
// Whoever joins takes items from a counter until none is left. The caller works too and waits
// until all items are done, never for a worker: one that was descheduled before it took an item
// finds the counter exhausted and leaves, so a busy machine costs no phase more than its work.
type job struct {
	run      func(worker, item int)
	items    int64
	stop     *atomic.Bool // set: what is left is of no use and is skipped; nil for never
	finished chan struct{}

	free []int // numbers for workers that may still join; guarded by the pool's mutex
	size int   // how many there were

	next atomic.Int64
	_    [64]byte // next is written at every take, done at every end: keep them apart
	done atomic.Int64
}

// working is the number of threads inside, the caller among them. The pool's mutex is held.
func (j *job) working() int { return j.size - len(j.free) + 1 }

// open reports whether a worker that joins would find an item. The pool's mutex is held.
func (j *job) open() bool { return len(j.free) > 0 && j.next.Load() < j.items }

// one runs the next item; it returns false where none is left.
func (j *job) one(worker int) bool {
	item := j.next.Add(1) - 1
	if item >= j.items {
		return false
	}
	if j.stop == nil || !j.stop.Load() {
		j.run(worker, int(item))
	}
	if j.done.Add(1) == j.items && worker != 0 {
		j.finished <- struct{}{}
	}
	return true
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
