//go:build linux

package agent

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// drainTime is how long a bridge outlives the agent's last word, at most. Its
// client ends its input when it has read that.
const drainTime = time.Second

// Bridge joins in and out to the agent's socket, for a client whose engine is
// on another machine and who gets in by an exec. The end of in is the end of
// what the agent is sent; the end of what the agent sends is that of Bridge.
//
// Input that comes after that is discarded for a while: an engine that cannot
// write to a command that has ended may lose what the command said last, and
// that is the agent's reason for not reading on.
func Bridge(path string, in, out *os.File) error {
	conn, err := dial(path)
	if err != nil {
		return fmt.Errorf("no agent at %s: %w", path, err)
	}
	defer conn.Close()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, err := io.CopyBuffer(struct{ io.Writer }{conn}, struct{ io.Reader }{in}, make([]byte, bulkBuffer))
		conn.CloseWrite()
		if err != nil {
			io.Copy(io.Discard, in)
		}
	}()
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{conn}, make([]byte, bulkBuffer))
	conn.Close()
	select {
	case <-drained:
	case <-time.After(drainTime):
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil // either side has had enough
	}
	return err
}

// dial connects to a Unix socket whatever its path's length.
func dial(path string) (*net.UnixConn, error) {
	if len(path) > 107 {
		dir, err := os.Open(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		path = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	}
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
}
