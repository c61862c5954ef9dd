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
	expireAfter = time.Minute // not renewed for so long, it is nobody's; clocks must agree to within half of that
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

// lock is the right to write.
type lock struct {
	cluster *cluster
	class   string
	holder  holder

	stop    context.CancelFunc
	stopped chan struct{}

	mu      sync.Mutex
	renewed time.Time
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
			who := filelock.Holder{PID: held.PID, Host: held.Host, Since: held.Since}
			return nil, &LockedError{Class: c.lockName(part, last), Holder: who, Renewed: held.Renewed}
		}
		name, _ := os.Hostname()
		l := &lock{cluster: c, class: c.lockName(part, last+1), renewed: now}
		l.holder = holder{PID: os.Getpid(), Host: name, Since: now, Renewed: now}
		switch err := l.create(ctx); {
		case errors.Is(err, errTaken):
			continue // another was faster: see who
		case err != nil:
			return nil, fmt.Errorf("lock %s: %w", c.class(part), err)
		}
		if held != nil {
			if err := c.drop(ctx, c.lockName(part, last)); err != nil {
				return nil, errors.Join(fmt.Errorf("remove an expired lock: %w", err), c.drop(ctx, l.class))
			}
		}
		l.begin(ctx)
		return l, nil
	}
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
				return &ForeignError{class.Class, "it is none of evident's; choose another collection"}
			}
		}
		return nil
	})
	return number, held, err
}

// errTaken says that a lock is another's.
var errTaken = errors.New("taken")

func (l *lock) model() *models.Class {
	description, _ := json.Marshal(l.holder) // always encodes
	class := l.cluster.newClass("", note{Copies: 1}, 1)
	class.Class, class.Description = l.class, string(description)
	return class
}

// create makes the class. A creation whose answer was lost may have been made nevertheless: then its
// description is ours.
func (l *lock) create(ctx context.Context) error {
	err := l.cluster.do(ctx, func(ctx context.Context, h *host) error {
		err := h.client.Schema().ClassCreator().WithClass(l.model()).Do(ctx)
		if err != nil && isTaken(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	made, err := l.cluster.lookUp(ctx, l.class)
	if errors.Is(err, errNoClass) || err == nil && made.Description != l.model().Description {
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
		for wait(ctx, renewEvery) == nil {
			l.renew(ctx)
		}
	}()
}

// renew says that the holder lives. That it could not is seen by held.
func (l *lock) renew(ctx context.Context) {
	l.holder.Renewed = l.cluster.opts.Now()
	err := l.cluster.do(ctx, func(ctx context.Context, h *host) error {
		return h.client.Schema().ClassUpdater().WithClass(l.model()).Do(ctx)
	})
	if err == nil {
		l.mu.Lock()
		l.renewed = l.holder.Renewed
		l.mu.Unlock()
	}
}

// errLost says that a writer did not reach the cluster for so long that another may have its lock.
var errLost = errors.New("the lock was not renewed in time, and another may have taken it")

// held returns an error once the lock may be another's.
func (l *lock) held() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cluster.opts.Now().Sub(l.renewed) > expireAfter/2 {
		return errLost
	}
	return nil
}

// release gives the lock back.
func (l *lock) release(ctx context.Context) error {
	l.stop()
	<-l.stopped
	if err := l.cluster.drop(ctx, l.class); err != nil {
		return fmt.Errorf("release the lock, which expires by itself in %v: %w", expireAfter, err)
	}
	return nil
}
