//go:build linux

package fileops

import (
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

func (o *operation) chmod() error {
	if o.Mode == nil {
		return invalid(string(o.Path), "chmod %s: no mode is given", quote(string(o.Path)))
	}
	mode := *o.Mode & permissions
	path, err := o.path(o.Path)
	if err != nil {
		return err
	}
	st, err := o.status(path)
	if err != nil {
		return failure("chmod", string(o.Path), err)
	}
	if !o.Recursive || !isDir(st) {
		if o.NoFollow {
			err = chmodAt(unix.AT_FDCWD, path, mode)
		} else {
			err = retry(func() error { return unix.Fchmodat(unix.AT_FDCWD, path, mode, 0) })
		}
		if err != nil {
			return failure("chmod", string(o.Path), err)
		}
		return o.replyChanged(path)
	}
	if err := o.chmodTree(path, mode); err != nil {
		return failure("chmod", string(o.Path), err)
	}
	return o.replyChanged(path)
}

// chmodTree changes a directory and all below it.
func (o *operation) chmodTree(path string, mode uint32) error {
	// A mode that lets its owner in is set on the way down, as it may be what
	// opens the way; another on the way up, as it would close it.
	down := mode&0o500 == 0o500
	place, err := openPath(unix.AT_FDCWD, path, unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer closeFD(place)
	if down {
		if err := unix.Chmod(procFD(place), mode); err != nil {
			return err
		}
	}
	top, err := openDirectory(place, ".", 0)
	if err != nil {
		return err
	}
	defer closeFD(top.fd)
	change := func(v visit) error {
		if isLink(v.st) {
			return nil // a link has no mode
		}
		err := chmodAt(v.dir, v.name, mode)
		if err == unix.ENOENT {
			return nil
		}
		if err != nil {
			return failure("chmod", join(trimSlashes(string(o.Path)), v.rel), err)
		}
		return nil
	}
	w := walk{
		depth: -1,
		enter: func(v visit) (bool, error) {
			if down || !isDir(v.st) {
				return true, change(v)
			}
			return true, nil
		},
		leave: func(v visit) error {
			if down {
				return nil
			}
			return change(v)
		},
		unreadable: o.inTree("chmod"),
	}
	if err := w.run(top); err != nil {
		return err
	}
	if down {
		return nil
	}
	return unix.Fchmod(top.fd, mode)
}

// replyChanged ends the operation with what it acted on.
func (o *operation) replyChanged(path string) error {
	st, err := o.status(path)
	if err != nil {
		return failure("stat", string(o.Path), err)
	}
	return o.replyStatOf(st)
}

// inTree makes an error below the operation's path name the place, and lets
// pass what is gone.
func (o *operation) inTree(doing string) func(string, error) error {
	return func(rel string, err error) error {
		if err == unix.ENOENT && rel != "" {
			return nil
		}
		path := string(o.Path)
		if rel != "" {
			path = join(trimSlashes(path), rel)
		}
		return failure(doing, path, err)
	}
}

// chmodAt changes the mode of what is at path in dir, never of what a
// symbolic link there points to.
func chmodAt(dir int, path string, mode uint32) error {
	// fchmodat2(2) is in Linux since 6.6. What does not have it, or filters
	// it, answers ENOSYS or EPERM; only another way tells the latter apart
	// from a real refusal.
	err := fchmodat2(dir, path, mode)
	if err != unix.ENOSYS && err != unix.EPERM {
		return err
	}
	fd, err := openPath(dir, path, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	st, err := statFD(fd)
	if err != nil {
		return err
	}
	if isLink(st) {
		return unix.EOPNOTSUPP
	}
	return retry(func() error { return unix.Chmod(procFD(fd), mode) })
}

func fchmodat2(dir int, path string, mode uint32) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	return retry(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_FCHMODAT2, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(mode), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}

// procFD is a path to what fd is open on, also when it was opened with O_PATH.
func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
