//go:build linux

package fileops

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An owner is what to give a file to; -1 leaves the user or group as it is.
type owner struct{ uid, gid int }

// give changes the owner of what is at path in dir, of a link itself.
func (own *owner) give(dir int, path string) error {
	return retry(func() error {
		return unix.Fchownat(dir, path, own.uid, own.gid, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// owner is the request's, nil if it names none.
func (o *operation) owner() (*owner, error) {
	if o.Owner == "" {
		return nil, nil
	}
	own, err := lookupOwner(o.Owner)
	if err != nil {
		return nil, invalid(string(o.Path), "the owner %s: %v", quote(o.Owner), err)
	}
	return own, nil
}

func (o *operation) chown() error {
	own, err := o.owner()
	if err != nil {
		return err
	}
	if own == nil {
		return invalid(string(o.Path), "chown %s: no owner is given", quote(string(o.Path)))
	}
	path, err := o.path(o.Path)
	if err != nil {
		return err
	}
	st, err := o.status(path)
	if err != nil {
		return failure("chown", string(o.Path), err)
	}
	if o.Recursive && isDir(st) {
		if err := o.chownTree(path, own); err != nil {
			return err
		}
	}
	flags := 0
	if o.NoFollow {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	err = retry(func() error { return unix.Fchownat(unix.AT_FDCWD, path, own.uid, own.gid, flags) })
	if err != nil {
		return failure("chown", string(o.Path), err)
	}
	return o.replyChanged(path)
}

func (o *operation) chownTree(path string, own *owner) error {
	top, err := openDirectory(unix.AT_FDCWD, path, 0)
	if err != nil {
		return failure("chown", string(o.Path), err)
	}
	defer closeFD(top.fd)
	w := walk{
		depth: -1,
		enter: func(v visit) (bool, error) {
			if err := own.give(v.dir, v.name); err != nil && err != unix.ENOENT {
				return false, failure("chown", join(trimSlashes(string(o.Path)), v.rel), err)
			}
			return true, nil
		},
		unreadable: o.inTree("chown"),
	}
	return w.run(top)
}

// lookupOwner reads "user", "user:group", "user:" (the user's own group) or
// ":group", each a name of the sandbox's /etc/passwd and /etc/group or a
// number.
func lookupOwner(s string) (*owner, error) {
	user, group, both := strings.Cut(s, ":")
	own := &owner{uid: -1, gid: -1}
	if user != "" {
		id, login, err := lookupID("/etc/passwd", user, both && group == "")
		if err != nil {
			return nil, err
		}
		own.uid = id
		if both && group == "" {
			own.gid = login
		}
	}
	if group != "" {
		id, _, err := lookupID("/etc/group", group, false)
		if err != nil {
			return nil, err
		}
		own.gid = id
	}
	if own.uid < 0 && own.gid < 0 {
		return nil, unix.EINVAL
	}
	return own, nil
}

// lookupID finds a name's number in the third field of a file of lines, and
// with next also the fourth. A number stands for itself.
func lookupID(file, name string, next bool) (id, after int, err error) {
	number, numErr := parseID(name)
	if numErr == nil && !next {
		return number, -1, nil
	}
	data, err := readSmall(file)
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(data) {
		fields := strings.Split(strings.TrimRight(string(line), "\n"), ":")
		if len(fields) < 4 || fields[0] != name && (numErr != nil || fields[2] != name) {
			continue
		}
		if id, err = parseID(fields[2]); err != nil {
			continue
		}
		if next {
			after, err = parseID(fields[3])
		}
		return id, after, err
	}
	return 0, 0, &unknownError{name: name, file: file}
}

type unknownError struct{ name, file string }

func (e *unknownError) Error() string { return quote(e.name) + " is not in " + e.file }

// parseID reads a user or group ID. The largest uint32 means "none" to chown(2).
func parseID(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = strconv.ErrRange
	}
	return int(n), err
}

// smallFile bounds /etc/passwd and /etc/group, in bytes.
const smallFile = 4 << 20

// readSmall reads a regular file's first bytes.
func readSmall(path string) ([]byte, error) {
	fd, err := openAt(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer closeFD(fd)
	st, err := statFD(fd)
	if err != nil || !isRegular(st) {
		return nil, unix.ENOENT
	}
	return io.ReadAll(io.NewSectionReader(content(fd), 0, smallFile))
}
