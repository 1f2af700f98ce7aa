//go:build linux

package fileops

import (
	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// move renames Path to To, also from one file system to another.
func (o *operation) move() error {
	from, err := o.path(o.Path)
	if err != nil {
		return err
	}
	to, err := o.path(o.To)
	if err != nil {
		return err
	}
	fromDir, fromBase, err := parent(from, false)
	if err != nil {
		return failure("move", string(o.Path), err)
	}
	defer closeFD(fromDir)
	st, err := statAt(fromDir, fromBase, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return failure("move", string(o.Path), err)
	}
	toDir, toBase, err := parent(to, o.Parents)
	if err != nil {
		return failure("move "+quote(string(o.Path))+" to", string(o.To), err)
	}
	defer closeFD(toDir)

	if o.Replace {
		err = retry(func() error { return unix.Renameat(fromDir, fromBase, toDir, toBase) })
	} else {
		err = renameNew(fromDir, fromBase, toDir, toBase)
	}
	if err == unix.EXDEV {
		err = o.moveAcross(st, fromDir, fromBase, toDir, toBase)
	}
	if err == unix.EEXIST && o.Replace {
		err = unix.ENOTEMPTY // POSIX lets rename(2) say either
	}
	if err != nil {
		return failure("move "+quote(string(o.Path))+" to", string(o.To), err)
	}
	return o.reply(wire.Reply{})
}

// moveAcross copies to a temporary name beside the new one, renames that, and
// removes the old. Overlay file systems need it for directories that come
// from an image, on what looks like a single file system.
func (o *operation) moveAcross(st *unix.Stat_t, fromDir int, from string, toDir int, to string) error {
	if !o.Replace {
		if _, err := statAt(toDir, to, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			return unix.EEXIST
		}
	}
	name := temporary()
	err := copyTree(o.id.Root, trimSlashes(string(o.Path)), st, fromDir, from, toDir, name)
	if err == nil {
		if o.Replace {
			err = retry(func() error { return unix.Renameat(toDir, name, toDir, to) })
		} else {
			err = renameNew(toDir, name, toDir, to)
		}
	}
	if err != nil {
		removeAll(toDir, name)
		return err
	}
	if err := removeAll(fromDir, from); err != nil {
		return failure("copied, but cannot remove", string(o.Path), err)
	}
	return nil
}

// removeAll removes a file or a tree.
func removeAll(dir int, name string) error {
	err := unlink(dir, name)
	if err == unix.ENOTEMPTY {
		err = removeTree(dir, name)
	}
	return err
}
