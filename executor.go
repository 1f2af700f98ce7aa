package pocketdock

import (
	"context"
	"io"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// An executor starts processes and moves files inside one container. There
// are two: the agent, over whatever connection reaches it, and the engine's
// own exec and archive API for a container without an agent. Everything
// public is written once, against this.
type executor interface {
	// path is what [Info.ExecPath] says.
	path() string
	// start runs a process and streams it. With s.Detach the stream is nil.
	start(ctx context.Context, s *wire.Start) (*wire.Process, procStream, error)
	// attach follows a process that was started before.
	attach(ctx context.Context, a *wire.Attach) (*wire.Process, procStream, error)
	// send gives a session a command and streams it. With s.Detach the stream
	// is nil.
	send(ctx context.Context, s *wire.Send) (*wire.Process, procStream, error)
	// input writes a detached process's standard input up to r's end, and
	// ends it if end is set.
	input(ctx context.Context, id string, r io.Reader, end bool) error
	signal(ctx context.Context, s *wire.Signal) (*wire.Process, error)
	resize(ctx context.Context, r *wire.Resize) error
	processes(ctx context.Context) ([]wire.Process, error)
	// events calls each with every detached process that there is, then with
	// nil, and then with those that are started, until ctx ends or each
	// returns an error.
	events(ctx context.Context, each func(*wire.Process) error) error
	// forget drops the record of a process that has ended.
	forget(ctx context.Context, id string) error

	// file performs an operation that answers with at most a stat.
	file(ctx context.Context, op string, f *wire.File) (*wire.Stat, error)
	// entries performs one that answers with a sequence; each is called in order.
	entries(ctx context.Context, op string, f *wire.File, each func(*wire.Entry) error) error
	// open reads a file or a tar stream; the caller closes it. A read that
	// did not see the end returns an error before io.EOF.
	open(ctx context.Context, op string, f *wire.File) (*wire.Stat, io.ReadCloser, error)
	// create writes a file, or unpacks a tar stream, read from r.
	create(ctx context.Context, op string, f *wire.File, r io.Reader) (*wire.Stat, error)

	// info describes the agent; nil where there is none.
	info(ctx context.Context) (*wire.Info, error)
	limits(ctx context.Context, l *wire.Limits) (*wire.Limits, error)
}

// A procStream is a running process's output and input. next is called by one
// goroutine; the others may be called at any time.
type procStream interface {
	// next returns the next event; an exit event is the last one. An error
	// means that how the process ended is not known.
	next() (event, error)
	// send writes standard input; a process that no longer reads is no error.
	send(p []byte) error
	closeInput() error
	resize(s wire.Size) error
	signal(s wire.Signal) error
	// close gives the stream up. A process that was not to be kept is killed.
	close() error
}

// An event is one thing that a procStream tells; one field is set.
type event struct {
	// stream is wire.KindStdout or KindStderr when data is output. The bytes
	// are valid until the next call.
	stream wire.Kind
	data   []byte
	gap    *wire.Gap
	exit   *wire.Exit
}
