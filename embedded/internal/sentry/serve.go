//go:build linux && !noembedded

package sentry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/sentry/control"
	"gvisor.dev/gvisor/pkg/sentry/kernel/auth"
	"gvisor.dev/gvisor/runsc/specutils"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// serve takes requests until the process ends.
func (w *watcher) serve(l *net.UnixListener) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			var r monitor.Request
			files, err := monitor.Read(c, &r)
			if err != nil {
				return
			}
			reply, err := w.answer(c, &r, files)
			for _, f := range files {
				f.Close()
			}
			if err != nil {
				reply = &monitor.Reply{Error: err.Error()}
			}
			if reply != nil {
				monitor.Write(c, reply)
			}
		}()
	}
}

// answer does what is asked for. A nil reply: the connection had all it needs.
func (w *watcher) answer(c *net.UnixConn, r *monitor.Request, files []*os.File) (*monitor.Reply, error) {
	ok := &monitor.Reply{}
	switch r.Op {
	case "signal":
		if r.PID != 0 {
			return ok, w.box.Sandbox.SignalProcess(w.launch.ID, r.PID, unix.Signal(r.Signal), r.Group)
		}
		return ok, w.box.SignalContainer(unix.Signal(r.Signal), false)
	case "kill":
		// Killed from here its files are kept: nothing of theirs runs on.
		if err := w.box.Pause(); err == nil {
			err = w.keep()
			if e := w.box.Resume(); e != nil {
				err = errors.Join(err, e)
			}
			if err != nil {
				return nil, err
			}
		}
		return ok, w.box.SignalContainer(unix.SIGKILL, true)
	case "killtree":
		return ok, w.killTree(r.PID)
	case "discard":
		w.mu.Lock()
		w.saved = true
		w.mu.Unlock()
		return ok, w.slay()
	case "save":
		if !w.writable() {
			return nil, errors.New("the root file system is read-only: nothing was written")
		}
		return ok, w.save(r.Path)
	case "pause":
		return ok, w.box.Pause()
	case "resume":
		return ok, w.box.Resume()
	case "ps":
		list, err := w.box.Processes()
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			if p.PID == 1 && w.launch.First {
				p.Cmd = "pocketdock-agent" // which has no file here
			}
			ok.PS = append(ok.PS, monitor.Process{UID: uint32(p.UID), PID: int32(p.PID), PPID: int32(p.PPID), Start: p.STime, CPU: p.Time, Command: p.Cmd})
		}
		return ok, nil
	case "usage":
		e, err := w.box.Event()
		if err != nil {
			return nil, err
		}
		ok.Memory, ok.CPU, ok.Count = int64(e.Event.Data.Memory.Usage.Usage), int64(e.Event.Data.CPU.Usage.Total), int(e.Event.Data.Pids.Current)
		return ok, nil
	case "attach":
		w.stream.attach(c, r)
		return nil, nil
	case "resize":
		return ok, w.resize(r.Rows, r.Cols)
	case "wait":
		stop := context.AfterFunc(w.over, func() { c.Close() })
		defer stop()
		io.Copy(io.Discard, c) // our end is what is waited for
		return nil, nil
	case "exec":
		return w.exec(c, r.Exec, files)
	case "visit":
		return w.visit(c, files)
	}
	return nil, fmt.Errorf("no operation %q", r.Op)
}

