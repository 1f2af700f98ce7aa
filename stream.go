package pocketdock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// An OutputStream names stdout or stderr.
type OutputStream int

// The streams of a command.
const (
	Stdout OutputStream = 1
	Stderr OutputStream = 2
)

// String is "stdout" or "stderr".
func (s OutputStream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}

// A Chunk is output of a command, as it came.
type Chunk struct {
	Stream OutputStream
	// Data is valid until the next chunk. A UTF-8 character is never split
	// between chunks of a stream, unless the command's output ends inside.
	Data []byte
	// Lost bytes of this stream are missing before Data: they had left the
	// log of a detached process before they were read.
	Lost int64
}

// A Stream is a running command. Read its output with Chunks, then ask for
// its Result; Close gives it up. Chunks and Result are for one goroutine; the
// other methods may be called from any.
type Stream struct {
	c      *Container
	ps     procStream
	cancel context.CancelFunc
	id     string
	kept   bool // the process outlives this stream
	begun  time.Time
	start  int64 // Unix nanoseconds by the agent's clock, 0 if not known
	done   func()

	exit *wire.Exit
	err  error
	hold map[wire.Kind][]byte // incomplete characters
	once sync.Once
}

// projectLog is how much is kept of each stream of a command in a container of a
// project, until its history has it.
const projectLog = 1 << 20

// Stream starts a command; its output is read while it runs. The caller must
// call Result or Close. If ctx ends, the command and all that it started are
// killed.
func (c *Container) Stream(ctx context.Context, cmd Command) (*Stream, error) {
	start, src, err := cmd.resolve()
	if err != nil {
		return nil, err
	}
	if c.project != "" && cmd.LogLimit == 0 {
		start.LogLimit = projectLog
	}
	timeout := cmp.Or(cmd.Timeout, c.timeout)
	s := &Stream{c: c}
	if timeout > 0 {
		start.TimeoutMS = max(1, timeout.Milliseconds())
		// Should whatever is in there not keep to it.
		guard := timeout + cmd.Grace + responseMargin
		ctx, s.cancel = context.WithTimeoutCause(ctx, guard, fmt.Errorf("container %s: %w", c.name, errUnresponsive))
	} else {
		ctx, s.cancel = context.WithCancel(ctx)
	}
	s.begun = time.Now()
	p, ps, done, err := c.begin(ctx, start, src)
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.ps, s.done, s.id, s.start = ps, done, p.ID, p.Started
	if cmd.Stdin != nil && cmd.Stdin != Interactive {
		go s.feed(cmd.Stdin)
	}
	return s, nil
}

// Interactive as [Command.Stdin] gives a command an input that is written
// later: by [Stream.Write] up to [Stream.CloseInput], or by [Process.Input].
var Interactive io.Reader = interactive{}

type interactive struct{}

func (interactive) Read([]byte) (int, error) { return 0, io.EOF }

// feed copies standard input. It ends with the input, or with the first write
// after the command has ended.
func (s *Stream) feed(r io.Reader) {
	buf := make([]byte, bulkBuffer)
	for {
		n, err := r.Read(buf)
		if n > 0 && s.ps.send(buf[:n]) != nil {
			return
		}
		if err != nil {
			// An input that fails ends; what the command makes of it shows.
			s.ps.closeInput()
			return
		}
	}
}

// ID is the process's, for [Container.Process].
func (s *Stream) ID() string { return s.id }

