//go:build linux

package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pocketdock/pocketdock/embedded/internal/container"
	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// A visit is operations on the files of a container, which agent.Visit does
// inside of it: a path is never one of the host's, whatever it is made of. A
// container that does not run gets a sandbox for the while.
type visit struct {
	r       *wire.Reader
	w       *wire.Writer
	in, out *os.File // ours
	wait    func() error
	stop    func() bool
}

// visit begins one. It ends with done or with giveUp.
func (s *Server) visit(ctx context.Context, c *container.Container) (*visit, error) {
	if c.Paused {
		return nil, fmt.Errorf("container %s is paused, unpause the container before copying: %w", c.Name, container.ErrConflict)
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer theirOut.Close()
	v := &visit{r: wire.NewReader(out), w: wire.NewWriter(struct{ io.Writer }{in}), in: in, out: out}
	if c.Running {
		v.wait, err = visitRunning(c, theirIn, theirOut)
	} else {
		var stopped *container.Visit
		if stopped, err = s.Store.Visit(ctx, c, theirIn, theirOut); err == nil {
			v.wait = stopped.Wait
		}
	}
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	v.stop = context.AfterFunc(ctx, func() { in.Close(); out.Close() })
	return v, nil
}

// visitRunning asks the monitor for it.
func visitRunning(c *container.Container, in, out *os.File) (wait func() error, err error) {
	m, err := monitor.Dial(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("container %s %w", c.ID, container.ErrNotRunning)
	}
	var reply monitor.Reply
	if err = monitor.Write(m, &monitor.Request{Op: "visit"}, in, out); err == nil {
		_, err = monitor.Read(m, &reply)
	}
	if err == nil && reply.Error != "" {
		err = errors.New(reply.Error)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return func() error {
		defer m.Close()
		var end monitor.Reply
		if _, err := monitor.Read(m, &end); err != nil {
			return fmt.Errorf("container %s has ended meanwhile", c.Name)
		}
		if end.Error != "" {
			return errors.New(end.Error)
		}
		return nil
	}, nil
}

// request sends a request.
func (v *visit) request(op string, f *wire.File) error {
	return v.w.JSON(wire.KindRequest, wire.Request{Version: wire.Version, Op: op, File: f})
}

// reply reads the answer to a request; a failure is a *wire.Error.
func (v *visit) reply() (*wire.Reply, error) {
	kind, _, err := v.r.Header()
	if err != nil {
		return nil, fmt.Errorf("copying files ended early: %w", err)
	}
	return v.answer(kind)
}

// answer reads a reply or failure whose header was read.
func (v *visit) answer(kind wire.Kind) (*wire.Reply, error) {
	switch kind {
	case wire.KindReply:
		var r wire.Reply
		return &r, v.r.JSON(&r)
	case wire.KindFailure:
		var e wire.Error
		if err := v.r.JSON(&e); err != nil {
			return nil, err
		}
		return nil, &e
	}
	return nil, fmt.Errorf("copying files: a frame %q came where an answer belongs", byte(kind))
}

// stat looks at a path: with a slash at its end, or a dot, at what a symbolic
// link leads to.
func (v *visit) stat(path string) (*wire.Stat, error) {
	if err := v.request(wire.OpStat, &wire.File{Path: wire.Path(path), NoFollow: true}); err != nil {
		return nil, err
	}
	r, err := v.reply()
	if err == nil && r.Stat == nil {
		err = errors.New("an answer without what was asked for")
	}
	if err != nil {
		return nil, err
	}
	return r.Stat, nil
}

// done ends the visit and keeps what it wrote.
func (v *visit) done() error {
	err := v.request(wire.OpDone, nil)
	if err == nil {
		_, err = v.reply()
	}
	return errors.Join(err, v.end())
}

// giveUp ends it without.
func (v *visit) giveUp() { _ = v.end() }

func (v *visit) end() error {
	v.stop()
	v.in.Close()
	v.out.Close()
	return v.wait()
}
