//go:build linux

package agent

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A process is one run: its first process, the tree below that, and output.
type process struct {
	id       string
	argv     []string // shortened, for reports
	user     string
	started  time.Time
	pid      int
	mark     *mark
	pidfd    int  // of the first process until it is waited for, -1: none
	kin      *kin // where groups cannot mark it
	logged   bool
	public   bool // others may find it; guarded by the table's lock
	terminal *os.File
	stdin    *input
	session  *session   // nil: it takes no commands
	kind     string     // of session, see wire.Start.Session
	out      [2]*stream // stdout and stderr; a terminal has only the first
	oomKills int64      // of the sandbox when it started

	final [2]int64 // bytes of output when it had settled

	exited   chan struct{} // closed when the first process was reaped
	finished chan struct{} // closed when its output is settled too

	mu       sync.Mutex
	detached bool
	exit     *wire.Exit // set before exited is closed
	timeout  *time.Timer
	timedOut bool
	killed   bool       // the agent sent SIGKILL
	ending   sync.Mutex // held while the tree is being ended

	saving  sync.Mutex // held while the record is written
	dropped bool       // the record is not to be written again
	brief   bool       // nothing of it is on disk yet, see journal
	place   *place     // in the journal, when it has ended
}

// The indices of process.out.
const (
	stdout = 0
	stderr = 1
)

func (p *process) hasExited() bool { return closed(p.exited) }

func (p *process) hasFinished() bool { return closed(p.finished) }

// tree is what is left of p's; nil if it cannot be told any more.
func (p *process) tree() tree {
	if gid := p.mark.gid.Load(); gid != 0 {
		return groupTree{gid}
	}
	if p.kin != nil && !p.hasFinished() {
		return p.kin // later its numbers may be others'
	}
	return nil
}

// ended records how the first process ended. The reaper calls it, before
// exited is closed.
func (p *process) ended(status unix.WaitStatus, oomKills int64) {
	e := &wire.Exit{Ended: time.Now().UnixNano()}
	switch {
	case status.Exited():
		e.Code = status.ExitStatus()
	case status.Signaled():
		e.Signal = int(status.Signal())
		e.Code = 128 + e.Signal
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e.TimedOut = p.timedOut
	e.OOM = status.Signaled() && status.Signal() == unix.SIGKILL && !p.killed && oomKills > p.oomKills
	p.exit = e
	if p.timeout != nil && !p.timedOut {
		p.timeout.Stop()
	}
}

// report describes p as it is now.
func (p *process) report() *wire.Process {
	r := &wire.Process{
		ID: p.id, Argv: p.argv, PID: p.pid, User: p.user,
		TTY: p.terminal != nil, Session: p.kind, Started: p.started.UnixNano(),
	}
	if s := p.out[stdout]; s != nil {
		r.Stdout, r.StdoutDropped = s.extent()
	}
	if s := p.out[stderr]; s != nil {
		r.Stderr, r.StderrDropped = s.extent()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Detached = p.detached
	if p.exit != nil {
		e := *p.exit
		e.Stdout, e.Stderr = r.Stdout, r.Stderr
		r.Exit = &e
	}
	return r
}

// setTimeout ends p when it has run for this long.
func (p *process) setTimeout(after, grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exit == nil {
		p.timeout = time.AfterFunc(after, func() { p.expire(grace) })
	}
}

// expire ends the tree because p's time is up.
func (p *process) expire(grace time.Duration) {
	p.ending.Lock()
	defer p.ending.Unlock()
	p.mu.Lock()
	late := p.exit != nil
	p.timedOut = !late
	p.mu.Unlock()
	if !late {
		p.end(grace)
	}
}

// defaultGrace is between SIGTERM and SIGKILL.
const defaultGrace = 500 * time.Millisecond

func graceOf(ms int64) time.Duration {
	if ms <= 0 {
		return defaultGrace
	}
	return milliseconds(ms)
}

// milliseconds is ms as a duration; what does not fit is as long as can be.
func milliseconds(ms int64) time.Duration {
	return time.Duration(min(ms, int64(1<<63-1)/int64(time.Millisecond))) * time.Millisecond
}

// terminate ends the tree: SIGTERM, grace, SIGKILL. It returns when nothing
// is left of it.
func (p *process) terminate(grace time.Duration) {
	p.ending.Lock()
	defer p.ending.Unlock()
	p.end(grace)
}

// end is terminate with p.ending held.
func (p *process) end(grace time.Duration) {
	t := p.tree()
	if t == nil {
		return
	}
	deadline := time.Now().Add(grace)
	signalTree(t, unix.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
	}
	// The first process obeyed; has everybody else?
	nothing := func(*seen) {}
	for pause := 500 * time.Microsecond; time.Now().Before(deadline); pause = min(2*pause, 20*time.Millisecond) {
		if t.each(nothing) == 0 {
			return
		}
		time.Sleep(min(pause, time.Until(deadline)))
	}
	p.setKilled()
	killTree(t)
}

// kill ends the tree with SIGKILL at once.
func (p *process) kill() {
	p.setKilled()
	if t := p.tree(); t != nil {
		killTree(t)
	}
}

func (p *process) setKilled() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
}

// setDetached says that it goes on without a connection.
func (p *process) setDetached() {
	p.mu.Lock()
	p.detached = true
	p.mu.Unlock()
}
