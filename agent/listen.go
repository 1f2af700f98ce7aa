//go:build linux

package agent

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// listen makes the socket. It is open to all: its directory on the host keeps
// the host's users out, and those inside are stopped by [agent.admit].
func (a *agent) listen() (*net.UnixListener, error) {
	name := filepath.Base(a.conf.Socket)
	a.store.remove(name) // of the container's last life
	path := a.store.socketPath(a.conf.Socket)
	l, err := listenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// maxBacklog is how many connections may wait to be accepted.
const maxBacklog = 1024

// listenUnix is net.ListenUnix without a look at what the kernel's limit of
// the backlog is, which is ten calls of it.
func listenUnix(path string) (*net.UnixListener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, os.NewSyscallError("bind "+path, err)
	}
	if err := unix.Listen(fd, maxBacklog); err != nil {
		return nil, os.NewSyscallError("listen "+path, err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	u := l.(*net.UnixListener)
	u.SetUnlinkOnClose(true)
	return u, nil
}

// accept serves connections until the listener is closed.
func (a *agent) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err == nil {
			conn := c.(*net.UnixConn)
			// Here, and so in the order in which they came, see drain.
			go a.connection(conn, a.conns.add(conn))
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		time.Sleep(10 * time.Millisecond) // out of descriptors, or of memory: it passes
	}
}

// Bounds of a connection that has not said what it wants.
const (
	requestTime = 10 * time.Second
	proofTime   = 5 * time.Second
	// maxWaiting is how many peers from inside may be between connecting and
	// their proof. One more ends the one that has waited longest.
	maxWaiting = 64
)

// A client is one connection.
type client struct {
	conn *net.UnixConn
	in   *bufio.Reader
	r    *wire.Reader
	w    *wire.Writer
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, smallBuffer) }}

// connection serves one connection, or refuses it, and closes it.
func (a *agent) connection(conn *net.UnixConn, welcome bool) {
	c := &client{conn: conn, in: readers.Get().(*bufio.Reader), w: wire.NewWriter(conn)}
	c.in.Reset(conn)
	c.r = wire.NewReader(c.in)
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "pocketdock-agent: %v\n%s", r, debug.Stack())
			c.w.JSON(wire.KindFailure, fail(wire.CodeOther, "the agent made a mistake: %v", r))
		}
		conn.Close()
		a.garbage.operationEnded()
		a.conns.remove(conn)
	}()
	if !welcome {
		c.w.JSON(wire.KindFailure, fail(wire.CodeDenied, "the sandbox is being reset"))
		return
	}
	req, err := a.admit(c)
	if err != nil {
		if e, ok := err.(*wire.Error); ok {
			c.w.JSON(wire.KindFailure, e)
		}
		return
	}
	a.serve(c, req)
}

// recycle gives back the reader when nothing reads from it any more.
func (c *client) recycle() {
	c.in.Reset(nil)
	readers.Put(c.in)
}

// waiting is the connections that have not proven themselves, oldest first.
type waiting struct {
	mu    sync.Mutex
	conns []*net.UnixConn
}

func (w *waiting) add(c *net.UnixConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.conns) >= maxWaiting {
		w.conns[0].Close()
		w.conns = w.conns[1:]
	}
	w.conns = append(w.conns, c)
}

func (w *waiting) remove(c *net.UnixConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.conns {
		if w.conns[i] == c {
			w.conns = append(w.conns[:i], w.conns[i+1:]...)
			return
		}
	}
}

// outside reports whether the peer lives outside of the sandbox: the kernel
// cannot name its pid in our namespace. One that is inside shows its own,
// also when it has ended.
func outside(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	out := false
	raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		out = err == nil && cred.Pid == 0
	})
	return out
}
