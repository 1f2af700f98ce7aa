package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Pool keeps sandboxes of one image ready, so that to get one takes
// microseconds instead of the time that an engine needs to start a container.
// A sandbox that comes back is reset: its processes are ended, what was
// written is removed, and the agent makes sure that it is as it was. One that
// cannot be brought back (a file of the image was changed, it has died) is
// removed and replaced. All of that happens in the background.
//
// What a reset covers, and what makes it impossible: every process; all files
// on the root, in memory file systems and message queues; records, logs and
// time limits; System V IPC and the state of the agent's own process are
// looked at. Changed or removed files of the image cannot be restored. Where
// the root is no overlay file system, with [Client.NoMounts], with image
// volumes, or with capabilities beyond the usual ones, sandboxes are always
// replaced.
//
// A Pool is safe for concurrent use. Its sandboxes belong to this program: if
// it is killed, they end after [CreateOptions].IdleTimeout.
type Pool struct {
	opts  PoolOptions
	maker maker
	// life ends with Close; all work in the background has it.
	life context.Context
	end  context.CancelFunc

	closing gate

	mu        sync.Mutex
	warm      []*spare // the one that came last is lent first
	waiting   []*poolWaiter
	lent      map[*Container]*spare
	removing  map[*spare]struct{}
	creating  int
	resetting int
	failures  int // creations in a row that failed
	pause     *time.Timer
	lastError error
	lost      []*unheardError
	closed    bool
	active    int           // goroutines
	quiet     chan struct{} // closed when none is left of a closed pool
	counters  PoolStats
}

// PoolOptions are the optional properties of a pool. The zero value keeps one
// sandbox ready and has at most eight.
type PoolOptions struct {
	// Create are the options of its sandboxes. Those that make no sense for a
	// sandbox that is used again are ErrInvalid: Name, Persist, RunImage,
	// writable Volumes, Ports with a fixed host port. IdleTimeout counts from
	// the end of this program; 0: one minute. TTL counts from the sandbox's
	// creation, in the pool as well.
	Create CreateOptions
	// Min is how many sandboxes are kept ready, beside those in use, as far
	// as Max allows. 0: 1; negative: none until one is asked for.
	Min int
	// Max is how many containers there are at most, those in use and those
	// being reset or removed included. 0: 8, or Min if that is more.
	Max int
	// MaxUses replaces a sandbox that was lent this often. 0: no limit; 1: a
	// new one for everybody.
	MaxUses int
	// Linger is how long a sandbox above Min stays when nobody needs it. 0: 5
	// minutes; negative: for ever.
	Linger time.Duration
}

const (
	defaultPoolMax    = 8
	defaultPoolIdle   = time.Minute
	defaultPoolLinger = 5 * time.Minute
)

// NewPool makes a pool of sandboxes of an image that the engine has. It starts
// to fill the pool and does not wait for it. ctx is used until it returns.
func (c *Client) NewPool(ctx context.Context, image string, opts PoolOptions) (*Pool, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	e, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := inspectImage(ctx, e, image); err != nil {
		return nil, err
	}
	return newPool(&poolMaker{client: c, image: image, opts: opts.Create}, opts), nil
}

// complete checks the options and fills in the defaults.
func (o *PoolOptions) complete() error {
	if o.Min == 0 {
		o.Min = 1
	}
	o.Min = max(o.Min, 0)
	if o.Max == 0 {
		o.Max = max(defaultPoolMax, o.Min)
	}
	if o.Max < 1 || o.Max < o.Min || o.MaxUses < 0 {
		return invalidf("pool of %d to %d sandboxes, %d uses: Max must be at least 1 and at least Min, MaxUses not negative", o.Min, o.Max, o.MaxUses)
	}
	if o.Linger == 0 {
		o.Linger = defaultPoolLinger
	}
	c := &o.Create
	if err := c.check(); err != nil {
		return err
	}
	switch {
	case c.Name != "":
		return invalidf("pool: sandboxes have names of their own; leave Name %q out", c.Name)
	case c.Owner != 0:
		return invalidf("pool: its sandboxes belong to this program; leave Owner out")
	case c.Persist:
		return invalidf("pool: its sandboxes end with it; leave Persist out")
	case c.RunImage:
		return invalidf("pool: a reset would end the image's own command; leave RunImage out")
	}
	for _, v := range c.Volumes {
		if !v.ReadOnly {
			return invalidf("pool: volume %s could not be reset; make it ReadOnly", v.Container)
		}
	}
	for _, p := range c.Ports {
		if p.Host != 0 {
			return invalidf("pool: only one sandbox can have host port %d; set Host to 0", p.Host)
		}
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultPoolIdle
	}
	return nil
}

