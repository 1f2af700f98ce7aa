package pocketdock

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A Session is a shell, or another interpreter, that takes one command after
// another and keeps its state between them: working directory, variables,
// functions, jobs in the background. It goes on when this program ends;
// [Container.Session] finds it again.
//
// How a command ended comes on a channel of its own, so nothing that a command
// prints can be taken for its end. A command that ends the shell (exit, exec,
// a failure after "set -e") ends the session: see [Result.Closed].
//
// A session counts as a process: a container with an idle limit does not end
// while one is open.
type Session struct {
	p    *Process
	kind string

	mu   sync.Mutex
	read Offset // see Read
}

// OpenSession starts a session. Of cmd the program, Env, Dir, User, LogLimit,
// Rlimits, Capabilities, ID and Stdin ([Interactive] or nil) are used.
//
// Args is the interpreter: bash, sh, dash, ash, python3 or node, perhaps with
// a path and options of its own. Without Args it is that of Lang, and without
// Lang bash, or sh where there is no bash. Any other program gets what
// [Session.Send] sends as lines of its standard input, and has no
// [Session.SendAndWait].
func (c *Container) OpenSession(ctx context.Context, cmd Command) (*Session, error) {
	if cmd.Shell != "" || cmd.Code != "" || cmd.Terminal != nil {
		return nil, invalidf("session: name the interpreter in Args or Lang; it has no terminal, and takes commands later")
	}
	if len(cmd.Args) > 0 {
		return c.openSession(ctx, cmd)
	}
	tries := []string{"bash", "sh"}
	if cmd.Lang != "" {
		in, ok := interpreters[cmd.Lang]
		if !ok || dialects[dialectOf(in.argv[0])] == nil {
			return nil, invalidf("session: language %q: must be bash, sh, python or node", cmd.Lang)
		}
		tries, cmd.Lang = in.argv[:1], ""
	}
	var err error
	for _, program := range tries {
		cmd.Args = []string{program}
		var s *Session
		if s, err = c.openSession(ctx, cmd); !errors.Is(err, ErrCommandNotFound) {
			return s, err
		}
	}
	return nil, err
}

func (c *Container) openSession(ctx context.Context, cmd Command) (*Session, error) {
	kind := dialectOf(cmd.Args[0])
	d := dialects[kind]
	if d == nil {
		cmd.Stdin = Interactive
		p, err := c.Start(ctx, cmd)
		if err != nil {
			return nil, err
		}
		return &Session{p: p}, nil
	}
	if cmd.Stdin != nil && cmd.Stdin != Interactive {
		return nil, invalidf("session: its standard input is written by Process.Write: set Stdin to Interactive")
	}
	cmd.Args = append(cmd.Args[:len(cmd.Args):len(cmd.Args)], d.args...)
	start, _, err := cmd.resolve()
	if err != nil {
		return nil, err
	}
	start.Detach, start.Session = true, kind
	start.Env = append(start.Env, d.env...)
	p, _, _, err := c.begin(ctx, start, nil)
	if err != nil {
		return nil, err
	}
	s := &Session{p: &Process{c: c, id: p.ID}, kind: kind}
	// What an interpreter says at its start belongs to no command.
	first := func(token string) (script, sync []byte) {
		script, sync = d.script(d.init)(token)
		return append([]byte(d.prelude), script...), sync
	}
	res, err := s.sendAndWait(ctx, first, SendOptions{Timeout: readyTimeout})
	switch {
	case err == nil && !res.OK():
		err = fmt.Errorf("session %s in container %s: %s does not take commands (exit code %d): %.200s", s.ID(), c.name,
			cmd.Args[0], res.ExitCode, printable(string(res.Stdout)+string(res.Stderr)))
	case err == nil:
		s.read, err = s.position(ctx)
	}
	if err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		s.Close(end)
		return nil, err
	}
	return s, nil
}

// Session finds a session by its ID, perhaps of another program. One that has
// ended is ErrSessionClosed.
func (c *Container) Session(ctx context.Context, id string) (*Session, error) {
	s := &Session{p: c.Process(id)}
	info, err := s.p.Info(ctx)
	if err != nil {
		return nil, err
	}
	if info.Session == "" || dialects[info.Session] == nil {
		return nil, invalidf("process %s in container %s is not a session", id, c.name)
	}
	if !info.Running {
		return nil, s.closed()
	}
	s.kind = info.Session
	return s, nil
}

