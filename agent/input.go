//go:build linux

package agent

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// An input is a process's standard input: the writing end of a pipe, or its
// terminal.
type input struct {
	mu     sync.Mutex // one writer at a time, whole frames
	file   *os.File
	tty    bool
	closed bool
	line   bool // the last byte to the terminal ended a line
}

var errPeerGone = errors.New("the peer has closed the connection")

// busyPeer is how often a connection is looked at while a process does not
// read what came on it.
const busyPeer = 50 * time.Millisecond

// copyFrom writes the rest of the current frame. What the process does not
// want is dropped, so that the client is not blocked by it; the error is the
// connection's only.
//
// While the process does not read, neither does the agent: signals that come
// behind the data on the same connection wait. (OpSignal does not.)
func (in *input) copyFrom(r *wire.Reader, conn *net.UnixConn, buf []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for r.Left() > 0 {
		n, err := r.Read(buf)
		if n > 0 {
			if err := in.write(buf[:n], conn); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (in *input) write(b []byte, conn *net.UnixConn) error {
	if in.closed {
		return nil
	}
	in.line = b[len(b)-1] == '\n'
	for len(b) > 0 {
		in.file.SetWriteDeadline(time.Now().Add(busyPeer))
		n, err := in.file.Write(b)
		b = b[n:]
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if hungUp(conn) {
				return errPeerGone
			}
		default: // EPIPE: nobody reads it any more
			in.shut()
			return nil
		}
	}
	return nil
}

// hungUp reports whether the other side has closed at least its writing half.
func hungUp(conn *net.UnixConn) (gone bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p, 0)
		gone = err == nil && n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone || err != nil
}

// end is the end of input. A terminal that reads lines gets its end-of-file
// character, as from a user; others get nothing.
func (in *input) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return
	}
	if !in.tty {
		in.shut()
		return
	}
	raw, err := in.file.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		if err != nil || t.Lflag&unix.ICANON == 0 {
			return
		}
		eof := []byte{t.Cc[unix.VEOF], t.Cc[unix.VEOF]}
		if in.line {
			eof = eof[:1] // within a line the first only sends the line
		}
		unix.Write(int(fd), eof)
	})
}

// shut closes the pipe; a terminal is closed by the stream that reads it.
func (in *input) shut() {
	in.closed = true
	if !in.tty {
		in.file.Close()
	}
}

// close is for the end of the process; it also ends a write that waits.
func (in *input) close() {
	if !in.tty {
		in.file.Close()
	}
}
