//go:build linux

package monitor

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// OpenTerminal makes a pseudoterminal.
func OpenTerminal() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		master.Close()
		return nil, nil, err
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		master.Close()
		return nil, nil, errno
	}
	return master, os.NewFile(peer, "pts"), nil
}

// Resize sets a terminal's size.
func Resize(master *os.File, rows, cols uint16) error {
	raw, err := master.SyscallConn() // Fd would make it block
	if err != nil {
		return err
	}
	var bad error
	err = raw.Control(func(fd uintptr) {
		bad = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	return errors.Join(err, bad)
}

// Keys are the signals that input to a terminal means, as its settings are now:
// the kernel would send them to a process of this host, and there is none.
func Keys(master *os.File, input []byte) []unix.Signal {
	raw, err := master.SyscallConn()
	if err != nil {
		return nil
	}
	var t *unix.Termios
	raw.Control(func(fd uintptr) { t, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) })
	if err != nil || t == nil || t.Lflag&unix.ISIG == 0 {
		return nil
	}
	var list []unix.Signal
	for _, b := range input {
		for i, sig := range map[int]unix.Signal{unix.VINTR: unix.SIGINT, unix.VQUIT: unix.SIGQUIT, unix.VSUSP: unix.SIGTSTP} {
			if b != 0 && b == t.Cc[i] {
				list = append(list, sig)
			}
		}
	}
	return list
}

// Type copies input to a terminal, and calls signal for what keys mean.
func Type(master *os.File, input io.Reader, signal func(unix.Signal)) {
	buf := make([]byte, 4096)
	for {
		n, err := input.Read(buf)
		if n > 0 {
			keys := Keys(master, buf[:n])
			if _, err := master.Write(buf[:n]); err != nil {
				return
			}
			for _, k := range keys {
				signal(k)
			}
		}
		if err != nil {
			return
		}
	}
}