// Sessions lists the sessions that are open, whoever opened them.
func (c *Container) Sessions(ctx context.Context) ([]*Session, error) {
	ps, err := c.Processes(ctx)
	if err != nil {
		return nil, err
	}
	var list []*Session
	for _, p := range ps {
		if p.Running && dialects[p.Session] != nil {
			list = append(list, &Session{p: c.Process(p.ID), kind: p.Session})
		}
	}
	return list, nil
}

// ID names the session within its container. It is its process's.
func (s *Session) ID() string { return s.p.id }

// Process is the interpreter: its output from any offset, its input if it was
// opened with [Interactive], its end.
func (s *Session) Process() *Process { return s.p }

// closed is the error of a session that has ended.
func (s *Session) closed() error {
	return fmt.Errorf("%w: %s in container %s; open another", ErrSessionClosed, s.p.id, s.p.c.name)
}

// SendOptions are the optional properties of a session's command.
type SendOptions struct {
	// Timeout interrupts the command, as Ctrl-C does; what it has started is
	// killed if that does not end it within Grace, and the session itself
	// after as long again, and five seconds at least. It counts from the
	// command's turn. 0: the container's default, see [CreateOptions];
	// negative: none.
	Timeout time.Duration
	// Grace as above. 0: half a second.
	Grace time.Duration
	// MaxOutput as in [Command].
	MaxOutput int64
}

// SendAndWait gives the session a command, which may have many lines, and
// waits for its end. Output and exit code are the command's own, but for jobs
// in the background, which print whenever they do. Commands sent at the same
// time wait for their turn, in order. If ctx ends, the command is interrupted
// as by a timeout, and the session goes on.
func (s *Session) SendAndWait(ctx context.Context, text string, opts SendOptions) (*Result, error) {
	d, err := s.dialect(text)
	if err != nil {
		return nil, err
	}
	return s.sendAndWait(ctx, d.script(text), opts)
}

// Stream is [Session.SendAndWait] whose output is read while it comes.
// MaxOutput means nothing here.
func (s *Session) Stream(ctx context.Context, text string, opts SendOptions) (*Stream, error) {
	d, err := s.dialect(text)
	if err != nil {
		return nil, err
	}
	send, err := s.request(d.script(text), opts)
	if err != nil {
		return nil, err
	}
	return s.stream(ctx, send)
}

// Send gives the session a command and returns when its turn has come, without
// waiting for its end. What it prints is for [Session.Read] and
// [Session.OnOutput].
func (s *Session) Send(ctx context.Context, text string) error {
	if s.kind == "" {
		return s.p.Write(ctx, []byte(text+"\n"))
	}
	d, err := s.dialect(text)
	if err != nil {
		return err
	}
	send, err := s.request(d.script(text), SendOptions{Timeout: -1})
	if err != nil {
		return err
	}
	send.Detach = true
	x, err := s.p.c.enter(ctx)
	if err != nil {
		return err
	}
	_, _, err = x.send(ctx, send)
	return s.explain(err)
}

func (s *Session) dialect(text string) (*dialect, error) {
	d := dialects[s.kind]
	if d == nil {
		return nil, fmt.Errorf("session %s in container %s: how its commands end is known for bash, sh, python3 and node only; use Send and Read: %w",
			s.p.id, s.p.c.name, ErrUnsupported)
	}
	if err := d.check(text); err != nil {
		return nil, err
	}
	return d, nil
}

func (s *Session) request(script scripter, opts SendOptions) (*wire.Send, error) {
	if opts.Grace < 0 {
		return nil, invalidf("session: Grace must not be negative")
	}
	var b [12]byte
	rand.Read(b[:])
	send := &wire.Send{ID: s.p.id, Token: hex.EncodeToString(b[:]), GraceMS: opts.Grace.Milliseconds()}
	send.Script, send.Sync = script(send.Token)
	if t := cmp.Or(opts.Timeout, s.p.c.timeout); t > 0 {
		send.TimeoutMS = max(1, t.Milliseconds())
	}
	return send, nil
}

