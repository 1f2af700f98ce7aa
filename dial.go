package pocketdock

import (
	"context"
	"net"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A ListeningPort is a TCP port on which something listens in a container.
type ListeningPort struct {
	Address string // IP address
	Port    int
}

// ListeningPorts lists the TCP ports on which something listens in the
// container, published or not.
func (c *Container) ListeningPorts(ctx context.Context) ([]ListeningPort, error) {
	a, err := c.agent(ctx, "listing ports")
	if err != nil {
		return nil, err
	}
	conn, err := a.request(ctx, &wire.Request{Op: wire.OpPorts})
	if err != nil {
		return nil, c.wireError("list ports", "", err)
	}
	defer conn.close()
	conn.room = maxRecords
	var list []ListeningPort
	_, err = conn.reply(func(e *wire.Entry) error {
		const max = 65536 * 4
		if e.Port != nil && len(list) < max {
			list = append(list, ListeningPort{Address: e.Port.Address, Port: e.Port.Port})
		}
		return nil
	})
	return list, c.wireError("list ports", "", err)
}

// agent is the way in for what only an agent can do.
func (c *Container) agent(ctx context.Context, what string) (*agentExec, error) {
	x, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	if a, ok := x.(*agentExec); ok {
		return a, nil
	}
	return nil, (&engineExec{c: c}).noAgent(what)
}

// Dial connects to an address inside the container, "tcp" and "host:port" or
// "unix" and a path: its network may be off, and nothing need be published.
// The context holds until the connection is made. A bridged connection has no
// deadlines; see [Info.ExecPath].
func (c *Container) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	a, err := c.agent(ctx, "dialling")
	if err != nil {
		return nil, err
	}
	conn, err := a.request(ctx, &wire.Request{Op: wire.OpDial, Dial: &wire.Dial{Network: network, Address: address}})
	if err != nil {
		return nil, c.wireError("dial", address, err)
	}
	if _, err := conn.reply(nil); err != nil {
		conn.close()
		return nil, c.wireError("dial", address, err)
	}
	if !conn.stop() { // the context ended, and closed it
		return nil, context.Cause(ctx)
	}
	return &dialConn{byteStream: conn.conn, addr: innerAddr{network, address}}, nil
}

// dialConn is a connection into a container.
type dialConn struct {
	byteStream
	addr innerAddr
}

type innerAddr struct{ network, address string }

func (a innerAddr) Network() string { return a.network }
func (a innerAddr) String() string  { return a.address }

func (d *dialConn) LocalAddr() net.Addr  { return innerAddr{d.addr.network, "pocketdock"} }
func (d *dialConn) RemoteAddr() net.Addr { return d.addr }

// deadliner is what a Unix socket has and a bridge has not.
type deadliner interface {
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

func (d *dialConn) SetDeadline(t time.Time) error {
	if s, ok := d.byteStream.(deadliner); ok {
		return s.SetDeadline(t)
	}
	return ErrUnsupported
}

func (d *dialConn) SetReadDeadline(t time.Time) error {
	if s, ok := d.byteStream.(deadliner); ok {
		return s.SetReadDeadline(t)
	}
	return ErrUnsupported
}

func (d *dialConn) SetWriteDeadline(t time.Time) error {
	if s, ok := d.byteStream.(deadliner); ok {
		return s.SetWriteDeadline(t)
	}
	return ErrUnsupported
}

// TimeLimits of a container. 0 is none.
type TimeLimits struct {
	// TTL ends the container that long after its start.
	TTL time.Duration
	// Idle ends it when for that long no process ran and no operation was under way.
	Idle time.Duration
}

// SetTimeLimits changes when the container ends itself. They hold over a
// restart of the container.
func (c *Container) SetTimeLimits(ctx context.Context, l TimeLimits) error {
	if l.TTL < 0 || l.Idle < 0 {
		return invalidf("time limits %v and %v: must not be negative", l.TTL, l.Idle)
	}
	x, err := c.enter(ctx)
	if err != nil {
		return err
	}
	if err := l.set(ctx, x); err != nil || c.box == "" {
		return err
	}
	return c.keepLimits(l)
}

func (l TimeLimits) set(ctx context.Context, x executor) error {
	ttl, idle := l.TTL.Milliseconds(), l.Idle.Milliseconds()
	_, err := x.limits(ctx, &wire.Limits{TTLMS: &ttl, IdleMS: &idle})
	return err
}

// TimeLimits reads when the container ends itself.
func (c *Container) TimeLimits(ctx context.Context) (TimeLimits, error) {
	x, err := c.enter(ctx)
	if err != nil {
		return TimeLimits{}, err
	}
	l, err := x.limits(ctx, &wire.Limits{})
	if err != nil {
		return TimeLimits{}, err
	}
	var t TimeLimits
	if l.TTLMS != nil {
		t.TTL = time.Duration(*l.TTLMS) * time.Millisecond
	}
	if l.IdleMS != nil {
		t.Idle = time.Duration(*l.IdleMS) * time.Millisecond
	}
	return t, nil
}
