//go:build linux

package agent

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A stream is one output of a process: a pipe or a terminal that one
// goroutine reads. It goes either to the connection of its run (forward),
// which holds the process back when it does not read, or to a log (record),
// from which any number of connections read at their own offsets.
type stream struct {
	kind wire.Kind
	src  *os.File      // nil for a process of an earlier life
	eof  chan struct{} // closed when nothing more will come

	mu    sync.Mutex
	total int64 // bytes taken from the process
	done  int64 // bytes of these that were handed on

	sending sync.Mutex   // held while a frame is sent
	to      *wire.Writer // forward: who gets it; nil: nobody any more
	sent    int64        // bytes that went there

	log  *log // record; nil when forwarding
	kept *keptLog
}

func newStream(kind wire.Kind, src *os.File) *stream {
	return &stream{kind: kind, src: src, eof: make(chan struct{})}
}

// extent is the bytes so far and how many of the first are not in a log.
func (s *stream) extent() (total, dropped int64) {
	switch {
	case s.log != nil:
		return s.log.extent()
	case s.kept != nil:
		return s.kept.total, s.kept.first
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, s.total
}

// take calls read with the descriptor, again and again, until there was
// something to read. read returns as read(2) does.
func take(src syscall.RawConn, read func(fd int) (int, error)) (n int, err error) {
	wait := src.Read(func(fd uintptr) bool {
		for {
			n, err = read(int(fd))
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	switch {
	case wait != nil:
		return 0, wait
	case err == nil && n <= 0, err == unix.EIO: // EIO: the other side of a terminal is closed
		return 0, io.EOF
	}
	return n, err
}

// forward sends all that comes to s.to as frames, one for each read, so that
// a small write arrives at once and a large one in large frames.
func (s *stream) forward(conn *net.UnixConn) {
	defer close(s.eof)
	defer s.src.Close()
	raw, err := s.src.SyscallConn()
	if err != nil {
		return
	}
	var (
		buf  scratch
		bulk *splicer // once there is much
	)
	defer buf.release()
	for {
		b := buf.bytes()
		held := 0
		n, err := take(raw, func(fd int) (int, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if bulk != nil {
				if held = bulk.held(fd); held > 0 {
					return held, nil
				}
			}
			n, err := unix.Read(fd, b)
			s.total += int64(max(n, 0))
			return n, err
		})
		if err != nil {
			return
		}
		if held > 0 {
			if s.splice(bulk, held, b) != nil {
				bulk = nil
			}
			continue
		}
		s.sending.Lock()
		if s.to != nil {
			if s.to.Frame(s.kind, b[:n]) == nil {
				s.sent += int64(n)
			} else {
				s.to = nil // the reader of that connection notices, too
			}
		}
		live := s.to != nil
		s.sending.Unlock()
		s.mu.Lock()
		s.done += int64(n)
		s.mu.Unlock()
		if n == len(b) && live && buf.grow() && enlarge(raw) {
			bulk = newSplicer(raw, conn)
		}
		if !live {
			bulk = nil
		}
	}
}

var errCut = errors.New("nobody gets it any more")

// splice sends the n bytes that the pipe holds as one frame.
func (s *stream) splice(bulk *splicer, n int, buf []byte) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.to == nil {
		return errCut
	}
	err := s.to.Payload(s.kind, n, func() error {
		return bulk.move(n, buf, func(step func() int) {
			s.mu.Lock() // pending must not see what is neither in the pipe nor counted
			defer s.mu.Unlock()
			m := int64(step())
			s.total += m
			s.done += m
			s.sent += m
		})
	})
	if err != nil {
		s.to = nil
	}
	return err
}

// enlarge makes a pipe larger, and reports whether it is one.
func enlarge(raw syscall.RawConn) (pipe bool) {
	raw.Control(func(fd uintptr) {
		_, err := unix.FcntlInt(fd, unix.F_SETPIPE_SZ, bulkPipe)
		pipe = err != unix.EBADF // EPERM: the user has many pipes
	})
	return pipe
}

// cut ends forwarding: what comes later is read and dropped, so that children
// that outlive their run neither block nor die of SIGPIPE. It returns how many
// bytes were sent.
func (s *stream) cut() int64 {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.to = nil
	return s.sent
}

// position is how far the stream is and how far it was handed on.
func (s *stream) position() (total, done int64) {
	if s.log != nil {
		total, _ = s.log.extent()
		return total, total
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, s.done
}

// pending is the offset up to which the process has written by now.
func (s *stream) pending() int64 {
	lock := &s.mu
	if s.log != nil {
		lock = &s.log.mu
	}
	lock.Lock()
	defer lock.Unlock()
	total := s.total
	if s.log != nil {
		total = s.log.total
	}
	if raw, err := s.src.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			if n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ); err == nil {
				total += int64(n)
			}
		})
	}
	return total
}

// After a first process has ended, children in the background may keep its
// output open. It is taken as complete when what the pipe held then was handed
// on and nothing came for quietTime, or after settleTime of more.
const (
	quietTime  = 50 * time.Millisecond
	settleTime = 500 * time.Millisecond
)

// settle returns when the output of an ended process is complete.
func (p *process) settle() {
	type open struct {
		*stream
		target, seen int64
	}
	var left []open
	for _, s := range p.out {
		if s == nil {
			continue
		}
		select {
		case <-s.eof:
		default:
			total, _ := s.position()
			left = append(left, open{s, s.pending(), total})
		}
	}
	if len(left) == 0 {
		return
	}
	start := time.Now()
	tick := time.NewTimer(quietTime)
	defer tick.Stop()
	for len(left) > 0 {
		s := &left[0]
		select {
		case <-s.eof:
			left = left[1:]
			continue
		case <-tick.C:
		}
		tick.Reset(quietTime)
		keep := left[:0]
		for _, s := range left {
			total, done := s.position()
			quiet := total == s.seen || time.Since(start) > settleTime
			s.seen = total
			if done < s.target || !quiet {
				keep = append(keep, s)
			}
		}
		left = keep
	}
}
