//go:build linux

package fileops

import (
	"strings"

	"golang.org/x/sys/unix"
)

// symlink makes Path a symbolic link that says To, whatever To is; with
// Replace in the place of a file or link.
func (o *operation) symlink() error {
	path, err := o.path(o.Path)
	if err != nil {
		return err
	}
	if o.To == "" || strings.IndexByte(string(o.To), 0) >= 0 {
		return invalid(string(o.Path), "symlink %s: %s is no target", quote(string(o.Path)), quote(string(o.To)))
	}
	own, err := o.owner()
	if err != nil {
		return err
	}
	dir, base, err := parent(path, o.Parents)
	if err != nil {
		return failure("symlink", string(o.Path), err)
	}
	defer closeFD(dir)
	err = unix.Symlinkat(string(o.To), dir, base)
	if err == unix.EEXIST && o.Replace {
		err = placeOver(dir, base, func(name string) error { return unix.Symlinkat(string(o.To), dir, name) })
	}
	if err == nil && own != nil {
		err = own.give(dir, base)
	}
	if err != nil {
		return failure("symlink", string(o.Path), err)
	}
	return o.replyStat(trimSlashes(path))
}

// placeOver makes something under a temporary name in dir and moves it over
// base.
func placeOver(dir int, base string, make func(name string) error) error {
	name := temporary()
	if err := make(name); err != nil {
		return err
	}
	err := unix.Renameat(dir, name, dir, base)
	// After a rename between two links to one file both are still there.
	if unlinkErr := unix.Unlinkat(dir, name, 0); unlinkErr != nil && unlinkErr != unix.ENOENT && err == nil {
		err = unlinkErr
	}
	return err
}
