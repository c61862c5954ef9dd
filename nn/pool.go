package nn

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	inlineFLOP = 2_000_000             // less work than this is not worth waking anyone
	spinTime   = 30 * time.Microsecond // a worker looks for the next job this long, then parks
)

// pool is the process's workers. They serve every caller: those in the middle of a call and the workers
// that help them are together never more than GOMAXPROCS.
//
// A caller always works on its own jobs, so none waits for another. A core that no caller needs helps
// the job with the fewest threads inside, the oldest of them; after each item its worker asks whether
// the core is still to spare and whether a job elsewhere is two threads short of its own.
type pool struct {
	cores   atomic.Int32 // GOMAXPROCS, as the last caller found it
	callers atomic.Int32 // in the middle of a call
	helping atomic.Int32 // workers inside a job
	posted  atomic.Int64 // jobs so far: an idle worker looks whether there are more
	listed  atomic.Int32 // jobs in the list
	looking atomic.Int32 // workers that spin

	mu      sync.Mutex
	jobs    []*job // that may have items left, oldest first
	workers int
	parked  []chan struct{}
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

// enter counts a caller in, from its first phase to its last: its core is its own between them too,
// where nobody else could know of it.
func (p *pool) enter() {
	p.cores.Store(int32(runtime.GOMAXPROCS(0)))
	p.callers.Add(1)
}

// leave counts a caller out; what is still at work gets its core.
func (p *pool) leave() {
	p.callers.Add(-1)
	if p.listed.Load() > 0 {
		p.mu.Lock()
		p.wake(1)
		p.mu.Unlock()
	}
}

// spare is the number of cores that no caller needs.
func (p *pool) spare() int32 { return p.cores.Load() - max(1, p.callers.Load()) }

// do runs run(worker, item) for every item on at most so many threads and returns when all are
// done. Workers are numbered from 0, the caller, so that each can own scratch memory. flop is an
// estimate of the whole work: little work runs on the caller alone.
func (p *pool) do(threads, items int, flop float64, run func(worker, item int)) {
	p.doUnless(nil, threads, items, flop, run)
}

// doUnless is do that skips the items left once stop, which may be nil, is set.
func (p *pool) doUnless(
	stop *atomic.Bool, threads, items int, flop float64, run func(worker, item int),
) {
	if p.callers.Load() > p.cores.Load() {
		runtime.Gosched() // they take turns phase by phase, not by the scheduler's ten milliseconds
	}
	if threads <= 1 || items <= 1 || flop < inlineFLOP {
		for i := 0; i < items && (stop == nil || !stop.Load()); i++ {
			run(0, i)
		}
		return
	}
	helpers := min(threads, items) - 1
	j := &job{
		run: run, items: int64(items), stop: stop, finished: make(chan struct{}, 1),
		free: make([]int, helpers), size: helpers,
	}
	for i := range j.free {
		j.free[i] = helpers - i
	}
	p.post(j)
	for j.one(0) {
	}
	p.withdraw(j)
	j.wait()
}

// post lists a job and wakes workers for it.
func (p *pool) post(j *job) {
	p.cores.Store(int32(runtime.GOMAXPROCS(0)))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs = append(p.jobs, j)
	p.listed.Store(int32(len(p.jobs)))
	p.posted.Add(1)
	for ; p.workers < j.size; p.workers++ {
		go p.serve(make(chan struct{}, 1))
	}
	p.wake(j.size)
}

// wake wakes up to n workers, those awake and without work counted, as far as there are cores to
// spare. The mutex is held.
func (p *pool) wake(n int) {
	n = min(n, int(p.spare()-p.helping.Load())) - int(p.looking.Load())
	for ; n > 0 && len(p.parked) > 0; n-- {
		last := len(p.parked) - 1
		p.parked[last] <- struct{}{}
		p.parked = p.parked[:last]
	}
}

// withdraw takes a job without items from the list.
func (p *pool) withdraw(j *job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.jobs, j)
	p.jobs = slices.Delete(p.jobs, i, i+1) // clears what is behind: an old job keeps its weights alive
	p.listed.Store(int32(len(p.jobs)))
}

// serve is the life of a worker: job after job.
func (p *pool) serve(wake chan struct{}) {
	for {
		j, worker := p.await(wake)
		for j.one(worker) && !p.move(j) {
		}
		p.mu.Lock()
		p.helping.Add(-1)
		j.free = append(j.free, worker)
		p.mu.Unlock()
	}
}

// move reports whether a worker of j should leave it: a caller needs the core, or a job elsewhere does
// more. Several workers may come to the same conclusion at once; those that need not have gone come back.
func (p *pool) move(j *job) bool {
	if p.helping.Load() > p.spare() {
		return true
	}
	if p.listed.Load() < 2 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.jobs {
		if other.open() && other.working() < j.working()-1 {
			return true
		}
	}
	return false
}

// join puts a worker into a job and returns its number there; nil where no core is to spare or no job has
// room. The mutex is held.
func (p *pool) join() (*job, int) {
	if p.helping.Load() >= p.spare() {
		return nil, 0
	}
	var best *job
	for _, j := range p.jobs {
		if j.open() && (best == nil || j.working() < best.working()) {
			best = j
		}
	}
	if best == nil {
		return nil, 0
	}
	p.helping.Add(1)
	last := len(best.free) - 1
	worker := best.free[last]
	best.free = best.free[:last]
	return best, worker
}

// await returns the next job for a worker, and its number there.
func (p *pool) await(wake chan struct{}) (*job, int) {
	for {
		if j, worker := p.look(); j != nil {
			return j, worker
		}
		p.mu.Lock()
		j, worker := p.join()
		if j == nil {
			p.parked = append(p.parked, wake)
		}
		p.mu.Unlock()
		if j != nil {
			return j, worker
		}
		<-wake
	}
}

// look looks out for a job for a while, as long as there is a core to spare for it.
func (p *pool) look() (*job, int) {
	p.looking.Add(1)
	defer p.looking.Add(-1)
	seen, start := int64(0), time.Now()
	for spins := 1; p.helping.Load() < p.spare(); spins++ {
		if posted := p.posted.Load(); posted != seen {
			seen = posted
			p.mu.Lock()
			j, worker := p.join()
			p.mu.Unlock()
			if j != nil {
				return j, worker
			}
		}
		if spins%64 == 0 && time.Since(start) > spinTime {
			break
		}
	}
	return nil, 0
}
