//go:build linux

package agent

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// spliceMin is what a pipe must hold for splice(2) to be worth the header's
// own system call.
const spliceMin = 64 << 10

// A splicer moves output from a pipe to a connection without copying it
// through the agent, which saves two of the four copies between a command and
// its client: a third of the processor time of all three (measured with 2 GiB
// of zeroes).
type splicer struct {
	from, to syscall.RawConn
	refused  bool // the kernel cannot (gVisor)
}

func newSplicer(from syscall.RawConn, conn *net.UnixConn) *splicer {
	to, err := conn.SyscallConn()
	return &splicer{from: from, to: to, refused: err != nil}
}

// held is how much there is in the pipe, 0 if it is not worth a splice.
func (p *splicer) held(fd int) int {
	if p.refused {
		return 0
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil || n < spliceMin {
		return 0
	}
	return min(n, wire.MaxFrame)
}

// move moves n bytes, which the pipe holds. Each step that takes some out of
// the pipe is done by account, with what it has taken. buf is for where the kernel cannot.
func (p *splicer) move(n int, buf []byte, account func(step func() int)) error {
	var failure error
	err := p.from.Control(func(from uintptr) {
		for n > 0 && failure == nil {
			if p.refused {
				n, failure = p.copy(int(from), n, buf, account)
				continue
			}
			wait := p.to.Write(func(to uintptr) bool {
				var err error
				account(func() int {
					var m int64
					m, err = unix.Splice(int(from), nil, int(to), nil, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
					n -= int(max(m, 0))
					return int(max(m, 0))
				})
				switch err {
				case unix.EAGAIN:
					return false
				case nil, unix.EINTR:
				case unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP:
					p.refused = true
				default:
					failure = err
				}
				return true
			})
			if wait != nil {
				failure = wait
			}
		}
	})
	if err != nil {
		return err
	}
	return failure
}

// copy moves one piece by way of buf and returns what is left of n.
func (p *splicer) copy(from, n int, buf []byte, account func(step func() int)) (int, error) {
	var left []byte
	var err error
	account(func() int {
		var m int
		m, err = unix.Read(from, buf[:min(n, len(buf))])
		left = buf[:max(m, 0)]
		return len(left)
	})
	if err != nil {
		return n, err
	}
	n -= len(left)
	err = p.to.Write(func(to uintptr) bool {
		for len(left) > 0 {
			m, err := unix.Write(int(to), left)
			switch {
			case err == unix.EAGAIN:
				return false
			case err != nil && err != unix.EINTR:
				return true // the next write of the connection fails as well
			}
			left = left[max(m, 0):]
		}
		return true
	})
	if err == nil && len(left) > 0 {
		err = unix.EPIPE
	}
	return n, err
}
