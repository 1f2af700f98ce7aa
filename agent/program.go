//go:build linux

package agent

import (
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// programs are the files that argv[0] may mean, in the order of PATH. Only
// the exec says whether the user may execute one.
func programs(name, path, dir string) []string {
	if name == "" {
		return nil
	}
	if strings.Contains(name, "/") {
		return []string{name} // relative to dir, where the child is when it executes it
	}
	var files []string
	for d := range strings.SplitSeq(path, ":") {
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		file := d + "/" + name
		if unix.Access(file, unix.F_OK) == nil {
			files = append(files, file)
		}
	}
	return files
}

// likely is the first of files that the permission bits let id execute, as
// execvp(3) would find by trying.
func likely(files []string, id *identity) string {
	for _, file := range files {
		var st unix.Stat_t
		if unix.Stat(file, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && id.mayExecute(&st) {
			return file
		}
	}
	return files[0]
}

// notStarted explains why an exec failed. err is of the last try.
func notStarted(argv0, dir string, id *identity, err error) *wire.Error {
	errno, _ := err.(syscall.Errno)
	switch errno {
	case syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE:
		e := failErrno("", "cannot start "+argv0, err)
		e.Message += " (the sandbox is at its limit of processes, memory or descriptors)"
		return e
	case syscall.E2BIG:
		e := failErrno("", "cannot start "+argv0, err)
		e.Code = wire.CodeInvalid
		return e
	}
	if e := badDir(dir, id); e != nil {
		return e
	}
	e := failErrno(argv0, "cannot execute "+argv0, err)
	e.Code = wire.CodeNotExec
	if errno == syscall.ENOENT {
		file := argv0
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if unix.Access(file, unix.F_OK) != nil {
			return notFound(argv0)
		}
		e.Message = "cannot execute " + argv0 + ": its interpreter or loader does not exist"
	}
	return e
}

func notFound(argv0 string) *wire.Error {
	e := fail(wire.CodeNotCommand, "command not found: %s", argv0)
	e.Path, e.Errno = wire.Path(argv0), int(syscall.ENOENT)
	return e
}

// badDir says what is wrong with dir as a working directory; nil if nothing is.
func badDir(dir string, id *identity) *wire.Error {
	var st unix.Stat_t
	what := "working directory " + dir
	if err := unix.Stat(dir, &st); err != nil {
		return failErrno(dir, what, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return failErrno(dir, what, syscall.ENOTDIR)
	}
	// The permission bits decide; who can enter by other means (an ACL) has
	// not failed for it.
	if !id.mayExecute(&st) {
		return failErrno(dir, what, syscall.EACCES)
	}
	return nil
}

func (i *identity) mayExecute(st *unix.Stat_t) bool {
	switch {
	case i.uid == st.Uid:
		return st.Mode&0o100 != 0
	case i.inGroup(st.Gid):
		return st.Mode&0o010 != 0
	}
	return st.Mode&0o001 != 0
}

func (i *identity) inGroup(gid uint32) bool {
	if gid == i.gid {
		return true
	}
	for _, g := range i.groups {
		if g == gid {
			return true
		}
	}
	return false
}
