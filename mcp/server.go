package mcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Server serves sandboxes to clients. Close it when it is no longer needed.
type Server struct {
	opts  Options
	dirs  []*hostDir
	inner *sdk.Server

	// How long a sandbox outlives a program that was killed, and how often a
	// client hears that a command still runs; tests make them shorter.
	lease, progressEvery time.Duration

	mu       sync.Mutex
	sessions map[*sdk.ServerSession]*session
	watchers sync.WaitGroup
}

const (
	// sandboxLease is how long a sandbox lives without being kept alive. It is
	// kept alive every third of that.
	sandboxLease = 15 * time.Minute
	// progressInterval is well below the shortest limit of a client, 10 s.
	progressInterval = 3 * time.Second
)

// maxMessage bounds one message of a client, in bytes: a file that is written
// is one.
const maxMessage = 16 << 20

// New makes a server. It asks no engine yet.
func New(o Options) (*Server, error) {
	if err := o.settle(); err != nil {
		return nil, err
	}
	s := &Server{opts: o, lease: sandboxLease, progressEvery: progressInterval, sessions: map[*sdk.ServerSession]*session{}}
	for _, d := range o.Directories {
		dir, err := openDir(d)
		if err != nil {
			return nil, errors.Join(err, s.closeDirs())
		}
		s.dirs = append(s.dirs, dir)
	}
	s.inner = sdk.NewServer(
		&sdk.Implementation{Name: "pocketdock", Title: "Pocketdock sandboxes", Version: o.Version},
		&sdk.ServerOptions{
			Instructions: s.instructions(),
			Logger:       o.Log,
			Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}, Resources: &sdk.ResourceCapabilities{}},
		})
	s.inner.AddReceivingMiddleware(withoutNulls)
	s.addTools()
	s.addResources()
	return s, nil
}

func (s *Server) instructions() string {
	text := `Runs code and commands in isolated sandboxes on the user's machine. Leave out sandbox_id: the first call makes a default sandbox whose files and processes last until this session ends. Start with run_code or run_command. `
	text += fmt.Sprintf("A call answers within %v; what still runs then goes on, and process_read reads its further output.", s.opts.AnswerWithin)
	if !s.opts.AllowNetwork {
		text += " Sandboxes have no network: packages cannot be downloaded."
	}
	if len(s.dirs) > 0 {
		text += " upload and download move files between the user's machine and a sandbox, in these directories of the machine:"
		for _, d := range s.dirs {
			text += " " + d.String()
		}
	}
	return text
}

// Serve serves one client over its streams, until in ends or ctx does, and
// then removes the client's sandboxes. It closes in, if that can be closed,
// so that nobody waits for it any more.
func (s *Server) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ss, err := s.inner.Connect(context.WithoutCancel(ctx), &sdk.IOTransport{
		Reader: asReadCloser(in), Writer: writeOnly{out}, MaxLineLength: maxMessage}, nil)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- ss.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		s.stop(ss)
		err = <-ended
	}
	s.mu.Lock()
	have := s.sessions[ss]
	s.mu.Unlock()
	if have != nil {
		<-have.gone
	}
	if errors.Is(err, sdk.ErrConnectionClosed) || errors.Is(err, io.ErrClosedPipe) || ctx.Err() != nil {
		err = nil
	}
	return err
}

// asReadCloser gives a reader without one a Close.
func asReadCloser(r io.Reader) io.ReadCloser {
	if c, ok := r.(io.ReadCloser); ok {
		return c
	}
	return io.NopCloser(r)
}

type writeOnly struct{ io.Writer }

func (writeOnly) Close() error { return nil }

// of is the session of a connection; the first call of it makes one.
func (s *Server) of(ss *sdk.ServerSession) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.sessions[ss]; have != nil {
		return have
	}
	made := &session{srv: s, done: make(chan struct{}), gone: make(chan struct{}), turn: make(chan struct{}, 1), boxes: map[string]*sandbox{}}
	s.sessions[ss] = made
	s.watchers.Go(func() {
		_ = ss.Wait() // how the connection ended does not matter
		made.end()
		close(made.gone)
		s.mu.Lock()
		delete(s.sessions, ss)
		s.mu.Unlock()
	})
	return made
}

// stop ends a connection: calls that are under way are ended, not waited for.
func (s *Server) stop(ss *sdk.ServerSession) {
	s.mu.Lock()
	have := s.sessions[ss]
	s.mu.Unlock()
	if have != nil {
		have.finish()
	}
	_ = ss.Close()
}

// Close ends all sessions, and returns when their sandboxes are removed.
func (s *Server) Close() error {
	for _, ss := range slices.Collect(s.inner.Sessions()) {
		s.stop(ss)
	}
	s.watchers.Wait()
	return s.closeDirs()
}

func (s *Server) closeDirs() error {
	var errs []error
	for _, d := range s.dirs {
		errs = append(errs, d.root.Close())
	}
	return errors.Join(errs...)
}
