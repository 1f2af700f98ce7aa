//go:build linux

package agent

import (
	"bytes"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A tree finds the processes that descend from a run's first one.
type tree interface {
	// each calls f for those that are not dead, and reports how many.
	each(f func(*seen)) int
}

// groupTree finds them by the group that marks them, see [groupPool]: exactly.
type groupTree struct{ gid uint32 }

func (t groupTree) each(f func(*seen)) (n int) {
	scan(func(s *seen) {
		if s.inGroup(t.gid) && !s.dead() {
			n++
			f(s)
		}
	})
	return n
}

// kin finds them by ancestry, sessions and process groups, where no group can
// mark them, and orphans by a variable in their environment, as far as the
// agent may read that. What hides from all of it, as a daemon that forks
// twice, calls setsid and clears its environment, is lost.
type kin struct {
	first  int // pid of the first process, session and group leader
	marker []byte

	mu       sync.Mutex
	known    map[int]uint64 // pid to start time
	sessions map[int]bool
}

// kinVariable is in the environment of commands whose trees no group marks.
const kinVariable = "POCKETDOCK_PROCESS"

func (t *kin) each(f func(*seen)) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known, t.sessions = map[int]uint64{}, map[int]bool{t.first: true}
	}
	self := unix.Getpid()
	own, _ := unix.Getsid(0)
	all, member := map[int]stat{}, map[int]bool{}
	scan(func(s *seen) {
		st, ok := s.stat()
		if !ok || s.dead() {
			return
		}
		all[st.pid] = st
		start, known := t.known[st.pid]
		member[st.pid] = known && start == st.start || st.ppid == self && s.hasVariable(t.marker)
	})
	for grown := true; grown; {
		grown = false
		for pid, st := range all {
			if !member[pid] {
				member[pid] = member[st.ppid] || t.sessions[st.session] || st.group == t.first
				grown = grown || member[pid]
			}
			if member[pid] && st.session > 0 && st.session != own && !t.sessions[st.session] {
				t.sessions[st.session], grown = true, true
			}
		}
	}
	clear(t.known)
	for pid, st := range all {
		if member[pid] {
			t.known[pid] = st.start
		}
	}
	// The numbers are looked at again while the processes are held.
	scan(func(s *seen) {
		if !member[s.pid] || s.dead() {
			return
		}
		if st, ok := s.stat(); ok && st.start == all[s.pid].start {
			n++
			f(s)
		}
	})
	return n
}

// hasVariable looks into the first part of the environment.
func (s *seen) hasVariable(marker []byte) bool {
	var buf [16 << 10]byte
	for v := range bytes.SplitSeq(readAt(s.dir, "environ", buf[:]), []byte{0}) {
		if bytes.Equal(v, marker) {
			return true
		}
	}
	return false
}

// signalTree sends sig once to each process of t. One that is stopped would
// not see a signal that it may handle, so SIGTERM comes with SIGCONT.
func signalTree(t tree, sig unix.Signal) int {
	return t.each(func(s *seen) {
		s.signal(sig)
		if sig == unix.SIGTERM || sig == unix.SIGHUP || sig == unix.SIGINT {
			s.signal(unix.SIGCONT)
		}
	})
}

// Bounds of [killTree]. A process that sits in the kernel (a dead NFS server)
// may outlive any kill, and somebody else may continue what we stop.
const (
	freezeTime = time.Second
	killTime   = 5 * time.Second
)

// killTree ends every process of t and returns when none is left, or after
// [killTime]. It freezes them first, as a fork bomb outruns a pass of kills:
// stop all that run, until a pass finds none that runs. Each pass holds what
// it signals by descriptor, so that a reused number hits nobody else.
func killTree(t tree) (gone bool) {
	pause := 50 * time.Microsecond
	for deadline := time.Now().Add(freezeTime); time.Now().Before(deadline); {
		moving := 0
		if t.each(func(s *seen) {
			if s.stopped() {
				return
			}
			s.signal(unix.SIGSTOP)
			if s.state() != 'D' { // in the kernel, as for a child between vfork and exec: stops as it leaves
				moving++
			}
		}) == 0 {
			return true
		}
		if moving == 0 {
			break
		}
		time.Sleep(pause)
		pause = min(2*pause, 2*time.Millisecond)
	}
	pause = 100 * time.Microsecond
	for deadline := time.Now().Add(killTime); ; {
		if t.each(func(s *seen) { s.signal(unix.SIGKILL) }) == 0 {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pause)
		pause = min(2*pause, 5*time.Millisecond)
	}
}
