//go:build linux

package agent

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/agent/fileops"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// A markedState is what a sandbox was like before anybody used it.
type markedState struct {
	files     *fileops.Baseline
	kernel    string
	socket    string
	ttl, idle time.Duration
	saved     []byte // the file of the limits; nil: none
}

// markState takes note of the sandbox as it is.
func (a *agent) markState(c *client) (*markedState, *wire.Error) {
	switch {
	case !a.init || unix.Getpid() != 1: // it would not be all of a sandbox's processes that it ends
		return nil, fail(wire.CodeUnsupported, "the agent is not the init of this container")
	case !outside(c.conn):
		return nil, fail(wire.CodeUnsupported, "what goes through a bridge could be forged by a command that runs as root")
	case a.others() > 0 || a.procs.running() > 0:
		return nil, fail(wire.CodeUnsupported, "processes are running")
	}
	until := time.Now().Add(markTime)
	m := &markedState{}
	var err error
	if m.kernel, err = kernelState(); err != nil {
		return nil, failErrno("", "mark", err)
	}
	m.socket = a.socketState()
	a.rest.mu.Lock()
	m.ttl, m.idle = a.rest.ttl, a.rest.idle
	a.rest.mu.Unlock()
	m.saved, _ = a.store.read(limitsFile, 64)
	if m.files, err = fileops.TakeBaseline(filepath.Dir(a.conf.Socket), until); err != nil {
		return nil, failErrno("", "mark", err)
	}
	return m, nil
}

// reset brings the sandbox back to what it was at the mark, and looks whether
// it is. Meanwhile no other connection is served.
func (a *agent) reset(c *client, m *markedState) *wire.Reset {
	begun := time.Now()
	r := &wire.Reset{}
	if err := a.resetAll(c, m, r, begun.Add(resetTime)); err != nil {
		// The doors stay closed: nobody is to use it any more.
		r.Why = fmt.Sprint(err)
	} else {
		a.conns.reopen()
		r.Clean = true
	}
	r.TookUS = time.Since(begun).Microseconds()
	return r
}

func (a *agent) resetAll(c *client, m *markedState, r *wire.Reset, until time.Time) error {
	if err := a.endAll(c, until); err != nil {
		return err
	}
	if err := a.forgetUser(m, r, until); err != nil {
		return err
	}
	var err error
	if r.Removed, err = m.files.Restore(until); err != nil {
		return err
	}
	kernel, err := kernelState()
	switch {
	case err != nil:
		return err
	case kernel != m.kernel:
		return fmt.Errorf("outside of files: %s; it was %s", kernel, m.kernel)
	case a.socketState() != m.socket:
		return fmt.Errorf("the agent's socket was changed or replaced")
	case a.others() > 0:
		return fmt.Errorf("a process came from somewhere")
	}
	return a.drain(until)
}

// endAll ends every operation but c's, and every process. An operation that
// was about to start a process may still do so: only when none is left, the
// last look for processes counts. The signal reaches all that there are at
// once, and none of them can fork any more, so that a fork bomb ends, too.
func (a *agent) endAll(c *client, until time.Time) error {
	for pause := 200 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		operations := a.conns.endOthers(c.conn)
		for _, p := range a.procs.live() {
			p.setKilled()
		}
		unix.Kill(-1, unix.SIGKILL)
		// Also those that have ended and not been waited for.
		left := 0
		scan(func(*seen) { left++ })
		if operations == 0 && left == 0 && a.procs.running() == 0 && len(a.procs.live()) == 0 {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("%d operations and %d processes do not end", operations, left)
		}
		time.Sleep(pause)
	}
}

// forgetUser drops all that the agent itself keeps of whoever used the
// sandbox: records, logs, limits. What it learns to keep later, such as
// sessions or secrets, belongs here too.
func (a *agent) forgetUser(m *markedState, r *wire.Reset, until time.Time) error {
	for _, id := range a.kept.ids() {
		a.forget(id)
		r.Records++
	}
	if left := len(a.procs.reports()); left > 0 {
		return fmt.Errorf("%d processes are not forgotten", left)
	}
	a.rest.set(m.ttl, m.idle)
	// A command that runs as root may have put anything there.
	if err := fileops.Keep(a.store.dir, []string{filepath.Base(a.conf.Socket)}, until); err != nil {
		return fmt.Errorf("the agent's directory: %w", err)
	}
	if m.saved != nil {
		return a.store.write(limitsFile, m.saved)
	}
	return nil
}

// socketState is the identity of the socket's file and of its directory.
func (a *agent) socketState() string {
	var dir, st unix.Stat_t
	if unix.Fstat(a.store.dir, &dir) != nil ||
		unix.Fstatat(a.store.dir, filepath.Base(a.conf.Socket), &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return "gone"
	}
	return fmt.Sprintln(dir.Mode, dir.Uid, dir.Gid, st.Ino, st.Mode, st.Uid, st.Gid, st.Ctim)
}

// drain waits until the connections that were made before or during the reset
// have been refused: one more that is made now comes behind them.
func (a *agent) drain(until time.Time) error {
	conn, err := net.DialTimeout("unix", a.store.socketPath(a.conf.Socket), time.Until(until))
	if err != nil {
		return fmt.Errorf("the agent cannot be reached: %w", err)
	}
	defer conn.Close()
	conn.SetDeadline(until)
	if _, err := io.Copy(io.Discard, conn); err != nil {
		return fmt.Errorf("the agent does not answer: %w", err)
	}
	return nil
}
