package weaviate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weaviate/weaviate/entities/models"

	"evident/internal/filelock"
)

// A lock is a class: the cluster agrees (Raft) on which of two creations of one name came first. Its
// description says who holds it, and is renewed while the holder lives.
const (
	renewEvery  = 15 * time.Second
	renewAgain  = 2 * time.Second // after a renewal that failed
	expireAfter = time.Minute     // not renewed for so long, it is nobody's; clocks must agree to within half of that
)

// lockClass begins the names of the classes that are locks of a part; numbers follow.
func (c *cluster) lockClass(part string) string { return c.class(part) + "Lock" }

// holder is the description of a lock.
type holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Since   time.Time `json:"since"`
	Renewed time.Time `json:"renewed"`
}

// same says whether two descriptions are of one holder, at whatever time it renewed them.
func (h *holder) same(as *holder) bool {
	return h.PID == as.PID && h.Host == as.Host && h.Since.Equal(as.Since)
}

// locked is the error of who finds the lock held.
func (h *holder) locked(class string) error {
	who := filelock.Holder{PID: h.PID, Host: h.Host, Since: h.Since}
	return &LockedError{Class: class, Holder: who, Renewed: h.Renewed}
}

// lock is the right to write.
type lock struct {
	cluster *cluster
	part    string
	class   string

	stop    context.CancelFunc
	stopped chan struct{}

	mu     sync.Mutex
	holder holder // as it was renewed last
}

// takeLock takes the lock of a part, or returns a [*LockedError]. Locks are numbered: who finds one that has
// expired makes the next, which only one can, and then removes it.
func (c *cluster) takeLock(ctx context.Context, part string) (*lock, error) {
	for {
		last, held, err := c.lastLock(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", c.class(part), err)
		}
		now := c.opts.Now()
		if held != nil && now.Sub(held.Renewed) < expireAfter {
			return nil, held.locked(c.lockName(part, last))
		}
		name, _ := os.Hostname()
		l := &lock{cluster: c, part: part, class: c.lockName(part, last+1)}
		l.holder = holder{PID: os.Getpid(), Host: name, Since: now, Renewed: now}
		switch err := l.create(ctx); {
		case errors.Is(err, errTaken):
			continue // another was faster: see who
		case err != nil:
			return nil, fmt.Errorf("lock %s: %w", c.class(part), err)
		}
		if held != nil {
			if err := c.bury(ctx, c.lockName(part, last), held); err != nil {
				return nil, errors.Join(err, c.drop(ctx, l.class))
			}
		}
		l.begin(ctx)
		return l, nil
	}
}

// bury removes a lock that has expired. Its holder may be alive and just renew it: it looks afterwards whether there is
// another lock, and here it is looked whether it was renewed, so that one of both notices.
func (c *cluster) bury(ctx context.Context, name string, expired *holder) error {
	now, err := c.holderOf(ctx, name)
	switch {
	case errors.Is(err, errNoClass):
		return nil
	case err != nil:
		return fmt.Errorf("lock %s: %w", name, err)
	case !now.Renewed.Equal(expired.Renewed):
		return now.locked(name)
	}
	if err := c.drop(ctx, name); err != nil {
		return fmt.Errorf("remove an expired lock: %w", err)
	}
	return nil
}

// holderOf reads who holds a lock.
func (c *cluster) holderOf(ctx context.Context, name string) (*holder, error) {
	class, err := c.lookUp(ctx, name)
	if err != nil {
		return nil, err
	}
	held := &holder{}
	if err := json.Unmarshal([]byte(class.Description), held); err != nil {
		return nil, foreignLock(name)
	}
	return held, nil
}

func foreignLock(class string) error {
	return &ForeignError{class, "it is none of evident's; choose another collection"}
}

func (c *cluster) lockName(part string, number int) string {
	return c.lockClass(part) + strconv.Itoa(number)
}

