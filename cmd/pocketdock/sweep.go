package main

import (
	"context"
	"time"

	"github.com/pocketdock/pocketdock"
)

// sweepTime bounds what a command does for others before it ends.
const sweepTime = 10 * time.Second

// sweep removes what killed programs left, beside the command and in silence:
// whatever fails is tried again at the next start. The channel is closed when
// it is done. Containers and images know their engine, so the command's
// options do not matter.
func sweep(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var c pocketdock.Client
		if c.SweepNeeded() {
			ctx, cancel := context.WithTimeout(ctx, sweepTime)
			defer cancel()
			_, _ = c.Sweep(ctx)
		}
	}()
	return done
}
