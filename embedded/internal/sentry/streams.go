//go:build linux && !noembedded

package sentry

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/monitor"
)

// streams are the first process's standard streams: what it prints goes to
// the log and to all that are attached.
type streams struct {
	inner [3]*os.File // the sandbox's ends
	stdin *os.File    // our end; nil: none
	tty   bool
	key   func(unix.Signal) // what a key of the terminal means
	once  bool              // standard input ends with the first client that is attached
	began int64             // where in the log this run begins

	mu    sync.Mutex // of what follows
	log   *os.File
	size  int64
	taken map[*net.UnixConn]bool
	pumps sync.WaitGroup
}

// maxLog bounds a container's log; what comes after is dropped.
const maxLog = 64 << 20

func newStreams(log string, stdin, once, tty bool) (*streams, error) {
	s := &streams{taken: map[*net.UnixConn]bool{}, tty: tty, once: once}
	var err error
	if s.log, err = os.OpenFile(log, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	if fi, err := s.log.Stat(); err == nil {
		s.size, s.began = fi.Size(), fi.Size()
	}
	if tty {
		return s, s.terminal()
	}
	if stdin {
		s.inner[0], s.stdin, err = os.Pipe()
	} else {
		s.inner[0], err = os.Open(os.DevNull)
	}
	if err != nil {
		return nil, err
	}
	for i := 1; i <= 2; i++ {
		var r *os.File
		if r, s.inner[i], err = os.Pipe(); err != nil {
			return nil, err
		}
		s.pumps.Go(func() { s.pump(r, byte(i)) })
	}
	return s, nil
}

// terminal makes a pseudoterminal.
func (s *streams) terminal() error {
	master, slave, err := monitor.OpenTerminal()
	if err != nil {
		return err
	}
	s.stdin = master
	s.inner = [3]*os.File{slave, slave, slave}
	s.pumps.Go(func() { s.pump(master, 1) })
	return nil
}

// started closes the sandbox's ends here.
func (s *streams) started() {
	for _, f := range s.inner {
		f.Close()
	}
}

// pump copies what comes on a stream to where it is wanted.
func (s *streams) pump(r *os.File, stream byte) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			s.put(stream, buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// A log is the stream that attached clients read, with the time in the
// header's three unused bytes and five more.
func (s *streams) put(stream byte, p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size < maxLog {
		n, _ := s.log.Write(monitor.AppendRecord(nil, stream, time.Now(), p))
		s.size += int64(n)
	}
	for c := range s.taken {
		if !s.send(c, stream, p) {
			delete(s.taken, c)
		}
	}
}

// send writes to one that is attached, which is let go if it does not read.
func (s *streams) send(c *net.UnixConn, stream byte, p []byte) bool {
	c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	frame := binary.BigEndian.AppendUint32([]byte{stream, 0, 0, 0}, uint32(len(p)))
	if s.tty {
		frame = nil
	}
	_, err := c.Write(append(frame, p...))
	return err == nil
}

// attach serves a client that is attached until it goes, or the container.
func (s *streams) attach(c *net.UnixConn, r *monitor.Request) {
	s.mu.Lock()
	if monitor.Write(c, &monitor.Reply{}) != nil {
		s.mu.Unlock()
		return
	}
	if r.Output {
		if r.Replay || r.Fresh {
			from := s.began
			if r.Replay {
				from = 0
			}
			monitor.ReadLog(io.NewSectionReader(s.log, from, s.size-from), func(stream byte, _ time.Time, p []byte) bool { return s.send(c, stream, p) })
		}
		s.taken[c] = true
	}
	s.mu.Unlock()
	if r.Stdin && s.stdin != nil {
		if s.tty {
			monitor.Type(s.stdin, c, s.key)
		} else {
			io.Copy(s.stdin, c)
		}
		if !s.tty && s.once {
			s.stdin.Close()
		}
	} else {
		io.Copy(io.Discard, c)
	}
	if r.Output {
		// Its input has ended; its output ends with the container, or when it
		// goes, which a write tells.
		s.pumps.Wait()
	}
	s.mu.Lock()
	delete(s.taken, c)
	s.mu.Unlock()
}

// drain waits for what is still in the pipes, after the sandbox's end.
func (s *streams) drain() {
	done := make(chan struct{})
	go func() { s.pumps.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.taken {
		c.CloseWrite()
	}
}
