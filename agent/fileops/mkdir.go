//go:build linux

package fileops

import (
	"golang.org/x/sys/unix"
)

// parentMode is that of directories made on the way, and of those made
// without a mode.
const parentMode = 0o755

func (o *operation) mkdir() error {
	path, err := o.path(o.Path)
	if err != nil {
		return err
	}
	path = trimSlashes(path)
	own, err := o.owner()
	if err != nil {
		return err
	}
	mode := uint32(parentMode)
	if o.Mode != nil {
		mode = *o.Mode & permissions
	}
	err = mkdirAt(unix.AT_FDCWD, path, mode)
	if err == unix.ENOENT && o.Parents {
		above, _ := split(path)
		if err = mkdirAll(above); err == nil {
			err = mkdirAt(unix.AT_FDCWD, path, mode)
		}
	}
	if err == unix.EEXIST && o.Parents {
		st, statErr := statAt(unix.AT_FDCWD, path, 0)
		if statErr == nil && isDir(st) {
			return o.replyStat(path)
		}
	} else if err == nil && own != nil {
		err = own.give(unix.AT_FDCWD, path)
	}
	if err != nil {
		return failure("make directory", string(o.Path), err)
	}
	return o.replyStat(path)
}

// mkdirAt makes a directory with exactly this mode, whatever the umask, but
// for a set-group-ID bit that it inherits.
func mkdirAt(dir int, path string, mode uint32) error {
	if err := retry(func() error { return unix.Mkdirat(dir, path, mode) }); err != nil {
		return err
	}
	st, err := statAt(dir, path, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return err
	}
	if !isDir(st) {
		return unix.ENOTDIR // somebody was quick
	}
	if want := mode | st.Mode&unix.S_ISGID; want != st.Mode&permissions {
		return chmodAt(dir, path, want)
	}
	return nil
}

// mkdirAll makes path and what is missing above it, 0755 each.
func mkdirAll(path string) error {
	path = trimSlashes(path)
	err := mkdirAt(unix.AT_FDCWD, path, parentMode)
	if err == unix.ENOENT {
		above, base := split(path)
		if base == "" || above == path {
			return err
		}
		if err := mkdirAll(above); err != nil {
			return err
		}
		err = mkdirAt(unix.AT_FDCWD, path, parentMode)
	}
	// EEXIST may come first: of "a/.." when a is being made, of "/", or of
	// another process that makes the same tree. Read-only file systems and
	// parents that cannot be written answer by other errors for what exists.
	if err != nil {
		if st, statErr := statAt(unix.AT_FDCWD, path, 0); statErr == nil && isDir(st) {
			return nil
		}
	}
	return err
}
