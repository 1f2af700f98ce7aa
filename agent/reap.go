//go:build linux

package agent

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The end of a first process is seen by its pidfd, which is polled together
// with its output: for a short command no other thread wakes up, as nothing
// listens to SIGCHLD. The reaper, for all children that are there, ours and
// those that PID 1 inherits, comes in when a command lives for longer (see
// [guard], which has the timer), when one leaves children behind, and after
// a second of rest, for those who were started by others in our namespace (an
// exec of the engine). It listens to SIGCHLD then. To block in waitid(2)
// instead would keep one of Go's few Ps from being idle, and the runtime's
// monitor looking at it every 20 µs, which under gVisor was more work than
// the command.
//
// waitid looks without reaping (WNOWAIT); the table's lock is held over the
// real wait, so that nobody signals a pid that has just become free.
func (a *agent) reap() {
	timer := time.NewTimer(time.Second)
	for {
		select {
		case <-a.procs.reaper:
		case <-timer.C:
		}
		a.follow()
		timer.Reset(time.Second)
	}
}

// follow reaps until no child is left, and at least one has ended.
func (a *agent) follow() {
	ended := make(chan os.Signal, 1)
	childSignals.listen(ended)
	defer childSignals.drop(ended)
	for seen := false; ; {
		pid, err := a.deadChild()
		switch {
		case err == unix.EINTR:
		case pid != 0:
			a.reapAny(pid)
		case err == unix.ECHILD && seen:
			return
		default:
			<-ended
			seen = true
		}
	}
}

// deadChild is a child that can be reaped; 0 if there is none.
func (a *agent) deadChild() (pid int, err error) {
	var info unix.Siginfo
	err = unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
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
		if _, err := a.deadChild(); err == unix.ECHILD {
			return
		}
	}
	a.procs.callReaper()
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
