package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/pocketdock/pocketdock/internal/wire"
)

func (a *agentExec) start(ctx context.Context, s *wire.Start) (*wire.Process, procStream, error) {
	c, err := a.request(ctx, &wire.Request{Op: wire.OpRun, Start: s})
	if err != nil {
		return nil, nil, a.startError(s, err)
	}
	p, err := c.started()
	if err != nil {
		c.close()
		return nil, nil, a.startError(s, err)
	}
	if s.Detach {
		c.close()
		return p, nil, nil
	}
	return p, &agentStream{c: c}, nil
}

func (a *agentExec) startError(s *wire.Start, err error) error {
	return a.c.wireError("run", s.Argv[0], err)
}

func (a *agentExec) attach(ctx context.Context, at *wire.Attach) (*wire.Process, procStream, error) {
	c, err := a.request(ctx, &wire.Request{Op: wire.OpAttach, Attach: at})
	if err != nil {
		return nil, nil, a.c.wireError("attach", at.ID, err)
	}
	p, err := c.started()
	if err != nil {
		c.close()
		return nil, nil, a.c.wireError("attach", at.ID, err)
	}
	return p, &agentStream{c: c}, nil
}

func (a *agentExec) send(ctx context.Context, s *wire.Send) (*wire.Process, procStream, error) {
	req := &wire.Request{Op: wire.OpSend, Send: s}
	if s.Detach {
		r, err := a.call(ctx, req)
		if err != nil {
			return nil, nil, a.c.wireError("send to session", s.ID, err)
		}
		return r.Process, nil, nil
	}
	c, err := a.request(ctx, req)
	if err != nil {
		return nil, nil, a.c.wireError("send to session", s.ID, err)
	}
	p, err := c.started()
	if err != nil {
		c.close()
		return nil, nil, a.c.wireError("send to session", s.ID, err)
	}
	return p, &agentStream{c: c}, nil
}

func (a *agentExec) events(ctx context.Context, each func(*wire.Process) error) error {
	c, err := a.request(ctx, &wire.Request{Op: wire.OpEvents})
	if err != nil {
		return a.c.wireError("watch processes", "", err)
	}
	defer c.close()
	entry := func(e *wire.Entry) error {
		if e.Process == nil || !validID(e.Process.ID) {
			return fmt.Errorf("container %s: agent protocol: an event without a process", a.c.name)
		}
		return each(e.Process)
	}
	// The reply stands between those that there are and those that come.
	if _, err = c.reply(entry); err == nil {
		if err = each(nil); err == nil {
			_, err = c.reply(entry)
		}
	}
	return a.c.wireError("watch processes", "", err)
}

func (a *agentExec) forget(ctx context.Context, id string) error {
	_, err := a.call(ctx, &wire.Request{Op: wire.OpForget, Signal: &wire.Signal{ID: id}})
	return a.c.wireError("forget", id, err)
}

// started reads the frame that says that the process runs.
func (c *agentConn) started() (*wire.Process, error) {
	k, _, err := c.r.Header()
	if err != nil {
		return nil, c.broken(unexpectedEOF(err))
	}
	switch k {
	case wire.KindStarted:
		var p wire.Process
		if err := c.r.JSON(&p); err != nil {
			return nil, c.broken(err)
		}
		if !validID(p.ID) {
			return nil, c.broken(errors.New("agent protocol: a process's ID is not one"))
		}
		return &p, nil
	case wire.KindFailure:
		return nil, c.broken(c.failure())
	}
	return nil, c.broken(c.unexpected(k))
}

// validID reports what wire.Start says of a process's ID.
func validID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// agentStream is a procStream over one connection.
type agentStream struct {
	c    *agentConn
	buf  []byte
	lost [2]int64 // offsets up to which gaps were told
	end  sync.Once
}

// bulkBuffer is what one read of output takes at most; the first ones are
// small, because most commands print little.
const (
	smallBuffer = 8 << 10
	bulkBuffer  = 256 << 10
)

