package pocketdock

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A Process is a handle of a detached process: it goes on when this program
// ends, and another finds it again by its ID with [Container.Process].
type Process struct {
	c  *Container
	id string
}

// ProcessInfo describes a process.
type ProcessInfo struct {
	ID       string
	Args     []string
	PID      int // inside the container
	User     string
	Detached bool
	Terminal bool
	// Session is the kind of interpreter of a [Session]; empty for others.
	Session string
	Started time.Time
	Running bool
	// Result says how it ended; nil while it runs, or when the container
	// stopped under it and nobody knows.
	Result *Result
	// Output in all, and how many of its first bytes the log has dropped.
	Stdout, Stderr               int64
	StdoutDropped, StderrDropped int64
}

// Start starts a command that goes on when this program ends. Its output is
// kept in the container, up to Command.LogLimit, see [Process.Follow] and
// [Process.Output]. Command.Timeout 0 is none. Command.Stdin is nil, for no
// input, or [Interactive], for what [Process.Input] writes. Stdout, Stderr,
// MaxOutput and SoftTimeout mean nothing here.
func (c *Container) Start(ctx context.Context, cmd Command) (*Process, error) {
	if cmd.Stdin != nil && cmd.Stdin != Interactive {
		return nil, invalidf("command: a detached process takes its input from Process.Input: set Stdin to Interactive")
	}
	cmd.SoftTimeout = 0
	s, src, err := cmd.resolve()
	if err != nil {
		return nil, err
	}
	s.Detach = true
	s.TimeoutMS = max(0, cmd.Timeout.Milliseconds())
	// The source file stays: the process may read it at any time.
	p, _, _, err := c.begin(ctx, s, src)
	if err != nil {
		return nil, err
	}
	return &Process{c: c, id: p.ID}, nil
}

// Process is the handle of a process that was started before, perhaps by
// another program. That it exists shows when it is used.
func (c *Container) Process(id string) *Process { return &Process{c: c, id: id} }

// Processes lists the processes that run and those whose records are kept.
func (c *Container) Processes(ctx context.Context) ([]ProcessInfo, error) {
	x, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	ps, err := x.processes(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]ProcessInfo, len(ps))
	for i := range ps {
		list[i] = c.processInfo(&ps[i])
	}
	return list, nil
}

func (c *Container) processInfo(p *wire.Process) ProcessInfo {
	i := ProcessInfo{ID: p.ID, Args: p.Argv, PID: p.PID, User: p.User, Detached: p.Detached, Terminal: p.TTY, Session: p.Session,
		Started: time.Unix(0, p.Started), Running: p.Exit == nil,
		Stdout: p.Stdout, Stderr: p.Stderr, StdoutDropped: p.StdoutDropped, StderrDropped: p.StderrDropped}
	if d := dialects[p.Session]; d != nil && len(i.Args) > len(d.args) {
		i.Args = i.Args[:len(i.Args)-len(d.args)] // as OpenSession was given them
	}
	if p.Exit != nil && !p.Exit.Lost {
		i.Result, _ = c.result(p.ID, p.Exit, i.Started, p.Started)
	}
	return i
}

// ID names the process within its container.
func (p *Process) ID() string { return p.id }

// Container that the process runs in.
func (p *Process) Container() *Container { return p.c }

// Info describes the process now.
func (p *Process) Info(ctx context.Context) (*ProcessInfo, error) {
	list, err := p.c.Processes(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].ID == p.id {
			return &list[i], nil
		}
	}
	return nil, fmt.Errorf("%w: %s in container %s", ErrProcessNotFound, p.id, p.c.name)
}

// Running reports whether the process runs now.
func (p *Process) Running(ctx context.Context) (bool, error) {
	i, err := p.Info(ctx)
	return err == nil && i.Running, err
}

// Offset is a place in the output of a process: how many bytes of each
// stream come before it.
type Offset struct{ Stdout, Stderr int64 }

// Follow reads the output of the process from an offset, as it comes, until
// it ends. Bytes that have left the log are counted in [Chunk.Lost]. Closing
// the stream leaves the process alone.
func (p *Process) Follow(ctx context.Context, from Offset) (*Stream, error) {
	return p.attach(ctx, &wire.Attach{ID: p.id, Stdout: from.Stdout, Stderr: from.Stderr, Follow: true, Hold: true, Stdin: true})
}

