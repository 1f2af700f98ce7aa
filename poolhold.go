package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// poolMaker makes the sandboxes of a pool on a real engine.
type poolMaker struct {
	client *Client
	image  string
	opts   CreateOptions
}

func (m *poolMaker) make(ctx context.Context) (*spare, error) {
	box, err := m.client.Create(ctx, m.image, m.opts)
	if err != nil {
		return nil, err
	}
	s := &spare{box: box}
	if s.why, err = m.obstacle(ctx, box); err == nil {
		var h *hold
		if h, err = box.hold(ctx, s.why == nil); err == nil {
			s.held = h
			if s.why == nil {
				s.why = h.why
			}
			return s, nil
		}
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	return nil, errors.Join(err, box.Destroy(clean))
}

func (m *poolMaker) remove(ctx context.Context, s *spare) error { return s.box.Destroy(ctx) }

// obstacle says why the sandboxes cannot be reset, as far as it can be seen
// from outside; nil if nothing is in the way.
func (m *poolMaker) obstacle(ctx context.Context, box *Container) (why, err error) {
	harmless := append([]string{"NET_BIND_SERVICE", "NET_RAW"}, agentCaps...)
	for _, c := range m.opts.Capabilities {
		if !slices.Contains(harmless, strings.TrimPrefix(strings.ToUpper(c), "CAP_")) {
			return fmt.Errorf("with capability %s more can be changed than a reset looks at", c), nil
		}
	}
	in, err := box.inspect(ctx)
	if err != nil {
		return nil, err
	}
	for _, mount := range in.Mounts {
		// The engine's own configuration may add some.
		if mount.Type == "bind" && mount.RW && mount.Destination != agentIO {
			return fmt.Errorf("%s is a directory of the host, and writable", mount.Destination), nil
		}
	}
	if mode := in.HostConfig.IpcMode; mode == "host" || strings.HasPrefix(mode, "container:") {
		return fmt.Errorf("the engine shares IPC (%s) with others", mode), nil
	}
	return nil, nil
}

// A hold is a connection to the agent that is kept for the sandbox's life. It
// breaks the moment the sandbox ends, and it is what a reset is asked for on.
type hold struct {
	c       *agentConn
	end     context.CancelFunc
	why     error // nil: it can be reset
	asking  gate  // one request at a time
	replies chan *wire.Reply
	broken  chan struct{}
	once    sync.Once
}

// hold opens the connection; mark says that the sandbox is as resets are to
// leave it.
func (c *Container) hold(ctx context.Context, mark bool) (*hold, error) {
	a, ok := c.exec.(*agentExec)
	if !ok {
		return nil, fmt.Errorf("container %s: its agent cannot be reached: %w", c.name, ErrUnsupported)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	conn, err := a.request(life, &wire.Request{Op: wire.OpHold, Hold: &wire.Hold{Mark: mark}})
	if err != nil {
		end()
		return nil, c.wireError("hold", "", err)
	}
	r, err := conn.reply(nil)
	if err == nil && r.Held == nil {
		err = fmt.Errorf("container %s: agent protocol: a hold without an answer", c.name)
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.close()
		end()
		return nil, c.wireError("hold", "", err)
	}
	h := &hold{c: conn, end: end, replies: make(chan *wire.Reply), broken: make(chan struct{})}
	if mark && !r.Held.Marked {
		h.why = fmt.Errorf("it cannot be reset: %s", printable(r.Held.Why))
	}
	go h.read()
	return h, nil
}

// read ends with the connection, or with the first answer that nobody waits for.
func (h *hold) read() {
	defer close(h.broken)
	defer h.close()
	for {
		k, _, err := h.c.r.Header()
		if err != nil || k != wire.KindReply {
			return
		}
		r := &wire.Reply{}
		if h.c.r.JSON(r) != nil {
			return
		}
		select {
		case h.replies <- r:
		case <-h.c.ctx.Done():
			return
		}
	}
}

// ask makes one request. Without an answer in time the connection is of no
// more use.
func (h *hold) ask(ctx context.Context, op string) (*wire.Reply, error) {
	if err := h.asking.enter(ctx); err != nil {
		return nil, err
	}
	defer h.asking.leave()
	h.c.w.JSON(wire.KindRequest, wire.Request{Version: wire.Version, Op: op}) // the answer tells
	select {
	case r := <-h.replies:
		return r, nil
	case <-h.broken:
		return nil, errors.New("it ended")
	case <-ctx.Done():
		h.close()
		return nil, fmt.Errorf("its agent does not answer: %w", context.Cause(ctx))
	}
}

func (h *hold) alive() bool {
	select {
	case <-h.broken:
		return false
	default:
		return h.c.ctx.Err() == nil && !ended(h.c.conn)
	}
}

func (h *hold) gone() <-chan struct{} { return h.broken }

func (h *hold) check(ctx context.Context) error {
	_, err := h.ask(ctx, wire.OpInfo)
	return err
}

func (h *hold) reset(ctx context.Context) error {
	r, err := h.ask(ctx, wire.OpReset)
	switch {
	case err != nil:
		return err
	case r.Reset == nil:
		return errors.New("agent protocol: a reset without an answer")
	case !r.Reset.Clean:
		return fmt.Errorf("it could not be reset: %s", printable(r.Reset.Why))
	}
	return nil
}

func (h *hold) close() {
	h.once.Do(func() {
		h.c.close()
		h.end()
	})
}
