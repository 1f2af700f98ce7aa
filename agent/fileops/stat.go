//go:build linux

package fileops

import (
	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

func (o *operation) stat() error {
	path, err := o.path(o.Path)
	if err != nil {
		return err
	}
	st, err := o.status(path)
	if err != nil {
		return failure("stat", string(o.Path), err)
	}
	info := describe(o.Path, st)
	if isLink(st) {
		target, err := readLink(unix.AT_FDCWD, path)
		if err != nil {
			return failure("read link", string(o.Path), err)
		}
		info.Target = wire.Path(target)
	}
	return o.reply(wire.Reply{Stat: info})
}

// status is that of the file at path, or of the link there with NoFollow.
func (o *operation) status(path string) (*unix.Stat_t, error) {
	if o.NoFollow {
		return lstat(path)
	}
	return statAt(unix.AT_FDCWD, path, 0)
}

func lstat(path string) (*unix.Stat_t, error) {
	return statAt(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW)
}

func statAt(dir int, path string, flags int) (*unix.Stat_t, error) {
	st := new(unix.Stat_t)
	err := retry(func() error { return unix.Fstatat(dir, path, st, flags) })
	return st, err
}

func statFD(fd int) (*unix.Stat_t, error) {
	st := new(unix.Stat_t)
	err := retry(func() error { return unix.Fstat(fd, st) })
	return st, err
}

func describe(path wire.Path, st *unix.Stat_t) *wire.Stat {
	return &wire.Stat{
		Path:  path,
		Size:  st.Size,
		Mode:  st.Mode,
		MTime: st.Mtim.Nano(),
		UID:   st.Uid,
		GID:   st.Gid,
		Nlink: uint64(st.Nlink),
		Inode: st.Ino,
	}
}

func isDir(st *unix.Stat_t) bool     { return st.Mode&unix.S_IFMT == unix.S_IFDIR }
func isLink(st *unix.Stat_t) bool    { return st.Mode&unix.S_IFMT == unix.S_IFLNK }
func isRegular(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG }

// permissions are the bits that chmod(2) sets.
const permissions = 0o7777

func readLink(dir int, path string) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(dir, path, buf)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}
