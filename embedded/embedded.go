//go:build linux && !noembedded

package embedded

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/api"
	"github.com/pocketdock/pocketdock/embedded/internal/container"
	"github.com/pocketdock/pocketdock/embedded/internal/sentry"
	"github.com/pocketdock/pocketdock/internal/engine"
	"github.com/pocketdock/pocketdock/internal/state"
)

func init() {
	sentry.Dispatch()
	engine.Register(engine.Embedded{Dir: Dir, Dial: dial})
}

// Dir is where the engine keeps containers and images unless another directory
// is named: "embedded" in the state directory, which is
// POCKETDOCK_STATE_DIR, else /var/lib/pocketdock for root and
// $XDG_STATE_HOME/pocketdock (~/.local/state/pocketdock) for others.
func Dir() (string, error) {
	dir := os.Getenv("POCKETDOCK_STATE_DIR")
	if dir == "" {
		var err error
		if dir, err = state.Default(); err != nil {
			return "", err
		}
	}
	return filepath.Abs(filepath.Join(dir, "embedded"))
}

// servers of this process, by directory: an exec that was created on one
// connection is started on another.
var (
	serversMu sync.Mutex
	servers   = map[string]*api.Server{}
)

func server(dir string) (*api.Server, error) {
	// Monitors have another working directory.
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	serversMu.Lock()
	defer serversMu.Unlock()
	if s := servers[dir]; s != nil {
		return s, nil
	}
	program, err := program()
	if err != nil {
		return nil, err
	}
	store, err := container.Open(dir, program)
	if err != nil {
		return nil, err
	}
	s := &api.Server{Store: store, Root: dir}
	servers[dir] = s
	return s, nil
}

// program is this one. By its number it is found whatever becomes of its name.
func program() (string, error) { return "/proc/self/exe", nil }

// Handler serves the Engine API of the engine in a directory; empty: [Dir].
func Handler(dir string) (http.Handler, error) {
	if dir == "" {
		var err error
		if dir, err = Dir(); err != nil {
			return nil, err
		}
	}
	return server(dir)
}

// Serve serves the Engine API to the connections of l, until the context ends.
func Serve(ctx context.Context, l net.Listener, dir string) error {
	h, err := Handler(dir)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// dial makes a connection to the engine: one end of a pair of sockets, whose
// other end is served until it is closed.
func dial(_ context.Context, dir string) (net.Conn, error) {
	h, err := server(dir)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	l := &single{conn: theirs, closed: make(chan struct{})}
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed || s == http.StateHijacked {
			l.Close()
		}
	}}
	go srv.Serve(l)
	return ours, nil
}

func pair() (a, b net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	conn := func(fd int) (net.Conn, error) {
		f := os.NewFile(uintptr(fd), "engine")
		defer f.Close()
		return net.FileConn(f)
	}
	if a, err = conn(fds[0]); err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	if b, err = conn(fds[1]); err != nil {
		a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// single is a listener of one connection.
type single struct {
	mu     sync.Mutex
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *single) Accept() (net.Conn, error) {
	l.mu.Lock()
	c := l.conn
	l.conn = nil
	l.mu.Unlock()
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *single) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *single) Addr() net.Addr { return &net.UnixAddr{Name: "embedded", Net: "unix"} }
