//go:build linux

package agent

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/agent/fileops"
	"github.com/pocketdock/pocketdock/agent/sockets"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// serve does what a request asks, and answers it. What it does not answer
// itself it returns as the reply or the failure.
func (a *agent) serve(c *client, req *wire.Request) {
	switch req.Op {
	case wire.OpInfo, wire.OpLimits, wire.OpList, wire.OpEvents:
		// To look at a sandbox, or at its limits, does not keep it alive.
	case wire.OpHold:
		a.rest.hold()
		defer a.rest.unhold()
	default:
		a.rest.begin()
		defer a.rest.done()
	}
	reply, bad := a.do(c, req)
	switch {
	case bad != nil:
		c.w.JSON(wire.KindFailure, bad)
	case reply != nil:
		c.w.JSON(wire.KindReply, reply)
	}
}

// do returns neither reply nor failure where it has answered.
func (a *agent) do(c *client, req *wire.Request) (*wire.Reply, *wire.Error) {
	switch req.Op {
	case wire.OpInfo:
		return &wire.Reply{Info: a.info()}, nil
	case wire.OpList:
		for _, p := range a.procs.reports() {
			if c.w.JSON(wire.KindEntry, wire.Entry{Process: p}) != nil {
				return nil, nil
			}
		}
		return &wire.Reply{}, nil
	case wire.OpEvents:
		a.events(c)
		return nil, nil
	case wire.OpRun:
		if req.Start == nil {
			return nil, incomplete(req.Op, "start")
		}
		return a.run(c, req.Start)
	case wire.OpAttach:
		if req.Attach == nil {
			return nil, incomplete(req.Op, "attach")
		}
		return nil, a.attach(c, req.Attach)
	case wire.OpSend:
		if req.Send == nil {
			return nil, incomplete(req.Op, "send")
		}
		return a.sendTo(c, req.Send)
	case wire.OpInput:
		if req.Attach == nil {
			return nil, incomplete(req.Op, "attach")
		}
		return a.input(c, req.Attach)
	case wire.OpSignal:
		if req.Signal == nil {
			return nil, incomplete(req.Op, "signal")
		}
		return a.signal(req.Signal)
	case wire.OpResize:
		if req.Resize == nil {
			return nil, incomplete(req.Op, "resize")
		}
		p, bad := a.process(req.Resize.ID)
		if bad == nil {
			bad = p.resize(req.Resize.Size)
		}
		if bad != nil {
			return nil, bad
		}
		return &wire.Reply{Process: p.report()}, nil
	case wire.OpForget:
		if req.Signal == nil {
			return nil, incomplete(req.Op, "signal")
		}
		p, bad := a.process(req.Signal.ID)
		if bad != nil {
			return nil, bad
		}
		if !p.hasFinished() {
			return nil, fail(wire.CodeInvalid, "process %s still runs; end it before it is forgotten", p.id)
		}
		a.forget(p.id)
		return &wire.Reply{Process: p.report()}, nil
	case wire.OpLimits:
		l, bad := a.rest.change(req.Limits)
		if bad != nil {
			return nil, bad
		}
		return &wire.Reply{Limits: l}, nil
	case wire.OpSecrets:
		return a.takeSecrets(req.Secrets)
	case wire.OpHold:
		if req.Hold == nil {
			return nil, incomplete(req.Op, "hold")
		}
		return nil, a.hold(c, req.Hold)
	case wire.OpPorts:
		sockets.Ports(c.w)
		return nil, nil
	case wire.OpDial:
		if req.Dial == nil {
			return nil, incomplete(req.Op, "dial")
		}
		sockets.Dial(req.Dial, c.w, c.raw())
		return nil, nil
	case wire.OpStat, wire.OpReadDir, wire.OpMkdir, wire.OpRemove, wire.OpMove, wire.OpChmod, wire.OpChown,
		wire.OpSymlink, wire.OpRead, wire.OpWrite, wire.OpWriteSparse, wire.OpTarOut, wire.OpTarIn, wire.OpWatch:
		if req.File == nil {
			return nil, incomplete(req.Op, "file")
		}
		id, bad := a.identity(req.File.User)
		if bad != nil {
			return nil, bad
		}
		if req.Op != wire.OpWatch { // which lasts, and waits without a thread
			defer a.slot()()
		}
		fileops.Serve(req.Op, req.File, a.directory(""), id.files(), c.r, c.w)
		return nil, nil
	}
	return nil, fail(wire.CodeUnsupported, "this agent (%s) has no operation %q", Version, req.Op)
}

func incomplete(op, field string) *wire.Error {
	return fail(wire.CodeInvalid, "operation %q needs %q", op, field)
}

// process finds a process by its ID.
func (a *agent) process(id string) (*process, *wire.Error) {
	if p := a.procs.get(id); p != nil {
		return p, nil
	}
	return nil, fail(wire.CodeNoProcess, "no process %q; it may have been forgotten", id)
}

// signal does OpSignal. It answers when a tree that is to end has ended.
func (a *agent) signal(s *wire.Signal) (*wire.Reply, *wire.Error) {
	p, bad := a.process(s.ID)
	if bad == nil {
		bad = a.send(p, s)
	}
	if bad != nil {
		return nil, bad
	}
	return &wire.Reply{Process: p.report()}, nil
}

// lastSignal is SIGRTMAX.
const lastSignal = 64

// send does to p what s says. It is no error if p has ended.
func (a *agent) send(p *process, s *wire.Signal) *wire.Error {
	if s.Signal < 0 || s.Signal > lastSignal {
		return fail(wire.CodeInvalid, "there is no signal %d", s.Signal)
	}
	switch sig := unix.Signal(s.Signal); {
	case sig == unix.SIGINT && p.session != nil:
		if c := p.session.command(); c != nil {
			c.interrupt()
		}
		return nil
	case sig == 0:
		p.terminate(graceOf(s.GraceMS))
	case sig == unix.SIGKILL:
		p.kill()
	case s.Tree:
		if t := p.tree(); t != nil {
			signalTree(t, sig)
		}
		return nil
	default:
		if err := a.procs.signal(p, sig, true); err != nil && err != unix.ESRCH {
			return failErrno("", "signal process "+p.id, err)
		}
		return nil
	}
	// Its end is part of the answer, unless the kernel does not let go.
	p.awaitExit()
	return nil
}

// raw is the connection behind the request, with what was read ahead of it.
func (c *client) raw() net.Conn {
	if c.in.Buffered() == 0 {
		return c.conn
	}
	return &readAhead{c.conn, c}
}

// readAhead is a connection that begins with bytes that were read already. It
// has not the whole of [net.UnixConn], whose ReadFrom and WriteTo would pass
// them by.
type readAhead struct {
	net.Conn
	c *client
}

func (r *readAhead) Read(b []byte) (int, error) { return r.c.in.Read(b) }

func (r *readAhead) CloseWrite() error { return r.c.conn.CloseWrite() }
