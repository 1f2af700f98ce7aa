//go:build linux

package fileops

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// failure is err as the client gets it: what was being done, the path, the
// reason. What is such a failure already keeps its words, and a lost
// connection stays one.
func failure(doing, path string, err error) error {
	var gone *lostError
	if errors.As(err, &gone) {
		return gone
	}
	var known *wire.Error
	if errors.As(err, &known) {
		if known.Path != "" || path == "" {
			return known
		}
		e := *known
		e.Message, e.Path = doing+" "+quote(path)+": "+known.Message, wire.Path(path)
		return &e
	}
	e := &wire.Error{Code: wire.CodeOther, Message: doing + " " + quote(path) + ": " + err.Error(), Path: wire.Path(path)}
	if path == "" {
		e.Message = doing + ": " + err.Error()
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		e.Code, e.Errno = code(errno), int(errno)
	}
	var escape *escapeError
	if errors.As(err, &escape) {
		e.Code = wire.CodeInvalid
	}
	return e
}

// invalid is a request or an archive that makes no sense.
func invalid(path, format string, args ...any) error {
	return &wire.Error{Code: wire.CodeInvalid, Message: fmt.Sprintf(format, args...), Path: wire.Path(path)}
}

func code(errno unix.Errno) string {
	switch errno {
	case unix.ENOENT:
		return wire.CodeNotFound
	case unix.EEXIST:
		return wire.CodeExists
	case unix.EACCES, unix.EPERM, unix.EROFS:
		return wire.CodePermission
	case unix.EISDIR:
		return wire.CodeIsDir
	case unix.ENOTDIR:
		return wire.CodeNotDir
	case unix.ENOTEMPTY:
		return wire.CodeNotEmpty
	case unix.ENOSPC, unix.EDQUOT:
		return wire.CodeNoSpace
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN:
		return wire.CodeResource
	case unix.EINVAL, unix.ENAMETOOLONG, unix.ELOOP, unix.EFBIG:
		return wire.CodeInvalid
	case unix.ENOSYS, unix.EOPNOTSUPP:
		return wire.CodeUnsupported
	}
	return wire.CodeOther
}

// quote makes a name fit for a message: as it is when every character of it
// prints and none is lost, as a Go string otherwise.
func quote(name string) string {
	if !utf8.ValidString(name) {
		return strconv.Quote(name)
	}
	for _, r := range name {
		if !strconv.IsPrint(r) {
			return strconv.Quote(name)
		}
	}
	return name
}

// retry repeats a call that a signal interrupted. Go's runtime sends signals
// to its own threads, and some file systems give up at one.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// errMoved: a directory was moved while its tree was being walked.
var errMoved = errors.New("a directory was moved meanwhile")

// errShrank: a file became shorter while it was read.
var errShrank = errors.New("the file was cut shorter while it was read")
