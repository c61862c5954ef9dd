package weaviate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	client "github.com/weaviate/weaviate-go-client/v5/weaviate"
)

// How long one host may take to answer, how long writing is tried again, and how long a host that did not
// answer is asked last.
const (
	callTimeout   = 20 * time.Second
	writeTimeout  = 40 * time.Second
	writePatience = 5 * time.Minute
	avoidTime     = 15 * time.Second
)

// quorum is the consistency level of writes, and of reads that must not miss one.
const quorum = "QUORUM"

// Options are how a cluster is reached. The zero value is what evident uses.
type Options struct {
	APIKey    string            // "" for a cluster that asks for none
	Transport http.RoundTripper // nil means one like http.DefaultTransport
	Patience  time.Duration     // how long a write is tried again; 0 means 5 min

	Now   func() time.Time                           // the clock; nil means time.Now
	Sleep func(context.Context, time.Duration) error // nil means to wait
}

// cluster reaches the hosts of an address: a call goes to one, and to the next where that one does not
// answer. It is safe for concurrent use.
type cluster struct {
	address *Address
	opts    Options
	hosts   []*host

	mu    sync.Mutex
	first int // the host that is asked first
}

// host is one node's address.
type host struct {
	name   string
	client *client.Client
	avoid  time.Time // it is asked last until then

	mu       sync.Mutex
	caughtUp map[string]int64 // by class: the commit of which it is known to have everything
}

// newCluster asks nothing yet.
func newCluster(a *Address, o Options) (*cluster, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = wait
	}
	if o.Patience == 0 {
		o.Patience = writePatience
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy:       http.ProxyFromEnvironment,
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			// A worker writes to one host; idle connections of all of them are kept.
			MaxIdleConnsPerHost: 2 * senders, IdleConnTimeout: 30 * time.Second,
		}
	}
	c := &cluster{address: a, opts: o, first: rand.IntN(len(a.Hosts))}
	headers := map[string]string{}
	if o.APIKey != "" {
		headers["Authorization"] = "Bearer " + o.APIKey
	}
	for _, name := range a.Hosts {
		made, err := client.NewClient(client.Config{
			Host: name, Scheme: a.protocol(), Headers: headers,
			ConnectionClient: &http.Client{Transport: o.Transport},
		})
		if err != nil {
			return nil, fmt.Errorf("reach %s: %w", name, err)
		}
		c.hosts = append(c.hosts, &host{name: name, client: made, caughtUp: map[string]int64{}})
	}
	return c, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// order returns the hosts as they are to be asked.
func (c *cluster) order() []*host {
	c.mu.Lock()
	defer c.mu.Unlock()
	var now, later []*host
	for i := range c.hosts {
		h := c.hosts[(c.first+i)%len(c.hosts)]
		if h.avoid.After(c.opts.Now()) {
			later = append(later, h)
		} else {
			now = append(now, h)
		}
	}
	return append(now, later...)
}

// note remembers whether a host answered.
func (c *cluster) note(h *host, answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answered {
		h.avoid = time.Time{}
	} else {
		h.avoid = c.opts.Now().Add(avoidTime)
	}
}

// do lets call ask one host after the other until one answers. An error that no other host would mend ends
// it; when none answers the error is an [*UnreachableError].
func (c *cluster) do(ctx context.Context, call func(context.Context, *host) error) error {
	return c.doFor(ctx, callTimeout, call)
}

// doFor is do with another limit for each host.
func (c *cluster) doFor(ctx context.Context, limit time.Duration, call func(context.Context, *host) error) error {
	var causes []error
	for _, h := range c.order() {
		err := c.ask(ctx, h, limit, call)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case status(err) == http.StatusUnauthorized, status(err) == http.StatusForbidden:
			return fmt.Errorf("%s: %w: %w", h.name, ErrKey, plain(err))
		case !elsewhere(err):
			return fmt.Errorf("%s: %w", h.name, plain(err))
		}
		causes = append(causes, fmt.Errorf("%s: %w", h.name, plain(err)))
	}
	return &UnreachableError{c.address.String(), causes}
}

// ask lets call ask one host, and remembers whether it answered.
func (c *cluster) ask(
	ctx context.Context, h *host, limit time.Duration, call func(context.Context, *host) error,
) error {
	limited, stop := context.WithTimeout(ctx, limit)
	defer stop()
	err := call(limited, h)
	if ctx.Err() != nil {
		return err
	}
	var answered *answerError
	c.note(h, err == nil || !elsewhere(err) || errors.As(err, &answered))
	return err
}

// insist is do, again and again while no host answers, for as long as the options have patience.
func (c *cluster) insist(ctx context.Context, call func(context.Context, *host) error) error {
	for pause := newPause(c); ; {
		err := c.doFor(ctx, writeTimeout, call)
		if err == nil || !errors.Is(err, ErrUnavailable) || !pause.next(ctx) {
			return err
		}
	}
}

// pause waits between attempts, longer each time, until patience ends.
type pause struct {
	cluster *cluster
	until   time.Time
	length  time.Duration
}

func newPause(c *cluster) *pause {
	return &pause{cluster: c, until: c.opts.Now().Add(c.opts.Patience), length: 100 * time.Millisecond}
}

// next waits and says whether there is to be another attempt.
func (p *pause) next(ctx context.Context) bool {
	now := p.cluster.opts.Now()
	if !now.Before(p.until) {
		return false
	}
	err := p.cluster.opts.Sleep(ctx, min(p.length, p.until.Sub(now)))
	p.length = min(2*p.length, 5*time.Second)
	return err == nil
}

// whole returns an error unless a host has so many objects of a class as there are at a commit: a node that
// was away answers before it has caught up, and what it lacks would be missing from what it finds. It is
// asked once for each commit.
func (c *cluster) whole(ctx context.Context, h *host, class string, commit int64, want int) error {
	h.mu.Lock()
	known, ok := h.caughtUp[class]
	h.mu.Unlock()
	if ok && known == commit {
		return nil
	}
	n, err := count(ctx, h, class)
	if err != nil {
		return err
	}
	if n < want {
		return &answerError{[]string{fmt.Sprintf("it has not caught up: %d of %d objects of class %s", n, want, class)}}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.caughtUp[class] = commit
	return nil
}

// healthy returns how many nodes the cluster has, and how many of them are alive.
func (c *cluster) healthy(ctx context.Context) (alive, nodes int, err error) {
	err = c.do(ctx, func(ctx context.Context, h *host) error {
		answer, err := h.client.Cluster().NodesStatusGetter().Do(ctx)
		if err != nil {
			return err
		}
		alive, nodes = 0, len(answer.Nodes)
		for _, n := range answer.Nodes {
			if n.Status != nil && *n.Status == "HEALTHY" {
				alive++
			}
		}
		return nil
	})
	return alive, nodes, err
}
