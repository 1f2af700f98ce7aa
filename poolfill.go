package pocketdock

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A maker makes and removes the sandboxes of a pool.
type maker interface {
	make(ctx context.Context) (*spare, error)
	remove(ctx context.Context, s *spare) error
}

// A spare is a sandbox of a pool.
type spare struct {
	box   *Container
	held  holder
	why   error // it cannot be reset, for this reason; nil: it can
	uses  int
	lease *lease    // the last one
	since time.Time // when it became ready
}

// A holder is the connection that is kept to a sandbox, see [hold].
type holder interface {
	// alive reports, without waiting, whether the sandbox is still there.
	alive() bool
	// gone is closed when it is not.
	gone() <-chan struct{}
	// reset brings the sandbox back to what it was when it was made.
	reset(ctx context.Context) error
	// check asks whether the agent answers.
	check(ctx context.Context) error
	close()
}

const (
	// createTimeout is for a creation, which takes 0.2 s on an idle engine.
	createTimeout = time.Minute
	// maxCreations is how many go on at a time: engines do not get faster by
	// more.
	maxCreations = 4
	// firstPause is how long nothing is created after a failure; it doubles
	// with each further one up to lastPause.
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
	// removeTimeout is for one try to remove a container.
	removeTimeout = 30 * time.Second
)

// begin runs f in the background. The lock is held, but not for f.
func (p *Pool) begin(f func()) {
	p.active++
	go func() {
		f()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.active--; p.active == 0 && p.closed {
			close(p.quiet)
		}
	}()
}

// containers is how many there are, or are about to be.
func (p *Pool) containers() int {
	return len(p.warm) + len(p.lent) + p.creating + p.resetting + len(p.removing)
}

// tend creates what is missing: a sandbox for each that waits and those to be
// kept ready, less those on their way. The lock is held, as for all but begin.
func (p *Pool) tend() {
	if p.closed {
		return
	}
	parallel := maxCreations
	if p.failures > 0 {
		parallel = 1 // a try
	}
	for p.pause == nil && p.creating < parallel && p.containers() < p.opts.Max &&
		len(p.waiting)+p.opts.Min > len(p.warm)+p.creating+p.resetting {
		p.creating++
		p.begin(p.create)
	}
}

func (p *Pool) create() {
	ctx, cancel := context.WithTimeout(p.life, createTimeout)
	defer cancel()
	s, err := p.maker.make(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.creating--
	if err != nil {
		p.createFailed(err)
		return
	}
	p.counters.Created++
	p.failures, p.lastError = 0, nil
	p.begin(func() {
		<-s.held.gone()
		p.died(s)
	})
	p.offer(s)
	p.tend()
}

// createFailed pauses, and tells those who wait, unless a sandbox that is
// there may yet come to them.
func (p *Pool) createFailed(err error) {
	if lost, ok := errors.AsType[*unheardError](err); ok {
		p.lost = append(slices.DeleteFunc(p.lost, (*unheardError).old), lost)
	}
	if p.closed {
		return
	}
	p.counters.CreateFailures++
	p.failures++
	p.lastError = err
	if p.creating+p.resetting+len(p.lent)+len(p.warm) == 0 {
		for _, w := range p.waiting {
			p.counters.Abandoned++
			w.granted <- grant{err: err}
		}
		p.waiting = nil
	}
	if p.pause != nil {
		return
	}
	pause := min(firstPause<<min(p.failures-1, 10), lastPause)
	p.pause = time.AfterFunc(pause, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pause = nil
		p.tend()
	})
}

// died is for a sandbox whose connection has broken. One that is in use or
// being reset is found out by those who do that.
func (p *Pool) died(s *spare) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropWarm(s) {
		p.counters.Died++
		p.discard(s)
		p.tend()
	}
}

// dropWarm takes s from those that are ready. It reports whether it was one.
func (p *Pool) dropWarm(s *spare) bool {
	for i := range p.warm {
		if p.warm[i] == s {
			p.warm = append(p.warm[:i], p.warm[i+1:]...)
			return true
		}
	}
	return false
}

// discard removes a container. As long as it is there it counts.
func (p *Pool) discard(s *spare) {
	p.removing[s] = struct{}{}
	s.held.close()
	if !p.closed {
		p.begin(func() { p.remove(s) })
	}
}

// remove tries until the container is gone, or the pool is closed, which then
// sees to it.
func (p *Pool) remove(s *spare) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		ctx, cancel := context.WithTimeout(p.life, removeTimeout)
		err := p.maker.remove(ctx, s)
		cancel()
		if p.removed(s, err) {
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-p.life.Done():
			timer.Stop()
			return
		}
	}
}

func (p *Pool) removed(s *spare, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if !p.closed {
			p.counters.RemoveFailures++
		}
		return false
	}
	delete(p.removing, s)
	p.counters.Removed++
	p.tend()
	return true
}

// checkTime is how often the agents of sandboxes that are ready are asked
// whether they answer: one that has ended is noticed at once, but not one that
// was paused.
const (
	checkTime    = 15 * time.Second
	checkTimeout = 5 * time.Second
)

// watch looks after the sandboxes that are ready.
func (p *Pool) watch() {
	tick := time.NewTicker(checkTime)
	defer tick.Stop()
	for {
		select {
		case <-p.life.Done():
			return
		case <-tick.C:
		}
		for _, s := range p.shrink() {
			ctx, cancel := context.WithTimeout(p.life, checkTimeout)
			err := s.held.check(ctx)
			cancel()
			if err != nil && p.life.Err() == nil {
				p.died(s)
			}
		}
	}
}

// shrink removes what has been ready and above Min for too long, and returns
// what stays.
func (p *Pool) shrink() []*spare {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.opts.Linger > 0 && len(p.warm) > p.opts.Min && time.Since(p.warm[0].since) > p.opts.Linger {
		p.counters.Lingered++
		s := p.warm[0]
		p.dropWarm(s)
		p.discard(s)
	}
	return append([]*spare(nil), p.warm...)
}
