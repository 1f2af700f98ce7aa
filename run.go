package pocketdock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock/internal/headtail"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// A Result is how a command ended.
type Result struct {
	// ID is the process's, see [Container.Process].
	ID string
	// Running: SoftTimeout passed and the command goes on. Its exit code is
	// not known yet.
	Running bool
	// ExitCode is the command's, 128 + n if signal n ended it.
	ExitCode int
	// Signal that ended the command; 0 if none did.
	Signal int
	// Stdout and Stderr are the output, exact. Where more came than
	// MaxOutput, a line in the middle says how many bytes are missing.
	Stdout, Stderr []byte
	// StdoutDropped and StderrDropped are how many bytes are missing.
	StdoutDropped, StderrDropped int64
	// Duration from the start of the command to its end.
	Duration time.Duration
	// TimedOut: Timeout ended the command. What it printed before is there.
	TimedOut bool
	// Closed: the session ended with this command, see [Session].
	Closed bool
	// OOMKilled: the kernel ended it because the container's memory limit was reached.
	OOMKilled bool
}

// OK reports that the command ended by itself with exit code 0.
func (r *Result) OK() bool { return r.ExitCode == 0 && r.Signal == 0 && !r.TimedOut && !r.Running }

// Truncated reports that output is missing.
func (r *Result) Truncated() bool { return r.StdoutDropped > 0 || r.StderrDropped > 0 }

// defaultMaxOutput is what a Run keeps of each stream, in bytes.
const defaultMaxOutput = 10 << 20

// Run runs a command and waits for its end. If ctx ends first, the command
// and all that it started are killed, and the error is the context's cause.
func (c *Container) Run(ctx context.Context, cmd Command) (*Result, error) {
	s, err := c.Stream(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return s.collect(&cmd)
}

// collect reads a stream to its end, as cmd says.
func (s *Stream) collect(cmd *Command) (*Result, error) {
	defer s.Close()
	keep := cmd.MaxOutput
	if keep == 0 {
		keep = defaultMaxOutput
	}
	out, errs := newSink(cmd.Stdout, keep), newSink(cmd.Stderr, keep)
	for {
		ev, err := s.event()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		sink := out
		if ev.stream == wire.KindStderr || ev.gap != nil && ev.gap.Stderr {
			sink = errs
		}
		if ev.gap != nil {
			sink.lost += ev.gap.To - ev.gap.From
			continue
		}
		if _, err := sink.w.Write(ev.data); err != nil {
			return nil, fmt.Errorf("writing the output of a command in container %s: %w", s.c.name, err)
		}
	}
	r, err := s.Result()
	if err != nil {
		return nil, err
	}
	r.Stdout, r.StdoutDropped = out.bytes()
	r.Stderr, r.StderrDropped = errs.bytes()
	return r, nil
}

// A sink takes one stream of a Run.
type sink struct {
	w    io.Writer
	kept *headtail.Buffer
	all  *bytes.Buffer
	lost int64 // bytes that never came
}

func newSink(w io.Writer, keep int64) *sink {
	switch {
	case w != nil:
		return &sink{w: w}
	case keep < 0:
		b := &bytes.Buffer{}
		return &sink{w: b, all: b}
	}
	b := headtail.New(keep)
	return &sink{w: b, kept: b}
}

func (s *sink) bytes() (b []byte, dropped int64) {
	switch {
	case s.kept != nil:
		return s.kept.Bytes(), s.kept.Dropped() + s.lost
	case s.all != nil:
		return s.all.Bytes(), s.lost
	}
	return nil, s.lost
}

// begin starts a command. The returned function removes its source file.
func (c *Container) begin(ctx context.Context, s *wire.Start, src *source) (*wire.Process, procStream, func(), error) {
	x, err := c.enter(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	done := func() {}
	if src != nil {
		f := &wire.File{Path: wire.Path(src.path), Parents: true, User: s.User}
		if _, err := x.create(ctx, wire.OpWrite, f, strings.NewReader(src.text)); err != nil {
			return nil, nil, nil, fmt.Errorf("putting the source text into the container: %w", err)
		}
		done = func() {
			// The command has run, whether or not its context goes on.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			x.file(ctx, wire.OpRemove, &wire.File{Path: wire.Path(src.dir), Recursive: true, User: s.User})
		}
	}
	p, ps, err := x.start(ctx, s)
	if err != nil {
		done()
		return nil, nil, nil, err
	}
	return p, ps, done, nil
}

// responseMargin is how much longer than a command's own limit we wait for
// the agent to say that it ended.
const responseMargin = 10 * time.Second

var errUnresponsive = errors.New("the container did not say how the command ended in time")
