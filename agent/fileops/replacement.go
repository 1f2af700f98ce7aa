//go:build linux

package fileops

import (
	"unsafe"

	"github.com/pocketdock/pocketdock/internal/holes"
	"golang.org/x/sys/unix"
)

// A replacement is a file being written under a temporary name in the
// directory where it will be. Nothing of it is ever seen under its final
// name until it is whole.
type replacement struct {
	dir  int // not owned
	name string
	fd   int
	holes.Writer
}

func newReplacement(dir int) (*replacement, error) {
	fd, name, err := stage(dir, func(name string) (int, error) { return createFile(dir, name) })
	if err != nil {
		return nil, err
	}
	return &replacement{dir: dir, name: name, fd: fd, Writer: holes.Writer{File: newFile(fd)}}, nil
}

func createFile(dir int, name string) (int, error) {
	return openAt(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
}

// abandon removes what was written. It does nothing after place.
func (r *replacement) abandon() {
	closeFD(r.fd)
	r.fd = -1
	if r.name != "" {
		unix.Unlinkat(r.dir, r.name, 0)
		r.name = ""
	}
}

// place gives the file its attributes and its name, if it does not have that
// already, and says what it is now.
func (r *replacement) place(base string, a attributes, replace bool) (*unix.Stat_t, error) {
	if err := r.Finish(); err != nil {
		return nil, err
	}
	if err := a.set(r.fd); err != nil {
		return nil, err
	}
	st, err := statFD(r.fd)
	if err != nil {
		return nil, err
	}
	switch {
	case r.name == base:
	case replace:
		err = retry(func() error { return unix.Renameat(r.dir, r.name, r.dir, base) })
	default:
		err = renameNew(r.dir, r.name, r.dir, base)
	}
	if err != nil {
		return nil, err
	}
	r.name = ""
	// Some file systems report at the close that data could not be stored.
	err = unix.Close(r.fd)
	r.fd = -1
	if err == unix.EINTR {
		err = nil
	}
	return st, err
}

// renameNew renames where nothing is under the new name, or fails with EEXIST.
func renameNew(fromDir int, from string, toDir int, to string) error {
	err := retry(func() error { return unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE) })
	if err != unix.ENOSYS && err != unix.EINVAL {
		return err
	}
	// A file system without it. A file can be linked under its new name,
	// which never replaces; for a directory there is only look and rename.
	if _, statErr := statAt(toDir, to, unix.AT_SYMLINK_NOFOLLOW); statErr == nil {
		return unix.EEXIST
	}
	st, err := statAt(fromDir, from, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return err
	}
	if !isDir(st) {
		err := unix.Linkat(fromDir, from, toDir, to, 0)
		if err == nil {
			return unix.Unlinkat(fromDir, from, 0)
		}
		if err == unix.EEXIST || err == unix.EXDEV {
			return err
		}
	}
	return retry(func() error { return unix.Renameat(fromDir, from, toDir, to) })
}

// attributes are what a file or directory gets when its content is there.
type attributes struct {
	owner *owner
	mode  uint32
	mtime *unix.Timespec // nil: as it is
}

// set applies them to an open file: the owner first, which may clear
// set-user-ID bits.
func (a attributes) set(fd int) error {
	if a.owner != nil {
		if err := retry(func() error { return unix.Fchown(fd, a.owner.uid, a.owner.gid) }); err != nil {
			return err
		}
	}
	if err := retry(func() error { return unix.Fchmod(fd, a.mode) }); err != nil {
		return err
	}
	if a.mtime == nil {
		return nil
	}
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, *a.mtime}
	return retry(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}

// setAt applies them to what is at name in dir, which must not be opened: a
// link (which has no mode) or a FIFO.
func (a attributes) setAt(dir int, name string, link bool) error {
	if a.owner != nil {
		if err := a.owner.give(dir, name); err != nil {
			return err
		}
	}
	if !link {
		if err := chmodAt(dir, name, a.mode); err != nil {
			return err
		}
	}
	if a.mtime == nil {
		return nil
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, *a.mtime}
	return retry(func() error { return unix.UtimesNanoAt(dir, name, times, unix.AT_SYMLINK_NOFOLLOW) })
}
