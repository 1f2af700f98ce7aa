//go:build linux

package agent

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// defaultSize is a terminal's when the client says 0.
var defaultSize = wire.Size{Rows: 24, Cols: 80}

// openTerminal makes a terminal of the sandbox's own for user uid and returns
// its two sides; the slave is for the child and to be closed.
func openTerminal(size wire.Size, uid uint32) (master *os.File, slave int, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == unix.ENOENT {
		fd, err = unix.Open("/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, -1, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, -1, err
	}
	// By descriptor (since Linux 4.13), so that it does not matter what is
	// mounted on /dev/pts; gVisor knows only the name.
	if r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC); errno == 0 {
		slave = int(r)
	} else {
		n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
		if err != nil {
			return nil, -1, err
		}
		slave, err = unix.Open("/dev/pts/"+strconv.Itoa(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, -1, err
		}
	}
	if err := setSize(fd, size); err != nil {
		unix.Close(slave)
		return nil, -1, err
	}
	// Programs open /dev/tty or their terminal's name again (ssh, gpg, screen).
	unix.Fchown(slave, int(uid), -1)
	return os.NewFile(uintptr(fd), "/dev/ptmx"), slave, nil
}

func setSize(fd int, s wire.Size) error {
	if s.Rows == 0 || s.Cols == 0 {
		s = defaultSize
	}
	return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Cols})
}

// resize sets the size of p's terminal, and the kernel sends SIGWINCH.
func (p *process) resize(s wire.Size) *wire.Error {
	if p.terminal == nil {
		return fail(wire.CodeInvalid, "process %s has no terminal", p.id)
	}
	raw, err := p.terminal.SyscallConn()
	if err == nil {
		if e := raw.Control(func(fd uintptr) { err = setSize(int(fd), s) }); e != nil {
			err = e
		}
	}
	if err != nil {
		return fail(wire.CodeNoProcess, "the terminal of process %s is closed", p.id)
	}
	return nil
}