func (s *Session) stream(ctx context.Context, send *wire.Send) (*Stream, error) {
	x, err := s.p.c.enter(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	_, ps, err := x.send(ctx, send)
	if err != nil {
		cancel(nil)
		return nil, s.explain(err)
	}
	st := &Stream{c: s.p.c, ps: ps, id: s.p.id, kept: true, begun: time.Now(), cancel: func() { cancel(nil) }}
	if send.TimeoutMS > 0 {
		// Its turn has come. Should whatever is in there not keep to it:
		guard := time.Duration(send.TimeoutMS+2*send.GraceMS)*time.Millisecond + responseMargin
		timer := time.AfterFunc(guard, func() { cancel(fmt.Errorf("container %s: %w", s.p.c.name, errUnresponsive)) })
		st.done = func() { timer.Stop() }
	}
	return st, nil
}

func (s *Session) sendAndWait(ctx context.Context, script scripter, opts SendOptions) (*Result, error) {
	send, err := s.request(script, opts)
	if err != nil {
		return nil, err
	}
	st, err := s.stream(ctx, send)
	if err != nil {
		return nil, err
	}
	return st.collect(&Command{MaxOutput: opts.MaxOutput})
}

// explain says that a session has ended, where its process is not there.
func (s *Session) explain(err error) error {
	if errors.Is(err, ErrProcessNotFound) {
		return s.closed()
	}
	return err
}

// position is how much the session has printed.
func (s *Session) position(ctx context.Context) (Offset, error) {
	info, err := s.p.Info(ctx)
	if err != nil {
		return Offset{}, s.explain(err)
	}
	return Offset{info.Stdout, info.Stderr}, nil
}

// Read returns what the session has printed since the last Read of this
// handle, at first since it was opened, without waiting for more. It includes
// what SendAndWait returned, and is not more than the log keeps, see
// [Command.LogLimit].
func (s *Session) Read(ctx context.Context) (*BufferSnapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.p.Output(ctx, s.read)
	if b != nil {
		s.read = b.Next
	}
	return b, s.explain(err)
}

// Interrupt interrupts the command that is under way, as Ctrl-C does. It is no
// error if there is none.
func (s *Session) Interrupt(ctx context.Context) error {
	return s.explain(s.p.Signal(ctx, SIGINT))
}

// Dir is the session's working directory. It waits for its turn, as a command.
func (s *Session) Dir(ctx context.Context) (string, error) {
	b, err := s.ask(ctx, "directory", func(d *dialect) string { return d.dir })
	return string(b), err
}

// Env is the environment of the session's commands. It waits for its turn, as
// a command.
func (s *Session) Env(ctx context.Context) (map[string]string, error) {
	b, err := s.ask(ctx, "environment", func(d *dialect) string { return d.environ })
	if err != nil {
		return nil, err
	}
	return parseEnviron(b), nil
}

// ask runs a script of ours, whose answer is in no log.
func (s *Session) ask(ctx context.Context, what string, question func(*dialect) string) ([]byte, error) {
	d, err := s.dialect("")
	if err != nil {
		return nil, err
	}
	send, err := s.request(d.ask(question(d)), SendOptions{})
	if err != nil {
		return nil, err
	}
	send.Answer = true
	st, err := s.stream(ctx, send)
	if err != nil {
		return nil, err
	}
	res, err := st.collect(&Command{})
	if err != nil {
		return nil, err
	}
	if len(res.Stdout) == 0 || !res.OK() {
		return nil, fmt.Errorf("session %s in container %s does not tell its %s (exit code %d)", s.p.id, s.p.c.name, what, res.ExitCode)
	}
	return res.Stdout, nil
}

// Close ends the session and all that it started. One that has ended is no
// error.
func (s *Session) Close(ctx context.Context) error {
	x, err := s.p.c.enter(ctx)
	if err != nil {
		return err
	}
	// Shells do not end of SIGTERM, but when their terminal hangs up.
	if _, err = x.signal(ctx, &wire.Signal{ID: s.p.id, Signal: int(SIGHUP), Tree: true}); err == nil {
		if err = s.p.Kill(ctx, 0); err == nil {
			err = s.p.Forget(ctx)
		}
	}
	for _, ended := range []error{ErrProcessNotFound, ErrContainerGone, ErrContainerNotRunning} {
		if errors.Is(err, ended) {
			return nil
		}
	}
	return err
}
