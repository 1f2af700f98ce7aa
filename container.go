package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/state"
)

// A Container is a handle of one container. It knows where the container is
// and nothing about its state. It is safe for concurrent use, holds no
// connection, and need not be closed.
type Container struct {
	client  *Client
	engine  *engine.Engine
	id      string
	name    string
	timeout time.Duration // default of a run; negative: none
	persist bool
	box     state.Box // "" if it is not one of ours

	gate gate     // of what follows
	exec executor // nil: not one of ours and not entered yet, see enter
}

// ID is the engine's ID, 64 hexadecimal digits.
func (c *Container) ID() string { return c.id }

// Name is the container's name at the time the handle was made.
func (c *Container) Name() string { return c.name }

// DataPath is the private directory of this host that has the agent's socket
// and records; empty for a container that pocketdock did not create here.
func (c *Container) DataPath() string { return string(c.box) }

// String is the name.
func (c *Container) String() string { return c.name }

// Get finds a container by name, ID or unique beginning of an ID. Containers
// that pocketdock did not create can be used, too; see [Info.ExecPath].
func (c *Client) Get(ctx context.Context, ref string) (*Container, error) {
	e, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	in, err := inspect(ctx, e, ref)
	if err != nil {
		return nil, err
	}
	return c.container(e, in)
}

func inspect(ctx context.Context, e *engine.Engine, ref string) (*apiInspect, error) {
	if !containerName.MatchString(ref) {
		return nil, invalidf("container %q: not a name or ID", ref)
	}
	var in apiInspect
	if err := e.JSON(ctx, "GET", "/containers/"+ref+"/json", nil, nil, &in); err != nil {
		return nil, apiError(err, "inspect container "+ref, ref)
	}
	if in.ID == "" {
		return nil, noID(e, "inspect container "+ref)
	}
	if in.State.Status == "stopped" {
		in.State.Status = "exited" // Podman's word until it has cleaned up
	}
	return &in, nil
}

// container makes the handle of an existing container from its labels.
func (c *Client) container(e *engine.Engine, in *apiInspect) (*Container, error) {
	box := &Container{client: c, engine: e, id: in.ID, name: strings.TrimPrefix(in.Name, "/"), timeout: defaultTimeout}
	labels := in.Config.Labels
	box.persist = labels[labelPersist] == "true"
	if d, err := time.ParseDuration(labels[labelTimeout]); err == nil && d != 0 {
		box.timeout = d
	}
	dir, err := c.stateDir()
	if err != nil {
		return nil, err
	}
	kind := ""
	if labels[labelManaged] == "true" {
		// A label is anybody's text: only a directory of ours is believed.
		if b, ok := dir.Box(labels[labelDataPath]); ok {
			box.box, kind = b, labels[labelAgent]
		}
	}
	box.exec = box.executor(kind)
	return box, nil
}

// executor is the way into a container that we created; nil for others.
func (c *Container) executor(kind string) executor {
	switch kind {
	case agentSocket:
		return c.socketExec()
	case agentBridge:
		if key, err := c.box.Key(); err == nil {
			return c.bridgeExec(key)
		}
	}
	return nil
}

// The values of labelAgent, and of [Info.ExecPath].
const (
	agentSocket   = "socket"
	agentBridge   = "bridge"
	agentResident = "resident"
	engineAPI     = "engine"
)

func (c *Container) socketExec() *agentExec {
	return &agentExec{c: c, kind: agentSocket, dial: func(ctx context.Context) (byteStream, error) {
		return dialSocket(ctx, c.box.Socket())
	}}
}

// path is the API path of the container.
func (c *Container) path(suffix string) string { return "/containers/" + c.id + suffix }

// gone makes a missing container of a handle ErrContainerGone: it was there.
func (c *Container) gone(err error) error {
	if ce, ok := errors.AsType[*ContainerError](err); ok && ce.Kind == ErrContainerNotFound {
		return &ContainerError{Container: c.name, Kind: ErrContainerGone}
	}
	return err
}

// apiErr turns an engine client's error about this container into ours, with
// what the engine knows about how it ended.
func (c *Container) apiErr(ctx context.Context, err error, op string) error {
	if err == nil {
		return nil
	}
	err = c.gone(apiError(err, op+" container "+c.name, c.name))
	if ce, ok := errors.AsType[*ContainerError](err); ok && ce.Kind == ErrContainerNotRunning {
		if more := c.checkRunning(ctx); more != nil {
			return more
		}
	}
	return err
}

