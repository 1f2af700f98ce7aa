//go:build linux

package agent

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// run does OpRun.
func (a *agent) run(c *client, s *wire.Start) (*wire.Reply, *wire.Error) {
	p, bad := a.start(s)
	if bad != nil {
		return nil, bad
	}
	if s.Detach {
		started := p.report()
		a.keep(p, nil, nil)
		c.w.JSON(wire.KindStarted, started)
		return &wire.Reply{Process: started}, nil
	}
	c.w.JSON(wire.KindStarted, p.report()) // if the peer is gone, control says so
	if p.logged {
		a.runLogged(c, p, s)
	} else {
		a.runPlain(c, p)
	}
	return nil, nil
}

// runPlain runs p with its output going straight to the connection, until
// both have come to their end. Without the connection it may not go on.
func (a *agent) runPlain(c *client, p *process) {
	for _, s := range p.out {
		if s != nil {
			s.to = c.w
			go s.forward(c.conn)
		}
	}
	go func() {
		a.control(c, p, p.stdin)
		c.recycle()
		if !p.hasExited() { // the connection's end is p's
			p.kill()
		}
	}()
	a.preferForOOM(p)
	a.await(p)
	p.settle()
	p.conclude()
	for i, s := range p.out {
		if s != nil {
			p.final[i] = s.cut()
		}
	}
	close(p.finished)
	a.procs.remove(p.id)
	a.groups.release(p.mark)
	a.exit(c, p.result())
}

// exit tells a client how a process ended, unless the sandbox is being stopped.
func (a *agent) exit(c *client, e *wire.Exit) {
	if !a.stopping.Load() {
		c.w.JSON(wire.KindExit, e)
	}
}

// conclude waits for what still acts on an ended process, and gives up what
// it held.
func (p *process) conclude() {
	p.mu.Lock()
	timedOut := p.timedOut
	p.mu.Unlock()
	if timedOut {
		p.ending.Lock() // until the whole tree is gone
		defer p.ending.Unlock()
	}
	if p.stdin != nil {
		p.stdin.close()
	}
}

// result is how p ended, with the bytes of output that it had by then.
func (p *process) result() *wire.Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := *p.exit
	e.Stdout, e.Stderr = p.final[stdout], p.final[stderr]
	return &e
}

// keep looks after a process with a log, which needs no connection: it
// records its output and its end. A connection that has got all the output by
// then is told of the end at once.
func (a *agent) keep(p *process, c *client, f *follower) {
	if f != nil {
		a.briefs.add(p)
	} else {
		a.store.save(p)
	}
	for _, s := range p.out {
		if s != nil {
			go s.record()
		}
	}
	if p.session != nil {
		go p.session.watch()
	}
	a.news.tell()
	go func() {
		a.preferForOOM(p)
		a.await(p)
		p.settle()
		p.conclude()
		for i, s := range p.out {
			if s != nil {
				p.final[i] = s.log.settled()
			}
		}
		m := a.store.saveBrief(p)
		if m == nil {
			a.store.save(p)
			m = p.summary()
		}
		a.remember(m) // who sees the end may want it forgotten
		close(p.finished)
		if f != nil && f.sent() {
			a.tellEnd(c, f)
		}
		a.retain(p, m)
		a.garbage.operationEnded()
	}()
}

// remember enters an ended process among those that are kept, and forgets
// others for it.
func (a *agent) remember(m *memo) {
	for _, old := range a.kept.add(m) {
		a.drop(old, true)
	}
}

// retain keeps an ended process, and forgets others for it. It becomes a memo
// when its output is at its end: children in the background may go on writing.
func (a *agent) retain(p *process, m *memo) {
	if m.place == nil {
		for _, s := range p.out {
			if s != nil {
				<-s.eof
			}
		}
		a.kept.update(m, p.summary())
	}
	a.procs.summarize(p, m)
}

// forget drops an ended process and its files.
func (a *agent) forget(id string) {
	if m := a.kept.remove(id); m != nil {
		a.drop(m, false)
	}
}

func (a *agent) drop(m *memo, crowded bool) {
	if p := a.procs.remove(m.id); p != nil {
		p.abandon()
	}
	a.store.drop(m, crowded)
	a.groups.release(m.mark)
}