func (p *Process) attach(ctx context.Context, a *wire.Attach) (*Stream, error) {
	x, err := p.c.enter(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	info, ps, err := x.attach(ctx, a)
	if err != nil {
		cancel()
		return nil, err
	}
	return &Stream{c: p.c, ps: ps, cancel: cancel, id: p.id, kept: true, begun: time.Unix(0, info.Started), start: info.Started}, nil
}

// Wait waits until the process has ended and says how. Its output is not
// part of the result: see [Process.Output].
func (p *Process) Wait(ctx context.Context) (*Result, error) {
	s, err := p.attach(ctx, &wire.Attach{ID: p.id, Follow: true, Quiet: true})
	if err != nil {
		return nil, err
	}
	return s.Result()
}

// A BufferSnapshot is what the log of a process holds from an offset on.
type BufferSnapshot struct {
	Stdout, Stderr []byte
	// StdoutLost and StderrLost are how many bytes after the offset had left
	// the log.
	StdoutLost, StderrLost int64
	// Next is the offset behind what was read.
	Next Offset
	// Running: more may come.
	Running bool
	// Result says how the process ended, unless it runs.
	Result *Result
}

// Output reads what the log holds from an offset on, without waiting for
// more. It is at most as much as the log keeps, see [Command.LogLimit]. For a
// process whose end is not known, since its container was killed with it, the
// error is [ErrOutputLost], and the snapshot has what was recorded.
func (p *Process) Output(ctx context.Context, from Offset) (*BufferSnapshot, error) {
	s, err := p.attach(ctx, &wire.Attach{ID: p.id, Stdout: from.Stdout, Stderr: from.Stderr})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	b := &BufferSnapshot{Next: Offset{max(0, from.Stdout), max(0, from.Stderr)}}
	for {
		ev, err := s.event()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := b.add(ev); err != nil {
			return nil, fmt.Errorf("output of process %s in container %s: %w", p.id, p.c.name, err)
		}
	}
	b.Running = s.exit.Running
	if !b.Running {
		b.Result, err = s.Result()
	}
	return b, err
}

// maxSnapshot bounds what a sandbox can make Output hold, in bytes.
const maxSnapshot = 1 << 30

func (b *BufferSnapshot) add(ev event) error {
	if len(b.Stdout)+len(b.Stderr)+len(ev.data) > maxSnapshot {
		return fmt.Errorf("more than %d bytes; read it with Follow: %w", maxSnapshot, ErrInvalid)
	}
	switch {
	case ev.gap != nil && ev.gap.Stderr:
		b.StderrLost += ev.gap.To - ev.gap.From
		b.Next.Stderr = ev.gap.To
	case ev.gap != nil:
		b.StdoutLost += ev.gap.To - ev.gap.From
		b.Next.Stdout = ev.gap.To
	case ev.stream == wire.KindStderr:
		b.Stderr = append(b.Stderr, ev.data...)
		b.Next.Stderr += int64(len(ev.data))
	default:
		b.Stdout = append(b.Stdout, ev.data...)
		b.Next.Stdout += int64(len(ev.data))
	}
	return nil
}

// Input writes r, up to its end, to the standard input of a process that was
// started with [Interactive] input, and then ends that input.
func (p *Process) Input(ctx context.Context, r io.Reader) error { return p.input(ctx, r, true) }

// Write writes data to the standard input of a process that was started with
// [Interactive] input; more may follow.
func (p *Process) Write(ctx context.Context, data []byte) error {
	return p.input(ctx, bytes.NewReader(data), false)
}

func (p *Process) input(ctx context.Context, r io.Reader, end bool) error {
	x, err := p.c.enter(ctx)
	if err != nil {
		return err
	}
	return x.input(ctx, p.id, r, end)
}

// Kill ends the process and every process that it started: SIGTERM, grace
// (0: half a second), SIGKILL. It returns when none is left. A process that
// has ended is no error; what it left behind is ended then.
func (p *Process) Kill(ctx context.Context, grace time.Duration) error {
	return p.signal(ctx, &wire.Signal{ID: p.id, GraceMS: grace.Milliseconds()})
}

// Signal sends a signal to the process's group; SIGKILL goes to every
// process that it started, too.
func (p *Process) Signal(ctx context.Context, sig Signal) error {
	if sig < 1 || sig > maxSignal {
		return invalidf("signal %d: must be from 1 to %d", int(sig), maxSignal)
	}
	return p.signal(ctx, &wire.Signal{ID: p.id, Signal: int(sig)})
}

func (p *Process) signal(ctx context.Context, s *wire.Signal) error {
	x, err := p.c.enter(ctx)
	if err != nil {
		return err
	}
	_, err = x.signal(ctx, s)
	return err
}

// Forget drops the record and the output of a process that has ended. Without
// it they go when 256 others have ended since.
func (p *Process) Forget(ctx context.Context) error {
	x, err := p.c.enter(ctx)
	if err != nil {
		return err
	}
	return x.forget(ctx, p.id)
}

// Resize sets the size of the process's terminal.
func (p *Process) Resize(ctx context.Context, size TerminalSize) error {
	x, err := p.c.enter(ctx)
	if err != nil {
		return err
	}
	return x.resize(ctx, &wire.Resize{ID: p.id, Size: size.wire()})
}