// slay kills the sandbox and its gofer themselves: nothing is kept that they
// would have to end in order for.
func (w *watcher) slay() error {
	for _, pid := range []int{w.sandbox.Getpid(), w.box.GoferPid.Load()} {
		if pid > 0 { // else it has ended, and the number may be another's
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
	return nil
}

// killTree kills a process and what descends from it, while nothing runs that
// could fork away.
func (w *watcher) killTree(root int32) error {
	if err := w.box.Pause(); err != nil {
		return err
	}
	list, err := w.box.Processes()
	doomed := map[int32]bool{root: true}
	for grown := true; grown; {
		grown = false
		for _, p := range list {
			if pid := int32(p.PID); !doomed[pid] && doomed[int32(p.PPID)] {
				doomed[pid], grown = true, true
			}
		}
	}
	for _, p := range list {
		if doomed[int32(p.PID)] {
			// The container's own method refuses: it is paused.
			err = errors.Join(err, w.box.Sandbox.SignalProcess(w.launch.ID, int32(p.PID), unix.SIGKILL, false))
		}
	}
	return errors.Join(err, w.box.Resume())
}

// exec starts a process, says its pid, and then how it ended.
func (w *watcher) exec(c *net.UnixConn, e *monitor.Exec, files []*os.File) (*monitor.Reply, error) {
	if e == nil || len(files) != 3 || len(e.Args) == 0 {
		return nil, errors.New("an exec needs arguments and three files")
	}
	u, err := w.runningUser(e.User)
	if err != nil {
		return nil, err
	}
	set := &specs.LinuxCapabilities{Bounding: e.Caps}
	if u.UID == 0 {
		set.Effective, set.Permitted = e.Caps, e.Caps
	}
	caps, err := specutils.Capabilities(false, set)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(e.Env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") }) {
		e.Env = append(e.Env, "HOME="+u.Home)
	}
	args := &control.ExecArgs{
		Argv: e.Args, Envv: e.Env, WorkingDirectory: e.Dir, ContainerID: w.launch.ID,
		KUID: auth.KUID(u.UID), KGID: auth.KGID(u.GID), Capabilities: caps, StdioIsPty: e.TTY,
		NoNewPrivileges: w.spec.Process.NoNewPrivileges,
		FilePayload:     control.NewFilePayload(map[int]*os.File{0: files[0], 1: files[1], 2: files[2]}, nil),
	}
	for _, g := range u.Groups {
		args.ExtraKGIDs = append(args.ExtraKGIDs, auth.KGID(g))
	}
	return w.run(c, args, files)
}

// run starts a process and closes our files of it; it says its pid, and then
// how it ended.
func (w *watcher) run(c *net.UnixConn, args *control.ExecArgs, files []*os.File) (*monitor.Reply, error) {
	pid, err := w.box.Execute(w.conf, args)
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		return nil, err
	}
	monitor.Write(c, &monitor.Reply{PID: pid})
	ws, err := w.box.WaitPID(pid)
	if err != nil {
		return nil, err
	}
	code := ws.ExitStatus()
	if ws.Signaled() {
		code = 128 + int(ws.Signal())
	}
	return &monitor.Reply{PID: pid, ExitCode: code}, nil
}

// visit serves operations on files, see agent.Visit, until the caller has no
// more.
func (w *watcher) visit(c *net.UnixConn, files []*os.File) (*monitor.Reply, error) {
	if len(files) != 2 {
		return nil, errors.New("a visit needs two files")
	}
	program, err := os.Open(w.launch.Agent)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	all := []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD"}
	caps, err := specutils.Capabilities(false, &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all})
	if err != nil {
		return nil, err
	}
	return w.run(c, &control.ExecArgs{
		Argv: []string{"pocketdock-agent", "visit"}, Envv: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, WorkingDirectory: "/",
		ContainerID: w.launch.ID, Capabilities: caps,
		FilePayload: control.NewFilePayload(map[int]*os.File{0: files[0], 1: files[1], 2: null}, program),
	}, files)
}

// resize sets the size of the container's terminal, and tells who has it.
func (w *watcher) resize(rows, cols uint16) error {
	if !w.launch.TTY {
		return nil
	}
	if err := monitor.Resize(w.stream.stdin, rows, cols); err != nil {
		return err
	}
	return w.box.Sandbox.SignalProcess(w.launch.ID, 0, unix.SIGWINCH, true) // 0: the first
}