// abandon keeps p from touching its files any more: their names may be those
// of another process soon.
func (p *process) abandon() {
	p.saving.Lock()
	p.dropped = true
	p.saving.Unlock()
	for _, s := range p.out {
		if s != nil && s.log != nil {
			s.log.mu.Lock()
			s.log.name = ""
			s.log.mu.Unlock()
		}
	}
}

// runLogged runs p with a log. Its connection reads the log as any other
// does, but holds the process back rather than miss a byte, and has the rights
// over its life that the request gives it.
func (a *agent) runLogged(c *client, p *process, s *wire.Start) {
	f := newFollower(p, c.w)
	f.hold, f.follow = true, true
	f.attach()
	defer f.detach()
	f.direct()
	a.keep(p, c, f)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		a.control(c, p, p.stdin)
	}()
	var soft <-chan time.Time
	if s.SoftMS > 0 {
		timer := time.NewTimer(milliseconds(s.SoftMS))
		defer timer.Stop()
		soft = timer.C
	}
	switch f.run(stop, soft) {
	case followDone:
		a.tellEnd(c, f)
	case followSoft:
		f.told.Do(func() {
			p.setDetached()
			a.store.save(p)
			a.news.tell()
			c.w.JSON(wire.KindExit, f.running())
		})
	case followGone:
		f.told.Do(func() { // else it went because it was told
			if s.Keep || s.SoftMS > 0 {
				p.setDetached()
				a.store.save(p)
				a.news.tell()
				return
			}
			p.kill()
		})
	}
}

// tellEnd tells f's connection how the process ended, unless it was told.
func (a *agent) tellEnd(c *client, f *follower) {
	f.told.Do(func() { a.exit(c, f.p.result()) })
}

// control obeys the frames that the client of a process sends, until the
// connection ends. The end of the client's side means that the client is
// gone: it ends input with KindEnd.
func (a *agent) control(c *client, p *process, in *input) {
	var buf scratch
	defer buf.release()
	for {
		k, n, err := c.r.Header()
		if err != nil {
			return
		}
		switch k {
		case wire.KindData:
			if in == nil {
				continue // the rest of the frame is skipped
			}
			if n > smallBuffer {
				buf.grow()
			}
			if in.copyFrom(c.r, c.conn, buf.bytes()) != nil {
				return
			}
		case wire.KindEnd:
			if in != nil {
				in.end()
			}
		case wire.KindWindow:
			var size wire.Size
			if c.r.JSON(&size) != nil {
				return
			}
			p.resize(size) // a client cannot know that it is too late
		case wire.KindSignal:
			var s wire.Signal
			if c.r.JSON(&s) != nil {
				return
			}
			// Ending a tree takes its time, and the next frame may be for it.
			if s.Signal == 0 || s.Signal == int(unix.SIGKILL) {
				go a.send(p, &s)
			} else {
				a.send(p, &s)
			}
		default:
			return
		}
	}
}

// input does OpInput.
func (a *agent) input(c *client, at *wire.Attach) (*wire.Reply, *wire.Error) {
	p, bad := a.process(at.ID)
	if bad != nil {
		return nil, bad
	}
	if p.hasExited() {
		return nil, fail(wire.CodeNoProcess, "process %s has ended", p.id)
	}
	if p.stdin == nil {
		return nil, fail(wire.CodeInvalid, "process %s was started without stdin", p.id)
	}
	var buf scratch
	defer buf.release()
	for {
		k, n, err := c.r.Header()
		if err != nil {
			return nil, nil // the peer is gone
		}
		switch k {
		case wire.KindData:
			if n > smallBuffer {
				buf.grow()
			}
			if p.stdin.copyFrom(c.r, c.conn, buf.bytes()) != nil {
				return nil, nil
			}
		case wire.KindEnd:
			if at.Close {
				p.stdin.end()
			}
			return &wire.Reply{Process: p.report()}, nil
		default:
			return nil, fail(wire.CodeInvalid, "a frame %q has no place in input", byte(k))
		}
	}
}

// awaitExit waits for the end of a process that was killed, and a little for
// its output to settle, which a client that does not read may hold up.
func (p *process) awaitExit() {
	timer := time.NewTimer(killTime)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		return
	}
	timer.Reset(settleTime + 2*quietTime)
	select {
	case <-p.finished:
	case <-timer.C:
	}
}
