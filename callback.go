package pocketdock

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// OnStdout calls fn with what the detached processes of the container print to
// stdout, whoever started them: from now on for those that run, from their
// first byte for those that are started later. It returns once that is so. The
// calls stop when stop is called, ctx ends, or the container does.
//
// Calls for one process come in order, one at a time; those for several may
// come at once. Each registration reads for itself: one that is slow, or
// blocks, holds up no process and no other registration. If it falls behind by
// more than the log keeps, [Chunk.Lost] says how much it missed. One that
// panics is not called again, and what happened goes to [slog.Default].
//
// The session of a [Session] is a detached process.
func (c *Container) OnStdout(ctx context.Context, fn func(*Process, Chunk)) (stop func(), err error) {
	return c.onOutput(ctx, Stdout, fn)
}

// OnStderr is [Container.OnStdout] for stderr.
func (c *Container) OnStderr(ctx context.Context, fn func(*Process, Chunk)) (stop func(), err error) {
	return c.onOutput(ctx, Stderr, fn)
}

func (c *Container) onOutput(ctx context.Context, stream OutputStream, fn func(*Process, Chunk)) (stop func(), err error) {
	return c.onProcess(ctx, func(ctx context.Context, p *Process, from Offset) {
		s, err := p.attach(ctx, &wire.Attach{ID: p.id, Stdout: from.Stdout, Stderr: from.Stderr, Follow: true})
		if err == nil {
			s.each(ctx, stream, func(chunk Chunk) { fn(p, chunk) })
		}
	})
}

// each calls fn with the chunks of one stream until ctx ends, and closes s.
func (s *Stream) each(ctx context.Context, stream OutputStream, fn func(Chunk)) {
	defer s.Close()
	for chunk := range s.Chunks() {
		if ctx.Err() != nil {
			return
		}
		if stream == 0 || chunk.Stream == stream {
			fn(chunk)
		}
	}
}

// OnExit calls fn when a detached process of the container has ended, with how
// it ended, or why that is not known. For the rest see [Container.OnStdout].
func (c *Container) OnExit(ctx context.Context, fn func(*Process, *Result, error)) (stop func(), err error) {
	return c.onProcess(ctx, func(ctx context.Context, p *Process, _ Offset) {
		res, err := p.Wait(ctx)
		if ctx.Err() == nil {
			fn(p, res, err)
		}
	})
}

// onProcess calls follow, in a goroutine of its own, for each detached process
// that runs now, and each that is started later.
func (c *Container) onProcess(ctx context.Context, follow func(context.Context, *Process, Offset)) (stop func(), err error) {
	x, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan error, 2)
	// An agent keeps a few hundred processes; one that tells of more at once
	// is not believed.
	slots := make(chan struct{}, maxFollowed)
	begin := func(p *wire.Process, from Offset) error {
		select {
		case slots <- struct{}{}:
		default:
			return fmt.Errorf("container %s: agent protocol: more than %d processes at once", c.name, maxFollowed)
		}
		go guarded(cancel, func() {
			defer func() { <-slots }()
			follow(ctx, c.Process(p.ID), from)
		})
		return nil
	}
	go func() {
		defer cancel()
		present := true
		ready <- x.events(ctx, func(p *wire.Process) error {
			switch {
			case p == nil:
				present = false
				ready <- nil
			case !present:
				return begin(p, Offset{})
			case p.Exit == nil:
				return begin(p, Offset{p.Stdout, p.Stderr})
			}
			return nil
		})
	}()
	if err := <-ready; err != nil {
		cancel()
		return nil, err
	}
	return cancel, nil
}

// maxFollowed bounds the processes that one registration follows at a time.
const maxFollowed = 1024

// guarded runs a callback; if it panics, its registration ends.
func guarded(stop func(), fn func()) {
	defer func() {
		if r := recover(); r != nil {
			stop()
			slog.Error("pocketdock: a callback panicked and is not called again", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	fn()
}

// OnOutput calls fn with what the session prints from now on, stdout and
// stderr in the order in which they came. It returns once that is so. For the
// rest see [Container.OnStdout].
func (s *Session) OnOutput(ctx context.Context, fn func(Chunk)) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	st, err := s.p.attach(ctx, &wire.Attach{ID: s.p.id, Stdout: -1, Stderr: -1, Follow: true})
	if err != nil {
		cancel()
		return nil, s.explain(err)
	}
	go guarded(cancel, func() {
		defer cancel()
		st.each(ctx, 0, fn)
	})
	return cancel, nil
}
