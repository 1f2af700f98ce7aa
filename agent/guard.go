//go:build linux

package agent

import (
	"bytes"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A guard watches forks. Between its setuid and its exec a child belongs to
// the command's user and shares the agent's memory, while the agent's thread
// waits for it: another command of that user that stops all it may (kill -STOP
// -1, in a loop) would stop the agent with it. When no fork comes to its end
// for a while, such a child is continued, and killed if that does not help.
//
// The forking thread keeps its P of Go's scheduler, and with it timers that
// nobody else may look at (seen with GOMAXPROCS 2). So the guard waits for a
// timer of the kernel's, which is polled as connections are. Nor may the garbage collector
// start while a fork hangs, as it would wait for the forking thread and the
// guard for the collector: see [collector].
type guard struct {
	a           *agent
	fd          int // timerfd
	timer       *os.File
	armed       atomic.Bool
	begun, done atomic.Int64 // forks
}

const (
	forkTime = 20 * time.Millisecond
	// stuckTick is how often a fork that hangs is looked at.
	stuckTick = 5 * time.Millisecond
	// forkEnd is when the child is given up.
	forkEnd = 2 * time.Second
)

func newGuard(a *agent) (*guard, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	g := &guard{a: a, fd: fd, timer: os.NewFile(uintptr(fd), "timer")}
	go g.watch()
	return g, nil
}

// begin and end bracket a fork. In a burst of them the timer is set once.
func (g *guard) begin() {
	g.begun.Add(1)
	if g.armed.CompareAndSwap(false, true) {
		g.arm(forkTime)
	}
}

func (g *guard) end() { g.done.Add(1) }

func (g *guard) arm(d time.Duration) {
	unix.TimerfdSettime(g.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

func (g *guard) watch() {
	var (
		ticks [8]byte
		last  int64 // forks done at the last look
		stuck time.Time
	)
	for {
		if _, err := g.timer.Read(ticks[:]); err != nil {
			return
		}
		younger := g.a.procs.callForOld(forkTime)
		done := g.done.Load()
		switch {
		case done == g.begun.Load() && younger:
			last = -1
			g.arm(forkTime)
		case done == g.begun.Load():
			g.armed.Store(false)
			if g.done.Load() != g.begun.Load() && g.armed.CompareAndSwap(false, true) {
				g.arm(forkTime)
			}
			last = -1
		case done != last:
			last, stuck = done, time.Now()
			g.arm(forkTime)
		default:
			g.freeChild(time.Since(stuck) > forkEnd)
			g.arm(stuckTick)
		}
	}
}

// freeChild continues, or kills, children that were stopped before their exec:
// those of the agent's own name that the table does not know yet. Another
// orphan may bear that name as well, but only by its own will.
func (g *guard) freeChild(kill bool) {
	self := unix.Getpid()
	var buf [64]byte
	name := bytes.TrimSpace(readAt(unix.AT_FDCWD, "/proc/self/comm", buf[:]))
	scan(func(s *seen) {
		if s.ppid() != self || !s.stopped() || !bytes.Equal(s.field("Name"), name) || g.a.procs.knows(s.pid) {
			return
		}
		if kill {
			s.signal(unix.SIGKILL)
		}
		s.signal(unix.SIGCONT)
	})
}
