//go:build linux

package agent

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// The end of a first process is seen by its pidfd, which is polled together
// with its output: for a short command no other thread wakes up. The reaper,
// for all children that are there, ours and those that PID 1 inherits, comes
// in when a command lives for longer (see [guard], which has the timer), or
// leaves children behind: it blocks in waitid(2) then, on a thread of its own.
// To follow SIGCHLD would cost every run some wake-ups more.
//
// waitid looks without reaping (WNOWAIT); the table's lock is held over the
// real wait, so that nobody signals a pid that has just become free.
func (a *agent) reap() {
	for {
		pid, err := a.deadChild(0)
		switch err {
		case nil:
			a.reapAny(pid)
		case unix.EINTR:
		default: // ECHILD
			a.awaitChild()
		}
	}
}

// deadChild is a child that can be reaped; 0 if, with WNOHANG, there is none.
func (a *agent) deadChild(options int) (pid int, err error) {
	var info unix.Siginfo
	err = unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
	return childOf(&info), err
}

// await returns when p's first process has ended and was reaped.
func (a *agent) await(p *process) {
	if p.pidfd >= 0 {
		a.awaitFD(p)
	}
	<-p.exited
}

func (a *agent) awaitFD(p *process) {
	unix.SetNonblock(p.pidfd, true) // so that it is polled
	f := os.NewFile(uintptr(p.pidfd), "pidfd")
	defer f.Close()
	ready := false
	if raw, err := f.SyscallConn(); err == nil {
		// Should it fail, ready stays false and the reaper sees to it.
		raw.Read(func(fd uintptr) bool {
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(poll, 0)
			ready = err == nil && n > 0
			return ready || err != nil && err != unix.EINTR
		})
	}
	if ready && a.reapFirst(p) {
		// What it has left behind is the reaper's.
		if _, err := a.deadChild(unix.WNOHANG); err == unix.ECHILD {
			return
		}
	}
	a.procs.mu.Lock()
	a.procs.wakeReaper()
	a.procs.mu.Unlock()
}

// reapFirst reaps p's first process, unless the reaper has. It reports whether
// it is reaped.
func (a *agent) reapFirst(p *process) bool {
	t := a.procs
	t.mu.Lock()
	if t.byPID[p.pid] != p {
		t.mu.Unlock()
		return true
	}
	var status unix.WaitStatus
	got, err := unix.Wait4(p.pid, &status, unix.WNOHANG, nil)
	if err != nil || got != p.pid {
		t.mu.Unlock()
		return false
	}
	delete(t.byPID, p.pid)
	t.mu.Unlock()
	a.exited(p, status)
	return true
}

// reapAny reaps a child, whoever's it is.
func (a *agent) reapAny(pid int) {
	t := a.procs
	t.mu.Lock()
	var status unix.WaitStatus
	got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil)
	if err != nil || got != pid {
		t.mu.Unlock()
		return
	}
	p := t.byPID[pid]
	delete(t.byPID, pid)
	if p == nil && t.forking > 0 {
		t.early[pid] = status
	}
	t.mu.Unlock()
	if p != nil {
		a.exited(p, status)
	}
}

// exited tells everybody that p's first process has ended.
func (a *agent) exited(p *process, status unix.WaitStatus) {
	var kills int64
	if status.Signaled() && status.Signal() == unix.SIGKILL {
		kills = a.cgroup.oomKills()
	}
	p.ended(status, kills)
	p.mark.ended.Store(true)
	close(p.exited)
	a.rest.touch()
}

// awaitChild returns when there may be a child again that nobody else waits
// for, or when an orphan that somebody else started in our namespace (an exec
// of the engine) ended. The second is rare, so SIGCHLD is listened to only
// after a second without a child.
func (a *agent) awaitChild() {
	t := a.procs
	t.mu.Lock()
	t.parked = true
	t.mu.Unlock()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-t.wake:
		return
	case <-timer.C:
	}
	orphan := make(chan os.Signal, 1)
	signal.Notify(orphan, unix.SIGCHLD)
	defer signal.Stop(orphan)
	listen := func(on bool) {
		t.mu.Lock()
		t.listening = on
		t.mu.Unlock()
	}
	listen(true)
	defer listen(false)
	for {
		// One may have ended before the signal was listened to.
		if pid, err := a.deadChild(unix.WNOHANG); err == nil && pid != 0 {
			a.reapAny(pid)
			continue
		}
		select {
		case <-t.wake:
			return
		case <-orphan:
		}
	}
}
