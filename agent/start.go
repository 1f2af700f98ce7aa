//go:build linux

package agent

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// start makes the process that s describes. Its output is not read yet: that
// is for the caller to begin, with [stream.forward] or [stream.record].
func (a *agent) start(s *wire.Start) (*process, *wire.Error) {
	if len(s.Argv) == 0 || s.Argv[0] == "" {
		return nil, fail(wire.CodeInvalid, "no command: argv is empty")
	}
	if s.ID != "" && !validID(s.ID) {
		return nil, fail(wire.CodeInvalid, "process ID %q: 1 to 64 of a-z, 0-9 and '-'", s.ID)
	}
	if s.LogLimit < 0 || s.LogLimit > maxLogLimit {
		return nil, fail(wire.CodeInvalid, "log limit of %d bytes: 0 to %d", s.LogLimit, maxLogLimit)
	}
	if s.Session != "" && (!validID(s.Session) || s.TTY != nil || !s.Detach) {
		return nil, fail(wire.CodeInvalid, "session %q: its kind is 1 to 64 of a-z, 0-9 and '-'; it is detached and has no terminal", s.Session)
	}
	if _, ok := a.secrets.get(a.conf.Secrets); !ok {
		return nil, fail(wire.CodeInvalid, "this sandbox has not been given its secrets since it was started; stop it and start it again with pocketdock resume")
	}
	id, err := a.identity(s.User)
	if err != nil {
		return nil, err
	}
	caps, bad := parseCaps(s.Caps, a.privileges.grantable)
	if bad != "" {
		return nil, fail(wire.CodeInvalid, "capability %q is none that commands of this sandbox may be given", bad)
	}
	p := &process{
		id: s.ID, argv: shorten(s.Argv), user: s.User, kind: s.Session,
		detached: s.Detach, logged: s.Detach || s.Keep || s.SoftMS > 0 || s.LogLimit > 0,
		mark: &mark{}, pidfd: -1, exited: make(chan struct{}), finished: make(chan struct{}),
	}
	if p.user == "" {
		p.user = a.conf.User
	}
	if !a.procs.reserve(p) {
		return nil, fail(wire.CodeExists, "there is a process with ID %s already; forget it first, or leave the ID to the agent", p.id)
	}
	if err := a.spawn(p, s, id, caps); err != nil {
		if p.session != nil {
			p.session.close()
		}
		a.procs.remove(p.id)
		a.groups.release(p.mark)
		return nil, err
	}
	if p.logged {
		p.brief = !s.Detach
		limit := s.LogLimit
		if limit == 0 {
			limit = defaultLogLimit
		}
		for i, out := range p.out {
			if out != nil {
				out.log = newLog(a.store, p.id+[]string{stdoutSuffix, stderrSuffix}[i], limit)
				out.log.brief = !s.Detach
			}
		}
	}
	if s.TimeoutMS > 0 {
		p.setTimeout(milliseconds(s.TimeoutMS), graceOf(s.GraceMS))
	}
	a.procs.publish(p)
	return p, nil
}

// identity resolves a user, the container's if user is empty.
func (a *agent) identity(user string) (*identity, *wire.Error) {
	if user == "" {
		user = a.conf.User
	}
	if user == "" && os.Geteuid() != 0 {
		// An agent that was put into a container may be anybody.
		return a.own, nil
	}
	id, err := a.users.lookup(user)
	if err != nil {
		return nil, fail(wire.CodeInvalid, "%v", err)
	}
	return id, nil
}

// directory resolves a working directory. Only the container's own may be
// missing: it is the image's word, and / stands in for it.
func (a *agent) directory(dir string) string {
	if dir == "" {
		dir = a.conf.Dir
		if dir == "" || unix.Access(dir, unix.F_OK) != nil {
			return "/"
		}
		return dir
	}
	if !filepath.IsAbs(dir) {
		return filepath.Join("/", a.conf.Dir, dir)
	}
	return dir
}

