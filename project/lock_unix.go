//go:build unix

package project

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile waits for the lock of an open file; the kernel releases it when
// the file is closed, however the program ends.
func lockFile(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

// tryLockFile takes the lock if nobody has it.
func tryLockFile(f *os.File) bool {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

func unlockFile(f *os.File) { unix.Flock(int(f.Fd()), unix.LOCK_UN) }
