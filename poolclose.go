package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Close removes all containers of the pool, those in use as well, and ends
// those who wait with [ErrPoolClosed]. To let work come to its end, wait for
// it before. When it returns nil, no goroutine and no container is left. It
// waits for creations that are under way, 5 seconds each, as an engine makes what it was
// asked for; one whose outcome is not known then is an error that names it,
// and left to the next [Client.Sweep]. After an error, such as the context's
// end, it can be called again for the rest.
func (p *Pool) Close(ctx context.Context) error {
	if err := p.closing.enter(ctx); err != nil {
		return fmt.Errorf("close the pool: %w", err)
	}
	defer p.closing.leave()
	p.shut()
	select {
	case <-p.quiet:
	case <-ctx.Done():
		return fmt.Errorf("close the pool: %w", context.Cause(ctx))
	}
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		errs []error
	)
	turns := make(chan struct{}, maxCreations)
	for _, s := range p.rest() {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			if err := p.maker.remove(ctx, s); !p.removed(s, err) {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, lost := range p.lost {
		if !lost.old() {
			errs = append(errs, lost)
		}
	}
	p.lost = nil
	return errors.Join(errs...)
}

// shut ends whatever goes on in the background.
func (p *Pool) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.end()
	if p.pause != nil {
		p.pause.Stop()
	}
	for _, w := range p.waiting {
		p.counters.Abandoned++
		w.granted <- grant{err: ErrPoolClosed}
	}
	p.waiting = nil
	for _, s := range p.warm {
		p.discard(s)
	}
	p.warm = nil
	for box, s := range p.lent {
		box.lease.over.Store(true)
		p.counters.Released++
		p.replace(s, ErrPoolClosed)
	}
	clear(p.lent)
	if p.active == 0 {
		close(p.quiet)
	}
}

// rest is what is still to be removed.
func (p *Pool) rest() []*spare {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]*spare, 0, len(p.removing))
	for s := range p.removing {
		list = append(list, s)
	}
	return list
}