func newPool(m maker, opts PoolOptions) *Pool {
	p := &Pool{opts: opts, maker: m, lent: map[*Container]*spare{}, removing: map[*spare]struct{}{}, quiet: make(chan struct{})}
	p.life, p.end = context.WithCancel(context.Background())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin(p.watch)
	p.tend()
	return p
}

// A poolWaiter is an Acquire that found no sandbox.
type poolWaiter struct {
	granted chan grant // has room for the one that comes
}

type grant struct {
	box *Container
	err error
}

// Acquire lends a sandbox, at once if one is ready, and without asking the
// engine. Else it waits for one, behind those that wait already, until ctx
// ends. If none can be created and none is in use that could come back, it
// returns the reason. The handle holds until [Pool.Release].
func (p *Pool) Acquire(ctx context.Context) (*Container, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrPoolClosed
	}
	if s := p.takeWarm(); s != nil {
		p.counters.Hits++
		box := p.lend(s)
		p.tend()
		p.mu.Unlock()
		return box, nil
	}
	p.counters.Misses++
	w := &poolWaiter{granted: make(chan grant, 1)}
	p.waiting = append(p.waiting, w)
	p.tend()
	p.mu.Unlock()
	select {
	case g := <-w.granted:
		return g.box, g.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		p.counters.Abandoned++
		err := fmt.Errorf("waiting for a sandbox of the pool: %w", context.Cause(ctx))
		if p.failures > 0 {
			err = fmt.Errorf("%w; the last one could not be created: %w", err, p.lastError)
		}
		return nil, err
	}
	g := <-w.granted // it came in the same moment
	return g.box, g.err
}

// takeWarm takes a sandbox that is ready and alive; nil if there is none.
// Nobody overtakes those who wait.
func (p *Pool) takeWarm() *spare {
	for len(p.waiting) == 0 && len(p.warm) > 0 {
		last := len(p.warm) - 1
		s := p.warm[last]
		p.warm = slices.Delete(p.warm, last, last+1)
		if s.held.alive() {
			return s
		}
		p.counters.Died++
		p.discard(s)
	}
	return nil
}

// lend makes the handle of a lease.
func (p *Pool) lend(s *spare) *Container {
	s.uses++
	s.lease = &lease{pool: p}
	box := s.box.lend(s.lease)
	p.lent[box] = s
	return box
}

// offer hands a sandbox to the one that has waited longest, or keeps it ready.
func (p *Pool) offer(s *spare) {
	switch {
	case p.closed:
		p.discard(s)
	case !s.held.alive():
		p.counters.Died++
		p.discard(s)
	case len(p.waiting) > 0:
		w := p.waiting[0]
		p.waiting = slices.Delete(p.waiting, 0, 1)
		p.counters.Waits++
		w.granted <- grant{box: p.lend(s)}
	default:
		s.since = time.Now()
		p.warm = append(p.warm, s)
	}
}

// Release gives a sandbox back and returns at once; it is reset in the
// background. The handle, and what was made from it, then finds no container
// any more ([ErrContainerGone]). To release a handle twice, or one that this
// pool has not lent, is ErrInvalid and does nothing.
func (p *Pool) Release(box *Container) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if box == nil || box.lease == nil || box.lease.pool != p {
		return invalidf("pool: container %v was not acquired from this pool", box)
	}
	if box.lease.released {
		return invalidf("pool: container %s was released already", box.name)
	}
	box.lease.released = true
	s := p.lent[box]
	if s == nil {
		return nil // the pool was closed, and has removed it
	}
	delete(p.lent, box)
	box.lease.over.Store(true)
	p.counters.Released++
	switch {
	case p.opts.MaxUses > 0 && s.uses >= p.opts.MaxUses:
		p.replace(s, fmt.Errorf("it was used %d times", s.uses))
	case s.why != nil:
		p.replace(s, s.why)
	case !s.held.alive():
		p.replace(s, errors.New("it ended while it was in use"))
	default:
		p.resetting++
		p.begin(func() { p.reset(s) })
	}
	p.tend()
	return nil
}

// replace gives up a sandbox that came back and cannot be used again.
func (p *Pool) replace(s *spare, why error) {
	p.counters.Replaced++
	p.counters.LastReplaced = fmt.Errorf("container %s: %w", s.box.name, why)
	p.discard(s)
}

// resetTimeout is longer than the agent gives itself.
const resetTimeout = 15 * time.Second

func (p *Pool) reset(s *spare) {
	ctx, cancel := context.WithTimeout(p.life, resetTimeout)
	defer cancel()
	err := s.held.reset(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resetting--
	if err != nil {
		p.replace(s, err)
	} else {
		p.counters.Resets++
		p.offer(s)
	}
	p.tend()
}
