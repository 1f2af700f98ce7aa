//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package staging

import (
	"os"
	"syscall"
)

const (
	canLock   = true
	openFlags = os.O_RDONLY | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
)

// errHeld: somebody has the lock.
var errHeld error = syscall.EWOULDBLOCK

// lock takes a file's lock. It ends with the program, however that ends.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
