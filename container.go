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
	managed bool      // it has our label
	project string    // see ProjectDir
	box     state.Box // "" if it is not one of ours
	keyless error     // why a bridged agent of ours cannot be reached
	lease   *lease    // nil if it is not lent by a pool

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

// ProjectDir is the directory of the project that the container was created
// for, as [CreateOptions] named it: a label, which says nothing about whether
// that is there, or still is. Empty: none.
func (c *Container) ProjectDir() string { return c.project }

// Managed reports whether pocketdock created the container, on this machine or
// from another: whether it is one of those that [Client.List] lists.
func (c *Container) Managed() bool { return c.managed }

// Timeout is that of a Run or Stream that sets none; negative: none.
func (c *Container) Timeout() time.Duration { return c.timeout }

// Socket is the Unix socket of the engine that has the container.
func (c *Container) Socket() string { return c.engine.Path }

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
	if !isContainerName(ref) {
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
	box.managed = labels[labelManaged] == "true"
	box.persist, box.project = labels[labelPersist] == "true", labels[labelDir]
	if d, err := time.ParseDuration(labels[labelTimeout]); err == nil && d != 0 {
		box.timeout = d
	}
	dir, err := c.stateDir()
	if err != nil {
		return nil, err
	}
	kind := ""
	if b, ok := boxOf(dir, in); ok {
		box.box, kind = b, labels[labelAgent]
	}
	box.exec = box.executor(kind)
	return box, nil
}

// boxOf is the directory of a container that we created. A label is anybody's
// text: only the name of a directory of ours is believed, and only if that is
// not another container's. One that was wiped is made again when it is needed.
func boxOf(dir state.Dir, in *apiInspect) (state.Box, bool) {
	if in.Config.Labels[labelManaged] != "true" {
		return "", false
	}
	b, ok := dir.Box(in.Config.Labels[labelDataPath])
	if !ok {
		return "", false
	}
	if r, err := b.Record(); err == nil && !records(r, in.ID, in.Name) {
		return "", false
	}
	return b, true
}

// records reports that a directory's record is of this container.
func records(r *state.Record, id, name string) bool {
	if r.ID != "" {
		return r.ID == id
	}
	return r.Name == strings.TrimPrefix(name, "/")
}

// executor is the way into a container that we created; nil for others.
func (c *Container) executor(kind string) executor {
	switch kind {
	case agentSocket:
		return c.socketExec()
	case agentBridge:
		key, err := c.box.Key()
		if err == nil {
			return c.bridgeExec(key, agentSocketPath)
		}
		c.keyless = fmt.Errorf("container %s: the key of its agent is lost (%w); save its files with: pocketdock snapshot %s IMAGE, and create another container of that image", c.name, err, c.name)
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
func (c *Container) path(suffix string) string { return "/containers/" + c.ref() + suffix }

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
	in, err := inspect(ctx, c.engine, c.ref())
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
// starts it again. Stopping a stopped container is no error. One that has a
// TTL or an idle limit, and is not Persist, the engine removes when it stops.
func (c *Container) Stop(ctx context.Context) error {
	q := url.Values{"t": {strconv.Itoa(stopGrace)}}
	return c.apiErr(ctx, c.engine.JSON(ctx, "POST", c.path("/stop"), q, nil, nil), "stop")
}

// Resume starts a stopped container, with all its settings and files. What it
// needs on this host is put back first, should a reboot have wiped it: records
// and logs of processes are then gone. Resuming a running one is no error.
func (c *Container) Resume(ctx context.Context) error {
	return c.start(ctx)
}

// start starts the container and waits for its agent.
func (c *Container) start(ctx context.Context) error {
	if c.keyless != nil {
		return c.keyless
	}
	wiped := false
	if c.box != "" {
		var err error
		if wiped, err = c.restore(ctx); err != nil {
			return err
		}
	}
	if err := c.engine.JSON(ctx, "POST", c.path("/start"), nil, nil, nil); err != nil {
		return c.apiErr(ctx, err, "start")
	}
	a, ok := c.exec.(*agentExec)
	if c.box == "" || !ok {
		return nil // an agent of ours is started again when it is needed
	}
	if _, err := a.waitReady(ctx); err != nil {
		return err
	}
	if err := a.giveSecrets(ctx); err != nil || !wiped {
		return err
	}
	return c.restoreLimits(ctx, a)
}

// Reboot stops the container and starts it again, with its files. It is
// ErrUnsupported where the engine removes the container when it stops.
func (c *Container) Reboot(ctx context.Context) error {
	in, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	if in.HostConfig.AutoRemove {
		return fmt.Errorf("container %s has a time limit and is not meant to last, so the engine removes it when it stops: recreate it with RebootFresh (pocketdock reboot --fresh): %w", c.name, ErrUnsupported)
	}
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
	if c.lease.isOver() {
		return nil // for this handle it is gone; somebody else may have it
	}
	return c.remove(ctx, true)
}

// removeTries is how often an engine is asked again to remove a container
// whose processes it has killed and still sees.
const removeTries = 3

// remove removes the container; without force only one that does not run.
func (c *Container) remove(ctx context.Context, force bool) error {
	q := url.Values{"force": {strconv.FormatBool(force)}, "v": {"true"}}
	err := c.engine.JSON(ctx, "DELETE", c.path(""), q, nil, nil)
	for range removeTries {
		// Podman waits 10 s for what it has killed, too short on a busy machine.
		if se, ok := errors.AsType[*engine.StatusError](err); !ok || !strings.Contains(se.Message, "did not die within timeout") {
			break
		}
		err = c.engine.JSON(ctx, "DELETE", c.path(""), q, nil, nil)
	}
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
	state.Step("removed")
	if c.box != "" {
		return c.box.Remove()
	}
	return c.forgetResident()
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
