//go:build linux

package agent

import (
	"sync"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A follower sends the output of a process with a log to one connection, from
// an offset of each stream on.
type follower struct {
	p      *process
	w      *wire.Writer
	hold   bool // the process waits for us rather than outrun us
	follow bool // until the process has ended
	quiet  bool // no output, only the end
	end    [2]int64
	over   <-chan struct{} // closed when no more will come than last says
	last   func() [2]int64 // how much there is then
	wake   chan struct{}
	kept   [2]*keptReader
	buf    scratch
	at     [2]int64  // offset of the next byte; changed under the log's lock
	told   sync.Once // of the end
}

func newFollower(p *process, w *wire.Writer) *follower {
	return &follower{p: p, w: w, wake: make(chan struct{}, 1), end: [2]int64{-1, -1},
		over: p.finished, last: func() [2]int64 { return p.final }}
}

// kick says that there may be something to do.
func (f *follower) kick() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// side is which stream a log is of.
func (f *follower) side(l *log) int {
	if s := f.p.out[stderr]; s != nil && s.log == l {
		return stderr
	}
	return stdout
}

// attach enters f with the logs that are still written or read; of others the
// file is opened.
func (f *follower) attach() {
	for i, s := range f.p.out {
		if s == nil {
			continue
		}
		if s.log != nil && s.log.attach(f) {
			continue
		}
		k := s.kept
		if s.log != nil {
			k = s.log.kept(i)
			if total, first := s.log.extent(); k.total != total || k.first != first {
				k.total, k.first = total, max(first, min(k.first, total))
			}
		}
		if k != nil {
			f.kept[i] = k.open()
		}
	}
}

func (f *follower) detach() {
	for i, s := range f.p.out {
		if f.kept[i] != nil {
			f.kept[i].close()
		} else if s != nil && s.log != nil {
			s.log.detach(f)
		}
	}
	f.buf.release()
}

// How a follower comes to its end.
type followEnd int

const (
	followDone followEnd = iota // all was sent
	followSoft                  // the soft limit came
	followGone                  // the connection is gone
)

// run sends output until the end.
func (f *follower) run(gone <-chan struct{}, soft <-chan time.Time) followEnd {
	for {
		// The order matters: what was written before the end is seen after it.
		over := closed(f.over)
		for i := range f.end {
			if over && f.end[i] < 0 {
				f.end[i] = f.last()[i]
			}
		}
		progress := false
		for i := range f.p.out {
			if f.quiet {
				break
			}
			p, err := f.step(i, over || !f.follow)
			if err != nil {
				return followGone
			}
			progress = progress || p
		}
		if !progress && (over && f.reached() || !f.follow) {
			return followDone
		}
		if progress {
			select {
			case <-gone:
				return followGone
			case <-soft:
				return f.soft(gone)
			default:
			}
			continue
		}
		change := f.over
		if over {
			change = nil // what is in the pipe yet wakes us
		}
		select {
		case <-f.wake:
		case <-change:
		case <-gone:
			return followGone
		case <-soft:
			return f.soft(gone)
		}
	}
}

// soft is the end of run at the soft limit, when nothing is under way any more.
func (f *follower) soft(gone <-chan struct{}) followEnd {
	for f.undirect() {
		select {
		case <-f.wake:
		case <-gone:
			return followGone
		}
	}
	return followSoft
}

// reached reports whether all up to the end was sent, or cannot come.
func (f *follower) reached() bool {
	for i, s := range f.p.out {
		if s != nil && s.log != nil && f.kept[i] == nil && !f.quiet && !s.log.sent(f, f.end[i]) && !closed(s.eof) {
			return false
		}
	}
	return true
}

// step sends one piece of stream i and reports whether there was one. last
// says that no more will be waited for.
func (f *follower) step(i int, last bool) (bool, error) {
	s := f.p.out[i]
	switch {
	case s == nil:
		return false, nil
	case f.kept[i] != nil:
		return f.stepKept(i)
	case s.log != nil:
		return f.stepLog(i, s.log)
	case !last:
		return false, nil
	}
	// No log: all of it is gone.
	total, _ := s.extent()
	return f.gap(i, f.bound(i, total))
}

// bound is how far to go in a stream of total bytes.
func (f *follower) bound(i int, total int64) int64 {
	if f.end[i] >= 0 {
		return min(total, f.end[i])
	}
	return total
}

// gap tells of bytes that are not there, up to offset to.
func (f *follower) gap(i int, to int64) (bool, error) {
	from := f.at[i]
	if from >= to {
		return false, nil
	}
	f.at[i] = to
	return true, f.w.JSON(wire.KindGap, wire.Gap{Stderr: i == stderr, From: from, To: to})
}

func (f *follower) stepLog(i int, l *log) (bool, error) {
	l.mu.Lock()
	upto := f.bound(i, l.total)
	if f.at[i] >= upto || l.direct == f || l.sending == f {
		l.mu.Unlock()
		return false, nil
	}
	if first := l.first(); f.at[i] < first {
		from, to := f.at[i], min(first, upto)
		f.at[i] = to
		l.freed()
		l.mu.Unlock()
		return true, f.w.JSON(wire.KindGap, wire.Gap{Stderr: i == stderr, From: from, To: to})
	}
	kind := f.p.out[i].kind
	if f.hold {
		// The writer does not pass us: send from where it lies.
		at := f.at[i] % l.limit
		n := min(upto-f.at[i], l.limit-at, bulkBuffer)
		b := l.memory[logHeader+at : logHeader+at+n]
		l.mu.Unlock()
		if err := f.w.Frame(kind, b); err != nil {
			return true, err
		}
		l.mu.Lock()
		f.at[i] += n
		l.freed()
		l.mu.Unlock()
		return true, nil
	}
	b := f.buf.bytes()
	if upto-f.at[i] > int64(len(b)) && f.buf.grow() {
		b = f.buf.bytes()
	}
	n, err := l.copyOut(b[:min(int64(len(b)), upto-f.at[i])], f.at[i])
	if err != nil {
		l.mu.Unlock()
		return f.gap(i, upto)
	}
	f.at[i] += int64(n)
	l.mu.Unlock()
	return true, f.w.Frame(kind, b[:n])
}

func (f *follower) stepKept(i int) (bool, error) {
	k := f.kept[i]
	upto := f.bound(i, k.total)
	if f.at[i] >= upto {
		return false, nil
	}
	if f.at[i] < k.first {
		return f.gap(i, min(k.first, upto))
	}
	f.buf.grow()
	b := f.buf.bytes()
	n, err := k.copyOut(b[:min(int64(len(b)), upto-f.at[i])], f.at[i])
	if err != nil {
		return f.gap(i, upto)
	}
	f.at[i] += int64(n)
	return true, f.w.Frame(f.p.out[i].kind, b[:n])
}

// running is the end of an operation whose process goes on.
func (f *follower) running() *wire.Exit {
	e := &wire.Exit{Running: true, Stdout: f.end[stdout], Stderr: f.end[stderr]}
	if f.follow { // cut short
		e.Stdout, e.Stderr = f.at[stdout], f.at[stderr]
	}
	return e
}

// attach does OpAttach.
func (a *agent) attach(c *client, at *wire.Attach) *wire.Error {
	p, bad := a.process(at.ID)
	if bad != nil {
		return bad
	}
	f := newFollower(p, c.w)
	f.hold, f.follow, f.quiet = at.Hold && !at.Quiet, at.Follow, at.Quiet
	ended := p.hasFinished() // before the extents are read
	for i, from := range []int64{at.Stdout, at.Stderr} {
		var total int64
		if s := p.out[i]; s != nil {
			total, _ = s.extent()
		}
		if from < 0 {
			from = total
		}
		f.at[i] = from
		if !f.follow || ended {
			// What children in the background have printed since is in it.
			f.end[i] = total
		}
	}
	f.attach()
	defer f.detach()
	c.w.JSON(wire.KindStarted, p.report())
	gone := make(chan struct{})
	if f.follow {
		in := p.stdin
		if !at.Stdin {
			in = nil
		}
		go func() {
			defer close(gone)
			a.control(c, p, in)
		}()
	}
	if f.run(gone, nil) == followGone {
		return nil
	}
	if !f.follow && !ended {
		c.w.JSON(wire.KindExit, f.running())
		return nil
	}
	e := p.result()
	if !f.quiet {
		e.Stdout, e.Stderr = f.end[stdout], f.end[stderr]
	}
	a.exit(c, e)
	return nil
}