// spawn forks and executes, and enters p in the table.
func (a *agent) spawn(p *process, s *wire.Start, id *identity, caps capSet) *wire.Error {
	var ours, theirs [3]int // stdin, stdout, stderr; -1: none, or not to close
	for i := range 3 {
		ours[i], theirs[i] = -1, -1
	}
	defer func() {
		for i := range 3 {
			if theirs[i] >= 0 {
				unix.Close(theirs[i])
			}
			if ours[i] >= 0 {
				unix.Close(ours[i])
			}
		}
	}()
	sys := &syscall.SysProcAttr{Setsid: true, PidFD: &p.pidfd}
	secret, _ := a.secrets.get(a.conf.Secrets)
	attr := &syscall.ProcAttr{
		Dir: a.directory(s.Dir),
		Env: environ(a.env, slices.Concat(secret, s.Env), id, s.TTY != nil),
		Sys: sys,
	}
	if s.TTY != nil {
		master, slave, err := openTerminal(*s.TTY, id.uid)
		if err != nil {
			return failErrno("", "cannot open a terminal", err)
		}
		theirs[0] = slave
		p.terminal = master
		sys.Setctty, sys.Ctty = true, 0
		fd := uintptr(slave)
		attr.Files = []uintptr{fd, fd, fd}
	} else {
		in := a.null
		if s.Stdin {
			if err := pipe(&theirs[0], &ours[0], true); err != nil {
				return failErrno("", "cannot make a pipe", err)
			}
			in = theirs[0]
		}
		for i := 1; i < 3; i++ {
			if err := pipe(&ours[i], &theirs[i], false); err != nil {
				return failErrno("", "cannot make a pipe", err)
			}
		}
		attr.Files = []uintptr{uintptr(in), uintptr(theirs[1]), uintptr(theirs[2])}
	}
	if s.Session != "" {
		control, status, err := openSession(a, p)
		if err != nil {
			return failErrno("", "cannot open a session", err)
		}
		defer unix.Close(control)
		defer unix.Close(status)
		f := attr.Files
		attr.Files = []uintptr{uintptr(control), f[1], f[2], sessionInput: f[0], sessionStatus: uintptr(status)}
	}
	if !a.exact {
		attr.Env = append([]string{kinVariable + "=" + p.id}, attr.Env...)
	}
	if os.Geteuid() == 0 {
		cred := &syscall.Credential{Uid: id.uid, Gid: id.gid, Groups: id.groups}
		if a.exact {
			if gid := a.groups.take(p.mark, id.groups); gid != 0 {
				cred.Groups = append(id.groups[:len(id.groups):len(id.groups)], gid)
			}
		}
		sys.Credential = cred
	} else if id.uid != uint32(os.Geteuid()) {
		p.closeTerminal()
		return fail(wire.CodePermission, "the agent is not root in this sandbox and cannot run commands as %s", p.user)
	}
	if caps != 0 {
		sys.AmbientCaps = caps.list()
	}

	pid, failure := a.fork(p, s, id, attr)
	if failure != nil {
		p.closeTerminal()
		return failure
	}
	if p.mark.gid.Load() == 0 {
		p.kin = &kin{first: pid, marker: []byte(kinVariable + "=" + p.id)}
	}
	if s.TTY != nil {
		p.out[stdout] = newStream(wire.KindStdout, p.terminal)
		if s.Stdin {
			p.stdin = &input{file: p.terminal, tty: true, line: true}
		}
		return nil
	}
	if s.Stdin {
		p.stdin = &input{file: os.NewFile(uintptr(ours[0]), "stdin")}
	}
	p.out[stdout] = newStream(wire.KindStdout, os.NewFile(uintptr(ours[1]), "stdout"))
	p.out[stderr] = newStream(wire.KindStderr, os.NewFile(uintptr(ours[2]), "stderr"))
	ours = [3]int{-1, -1, -1}
	return nil
}

func (p *process) closeTerminal() {
	if p.terminal != nil {
		p.terminal.Close()
	}
}

// pipe makes a pipe whose end *ours does not block. The other one is the
// command's, and most programs do not expect that.
func pipe(r, w *int, oursWrites bool) error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	*r, *w = fds[0], fds[1]
	own, access := fds[0], unix.O_RDONLY
	if oursWrites {
		own, access = fds[1], unix.O_WRONLY
	}
	_, err := unix.FcntlInt(uintptr(own), unix.F_SETFL, access|unix.O_NONBLOCK)
	return err
}

// fork tries the files that argv[0] may mean, until one can be executed.
func (a *agent) fork(p *process, s *wire.Start, id *identity, attr *syscall.ProcAttr) (int, *wire.Error) {
	files := programs(s.Argv[0], variable(attr.Env, "PATH"), attr.Dir)
	if len(files) == 0 {
		if e := badDir(attr.Dir, id); e != nil {
			return 0, e
		}
		return 0, notFound(s.Argv[0])
	}
	p.oomKills = a.cgroup.oomKills()
	if len(s.Rlimits) > 0 || !a.privileges.sealed && id.uid == 0 {
		return a.forkShim(p, s, id, attr, likely(files, id))
	}
	var err error
	for _, file := range files {
		var pid int
		pid, err = a.forkExec(p, file, s.Argv, attr)
		if err == nil {
			return pid, nil
		}
		if err != syscall.EACCES && err != syscall.ENOENT && err != syscall.ENOTDIR {
			break
		}
	}
	return 0, notStarted(files[0], attr.Dir, id, err)
}

// forkShim executes file by way of a [shim].
func (a *agent) forkShim(p *process, s *wire.Start, id *identity, attr *syscall.ProcAttr, file string) (int, *wire.Error) {
	h, bad := newShim(file, s, !a.privileges.sealed)
	if bad != nil {
		return 0, bad
	}
	self, argv, wrapped := h.wrap(attr)
	pid, err := a.forkExec(p, self, argv, wrapped)
	failed := h.result(err == nil)
	if failed != nil && err == nil {
		a.await(p) // the shim itself
	}
	switch e := failed.(type) {
	case nil:
		if err == nil {
			return pid, nil
		}
	case *wire.Error:
		return 0, e
	default:
		err = failed
	}
	return 0, notStarted(file, attr.Dir, id, err)
}

// forkExec starts a child and enters it in the table.
func (a *agent) forkExec(p *process, file string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	a.forks.RLock()
	defer a.forks.RUnlock()
	p.started = time.Now()
	a.procs.forkBegins()
	a.guard.begin()
	pid, err = syscall.ForkExec(file, argv, attr)
	a.guard.end()
	if err != nil {
		pid = 0
	}
	if status, over := a.procs.forkEnds(p, pid); over {
		a.exited(p, status)
	}
	return pid, err
}