// Write gives p to the command's standard input. It needs a [Command] whose
// Stdin is [Interactive].
func (s *Stream) Write(p []byte) (int, error) {
	if err := s.ps.send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseInput ends the command's standard input.
func (s *Stream) CloseInput() error { return s.ps.closeInput() }

// Resize sets the size of the command's terminal.
func (s *Stream) Resize(size TerminalSize) error { return s.ps.resize(size.wire()) }

// Signal sends a signal to the command's process group.
func (s *Stream) Signal(sig Signal) error { return s.ps.signal(wire.Signal{Signal: int(sig)}) }

// Chunks returns the output as it comes, until the command has ended. After
// the loop, Result says how it ended, or what went wrong.
func (s *Stream) Chunks() iter.Seq[Chunk] {
	return func(yield func(Chunk) bool) {
		for {
			ev, err := s.event()
			if err != nil {
				// What was held back is output all the same.
				_ = s.release(wire.KindStdout, yield) && s.release(wire.KindStderr, yield)
				return
			}
			if ev.gap != nil {
				k := wire.KindStdout
				if ev.gap.Stderr {
					k = wire.KindStderr
				}
				// The bytes behind a gap do not go on with those before it.
				if !s.release(k, yield) || !yield(Chunk{Stream: outputStream(k), Lost: ev.gap.To - ev.gap.From}) {
					return
				}
				continue
			}
			if data := s.whole(ev.stream, ev.data); len(data) > 0 && !yield(Chunk{Stream: outputStream(ev.stream), Data: data}) {
				return
			}
		}
	}
}

// release yields what was held back of a stream.
func (s *Stream) release(k wire.Kind, yield func(Chunk) bool) bool {
	h := s.hold[k]
	delete(s.hold, k)
	return len(h) == 0 || yield(Chunk{Stream: outputStream(k), Data: h})
}

func outputStream(k wire.Kind) OutputStream {
	if k == wire.KindStderr {
		return Stderr
	}
	return Stdout
}

// whole returns data up to the last whole character, behind what was held
// back before, and holds back the rest.
func (s *Stream) whole(k wire.Kind, data []byte) []byte {
	if h := s.hold[k]; len(h) > 0 {
		data = append(h, data...)
		s.hold[k] = nil
	}
	if n := incomplete(data); n > 0 {
		if s.hold == nil {
			s.hold = map[wire.Kind][]byte{}
		}
		s.hold[k] = append([]byte(nil), data[len(data)-n:]...)
		data = data[:len(data)-n]
	}
	return data
}

// incomplete is the length of the beginning of a UTF-8 character at the end
// of b; 0 if b ends with a whole one, or is not UTF-8.
func incomplete(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// event returns the next output or gap, io.EOF after the exit, or an error.
func (s *Stream) event() (event, error) {
	if s.err != nil {
		return event{}, s.err
	}
	ev, err := s.ps.next()
	if err == nil && ev.exit != nil {
		s.exit = ev.exit
		err = io.EOF
	}
	if err != nil {
		s.err = err
		s.finish()
	}
	return ev, err
}

// finish releases what the stream holds.
func (s *Stream) finish() {
	s.once.Do(func() {
		s.ps.close()
		s.cancel()
		if s.done != nil {
			s.done()
		}
	})
}

// Result waits for the command's end, discarding output that was not read,
// and says how it ended. Its Stdout and Stderr are empty.
func (s *Stream) Result() (*Result, error) {
	for s.err == nil {
		s.event()
	}
	if s.err != io.EOF {
		return nil, s.err
	}
	return s.c.result(s.id, s.exit, s.begun, s.start)
}

// result makes an exit a Result. Unknown never reads as success.
func (c *Container) result(id string, e *wire.Exit, begun time.Time, start int64) (*Result, error) {
	if e.Lost {
		return nil, fmt.Errorf("container %s stopped while the command ran, how it ended is not known: %w", c.name, ErrOutputLost)
	}
	r := &Result{ID: id, Running: e.Running, Closed: e.Closed, ExitCode: e.Code, Signal: e.Signal, TimedOut: e.TimedOut, OOMKilled: e.OOM, Duration: time.Since(begun)}
	if start > 0 && e.Ended >= start {
		r.Duration = time.Duration(e.Ended - start)
	}
	return r, nil
}

// Close gives the stream up. A command that still runs is killed with all
// that it started; a detached process that is only followed goes on.
func (s *Stream) Close() error {
	if s.err == nil {
		s.err = errStreamClosed
	}
	s.finish()
	return nil
}

var errStreamClosed = errors.New("the stream was closed before the command ended")
