//go:build linux

package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/group"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// ask sends the container's monitor a request.
func (c *Container) ask(r *monitor.Request) (*monitor.Reply, error) {
	if !c.Running {
		return nil, fmt.Errorf("container %s %w", c.Name, ErrNotRunning)
	}
	reply, err := monitor.Ask(c.Dir, r)
	if err != nil && c.Refresh() == nil && !c.Running {
		return nil, fmt.Errorf("container %s %w", c.Name, ErrNotRunning)
	}
	return reply, err
}

// Ask sends the container's monitor a request.
func (c *Container) Ask(r *monitor.Request) (*monitor.Reply, error) { return c.ask(r) }

// Stop asks the container to end, and kills it after a while. Stopping one
// that does not run is no error.
func (c *Container) Stop(ctx context.Context, signal unix.Signal, grace time.Duration) error {
	if !c.Running {
		return nil
	}
	if c.Paused {
		if err := c.Pause(false); err != nil {
			return err
		}
	}
	_, err := c.ask(&monitor.Request{Op: "signal", Signal: int(signal)})
	if err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	late, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if c.Wait(late) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.Kill(ctx, unix.SIGKILL)
}

// Kill sends the container's first process a signal. SIGKILL is waited for.
func (c *Container) Kill(ctx context.Context, signal unix.Signal) error {
	if signal != unix.SIGKILL {
		_, err := c.ask(&monitor.Request{Op: "signal", Signal: int(signal)})
		return err
	}
	return c.end(ctx, "kill")
}

func (c *Container) end(ctx context.Context, op string) error {
	if _, err := c.ask(&monitor.Request{Op: op}); err != nil {
		if errors.Is(err, ErrNotRunning) && op == "discard" {
			return nil
		}
		// A monitor may end with its container before it has answered.
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, unix.ECONNRESET) &&
			!errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNREFUSED) {
			return err
		}
	}
	return c.Wait(ctx)
}

// Wait waits until the container does not run.
func (c *Container) Wait(ctx context.Context) error {
	for d := time.Millisecond; ; d = min(2*d, 20*time.Millisecond) {
		if err := c.Refresh(); err != nil {
			return err
		}
		// The lock, too: somebody may want to start it, or remove it.
		locked, err := isLocked(filepath.Join(c.Dir, monitor.LockFile))
		if err != nil || !locked {
			return err
		}
		if d == time.Millisecond { // it says so itself, unless it is starting
			monitor.Wait(ctx, c.Dir)
			continue
		}
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
}

// Pause stops all processes, or lets them go on.
func (c *Container) Pause(yes bool) error {
	op := "resume"
	if yes {
		op = "pause"
	}
	if _, err := c.ask(&monitor.Request{Op: op}); err != nil {
		return err
	}
	mark := filepath.Join(c.Dir, "paused")
	if !yes {
		return os.Remove(mark)
	}
	return os.WriteFile(mark, nil, 0o600)
}

// Remove removes the container; one that runs only with force.
func (s *Store) Remove(ctx context.Context, c *Container, force bool) error {
	if c.Running {
		if !force {
			return fmt.Errorf("container %s is running: stop it, or remove it with force: %w", c.Name, ErrConflict)
		}
		if err := c.end(ctx, "discard"); err != nil {
			return err
		}
	}
	lock, err := os.OpenFile(filepath.Join(c.Dir, monitor.LockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil // another program was first
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	for flock(lock, unix.LOCK_EX|unix.LOCK_NB) != nil {
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	aside := filepath.Join(s.Dir, "tmp", filepath.Base(c.Dir)+"-gone")
	if err := os.Rename(c.Dir, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	s.spares.drop(c.ID)
	if os.Geteuid() == 0 { // a monitor that was killed has left it
		var wait time.Duration
		if c.State.Started != "" {
			wait = group.EndTime
		}
		_ = group.Remove(groupPath(c.ID), wait) // else it is swept, see clean
	}
	s.Tell(c, "destroy", nil)
	return os.RemoveAll(aside)
}
