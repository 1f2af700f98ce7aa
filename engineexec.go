package pocketdock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/frames"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// engineExec is the executor of a container without an agent: the engine's
// own exec and archive API. What the API cannot do is ErrUnsupported, or, for
// ending a process, done as well as can be from outside.
type engineExec struct{ c *Container }

func (x *engineExec) path() string { return engineAPI }

// noAgent refuses what needs an agent.
func (x *engineExec) noAgent(what string) error {
	return fmt.Errorf("%s in container %s: it has no agent, because pocketdock did not create it: %w", what, x.c.name, ErrUnsupported)
}

func (x *engineExec) start(ctx context.Context, s *wire.Start) (*wire.Process, procStream, error) {
	switch {
	case s.Detach || s.SoftMS > 0:
		return nil, nil, x.noAgent("a detached process")
	case s.ID != "":
		return nil, nil, x.noAgent("a process with an ID of its own")
	case len(s.Rlimits) > 0 || len(s.Caps) > 0:
		return nil, nil, x.noAgent("resource limits and capabilities of a command")
	}
	body := &apiExec{
		AttachStdin: s.Stdin, AttachStdout: true, AttachStderr: true, Tty: s.TTY != nil,
		Cmd: s.Argv, Env: s.Env, User: s.User, WorkingDir: s.Dir,
	}
	conn, id, err := x.c.startExec(ctx, body)
	st := &execStream{c: x.c, begun: time.Now(), ctx: ctx, conn: conn, id: id, argv0: s.Argv[0], tty: body.Tty}
	if err != nil {
		if ctx.Err() != nil && id != "" {
			st.killFound()
		}
		return nil, nil, err
	}
	if !st.tty {
		st.r = frames.NewReader(conn)
	}
	if s.TTY != nil {
		st.firstSize(*s.TTY)
	}
	if s.TimeoutMS > 0 {
		st.limit(time.Duration(s.TimeoutMS) * time.Millisecond)
	}
	return &wire.Process{ID: id, Argv: s.Argv, TTY: st.tty}, st, nil
}

func (x *engineExec) send(context.Context, *wire.Send) (*wire.Process, procStream, error) {
	return nil, nil, x.noAgent("a session")
}

func (x *engineExec) events(context.Context, func(*wire.Process) error) error {
	return x.noAgent("a detached process")
}

func (x *engineExec) forget(context.Context, string) error { return x.noAgent("a detached process") }

// execStream is a procStream over an attached exec.
type execStream struct {
	c     *Container
	ctx   context.Context
	conn  *engine.Conn
	r     *frames.Reader // nil: raw output of a terminal
	raw   []byte
	id    string
	begun time.Time
	argv0 string
	tty   bool

	mu       sync.Mutex
	timer    *time.Timer
	timedOut bool
	first    []byte // the first output, which may be the runtime's refusal
	ended    bool
}

// limit ends the exec after a time: what can be found of it is killed, and
// the stream closed, so that the caller has its answer whatever was not found.
func (s *execStream) limit(d time.Duration) {
	s.timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		s.timedOut = true
		s.mu.Unlock()
		s.killFound()
		s.conn.Close()
	})
}

// startMargin is how long an exec may take to show as running. Before it
// does, Podman describes it as it does one that has ended with code 0.
const startMargin = 500 * time.Millisecond