func (s *agentStream) next() (event, error) {
	r := s.c.r
	for r.Left() == 0 {
		k, n, err := r.Header()
		if err != nil {
			return event{}, s.c.broken(unexpectedEOF(err))
		}
		switch k {
		case wire.KindStdout, wire.KindStderr:
			if len(s.buf) < min(n, bulkBuffer) {
				s.buf = make([]byte, max(smallBuffer, min(n, bulkBuffer)))
			}
		case wire.KindGap:
			g := &wire.Gap{}
			if err := r.JSON(g); err != nil {
				return event{}, s.c.broken(err)
			}
			if err := s.checkGap(g); err != nil {
				return event{}, s.c.broken(err)
			}
			return event{gap: g}, nil
		case wire.KindExit:
			e := &wire.Exit{}
			if err := r.JSON(e); err != nil {
				return event{}, s.c.broken(err)
			}
			return event{exit: e}, nil
		case wire.KindFailure:
			return event{}, s.c.a.c.wireError(s.c.op, "", s.c.broken(s.c.failure()))
		default:
			return event{}, s.c.broken(s.c.unexpected(k))
		}
	}
	n, err := r.Read(s.buf)
	if n == 0 && err != nil {
		return event{}, s.c.broken(unexpectedEOF(err))
	}
	return event{stream: r.Kind(), data: s.buf[:n]}, nil
}

// checkGap makes sure that lost bytes are counted once and forwards.
func (s *agentStream) checkGap(g *wire.Gap) error {
	i := 0
	if g.Stderr {
		i = 1
	}
	if g.From < s.lost[i] || g.To < g.From {
		return errors.New("agent protocol: a gap that cannot be")
	}
	s.lost[i] = g.To
	return nil
}

func (s *agentStream) send(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), wire.MaxFrame)
		if err := s.c.w.Frame(wire.KindData, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (s *agentStream) closeInput() error          { return s.c.w.Frame(wire.KindEnd, nil) }
func (s *agentStream) resize(z wire.Size) error   { return s.c.w.JSON(wire.KindWindow, z) }
func (s *agentStream) signal(g wire.Signal) error { return s.c.w.JSON(wire.KindSignal, g) }

func (s *agentStream) close() (err error) {
	s.end.Do(func() { err = s.c.close() })
	return err
}

func (a *agentExec) input(ctx context.Context, id string, r io.Reader, end bool) error {
	c, err := a.request(ctx, &wire.Request{Op: wire.OpInput, Attach: &wire.Attach{ID: id, Close: end}})
	if err != nil {
		return a.c.wireError("write to", id, err)
	}
	defer c.close()
	_, err = c.exchange(r)
	return a.c.wireError("write to", id, err)
}

func (a *agentExec) signal(ctx context.Context, s *wire.Signal) (*wire.Process, error) {
	r, err := a.call(ctx, &wire.Request{Op: wire.OpSignal, Signal: s})
	if err != nil {
		return nil, a.c.wireError("signal", s.ID, err)
	}
	return r.Process, nil
}

func (a *agentExec) resize(ctx context.Context, r *wire.Resize) error {
	_, err := a.call(ctx, &wire.Request{Op: wire.OpResize, Resize: r})
	return a.c.wireError("resize", r.ID, err)
}

// maxRecords bounds a list of processes or ports, in bytes.
const maxRecords = 64 << 20

func (a *agentExec) processes(ctx context.Context) ([]wire.Process, error) {
	c, err := a.request(ctx, &wire.Request{Op: wire.OpList})
	if err != nil {
		return nil, a.c.wireError("list processes", "", err)
	}
	defer c.close()
	c.room = maxRecords
	var list []wire.Process
	_, err = c.reply(func(e *wire.Entry) error {
		// An agent keeps a few hundred records; one that sends without end
		// is not believed.
		const max = 10_000
		if e.Process != nil && len(list) < max {
			list = append(list, *e.Process)
		}
		return nil
	})
	return list, a.c.wireError("list processes", "", err)
}
