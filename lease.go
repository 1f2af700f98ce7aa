package pocketdock

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
)

// A lease is the time for which a pool lends a container. Each has a handle of
// its own, which finds no container any more when it is over: whoever goes on
// using it cannot get at the next one's sandbox.
type lease struct {
	pool     *Pool
	over     atomic.Bool
	released bool // by its user; guarded by the pool's lock
}

func (l *lease) isOver() bool { return l != nil && l.over.Load() }

// lend makes a handle for one lease.
func (c *Container) lend(l *lease) *Container {
	lent := &Container{client: c.client, engine: c.engine, id: c.id, name: c.name,
		timeout: c.timeout, persist: c.persist, project: c.project, box: c.box, lease: l}
	a, ok := c.exec.(*agentExec)
	if !ok {
		return lent
	}
	x := *a
	x.c = lent
	x.dial = func(ctx context.Context) (byteStream, error) {
		if l.isOver() {
			return nil, lent.returned()
		}
		conn, err := a.dial(ctx)
		// One that was made before the lease was over ends with the reset, or
		// is still waiting for the agent, which then refuses it.
		if err == nil && l.isOver() {
			conn.Close()
			return nil, lent.returned()
		}
		return conn, err
	}
	lent.exec = &x
	return lent
}

// returned is the error of a handle whose lease is over.
func (c *Container) returned() error {
	return fmt.Errorf("container %s was given back to its pool, acquire another: %w", c.name, ErrContainerGone)
}

// ref is what the engine is asked for: the ID, or one that no container has
// when the lease is over.
func (c *Container) ref() string {
	if c.lease.isOver() {
		return strings.Repeat("0", len(c.id))
	}
	return c.id
}