// killFound kills the exec's processes as far as they can be found. One that
// is being started may take a moment to have any.
func (s *execStream) killFound() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 2*time.Second)
	defer cancel()
	embedded := s.c.engine.Embedded() // its processes are none of this host's
	for {
		in, err := s.inspect(ctx)
		switch {
		case err == nil && in.Running && embedded:
			_ = s.c.engine.JSON(ctx, "POST", "/exec/"+s.id+"/kill", nil, nil, nil)
			return
		case err != nil, !in.Running && time.Since(s.begun) > startMargin:
			return
		case in.Running && in.Pid > 0:
			s.c.killHostTree(ctx, in.Pid)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// firstSize sets the terminal's size as soon as there is one: the API takes
// it only of a process that runs already.
func (s *execStream) firstSize(z wire.Size) {
	const tries = 20
	for range tries {
		if s.resize(z) == nil || s.ctx.Err() != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *execStream) next() (event, error) {
	stream, p, err := s.read()
	if err == nil {
		if s.first == nil {
			s.first = append([]byte{}, p[:min(len(p), 1024)]...)
		}
		k := wire.KindStdout
		if stream == frames.Stderr {
			k = wire.KindStderr
		}
		return event{stream: k, data: p}, nil
	}
	s.mu.Lock()
	timedOut := s.timedOut
	s.ended = timedOut || err == io.EOF
	s.mu.Unlock()
	if timedOut {
		return event{exit: &wire.Exit{Code: 128 + int(SIGKILL), Signal: int(SIGKILL), TimedOut: true}}, nil
	}
	if s.ctx.Err() != nil {
		return event{}, context.Cause(s.ctx)
	}
	if err != io.EOF {
		if e := s.c.checkRunning(s.ctx); e != nil {
			return event{}, e
		}
		return event{}, fmt.Errorf("output of a command in container %s: %w: %w", s.c.name, ErrOutputLost, err)
	}
	return s.exitEvent()
}

func (s *execStream) read() (int, []byte, error) {
	if s.r != nil {
		return s.r.Next()
	}
	if s.raw == nil {
		s.raw = make([]byte, smallBuffer)
	}
	n, err := s.conn.Read(s.raw)
	if n > 0 {
		err = nil
	}
	return frames.Stdout, s.raw[:n], err
}

type execInspect struct {
	ID       string
	Running  bool
	ExitCode *int
	Pid      int
}

func (s *execStream) inspect(ctx context.Context) (*execInspect, error) {
	var in execInspect
	err := s.c.engine.JSON(ctx, "GET", "/exec/"+s.id+"/json", nil, nil, &in)
	return &in, err
}

// exitEvent asks for the exit code, which both engines may know only some
// time after the output's end. Null is not zero.
func (s *execStream) exitEvent() (event, error) {
	const patience = 12 * time.Second
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	wait := time.Millisecond
	for {
		in, err := s.inspect(ctx)
		switch {
		case s.ctx.Err() != nil:
			return event{}, context.Cause(s.ctx)
		case err != nil && ctx.Err() == nil:
			// An exec goes with its container.
			if e := s.c.checkRunning(ctx); e != nil {
				return event{}, e
			}
			if se, ok := errors.AsType[*engine.StatusError](err); ok && se.NoSuchExec() {
				return event{}, fmt.Errorf("container %s: the engine has forgotten the command: %w: %w", s.c.name, ErrOutputLost, apiError(err, "inspect it", ""))
			}
			return event{}, s.c.apiErr(ctx, err, "inspect a command in")
		case err == nil && !in.Running && in.ExitCode != nil && *in.ExitCode >= 0:
			return s.exit(*in.ExitCode)
		case err == nil && !in.Running && in.ExitCode != nil:
			// Podman says -1 where it does not know, as when the container ends.
			if e := s.endedWithContainer(); e != nil {
				return event{}, e
			}
		}
		select {
		case <-ctx.Done():
			if e := s.c.checkRunning(s.ctx); e != nil {
				return event{}, e
			}
			return event{}, fmt.Errorf("container %s: the engine does not say how the command ended: %w", s.c.name, ErrOutputLost)
		case <-time.After(wait):
			wait = min(2*wait, 50*time.Millisecond)
		}
	}
}

// exit makes an exit code an event. An engine that could not start the
// program says so in the output, with code 126 or 127.
func (s *execStream) exit(code int) (event, error) {
	if code == 126 || code == 127 {
		if kind := execRefusal(string(s.first)); kind != nil {
			return event{}, &CommandError{Command: s.argv0, Container: s.c.name, Kind: kind}
		}
	}
	if code == 128+int(SIGKILL) {
		if e := s.endedWithContainer(); e != nil {
			return event{}, e
		}
	}
	e := &wire.Exit{Code: code}
	if code > 128 && code <= 128+maxSignal {
		e.Signal = code - 128
	}
	return event{exit: e}, nil
}

// endedWithContainer tells the kill that comes with a container's end from
// any other. Docker was seen to call a container running for 150 ms after
// its processes were killed.
func (s *execStream) endedWithContainer() error {
	const patience = 500 * time.Millisecond
	for begun := time.Now(); time.Since(begun) < patience; {
		if e := s.c.checkRunning(s.ctx); e != nil {
			return e
		}
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-time.After(25 * time.Millisecond):
		}
	}
	return nil
}

// execRefusal reads a runtime's message: runc writes "exec: \"x\": executable
// file not found in $PATH", "stat x: no such file or directory" or
// "permission denied"; crun "executable file `x` not found in $PATH".
func execRefusal(m string) error {
	m = strings.ToLower(m)
	if !strings.Contains(m, "oci ") && !strings.Contains(m, "exec failed") && !strings.Contains(m, "unable to start container process") {
		return nil
	}
	switch {
	case strings.Contains(m, "not found"), strings.Contains(m, "no such file or directory"):
		return ErrCommandNotFound
	case strings.Contains(m, "permission denied"), strings.Contains(m, "exec format error"), strings.Contains(m, "is a directory"):
		return ErrCommandNotExecutable
	}
	return nil
}

func (s *execStream) send(p []byte) error {
	_, err := s.conn.Write(p)
	return err
}

func (s *execStream) closeInput() error { return s.conn.CloseWrite() }

func (s *execStream) resize(z wire.Size) error {
	q := map[string][]string{"h": {fmt.Sprint(z.Rows)}, "w": {fmt.Sprint(z.Cols)}}
	return s.c.engine.JSON(s.ctx, "POST", "/exec/"+s.id+"/resize", q, nil, nil)
}

func (s *execStream) signal(g wire.Signal) error {
	in, err := s.inspect(s.ctx)
	if err != nil {
		return s.c.apiErr(s.ctx, err, "signal a command in")
	}
	if in.Running && s.c.engine.Embedded() {
		q := url.Values{"signal": {strconv.Itoa(g.Signal)}}
		return s.c.apiErr(s.ctx, s.c.engine.JSON(s.ctx, "POST", "/exec/"+s.id+"/kill", q, nil, nil), "signal a command in")
	}
	if !in.Running || in.Pid <= 0 {
		return nil
	}
	return s.c.signalHost(s.ctx, []int{in.Pid}, g.Signal)
}

// close gives the command up. One that still runs is killed as far as it can
// be found.
func (s *execStream) close() error {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Lock()
	kill := !s.ended
	s.ended = true
	s.mu.Unlock()
	if kill {
		s.killFound()
	}
	return s.conn.Close()
}

func (x *engineExec) attach(context.Context, *wire.Attach) (*wire.Process, procStream, error) {
	return nil, nil, x.noAgent("following a process")
}

func (x *engineExec) input(context.Context, string, io.Reader, bool) error {
	return x.noAgent("input of a process")
}

func (x *engineExec) signal(context.Context, *wire.Signal) (*wire.Process, error) {
	return nil, x.noAgent("signalling a process")
}

func (x *engineExec) resize(context.Context, *wire.Resize) error {
	return x.noAgent("resizing a process's terminal")
}

func (x *engineExec) processes(context.Context) ([]wire.Process, error) {
	return nil, x.noAgent("listing processes")
}

func (x *engineExec) info(context.Context) (*wire.Info, error) { return nil, nil }

func (x *engineExec) limits(context.Context, *wire.Limits) (*wire.Limits, error) {
	return nil, x.noAgent("time limits")
}

var errNotFoundOnHost = errors.New("its processes cannot be seen from here")

// signalHost signals processes of the container by their numbers on this
// host: directly if we may, and otherwise through an exec of kill with the
// numbers that they have inside.
func (c *Container) signalHost(ctx context.Context, pids []int, sig int) error {
	var inside []string
	for _, pid := range pids {
		if hostKill(pid, sig) == nil {
			continue
		}
		if n := innerPID(pid); n != "" {
			inside = append(inside, n)
		}
	}
	if len(inside) == 0 {
		return nil
	}
	conn, _, err := c.startExec(ctx, &apiExec{AttachStdout: true, AttachStderr: true, User: "0:0",
		Cmd: slices.Concat([]string{"kill", fmt.Sprintf("-%d", sig)}, inside)})
	if err != nil {
		return fmt.Errorf("signal a command in container %s: %w", c.name, errors.Join(errNotFoundOnHost, err))
	}
	defer conn.Close()
	_, err = io.Copy(io.Discard, conn)
	return err
}

// killHostTree kills a process and its descendants: stopped first, so that
// none forks away, and looked for again until no new one is found.
func (c *Container) killHostTree(ctx context.Context, root int) {
	const rounds = 10
	seen := map[int]bool{}
	for range rounds {
		var fresh []int
		for _, pid := range hostTree(root) {
			if !seen[pid] {
				seen[pid] = true
				fresh = append(fresh, pid)
			}
		}
		if len(fresh) == 0 {
			break
		}
		c.signalHost(ctx, fresh, int(SIGSTOP))
	}
	pids := make([]int, 0, len(seen))
	for pid := range seen {
		pids = append(pids, pid)
	}
	c.signalHost(ctx, pids, int(SIGKILL))
}