// lastLock returns the lock of the highest number and who holds it; nil when there is none.
func (c *cluster) lastLock(ctx context.Context, part string) (number int, held *holder, err error) {
	err = c.do(ctx, func(ctx context.Context, h *host) error {
		schema, err := h.client.Schema().Getter().Do(ctx)
		if err != nil {
			return err
		}
		number, held = 0, nil
		for _, class := range schema.Classes {
			digits, ours := strings.CutPrefix(class.Class, c.lockClass(part))
			n, err := strconv.Atoi(digits)
			if !ours || err != nil || n < number {
				continue
			}
			number, held = n, &holder{}
			if err := json.Unmarshal([]byte(class.Description), held); err != nil {
				return foreignLock(class.Class)
			}
		}
		return nil
	})
	return number, held, err
}

// errTaken says that a lock is another's.
var errTaken = errors.New("taken")

func (l *lock) model(as holder) *models.Class {
	description, _ := json.Marshal(as) // always encodes
	class := l.cluster.newClass("", note{Copies: 1}, 1)
	class.Class, class.Description = l.class, string(description)
	return class
}

// create makes the class. A creation whose answer was lost may have been made nevertheless: then its
// description is ours.
func (l *lock) create(ctx context.Context) error {
	err := l.cluster.do(ctx, func(ctx context.Context, h *host) error {
		err := h.client.Schema().ClassCreator().WithClass(l.model(l.holder)).Do(ctx)
		if err != nil && isTaken(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	made, err := l.cluster.holderOf(ctx, l.class)
	if errors.Is(err, errNoClass) || err == nil && !made.same(&l.holder) {
		return errTaken
	}
	return err
}

// begin renews the lock until it is released.
func (l *lock) begin(ctx context.Context) {
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.stopped = make(chan struct{})
	go func() {
		defer close(l.stopped)
		for pause := renewEvery; wait(ctx, pause) == nil; {
			pause = renewEvery
			if err := l.renew(ctx); err != nil { // that it failed for too long is seen by held
				pause = renewAgain
			}
		}
	}()
}

// renew says that the holder lives.
func (l *lock) renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	there, err := l.cluster.holderOf(ctx, l.class)
	switch {
	case errors.Is(err, errNoClass) || err == nil && !there.same(&l.holder):
		return errLost
	case err != nil:
		return err
	}
	next := l.holder
	next.Renewed = l.cluster.opts.Now()
	err = l.cluster.do(ctx, func(ctx context.Context, h *host) error {
		return h.client.Schema().ClassUpdater().WithClass(l.model(next)).Do(ctx)
	})
	if err == nil {
		l.holder = next
	}
	return err
}

// errLost says that a writer did not reach the cluster for so long that another has its lock, or may have.
var errLost = errors.New("the lock was not renewed in time, and another may have taken it")

// held returns an error if the lock may be another's. One that was not renewed for long, because no node had time for
// it or the leader of the schema died, is renewed now: who takes an expired lock makes another one first, see bury.
func (l *lock) held(ctx context.Context) error {
	l.mu.Lock()
	age := l.cluster.opts.Now().Sub(l.holder.Renewed)
	l.mu.Unlock()
	if age <= expireAfter/2 {
		return nil
	}
	for pause := newPause(l.cluster); ; {
		err := l.renew(ctx)
		if err == nil {
			break
		}
		if errors.Is(err, errLost) || !pause.next(ctx) {
			return fmt.Errorf("%w: %w", errLost, err)
		}
	}
	last, _, err := l.cluster.lastLock(ctx, l.part)
	if err != nil || l.cluster.lockName(l.part, last) != l.class {
		return errors.Join(errLost, err)
	}
	return nil
}

// release gives the lock back, unless it is another's by now.
func (l *lock) release(ctx context.Context) error {
	l.stop()
	<-l.stopped
	there, err := l.cluster.holderOf(ctx, l.class)
	if errors.Is(err, errNoClass) || err == nil && !there.same(&l.holder) {
		return nil
	}
	if err == nil {
		err = l.cluster.drop(ctx, l.class)
	}
	if err != nil {
		return fmt.Errorf("release the lock, which expires by itself in %v: %w", expireAfter, err)
	}
	return nil
}
