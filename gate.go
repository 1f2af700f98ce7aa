package pocketdock

import (
	"context"
	"sync"
)

// A gate lets one caller in at a time. Unlike with a mutex, whoever waits
// gives up when its context ends: what is done inside may take as long as an
// engine that hangs.
type gate struct {
	once sync.Once
	busy chan struct{}
}

// enter waits for the gate; its error is the context's cause.
func (g *gate) enter(ctx context.Context) error {
	g.once.Do(func() { g.busy = make(chan struct{}, 1) })
	select {
	case g.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *gate) leave() { <-g.busy }
