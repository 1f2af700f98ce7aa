//go:build linux

package fileops

import (
	"crypto/rand"
	"strings"

	"golang.org/x/sys/unix"
)

// What is written over some time has a staged name until it is whole, and a
// lock as long as somebody writes it. The agent of a container that is killed
// leaves it: the next transfer to the same directory finds that nobody has the
// lock, and removes it. The library does the same on the host, by the same
// names (internal/staging), which matters where both see a mounted directory.

const (
	temporaryPrefix = ".pocketdock-"
	randomLength    = 26 // of rand.Text
	// sweepSize is how large a file is, in bytes, that is worth looking
	// through its directory for leftovers.
	sweepSize = 1 << 20
)

func stagedName() string { return temporaryPrefix + rand.Text() }

// isStaged reports whether name is one of stagedName.
func isStaged(name string) bool {
	rest, ok := strings.CutPrefix(name, temporaryPrefix)
	return ok && len(rest) == randomLength && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// stage makes something under a staged name in dir, and locks it before
// somebody who sweeps has taken it for a leftover.
func stage(dir int, make func(name string) (fd int, err error)) (fd int, name string, err error) {
	for range 100 {
		name = stagedName()
		if fd, err = make(name); err != nil {
			return -1, "", err
		}
		// A file system without locks has nobody who sweeps.
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != unix.EWOULDBLOCK {
			if st, err := statFD(fd); err == nil && st.Nlink > 0 {
				return fd, name, nil
			}
		}
		closeFD(fd)
	}
	return -1, "", unix.EAGAIN
}

// sweep removes what nobody writes any more from a directory. What cannot be
// removed, or looked at, stays.
func sweep(dir int) {
	fd, err := openAt(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return
	}
	defer closeFD(fd)
	for {
		names, err := someNames(fd, nil)
		if err != nil || len(names) == 0 {
			return
		}
		for _, name := range names {
			if isStaged(name) {
				removeLeftover(fd, name)
			}
		}
	}
}

func removeLeftover(dir int, name string) {
	st, err := statAt(dir, name, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || !isRegular(st) && !isDir(st) {
		return
	}
	fd, err := openAt(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer closeFD(fd)
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	if now, err := statFD(fd); err == nil && now.Dev == st.Dev && now.Ino == st.Ino {
		removeAll(dir, name)
	}
}
