//go:build linux

package agent

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stopGrace is what processes have between SIGTERM and SIGKILL when the
	// sandbox ends. Engines wait 10 s before they kill PID 1, but a sandbox's
	// user waits for every second of it.
	stopGrace = 100 * time.Millisecond
	// killGrace is for the kernel to be done with SIGKILL, on a busy machine.
	killGrace = 3 * time.Second
	// reapGrace is for the agent to notice that they are dead.
	reapGrace = time.Second
)

// shutdown ends all processes of the sandbox, and writes down how they ended.
func (a *agent) shutdown() {
	if a.others() > 0 {
		a.signalAll(unix.SIGTERM)
		a.signalAll(unix.SIGCONT)
		if !a.awaitEmpty(stopGrace) {
			for _, p := range a.procs.live() {
				p.setKilled()
			}
			a.signalAll(unix.SIGKILL)
			a.awaitEmpty(killGrace)
		}
	}
	// They are dead, and may not have been waited for yet.
	late := time.NewTimer(reapGrace)
	defer late.Stop()
	for _, p := range a.procs.live() {
		if !p.logged {
			continue
		}
		select {
		case <-p.exited:
		case <-late.C:
			late.Reset(0)
		}
		if !p.hasFinished() && p.hasExited() {
			a.store.save(p)
		}
	}
}

// others counts the processes that end with the agent: all of the sandbox for
// its PID 1, else those that the agent started.
func (a *agent) others() (n int) {
	if a.init {
		scan(func(s *seen) {
			if !s.dead() {
				n++
			}
		})
		return n
	}
	a.eachOwn(func(*seen) { n++ })
	return n
}

func (a *agent) signalAll(sig unix.Signal) {
	if a.init {
		unix.Kill(-1, sig)
		return
	}
	a.eachOwn(func(s *seen) { s.signal(sig) })
}

// eachOwn calls f for each live process that this agent started or adopted.
func (a *agent) eachOwn(f func(*seen)) {
	if !a.exact {
		seenAlready := map[int]bool{}
		for _, p := range a.procs.live() {
			if t := p.tree(); t != nil {
				t.each(func(s *seen) {
					if !seenAlready[s.pid] {
						seenAlready[s.pid] = true
						f(s)
					}
				})
			}
		}
		return
	}
	self := unix.Getpid()
	scan(func(s *seen) {
		own := s.ppid() == self
		s.groups(func(gid uint32) bool {
			own = own || a.groups.gave(gid)
			return !own
		})
		if own && !s.dead() {
			f(s)
		}
	})
}

func (a *agent) awaitEmpty(limit time.Duration) bool {
	pause := 200 * time.Microsecond
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); pause = min(2*pause, 5*time.Millisecond) {
		if a.others() == 0 {
			return true
		}
		time.Sleep(pause)
	}
	return a.others() == 0
}