// inspect asks the engine about the container.
func (c *Container) inspect(ctx context.Context) (*apiInspect, error) {
	in, err := inspect(ctx, c.engine, c.id)
	return in, c.gone(err)
}

// checkRunning returns nil if the container runs, and otherwise the error
// that says how it ended.
func (c *Container) checkRunning(ctx context.Context) error {
	in, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	if in.State.Running && !in.State.Paused {
		return nil
	}
	return &ContainerError{Container: c.name, Kind: ErrContainerNotRunning, Status: in.State.Status,
		ExitCode: in.State.ExitCode, OOMKilled: in.State.OOMKilled}
}

// whyUnreachable explains an agent that cannot be reached, or no longer. An
// engine notices the end of a container a little after we do, so a container
// that still "runs" is asked about again.
func (c *Container) whyUnreachable(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if explained(cause) {
		return cause
	}
	const patience = 3 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := c.checkRunning(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("container %s runs, but its agent cannot be reached (%w): %w; restart it with: pocketdock reboot %s",
				c.name, cause, ErrOutputLost, c.name)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// explained reports an error that says already what happened.
func explained(err error) bool {
	switch {
	case errors.Is(err, ErrContainerGone), errors.Is(err, ErrContainerNotRunning), errors.Is(err, ErrNoEngine):
		return true
	}
	_, refused := errors.AsType[*EngineError](err)
	return refused
}

// Running reports whether the container runs now.
func (c *Container) Running(ctx context.Context) (bool, error) {
	in, err := c.inspect(ctx)
	if err != nil {
		return false, err
	}
	return in.State.Running, nil
}

// stopGrace is how long a container has to end by itself, in seconds. The
// agent needs a fraction of one.
const stopGrace = 3

// Stop ends the container's processes and keeps its files; [Container.Resume]
// starts it again. Stopping a stopped container is no error.
func (c *Container) Stop(ctx context.Context) error {
	q := url.Values{"t": {strconv.Itoa(stopGrace)}}
	return c.apiErr(ctx, c.engine.JSON(ctx, "POST", c.path("/stop"), q, nil, nil), "stop")
}

// Resume starts a stopped container. Resuming a running one is no error.
func (c *Container) Resume(ctx context.Context) error {
	return c.start(ctx)
}

// start starts the container and waits for its agent.
func (c *Container) start(ctx context.Context) error {
	if c.box != "" {
		// A reboot may have wiped the directory; Docker would make it itself,
		// owned by root.
		if err := c.box.Prepare(); err != nil {
			return err
		}
	}
	if err := c.engine.JSON(ctx, "POST", c.path("/start"), nil, nil, nil); err != nil {
		return c.apiErr(ctx, err, "start")
	}
	if c.box == "" {
		return nil // an agent of ours is started again when it is needed
	}
	if a, ok := c.exec.(*agentExec); ok {
		_, err := a.waitReady(ctx)
		return err
	}
	return nil
}

// Reboot stops the container and starts it again, with its files.
func (c *Container) Reboot(ctx context.Context) error {
	if err := c.Stop(ctx); err != nil {
		return err
	}
	return c.start(ctx)
}

// Shutdown stops the container and removes it with its files. A container
// that is gone already is no error.
func (c *Container) Shutdown(ctx context.Context) error {
	if err := c.Stop(ctx); err != nil && !errors.Is(err, ErrContainerGone) {
		return err
	}
	return c.Destroy(ctx)
}

// Destroy kills and removes the container with its files, at once. A
// container that is gone already is no error.
func (c *Container) Destroy(ctx context.Context) error {
	q := url.Values{"force": {"true"}, "v": {"true"}}
	err := c.engine.JSON(ctx, "DELETE", c.path(""), q, nil, nil)
	if se, ok := errors.AsType[*engine.StatusError](err); ok {
		switch {
		case se.NotFound():
			err = nil
		case se.Status == 409 && strings.Contains(se.Message, "already in progress"):
			err = c.waitRemoved(ctx) // Docker's own removal of an ephemeral container
		}
	}
	if err != nil {
		return c.apiErr(ctx, err, "remove")
	}
	if c.box != "" {
		return c.box.Remove()
	}
	return nil
}

// waitRemoved waits until the engine no longer knows the container.
func (c *Container) waitRemoved(ctx context.Context) error {
	for {
		_, err := c.inspect(ctx)
		if errors.Is(err, ErrContainerGone) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
