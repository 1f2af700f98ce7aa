package pocketdock

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/pocketdock/pocketdock/internal/agentbin"
	"github.com/pocketdock/pocketdock/internal/state"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// residentIdle is how long an agent in a container that we did not create
// stays after its last operation.
const residentIdle = 2 * time.Minute

// enter returns the way into the container. For one that we did not create it
// is decided at the first use: an agent is copied in and started, reached as a
// bridged one is, and ends when it was idle. Where that cannot be done (a
// read-only root, another architecture) the engine's API serves.
func (c *Container) enter(ctx context.Context) (executor, error) {
	if err := c.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer c.gate.leave()
	if c.exec != nil {
		return c.exec, nil
	}
	if c.keyless != nil {
		return nil, c.keyless
	}
	a, err := c.enterResident(ctx)
	switch {
	case err == nil:
		c.exec = a
	case errors.Is(err, errNoRoom):
		c.exec = &engineExec{c: c}
	default:
		return nil, err
	}
	return c.exec, nil
}

// errNoRoom says that no agent can be put into a container.
var errNoRoom = errors.New("no agent can be put into the container")

// enterResident makes sure that an agent answers in the container.
func (c *Container) enterResident(ctx context.Context) (*agentExec, error) {
	if err := c.checkRunning(ctx); err != nil {
		return nil, err
	}
	dir, err := c.client.stateDir()
	if err != nil {
		return nil, err
	}
	box, err := dir.BoxOf(c.id)
	if err != nil {
		return nil, err
	}
	if err := dir.Prepare(box, c.newRecord()); err != nil {
		return nil, err
	}
	pub, err := box.NewKey()
	if err != nil {
		return nil, err
	}
	key, err := box.Key()
	if err != nil {
		return nil, err
	}
	// The container may be others' to enter, too, with keys of their own: each
	// has an agent for itself.
	socket := path.Join(agentIO, hex.EncodeToString(pub[:8]), state.SocketName)
	a := c.bridgeExec(key, socket)
	a.kind = agentResident
	a.revive = func(ctx context.Context) error {
		if err := c.startResident(ctx, socket, pub); err != nil {
			return err
		}
		return a.waitServing(ctx)
	}
	if _, err := a.info(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// forgetResident removes the key of an agent in somebody else's container.
func (c *Container) forgetResident() error {
	dir, err := c.client.stateDir()
	if err != nil {
		return err
	}
	box, err := dir.BoxOf(c.id)
	if err != nil {
		return nil // never entered
	}
	if r, err := box.Record(); err == nil && r.ID != c.id {
		return nil // of one whose ID begins alike
	}
	return box.Remove()
}

// waitServing waits until a started agent answers.
func (a *agentExec) waitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		_, err := a.ask(ctx)
		if err == nil || refused(err) || explained(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: the agent was started and does not answer: %w", errNoRoom, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// startResident copies the agent in and starts it.
func (c *Container) startResident(ctx context.Context, socket string, key []byte) error {
	in, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	img, err := inspectImage(ctx, c.engine, in.Image)
	if err != nil {
		return err
	}
	program, err := agentbin.Program(img.Architecture)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	if err := c.installAgent(ctx, program); err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrContainerGone) || errors.Is(err, ErrContainerNotRunning) {
			return err
		}
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	config, err := json.Marshal(wire.Config{
		Socket: socket, User: in.Config.User, Dir: in.Config.WorkingDir,
		Key: key, IdleMS: residentIdle.Milliseconds(), Caps: []string{"ALL"},
	})
	if err != nil {
		return err
	}
	var created struct {
		ID string `json:"Id"`
	}
	body := &apiExec{User: "0:0", Cmd: []string{agentBinary, "serve", string(config)}}
	if err := c.engine.JSON(ctx, "POST", c.path("/exec"), nil, body, &created); err != nil {
		return c.apiErr(ctx, err, "start an agent in")
	}
	if err := c.engine.JSON(ctx, "POST", "/exec/"+created.ID+"/start", nil, map[string]bool{"Detach": true}, nil); err != nil {
		return fmt.Errorf("%w: %w", errNoRoom, c.apiErr(ctx, err, "start an agent in"))
	}
	return nil
}
